package table

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a workbook. All that is read of it is bounded before it is unpacked.
const (
	maxWorkbook = 32 << 20 // bytes of the file

	maxEntries = 1000      // files in it
	maxSheet   = 256 << 20 // bytes of the sheet, unpacked
	maxShared  = 64 << 20  // bytes of the shared texts, unpacked
	maxTexts   = 1_000_000 // shared texts: an empty one takes 5 bytes there and 16 here
	maxPart    = 1 << 20   // bytes of any other part that is read
	maxPiece   = 1 << 20   // bytes of one row, or of one shared text
	maxColumns = 16_384    // of a sheet: XFD
)

// Rows is a list, row by row.
type Rows interface {
	// Next returns the fields of the next row, valid until the next call, and the line
	// it begins on; io.EOF after the last, an *Error when the file is refused. limit is
	// the greatest number of fields.
	Next(limit int) (fields [][]byte, line int, err error)
}

// Open finds out whether the first size bytes of r are CSV or XLSX.
func Open(r io.ReaderAt, size int64) (Rows, error) {
	head := make([]byte, 8)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading list: %w", err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return newXLSX(r, size)
	case bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")):
		return nil, Refuse(1, 0, "an old Excel file (.xls) or one with a password; save it as XLSX without one", "fail Excel lama (.xls) atau berkata laluan; simpan sebagai XLSX tanpa kata laluan")
	}
	return NewCSV(io.NewSectionReader(r, 0, size))
}

// XLSX reads the first sheet of a workbook. Memory holds the shared texts and one row.
type XLSX struct {
	sheet  *xml.Decoder
	part   *bounded
	shared []string
	row    int
	column int // of the newest cell
	buf    []byte
	ends   []int
	fields [][]byte
}

// newXLSX opens a workbook; an *Error when it is none that can be read safely.
func newXLSX(r io.ReaderAt, size int64) (*XLSX, error) {
	if size > maxWorkbook {
		return nil, Refuse(1, 0, fmt.Sprintf("the workbook is larger than %d bytes; save it as CSV UTF-8", maxWorkbook), fmt.Sprintf("buku kerja melebihi %d bait; simpan sebagai CSV UTF-8", maxWorkbook))
	}
	z, err := zip.NewReader(r, size)
	if err != nil || len(z.File) > maxEntries {
		return nil, noWorkbook()
	}
	parts := map[string]*zip.File{}
	for _, f := range z.File {
		name := strings.ToLower(path.Clean("/" + strings.ReplaceAll(f.Name, `\`, "/")))
		if parts[name] != nil || strings.HasSuffix(name, "vbaproject.bin") {
			return nil, Refuse(1, 0, "the workbook holds macros or a part twice; save it as XLSX", "buku kerja mengandungi makro atau bahagian berganda; simpan sebagai XLSX")
		}
		parts[name] = f
	}
	name, err := firstSheet(parts)
	if err != nil {
		return nil, err
	}
	x := &XLSX{}
	if f := parts["/xl/sharedstrings.xml"]; f != nil {
		if x.shared, err = sharedTexts(f); err != nil {
			return nil, err
		}
	}
	f := parts[name]
	if f == nil {
		return nil, noWorkbook()
	}
	part, err := unpack(f, maxSheet)
	if err != nil {
		return nil, err
	}
	x.sheet, x.part = xml.NewDecoder(part), part
	return x, nil
}

func noWorkbook() *Error {
	return Refuse(1, 0, "a ZIP that is no workbook, or one that is damaged; save it as XLSX or CSV UTF-8", "fail ZIP yang bukan buku kerja, atau rosak; simpan sebagai XLSX atau CSV UTF-8")
}

// bounded fails behind limit bytes, whatever the archive says of itself, and behind
// maxPiece bytes since piece was last zero: a piece is in memory as a whole.
type bounded struct {
	r     io.Reader
	left  int64
	piece int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left, b.piece = b.left-int64(n), b.piece+int64(n)
	if b.left < 0 || b.piece > maxPiece {
		return 0, Refuse(1, 0, "the workbook unpacks to more than can be read; save it as CSV UTF-8", "buku kerja mengembang melebihi had; simpan sebagai CSV UTF-8")
	}
	return n, err
}

func unpack(f *zip.File, limit int64) (*bounded, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, Refuse(1, 0, "the workbook unpacks to more than can be read; save it as CSV UTF-8", "buku kerja mengembang melebihi had; simpan sebagai CSV UTF-8")
	}
	r, err := f.Open()
	if err != nil {
		return nil, noWorkbook()
	}
	return &bounded{r: r, left: limit}, nil
}

// decode reads a small part.
func decode(f *zip.File, into any) error {
	if f == nil {
		return noWorkbook()
	}
	r, err := unpack(f, maxPart)
	if err != nil {
		return err
	}
	return damaged(xml.NewDecoder(r).Decode(into))
}

// damaged makes the package's own error of what the XML decoder says, which may quote
// the file.
func damaged(err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return noWorkbook()
}

// firstSheet finds the part of the first sheet, which must not be hidden: people judge
// what they see.
func firstSheet(parts map[string]*zip.File) (string, error) {
	var book struct {
		Sheets []struct {
			State string `xml:"state,attr"`
			ID    string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := decode(parts["/xl/workbook.xml"], &book); err != nil {
		return "", err
	}
	if len(book.Sheets) == 0 || book.Sheets[0].State != "" && book.Sheets[0].State != "visible" {
		return "", Refuse(1, 0, "the workbook has no sheet, or its first sheet is hidden", "buku kerja tiada helaian, atau helaian pertamanya tersembunyi")
	}
	var rels struct {
		Relationships []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if err := decode(parts["/xl/_rels/workbook.xml.rels"], &rels); err != nil {
		return "", err
	}
	for _, r := range rels.Relationships {
		if r.ID == book.Sheets[0].ID {
			if strings.HasPrefix(r.Target, "/") {
				return strings.ToLower(path.Clean(r.Target)), nil
			}
			return strings.ToLower(path.Join("/xl", r.Target)), nil
		}
	}
	return "", noWorkbook()
}

// text is a shared or inline string: plain, or runs of rich text without their phonetics.
type text struct {
	T    string `xml:"t"`
	Runs []struct {
		T string `xml:"t"`
	} `xml:"r"`
}

func (t *text) String() string {
	var s strings.Builder
	s.WriteString(t.T)
	for _, r := range t.Runs {
		s.WriteString(r.T)
	}
	return s.String()
}

func sharedTexts(f *zip.File) (out []string, err error) {
	r, err := unpack(f, maxShared)
	if err != nil {
		return nil, err
	}
	d := xml.NewDecoder(r)
	for {
		token, err := d.Token()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, damaged(err)
		}
		if s, ok := token.(xml.StartElement); ok && s.Name.Local == "si" {
			if len(out) == maxTexts {
				return nil, Refuse(1, 0, "the workbook holds more texts than can be read; save it as CSV UTF-8", "buku kerja mengandungi terlalu banyak teks; simpan sebagai CSV UTF-8")
			}
			r.piece = 0
			var t text
			if err := d.DecodeElement(&t, &s); err != nil {
				return nil, damaged(err)
			}
			out = append(out, t.String())
		}
	}
}

// cell is one cell of a row.
type cell struct {
	At      string  `xml:"r,attr"`
	Type    string  `xml:"t,attr"`
	Value   string  `xml:"v"`
	Inline  text    `xml:"is"`
	Formula *string `xml:"f"`
}

// Next implements Rows; line is the number of the row in the sheet. Rows without cells
// are passed over.
func (x *XLSX) Next(limit int) (fields [][]byte, line int, err error) {
	for {
		token, err := x.sheet.Token()
		if err == io.EOF {
			return nil, 0, io.EOF
		}
		if err != nil {
			return nil, 0, damaged(err)
		}
		s, ok := token.(xml.StartElement)
		if !ok || s.Name.Local != "row" {
			continue
		}
		x.part.piece = 0
		number := x.row + 1
		for _, a := range s.Attr {
			if a.Name.Local == "r" {
				if number, err = strconv.Atoi(a.Value); err != nil || number <= x.row {
					return nil, 0, Refuse(x.row+1, 0, "rows of the sheet are out of order", "baris helaian tidak mengikut urutan")
				}
			}
		}
		x.row = number
		if err := x.cells(limit); err != nil {
			return nil, 0, damaged(err)
		}
		if len(x.ends) == 0 {
			continue
		}
		x.fields = x.fields[:0]
		from := 0
		for _, to := range x.ends {
			x.fields = append(x.fields, x.buf[from:to])
			from = to
		}
		return x.fields, x.row, nil
	}
}

// cells reads the cells of the row that has begun.
func (x *XLSX) cells(limit int) error {
	x.buf, x.ends, x.column = x.buf[:0], x.ends[:0], 0
	for {
		token, err := x.sheet.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if t.Name.Local == "row" {
				return nil
			}
		case xml.StartElement:
			if t.Name.Local != "c" {
				if err := x.sheet.Skip(); err != nil {
					return err
				}
				continue
			}
			var c cell
			if err := x.sheet.DecodeElement(&c, &t); err != nil {
				return err
			}
			if err := x.put(&c, limit); err != nil {
				return err
			}
		}
	}
}

// put appends a cell at its column.
func (x *XLSX) put(c *cell, limit int) error {
	column := x.column + 1 // behind the cell before, which may have been empty
	if c.At != "" {
		if column = columnOf(c.At); column <= x.column || column > maxColumns {
			return Refuse(x.row, len(x.ends)+1, "cells of the row are out of order", "sel baris ini tidak mengikut urutan")
		}
	}
	x.column = column
	value, err := x.value(c, column)
	if err != nil {
		return err
	}
	if value == "" {
		return nil // a cell that is only coloured
	}
	if column > limit {
		return Refuse(x.row, limit+1, fmt.Sprintf("more than %d fields in the row", limit), fmt.Sprintf("lebih daripada %d medan dalam baris", limit))
	}
	if len(value) > MaxField {
		return Refuse(x.row, column, fmt.Sprintf("a field of more than %d bytes", MaxField), fmt.Sprintf("medan melebihi %d bait", MaxField))
	}
	for len(x.ends) < column-1 {
		x.ends = append(x.ends, len(x.buf))
	}
	x.buf = append(x.buf, value...)
	x.ends = append(x.ends, len(x.buf))
	return nil
}

// value is what a cell shows. What a formula shows is not in the file for sure, and may
// change: it is refused.
func (x *XLSX) value(c *cell, column int) (string, error) {
	if c.Formula != nil {
		return "", Refuse(x.row, column, "the cell holds a formula; paste values only", "sel mengandungi formula; tampal nilai sahaja")
	}
	s := c.Value
	switch c.Type {
	case "s":
		k, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || k < 0 || k >= len(x.shared) {
			return "", noWorkbook()
		}
		s = x.shared[k]
	case "inlineStr":
		s = c.Inline.String()
	case "str", "b", "d":
	case "e":
		return "", Refuse(x.row, column, "the cell holds an error value", "sel mengandungi nilai ralat")
	default:
		s = whole(strings.TrimSpace(s))
	}
	if !utf8.ValidString(s) {
		return "", noWorkbook()
	}
	return s, nil
}

// whole writes a number such as 9.00101145678E11 with all its digits, as people see it.
func whole(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f == float64(int64(f)) && f > -1e15 && f < 1e15 {
		return strconv.FormatInt(int64(f), 10)
	}
	return s
}

// columnOf is the number of the column in a reference such as AB12; 0 when it is none.
func columnOf(ref string) (n int) {
	for k := range len(ref) {
		c := ref[k] &^ 0x20
		if c < 'A' || c > 'Z' {
			return n
		}
		if n = n*26 + int(c-'A') + 1; n > maxColumns {
			return n
		}
	}
	return n
}
