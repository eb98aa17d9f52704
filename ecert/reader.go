package ecert

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/pdf/font"
)

// Limits of a candidate list. A file that exceeds one is refused whole.
const (
	MaxFile  = table.MaxFile  // bytes
	MaxRows  = 1_000_000      // rows after the header
	MaxField = table.MaxField // bytes of one field

	maxColumns   = 64
	maxTwiceRows = 20
)

// ErrCSV is what errors.Is finds in every *CSVError.
var ErrCSV = table.ErrRefused

// CSVError refuses a candidate list whole (csv_invalid).
type CSVError = table.Error

// The codes of refused rows.
const (
	CodeICInvalid       = "row_ic_invalid"
	CodeNumberDuplicate = "row_number_duplicate"
	CodeFieldMissing    = "row_field_missing"
	CodeFieldTooLong    = "row_field_too_long"
	CodeFieldInvalid    = "row_field_invalid" // a character or value that cannot be accepted
	CodeNOSSInvalid     = "row_noss_invalid"  // no NOSS code, or one of another level
	CodePhotoInvalid    = "row_photo_invalid"
)

// Refusal says why one row is not taken.
type Refusal struct {
	Row      int    // row of the file, the header being row 1
	Column   string // name of the column as the header spells it
	Name     string // the candidate's name, as far as it can be shown; at most 120 characters
	Code     string // one of the Code constants
	Detail   string // in English
	DetailMS string // in Malay
}

// The fields of a row, in the order in which they are judged.
const (
	fieldName = iota
	fieldIC
	fieldNumber
	fieldProgrammeCode
	fieldProgrammeName
	fieldLevel
	fieldCentreCode
	fieldCentreName
	fieldBatch
	fieldYear
	fieldLanguage
	fieldPhoto // not in every list
	fieldCount
)

// columnNames holds the accepted names of each field, the Malay one first.
var columnNames = [fieldCount][]string{
	fieldName:          {"nama", "name"},
	fieldIC:            {"no_kp", "no_kad_pengenalan", "ic", "mykad"},
	fieldNumber:        {"no_sijil", "nombor_sijil", "number", "certificate_number", "certificate_no"},
	fieldProgrammeCode: {"kod_program", "programme_code", "program_code", "kod_noss", "noss_code"},
	fieldProgrammeName: {"nama_program", "programme_name", "program_name"},
	fieldLevel:         {"tahap", "level", "jenis", "type"},
	fieldCentreCode:    {"kod_pusat", "centre_code", "center_code"},
	fieldCentreName:    {"pusat", "nama_pusat", "centre", "center", "centre_name", "center_name"},
	fieldBatch:         {"batch", "kelompok"},
	fieldYear:          {"tahun", "bulan_tahun", "year", "month_year"},
	fieldLanguage:      {"bahasa", "language"},
	fieldPhoto:         {"foto", "gambar", "photo"},
}

// Reader reads a candidate list row by row. Its memory does not grow with the
// file but for what must not come twice, some 60 bytes a row.
type Reader struct {
	// Photo finds the picture of a name in the list, and gives its hexadecimal SHA-256 or what
	// is wrong with it. Nil: there are no pictures, and a name of one is refused.
	Photo func(name string) (hash, en, ms string)
	// Twice is how many good rows so far give a person the same certificate (programme and level)
	// once more, and TwiceRows the first of them. They are taken: nobody here knows better.
	Twice     int
	TwiceRows []int

	scan    table.Rows
	format  table.Format
	header  []string        // as spelled
	order   [fieldCount]int // index of each field in a row; -1: not in this list
	units   []unitColumns
	row     int
	numbers map[[16]byte]uint32   // packed number to the row that has it, 0: an earlier list
	persons map[[16]byte]struct{} // who gets what (personKey)
	again   bool
	face    *font.Face
	err     error // sticky
}

// NewReader reads the header. Its error is a *CSVError, or what r returned.
func NewReader(r io.Reader) (*Reader, error) {
	scan, err := table.NewCSV(r)
	if err != nil {
		return nil, err
	}
	return newReader(scan, table.Format{Encoding: table.UTF8, Separator: ','})
}

// OpenReader is NewReader for lists as people's programs make them: XLSX, of which the first sheet
// is read, or CSV in another encoding or with another separator ([table.OpenAny]).
func OpenReader(r io.ReaderAt, size int64) (*Reader, error) {
	rows, format, err := table.OpenAny(r, size)
	if err != nil {
		return nil, err
	}
	return newReader(rows, format)
}

// Format is what the list was found to be.
func (r *Reader) Format() table.Format { return r.format }

// NumberColumn is the name of the column of certificate numbers, as the list spells it.
func (r *Reader) NumberColumn() string { return r.header[r.order[fieldNumber]] }

// Again makes this the second reading of a list: it does not look for what comes twice.
func (r *Reader) Again() { r.again = true }

// Seen makes the reader refuse c's number, and count another such certificate for the same person.
func (r *Reader) Seen(c *Candidate) {
	if number, ok := packNumber(c.Number); ok {
		r.numbers[number] = 0
	}
	if key, ok := personKey(c); ok {
		r.persons[key] = struct{}{}
	}
}

func newReader(scan table.Rows, format table.Format) (*Reader, error) {
	face, err := font.Serif()
	if err != nil {
		return nil, fmt.Errorf("loading typeface: %w", err)
	}
	rd := &Reader{scan: scan, format: format, row: 1, numbers: map[[16]byte]uint32{}, persons: map[[16]byte]struct{}{}, face: face}
	fields, line, err := scan.Next(maxColumns)
	if err == io.EOF {
		return nil, table.Refuse(1, 0, "the file is empty", "fail kosong")
	}
	if err != nil {
		return nil, err
	}
	if err := rd.readHeader(fields, line); err != nil {
		return nil, err
	}
	return rd, nil
}

// columnKey reduces a column's name to the form of columnNames.
func columnKey(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" \t_-.", r) })
	return strings.Join(words, "_")
}

func (r *Reader) readHeader(fields [][]byte, line int) error {
	if len(fields) == 1 && bytes.ContainsAny(fields[0], ";\t") {
		return table.Refuse(line, 1, "fields are separated by semicolons or tabs; separate them by commas",
			"medan dipisahkan oleh koma bertitik atau tab; gunakan koma")
	}
	for i := range r.order {
		r.order[i] = -1
	}
	for at, raw := range fields {
		name := strings.TrimSpace(string(raw))
		shown := printable(name, 40)
		field := slices.IndexFunc(columnNames[:], func(names []string) bool { return slices.Contains(names, columnKey(name)) })
		unit, twin := false, 0
		if field < 0 {
			unit, twin = r.unitHeader(columnKey(name), at)
		} else {
			twin = r.order[field] + 1
		}
		switch {
		case name == "":
			return table.Refuse(line, at+1, "a column without a name", "lajur tanpa nama")
		case field < 0 && !unit:
			return table.Refuse(line, at+1, fmt.Sprintf("unknown column %q", shown), fmt.Sprintf("lajur %q tidak dikenali", shown))
		case twin > 0:
			return table.Refuse(line, at+1, fmt.Sprintf("column %q means the same as column %d", shown, twin),
				fmt.Sprintf("lajur %q sama maksud dengan lajur %d", shown, twin))
		}
		if field >= 0 {
			r.order[field] = at
		}
		r.header = append(r.header, shown)
	}
	missing := func(name string) error {
		return table.Refuse(line, 0, fmt.Sprintf("column %q is missing", name), fmt.Sprintf("lajur %q tiada", name))
	}
	for field, at := range r.order {
		if at < 0 && field != fieldPhoto {
			return missing(columnNames[field][0])
		}
	}
	for k, u := range r.units {
		if u.code == 0 {
			return missing(fmt.Sprintf("unit_%d_kod", k+1))
		}
		if u.title == 0 {
			return missing(fmt.Sprintf("unit_%d_nama", k+1))
		}
	}
	return nil
}

// Next returns the next candidate, or the refusal of its row, or an error:
// io.EOF at the end, a *CSVError, or what the underlying reader returned. After
// an error it returns the same again. The candidates before a *CSVError must
// not be used: the list is refused whole.
func (r *Reader) Next() (Candidate, *Refusal, error) {
	if r.err != nil {
		return Candidate{}, nil, r.err
	}
	for {
		fields, line, err := r.scan.Next(len(r.header))
		if err != nil {
			r.err = err
			return Candidate{}, nil, err
		}
		r.row++
		if r.row-1 > MaxRows {
			r.err = table.Refuse(line, 0, fmt.Sprintf("more than %d rows", MaxRows), fmt.Sprintf("lebih daripada %d baris", MaxRows))
			return Candidate{}, nil, r.err
		}
		if !slices.ContainsFunc(fields, func(f []byte) bool { return len(bytes.TrimSpace(f)) > 0 }) {
			continue
		}
		_, sheet := r.scan.(*table.XLSX)
		for sheet && len(fields) < len(r.header) {
			fields = append(fields, nil) // empty cells at a row's end are not in the file
		}
		if len(fields) < len(r.header) {
			r.err = table.Refuse(line, 0, fmt.Sprintf("%d fields in the row, the header has %d", len(fields), len(r.header)),
				fmt.Sprintf("%d medan dalam baris, pengepala mempunyai %d", len(fields), len(r.header)))
			return Candidate{}, nil, r.err
		}
		if sheet {
			r.row = line // empty rows are not in the file
		}
		c, refusal := r.judge(fields)
		return c, refusal, nil
	}
}
