package batch

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/signer"
)

// AddCandidates takes in a list (CSV or XLSX) of eCertificate candidates and renders a
// certificate for each good row. A file that cannot be read as a list is refused
// whole (*ecert.CSVError).
func (s *Service) AddCandidates(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{
		Ecert: func(ctx context.Context, u *upload, f *os.File, size int64) error {
			return takeCandidates(ctx, u, f, size, nil)
		},
	})
}

// AddZIP takes in a ZIP: of a batch of PDFs these, with or without a manifest; of eCertificates one
// list and the pictures that it names. What is no such ZIP is refused whole (ErrInput).
func (s *Service) AddZIP(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{PDF: takePDFs, Ecert: takeListAndPhotos})
}

// takeCandidates judges the whole list before the first page is drawn, and reads it once more to
// draw what is good.
func takeCandidates(ctx context.Context, u *upload, list io.ReaderAt, size int64, photos *photoFiles) error {
	good, err := u.judgeList(ctx, list, size, photos)
	if err != nil {
		return err
	}
	rd, err := openList(list, size, photos)
	if err != nil {
		return err
	}
	rd.Again()
	if photos != nil {
		photos.again = true
	}
	for row := range good.n {
		c, refusal, err := rd.Next()
		if err != nil {
			return err
		}
		if refusal != nil || !good.has(row) {
			continue
		}
		photo, err := photos.content(&c)
		if err != nil {
			return err
		}
		it, err := u.s.render(ctx, u.folder, u.next(), c, photo)
		if err != nil {
			return err
		}
		if err := u.accept(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

func openList(list io.ReaderAt, size int64, photos *photoFiles) (*ecert.Reader, error) {
	rd, err := ecert.OpenReader(list, size)
	if err == nil && photos != nil {
		rd.Photo = photos.find
	}
	return rd, err
}

// judgedRows remembers which rows are good, a bit each.
type judgedRows struct {
	bits []uint64
	n    int
}

func (j *judgedRows) add(good bool) {
	if j.n%64 == 0 {
		j.bits = append(j.bits, 0)
	}
	if good {
		j.bits[j.n/64] |= 1 << (j.n % 64)
	}
	j.n++
}

func (j *judgedRows) has(k int) bool { return j.bits[k/64]>>(k%64)&1 == 1 }

// judgeList reads a list to its end and refuses its bad rows, also those whose number another batch
// has.
func (u *upload) judgeList(ctx context.Context, list io.ReaderAt, size int64, photos *photoFiles) (good judgedRows, err error) {
	rd, err := openList(list, size, photos)
	if err != nil {
		return good, err
	}
	if u.b.Next > 0 {
		if err := u.s.each(ctx, u.b.ID, "", func(it *Item) error { rd.Seen(&it.Record.Candidate); return nil }); err != nil {
			return good, err
		}
	}
	column := rd.NumberColumn()
	type judged struct {
		row          int
		number, name string
		refusal      *ecert.Refusal
	}
	var rows []judged
	settle := func() error {
		var numbers []string
		for _, r := range rows {
			if r.refusal == nil {
				numbers = append(numbers, r.number)
			}
		}
		taken, err := u.s.Queue.Elsewhere(ctx, u.b.ID, numbers)
		if err != nil {
			return err
		}
		for _, r := range rows {
			no := Refusal{Row: r.row, Column: column, Name: r.name, Code: ecert.CodeNumberDuplicate}
			at, twice := taken[r.number]
			switch {
			case r.refusal != nil:
				no = Refusal{Row: r.row, Column: r.refusal.Column, Name: r.refusal.Name, Code: r.refusal.Code, Detail: r.refusal.DetailMS + " / " + r.refusal.Detail}
			case !twice:
				good.add(true)
				continue
			case at.App == u.b.App:
				day := at.At.UTC().Format("2006-01-02")
				no.Detail = fmt.Sprintf("kelompok %q (%s) mempunyai nombor ini / batch %q (%s) has this number", at.Batch, day, at.Batch, day)
			default:
				no.Detail = "kelompok aplikasi lain mempunyai nombor ini / a batch of another application has this number"
			}
			good.add(false)
			if err := u.refuse(ctx, no); err != nil {
				return err
			}
		}
		rows = rows[:0]
		return nil
	}
	for {
		c, refusal, err := rd.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return good, err
		}
		r := judged{row: c.Row, number: c.Number, name: c.Name, refusal: refusal}
		if refusal != nil {
			r.row = refusal.Row
		}
		if rows = append(rows, r); len(rows) == uploadPage {
			if err := settle(); err != nil {
				return good, err
			}
		}
	}
	u.got.Encoding, u.got.Notes = rd.Format().Encoding, listNotes(rd)
	return good, settle()
}

// formatNotes says as what a list was read.
func formatNotes(f table.Format) (notes []Note) {
	switch {
	case f.Encoding == table.Windows1252:
		notes = append(notes, Note{"encoding", "The file is not UTF-8: it was read as Windows-1252. Look at names with letters such as é, ñ or ’ before you seal.",
			"Fail ini bukan UTF-8: ia dibaca sebagai Windows-1252. Semak nama yang berhuruf seperti é, ñ atau ’ sebelum kelompok dimeterai."})
	case f.Encoding == table.UTF16:
		notes = append(notes, Note{"encoding", "The file is UTF-16 and was read as such.", "Fail ini UTF-16 dan dibaca sedemikian."})
	}
	switch f.Separator {
	case ';':
		notes = append(notes, Note{"separator", "Fields are separated by semicolons.", "Medan dipisahkan oleh koma bertitik."})
	case '\t':
		notes = append(notes, Note{"separator", "Fields are separated by tabs.", "Medan dipisahkan oleh tab."})
	}
	return notes
}

// listNotes says what was made of a list.
func listNotes(rd *ecert.Reader) []Note {
	notes := formatNotes(rd.Format())
	if rd.Twice > 0 {
		var some []string
		for _, row := range rd.TwiceRows {
			some = append(some, fmt.Sprint(row))
		}
		at := strings.Join(some, ", ")
		if rd.Twice > len(some) {
			at += " …"
		}
		notes = append(notes, Note{"person_twice", fmt.Sprintf("%d certificates are of a person who has one of the same programme and level already: rows %s.", rd.Twice, at),
			fmt.Sprintf("%d sijil adalah bagi orang yang sudah ada sijil program dan tahap yang sama: baris %s.", rd.Twice, at)})
	}
	return notes
}

// render draws one certificate and stores it. photo is the JPEG that c.Photo names; nil for none.
func (s *Service) render(ctx context.Context, folder string, index uint32, c ecert.Candidate, photo []byte) (Item, error) {
	var public [16]byte
	_, _ = rand.Read(public[:]) // crypto/rand never fails (it ends the process)
	rec := &Record{ID: base64.RawURLEncoding.EncodeToString(public[:]), Candidate: c}
	if photo != nil {
		if err := s.store(ctx, folder+"/photo-"+c.Photo, photo); err != nil {
			return Item{}, fmt.Errorf("storing the picture of %q: %w", c.Number, err)
		}
	}
	page, err := s.Renderer.Render(c, s.RecordURL(rec.ID))
	if err != nil {
		return Item{}, fmt.Errorf("drawing certificate %q: %w", c.Number, err)
	}
	sum := sha256.Sum256(page)
	it := Item{Document: signer.Document{Index: index, Name: c.Number + " " + c.Name, Hash: crypto.SHA256, Digest: sum[:],
		Blob: fmt.Sprintf("%s/%d", folder, index), Size: int64(len(page)), Reference: c.Number}, Record: rec, State: Pending}
	return it, s.store(ctx, it.Blob, page)
}

func (s *Service) store(ctx context.Context, blob string, content []byte) error {
	_, err := s.Blobs.Create(ctx, blob, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err
}
