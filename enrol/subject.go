package enrol

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/internal/table"
)

// ExportSubject is the action of handing over what is kept about one person.
const ExportSubject Action = "subject.export"

// SubjectRecords knows everything about a person.
type SubjectRecords interface {
	// Subject hands over all that the database keeps about a person, table by table, each
	// with its columns and rows: strings, int64s and times. No secret is in it: no key, no
	// hash of a password, no code, nor what codes are compared with. ErrUnknown when nothing
	// is kept.
	Subject(ctx context.Context, ic string, f func(name string, columns []string, rows [][]any) error) error
}

// Subject is what is kept about one person, for whoever may have it; the audit tells of
// it already.
type Subject struct {
	desk *Desk
	from SubjectRecords
	ic   string
	at   time.Time
}

// Export authorises the export of what is kept about a person: the officer's own, after a
// log-in that is fresh ([ErrStale] else), or by JDN for a request in writing, which reason
// names in 5 to 200 characters.
func (d *Desk) Export(ctx context.Context, from SubjectRecords, a Actor, ic, reason string, fresh bool) (*Subject, error) {
	ev, err := d.decide(ctx, a, ExportSubject, object{name: "officer:" + ic, officer: ic, detail: map[string]string{"officer": ic}})
	if err != nil {
		return nil, err
	}
	own := ev.Detail["by"] == "officer"
	switch {
	case own && !fresh:
		no := refusal("session_not_fresh", ErrStale)
		return nil, d.refuse(ctx, ev, no)
	case !own:
		if no := reasonGiven(&reason, auditReason); no != nil {
			return nil, d.refuse(ctx, ev, no)
		}
		ev.Detail["why"] = reason
	}
	if err := d.Records.Audit(ctx, ev); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return &Subject{d, from, ic, d.Now()}, nil
}

// Write writes a ZIP: BACA-README.txt, each table as JSON and as CSV, and the MyKad copy
// if it is still there. An error leaves w with a part of it, [ErrUnknown] and [ErrBusy], while
// another export is made, with nothing.
func (s *Subject) Write(ctx context.Context, w io.Writer) error {
	// It reads the whole audit chain.
	if !s.desk.exporting.TryLock() {
		return ErrBusy
	}
	defer s.desk.exporting.Unlock()
	var z *zip.Writer
	err := s.from.Subject(ctx, s.ic, func(name string, columns []string, rows [][]any) error {
		if z == nil {
			z = zip.NewWriter(w)
			if err := s.entry(z, "BACA-README.txt", func(w io.Writer) error {
				_, err := fmt.Fprintf(w, subjectReadme, s.at.In(myt.Zone).Format("2006-01-02 15:04:05"))
				return err
			}); err != nil {
				return err
			}
		}
		return s.table(z, name, columns, rows)
	})
	if err != nil {
		return err
	}
	if err := s.applications(ctx, z); err != nil {
		return err
	}
	return z.Close()
}

const subjectReadme = `DATA PERIBADI ANDA / YOUR PERSONAL DATA
Disediakan / made at: %s MYT

Fail ini mengandungi semua yang disimpan oleh gerbang tandatangan tentang anda. Setiap
jadual ada dua kali: JSON (untuk komputer) dan CSV (untuk hamparan). Masa ialah UTC,
RFC 3339. Kunci peribadi, PIN, kata laluan dan kod tidak disertakan: ia tidak disimpan
dalam bentuk yang boleh dibaca. Tandatangan lama berada dalam arkib; arkib.csv
menyenaraikan arkib yang mengandunginya. Simpan fail ini dengan selamat.

This file holds all that the signing gateway keeps about you. Each table is there twice:
as JSON (for computers) and as CSV (for spreadsheets). Times are UTC, RFC 3339. Private
keys, PINs, passwords and codes are not in it: nobody can read them. Signatures of long
ago are in archives; arkib.csv lists those that hold some of yours. Keep this file safe.
`

func (s *Subject) entry(z *zip.Writer, name string, fill func(io.Writer) error) error {
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.at.UTC()})
	if err == nil {
		err = fill(f)
	}
	if err != nil {
		return fmt.Errorf("exporting %s: %w", name, err)
	}
	return nil
}

func (s *Subject) table(z *zip.Writer, name string, columns []string, rows [][]any) error {
	for _, row := range rows {
		for k, cell := range row {
			if t, ok := cell.(time.Time); ok {
				if row[k] = ""; !t.IsZero() {
					row[k] = t.UTC().Format(time.RFC3339)
				}
			}
		}
	}
	err := s.entry(z, name+".json", func(w io.Writer) error {
		out := make([]map[string]any, len(rows))
		for n, row := range rows {
			out[n] = make(map[string]any, len(columns))
			for k, c := range columns {
				out[n][c] = row[k]
			}
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(out)
	})
	if err != nil {
		return err
	}
	return s.entry(z, name+".csv", func(w io.Writer) error {
		t, err := table.NewCSVWriter(w)
		if err != nil {
			return err
		}
		header := make([]any, len(columns))
		for k, c := range columns {
			header[k] = c
		}
		if err := t.Row(header...); err != nil {
			return err
		}
		for _, row := range rows {
			if err := t.Row(row...); err != nil {
				return err
			}
		}
		return t.Close()
	})
}

// applications adds what is sealed: the forms, and a MyKad copy that is still there. The
// security image is left out: who makes the export must not come to know it.
func (s *Subject) applications(ctx context.Context, z *zip.Writer) error {
	all, err := s.desk.Records.EnrolmentsOf(ctx, s.ic)
	if err != nil {
		return fmt.Errorf("reading enrolments: %w", err)
	}
	var rows [][]any
	for _, e := range all {
		f, _, _, err := s.desk.Records.Application(ctx, e.ID)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading application: %w", err)
		}
		form, err := s.desk.form(ctx, &f)
		if err != nil {
			return fmt.Errorf("reading application %s: %w", e.ID, err)
		}
		rows = append(rows, []any{e.ID, f.At, form.Address, form.Postcode, form.State, form.Phone, form.Fax, form.Mobile, form.MailKind, form.Declaration})
		if len(f.Copy) == 0 {
			continue
		}
		photo, err := s.desk.unseal(ctx, "mykad", f.Credential, f.Copy)
		if err != nil {
			return fmt.Errorf("reading the MyKad copy: %w", err)
		}
		if err := s.entry(z, "mykad-"+e.ID+".jpg", func(w io.Writer) error {
			_, err := w.Write(photo)
			return err
		}); err != nil {
			return err
		}
	}
	return s.table(z, "borang", strings.Fields("enrolment_id applied_at address postcode state phone fax mobile mail_kind declaration"), rows)
}
