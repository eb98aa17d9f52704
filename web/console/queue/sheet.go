package queue

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/internal/table"
)

// maxList bounds a list in bytes, as a file and as text; maxPosted is the form that brings it back.
const (
	maxList   = 32 << 20
	maxPosted = 48 << 20
)

// errUnreadable: what a form brought back is no list of ours.
var errUnreadable = errors.New("the list that came back cannot be read")

// sheet is a list as somebody uploaded it. It travels with the page in which its rows are mended,
// there and back: nothing of it is kept here until it is added, and any gateway can go on with it.
type sheet struct {
	Head []string
	Rows [][]string // as wide as the head; row k of them is row k+2 of the list
}

// open reads a file, CSV or XLSX as people have them.
func open(file io.Reader) (*sheet, error) {
	raw, err := io.ReadAll(io.LimitReader(file, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("reading the upload: %w", err)
	}
	if len(raw) > maxList {
		return nil, table.Refuse(1, 0, fmt.Sprintf("the file has more than %d MB: send it in parts", maxList>>20), fmt.Sprintf("fail melebihi %d MB: hantar secara berperingkat", maxList>>20))
	}
	rows, format, err := table.OpenAny(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, err
	}
	s, none := &sheet{}, []string(nil)
	for {
		fields, at, err := rows.Next(maxColumns)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		cells := make([]string, len(fields))
		for k, f := range fields {
			cells[k] = strings.TrimSpace(string(f))
		}
		if s.Head == nil {
			s.Head, none = cells, make([]string, len(cells))
			continue
		}
		if extra := len(cells) - len(s.Head); extra > 0 && strings.Join(cells[len(s.Head):], "") != "" {
			return nil, table.Refuse(at, len(s.Head)+1, "this row has more fields than the header", "baris ini mempunyai lebih banyak medan daripada baris tajuk")
		}
		// A workbook leaves empty rows out; with them each row has the number that people see.
		for format.Encoding == table.Workbook && len(s.Rows) < at-2 && len(s.Rows) < maxRows {
			s.Rows = append(s.Rows, none)
		}
		if len(s.Rows) >= maxRows {
			return nil, table.Refuse(at, 0, fmt.Sprintf("more than %d rows", maxRows), fmt.Sprintf("lebih daripada %d baris", maxRows))
		}
		row := make([]string, len(s.Head))
		copy(row, cells)
		s.Rows = append(s.Rows, row)
	}
}

// maxRows and maxColumns are the most that the API takes.
const maxRows, maxColumns = 100_000, 64

// csv is the list as the API reads it.
func (s *sheet) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(s.Head) // a buffer takes all
	for _, row := range s.Rows {
		_ = w.Write(row)
	}
	w.Flush()
	return b.Bytes()
}

// pack is the list as a hidden field has it.
func (s *sheet) pack() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(s.csv())
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// unpack reads it again. What a browser sends back may be anything.
func unpack(text string) (*sheet, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errUnreadable
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, errUnreadable
	}
	raw, err = io.ReadAll(io.LimitReader(z, maxList+1))
	if err != nil || len(raw) > maxList {
		return nil, errUnreadable
	}
	s, rows := &sheet{}, csv.NewReader(bytes.NewReader(raw)) // each row as wide as the head
	if s.Head, err = rows.Read(); err != nil || len(s.Head) > maxColumns {
		return nil, errUnreadable
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil || len(s.Rows) >= maxRows {
			return nil, errUnreadable
		}
		s.Rows = append(s.Rows, row)
	}
}

// mend takes what was typed into the fields of a page, c-<row>-<column>, but for the rows of
// ticked boxes, leave-<row>, which are left out.
func (s *sheet) mend(form url.Values) {
	for name, v := range form {
		rest, ours := strings.CutPrefix(name, "c-")
		at, col, _ := strings.Cut(rest, "-")
		row, rerr := strconv.Atoi(at)
		k, cerr := strconv.Atoi(col)
		if ours && rerr == nil && cerr == nil && row >= 2 && row-2 < len(s.Rows) && k >= 0 && k < len(s.Head) {
			s.Rows[row-2] = slices.Clone(s.Rows[row-2]) // empty rows are one
			s.Rows[row-2][k] = strings.TrimSpace(v[0])
		}
	}
	for k := range s.Rows {
		if form.Has(leaveID(k + 2)) {
			s.blank(k + 2)
		}
	}
}

// blank leaves a row out; those behind it keep their numbers.
func (s *sheet) blank(row int) { s.Rows[row-2] = make([]string, len(s.Head)) }

// only is the list with these rows alone, under their numbers.
func (s *sheet) only(keep map[int]bool) *sheet {
	out := &sheet{Head: s.Head, Rows: make([][]string, len(s.Rows))}
	for k, row := range s.Rows {
		if out.Rows[k] = row; !keep[k+2] {
			out.blank(k + 2)
		}
	}
	return out
}

func empty(row []string) bool { return strings.Join(row, "") == "" }

// column finds one by the name that the API says, -1 for none.
func (s *sheet) column(name string) int { return slices.Index(s.Head, name) }
