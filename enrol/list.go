package enrol

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/table"
)

// Limits of a list of officers.
const (
	MaxListRows = 100_000 // after the header

	maxTold = 1000 // refusals that a report names; more are counted
	chunk   = 500  // rows stored in one transaction
)

// The columns of a list, and the names they may have, the Malay one first. Those behind
// colSystem may be left out.
const (
	colIC = iota
	colName
	colEmail
	colAgency
	colSystem
	colOffice
	colPhase
	colTicket
	colMedium
	colCount
)

func columnNames() [colCount][]string {
	return [colCount][]string{
		colIC:     {"no_kp", "no_kad_pengenalan", "ic", "mykad"},
		colName:   {"nama", "name"},
		colEmail:  {"emel", "e_mel", "email", "e_mail"},
		colAgency: {"agensi", "kod_agensi", "agency", "agency_code"},
		colSystem: {"sistem", "kod_sistem", "system", "system_code"},
		colOffice: {"pejabat_perakaunan", "ptj", "accounting_office", "office"},
		colPhase:  {"fasa", "phase", "rollout_phase"},
		colTicket: {"tiket", "no_tiket", "ticket", "help_desk_ticket"},
		colMedium: {"medium"},
	}
}

// notes are columns for people alone: lists of refused rows, as they are handed out, say why
// in one, and come back with it.
func notes() []string { return []string{"sebab_ditolak", "refusal_reason"} }

// listReader reads rows and judges what can be judged by the list and the registry
// alone. It remembers who it has seen, some 40 bytes a row.
type listReader struct {
	rows   table.Rows
	reg    *register
	header []string
	order  [colCount]int // index of each column in a row, -1 where there is none
	n      int
	seen   map[string]uint32
}

func newListReader(rows table.Rows, reg *register) (*listReader, error) {
	l := &listReader{rows: rows, reg: reg, seen: map[string]uint32{}}
	fields, line, err := rows.Next(64)
	if err == io.EOF {
		return nil, table.Refuse(1, 0, "the file is empty", "fail kosong")
	}
	if err != nil {
		return nil, err
	}
	for k := range l.order {
		l.order[k] = -1
	}
	names := columnNames()
	for at, raw := range fields {
		name := strings.TrimSpace(string(raw))
		key := strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" \t_-.", r) }), "_")
		if slices.Contains(notes(), key) {
			l.header = append(l.header, shown(name))
			continue
		}
		col := slices.IndexFunc(names[:], func(n []string) bool { return slices.Contains(n, key) })
		switch {
		case col < 0:
			return nil, table.Refuse(line, at+1, fmt.Sprintf("unknown column %q", shown(name)), fmt.Sprintf("lajur %q tidak dikenali", shown(name)))
		case l.order[col] >= 0:
			return nil, table.Refuse(line, at+1, fmt.Sprintf("column %q is there twice", shown(name)), fmt.Sprintf("lajur %q berganda", shown(name)))
		}
		l.order[col] = at
		l.header = append(l.header, shown(name))
	}
	for col := colIC; col <= colSystem; col++ {
		if l.order[col] < 0 {
			return nil, table.Refuse(line, 0, fmt.Sprintf("column %q is missing", names[col][0]), fmt.Sprintf("lajur %q tiada", names[col][0]))
		}
	}
	return l, nil
}

// shown is what of a text can be shown in a message, 40 characters of it.
func shown(s string) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unprintable(r) {
			return -1
		}
		return r
	}, s), "")
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// normal is a text as the register has it, however it was entered: Unicode NFC, single
// spaces, none at the ends.
func normal(s string) string { return strings.Join(strings.Fields(norm.NFC.String(s)), " ") }

// next returns the next row, or why it is refused; io.EOF at the end and a *table.Error
// when the list is refused whole.
func (l *listReader) next() (Row, *Refusal, error) {
	for {
		fields, line, err := l.rows.Next(len(l.header))
		if err != nil {
			return Row{}, nil, err
		}
		if l.n++; l.n > MaxListRows {
			return Row{}, nil, table.Refuse(line, 0, fmt.Sprintf("more than %d rows", MaxListRows), fmt.Sprintf("lebih daripada %d baris", MaxListRows))
		}
		var text [colCount]string
		empty := true
		for col, at := range l.order {
			if at >= 0 && at < len(fields) {
				text[col] = normal(string(fields[at]))
				empty = empty && text[col] == ""
			}
		}
		if empty {
			continue
		}
		row := l.n + 1
		if _, sheet := l.rows.(*table.XLSX); sheet {
			row = line
		}
		r, no := l.judge(&text, row)
		if no != nil {
			no.Row = row
		}
		return r, no, nil
	}
}

// judge gives the first defect in the order of the columns.
func (l *listReader) judge(text *[colCount]string, row int) (Row, *Refusal) {
	no := func(col int, code, ms, en string) (Row, *Refusal) {
		field := columnNames()[col][0]
		if at := l.order[col]; at >= 0 {
			field = l.header[at]
		}
		return Row{}, entered(code, field, ms, en)
	}
	limits := [colCount]int{colIC: 20, colName: 64, colEmail: 254, colAgency: 32, colSystem: 32, colOffice: 64, colPhase: 32, colTicket: 64, colMedium: 32}
	for col, s := range text {
		switch n := utf8.RuneCountInString(s); {
		case s == "" && col <= colSystem:
			return no(col, "row_field_missing", "medan kosong", "nothing in the field")
		case n > limits[col]:
			return no(col, "row_field_too_long", fmt.Sprintf("%d aksara, paling banyak %d", n, limits[col]), fmt.Sprintf("%d characters, at most %d", n, limits[col]))
		case strings.ContainsFunc(s, unprintable):
			return no(col, "row_field_invalid", "aksara yang tidak boleh dicetak", "a character that cannot be printed")
		}
	}
	r := Row{Row: row, Officer: Officer{Name: text[colName], Email: text[colEmail]}, Agency: text[colAgency], Office: text[colOffice],
		System: text[colSystem], Phase: text[colPhase], Ticket: text[colTicket], Medium: strings.ToUpper(text[colMedium])}
	ic, err := mykad.Parse(mykad.Clean(text[colIC]))
	if err != nil {
		ms, en := "bukan 12 digit yang bermula dengan tarikh lahir", "not 12 digits that begin with a date of birth"
		if _, err := mykad.Parse("0" + text[colIC]); err == nil {
			ms, en = ms+"; sifar pertama hilang, formatkan lajur sebagai teks", en+"; the first 0 was lost, format the column as text"
		}
		return no(colIC, "row_ic_invalid", ms, en)
	}
	r.Officer.IC = string(ic)
	if col, bad := l.reg.judge(&r); bad != nil {
		return no(col, "row_"+bad.Code, bad.MS, bad.EN)
	}
	key := r.Officer.IC + r.System
	if first, twice := l.seen[key]; twice {
		return no(colIC, "row_duplicate", fmt.Sprintf("baris %d pegawai dan sistem yang sama", first), fmt.Sprintf("row %d has the same officer and system", first))
	}
	l.seen[key] = uint32(row)
	return r, nil
}

// ListReport is what was found in a list, or done with it.
type ListReport struct {
	Digest  string     // hexadecimal SHA-256 of the file
	Rows    int        // that are not empty
	Good    int        // that can be added
	Already int        // that an earlier, interrupted run of the same list has added
	Added   int        // by this run
	Refused int        // how many are refused
	Told    []*Refusal // the first thousand of them, by row and column
}

// ListChoice says which rows are added.
type ListChoice struct {
	GoodOnly bool         // leave out those that are refused; else one refusal refuses all
	Rows     map[int]bool // these alone; nil: all
}

// CheckList judges a whole list, CSV or XLSX of size bytes, and changes nothing. Errors:
// a *Refusal (forbidden), a *[table.Error] when the list is refused whole.
func (d *Desk) CheckList(ctx context.Context, a Actor, r io.ReaderAt, size int64) (ListReport, error) {
	ev, err := d.decideList(ctx, a, Check)
	if err != nil {
		return ListReport{}, err
	}
	rep, err := d.walk(ctx, a, r, size, nil)
	if err != nil {
		return rep, err
	}
	ev.Object, ev.Detail["rows"], ev.Detail["refused"] = "list:"+rep.Digest, fmt.Sprint(rep.Rows), fmt.Sprint(rep.Refused)
	return rep, d.Records.Audit(ctx, ev)
}

// decideList decides about a list as such; each row is decided about with its system.
func (d *Desk) decideList(ctx context.Context, a Actor, act Action) (audit.Event, error) {
	o := object{name: "list"}
	for _, p := range a.Appointments {
		if p.Role == SAP { // for whatever system
			o.system = p.System
		}
	}
	return d.decide(ctx, a, act, o)
}

// AddList adds the officers of a list: with a SAP's each waits for JDN to admit it, with
// JDN's the link is sent. The whole list is judged first. Rows are stored some hundred at
// a time; a run that was cut off is repeated with the same file, and what is there stays.
// ErrInput, with the report, when rows are refused and choice does not leave them out.
func (d *Desk) AddList(ctx context.Context, a Actor, r io.ReaderAt, size int64, choice ListChoice) (ListReport, error) {
	rep, err := d.CheckList(ctx, a, r, size)
	if err != nil {
		return rep, err
	}
	if _, err := d.decideList(ctx, a, List); err != nil {
		return rep, err
	}
	if rep.Refused > 0 && !choice.GoodOnly && choice.Rows == nil {
		return rep, entered("list_has_refused_rows", "", fmt.Sprintf("%d baris ditolak; tiada yang ditambah", rep.Refused), fmt.Sprintf("%d rows are refused; nothing was added", rep.Refused))
	}
	var pending []Entry
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		if err := d.Records.AddEntries(ctx, pending); err != nil {
			return fmt.Errorf("adding rows %d to %d: %w", pending[0].Row.Row, pending[len(pending)-1].Row.Row, err)
		}
		rep.Added += len(pending)
		pending = pending[:0]
		return nil
	}
	again, err := d.walk(ctx, a, r, size, func(row Row) error {
		if choice.Rows != nil && !choice.Rows[row.Row] {
			return nil
		}
		e, err := d.entry(ctx, a, row, rep.Digest)
		if err != nil {
			return err
		}
		if pending = append(pending, e); len(pending) == chunk {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && again.Digest != rep.Digest {
		err = errors.New("reading the list again: it has changed")
	}
	return rep, err
}

// Add adds one officer, as a list of one row would.
func (d *Desk) Add(ctx context.Context, a Actor, row Row) (Entry, error) {
	for _, field := range []*string{&row.Officer.Name, &row.Officer.Email, &row.Agency, &row.Office, &row.System, &row.Phase, &row.Ticket} {
		*field = normal(*field)
	}
	e, err := d.entry(ctx, a, row, "")
	if err != nil {
		return Entry{}, err
	}
	reg, err := d.register(ctx)
	if err != nil {
		return Entry{}, err
	}
	no := row.sound()
	if no == nil {
		_, no = reg.judge(&row)
	}
	if no == nil {
		if _, no, err = d.standing(ctx, &row, ""); err != nil {
			return Entry{}, err
		}
	}
	if no != nil {
		return Entry{}, d.refuse(ctx, e.Event, no)
	}
	err = d.Records.AddEntries(ctx, []Entry{e})
	if errors.Is(err, ErrExists) {
		return Entry{}, d.refuse(ctx, e.Event, entered("registered", "ic", "pegawai sudah didaftarkan untuk sistem ini", "the officer is registered for this system already"))
	}
	return e, err
}

// entry is a row on its way into the register, if a may put it there.
func (d *Desk) entry(ctx context.Context, a Actor, row Row, list string) (Entry, error) {
	if row.Medium == "" {
		row.Medium = RoamingOTP
	}
	e := Entry{Row: row, List: list, By: a.Name, State: Listed, At: d.Now()}
	o := object{name: "officer:" + row.Officer.IC, system: row.System, agency: row.Agency, detail: map[string]string{"system": row.System, "agency": row.Agency, "medium": row.Medium, "phase": row.Phase, "ticket": row.Ticket}}
	if list != "" {
		o.detail["list"], o.detail["row"] = list, fmt.Sprint(row.Row)
	}
	if row.Medium == RoamingOTP {
		e.ID = ident.New("en", 16)
		o.name, o.detail["officer"] = e.ID, row.Officer.IC
	}
	var err error
	if e.Event, err = d.decide(ctx, a, List, o); err != nil {
		return Entry{}, err
	}
	// Who may add the medium need not ask for it.
	if _, no := d.judge(&a, rules()[Admit], &o); no == nil {
		e.State, e.Due = Confirming, e.At
	}
	return e, nil
}

// walk reads a list and hands each row that can be added, and is not there, to f.
func (d *Desk) walk(ctx context.Context, a Actor, r io.ReaderAt, size int64, f func(Row) error) (rep ListReport, err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size)); err != nil {
		return rep, fmt.Errorf("reading list: %w", err)
	}
	rep.Digest = hex.EncodeToString(sum.Sum(nil))
	reg, err := d.register(ctx)
	if err != nil {
		return rep, err
	}
	rows, err := table.Open(r, size)
	if err != nil {
		return rep, err
	}
	l, err := newListReader(rows, reg)
	if err != nil {
		return rep, err
	}
	for {
		row, no, err := l.next()
		if err == io.EOF {
			return rep, nil
		}
		if err != nil {
			return rep, err
		}
		rep.Rows++
		already := false
		if no == nil {
			o := object{system: row.System, agency: row.Agency}
			if _, denied := d.judge(&a, rules()[List], &o); denied != nil {
				no = entered("row_forbidden", l.header[l.order[colSystem]], "sistem ini bukan di bawah anda", "this system is not yours")
			} else if already, no, err = d.standing(ctx, &row, rep.Digest); err != nil {
				return rep, err
			} else if no != nil {
				no.Code = "row_" + no.Code
			}
		}
		switch {
		case no != nil:
			no.Row = max(no.Row, row.Row)
			if rep.Refused++; len(rep.Told) < maxTold {
				rep.Told = append(rep.Told, no)
			}
		case already:
			rep.Already++
		default:
			rep.Good++
			if f != nil {
				if err := f(row); err != nil {
					return rep, err
				}
			}
		}
	}
}
