package table

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Encodings of a list, as [Format] names them.
const (
	UTF8        = "utf-8"
	UTF16       = "utf-16"       // with a byte order mark: "Unicode Text" of Excel
	Windows1252 = "windows-1252" // "CSV" of Excel in Western Europe and Malaysia
	Workbook    = "xlsx"
)

// Format is what a list was found to be.
type Format struct {
	Encoding  string
	Separator byte // ',', ';' or '\t'; 0 of a workbook
}

// OpenAny is [Open] for people's files as they are: also UTF-16 with a byte order mark,
// Windows-1252, and fields separated by semicolons or tabs, where that is certain. Who calls
// says to the sender what was found. r is read once more than by Open.
func OpenAny(r io.ReaderAt, size int64) (Rows, Format, error) {
	head := make([]byte, 4)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, Format{}, fmt.Errorf("reading list: %w", err)
	}
	var f Format
	var e encoding.Encoding
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0")):
		rows, err := Open(r, size)
		return rows, Format{Encoding: Workbook}, err
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		if size%2 != 0 {
			return nil, f, Refuse(1, 0, "the file is UTF-16 and half a character is missing", "fail ini UTF-16 dan separuh aksara tiada")
		}
		f.Encoding, e = UTF16, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		f.Encoding = UTF8
	default:
		if f.Encoding, err = eightBit(io.NewSectionReader(r, 0, size)); err != nil {
			return nil, f, err
		}
		if f.Encoding == Windows1252 {
			e = charmap.Windows1252
		}
	}
	open := func() io.Reader {
		var in io.Reader = io.NewSectionReader(r, 0, size)
		if e != nil {
			in = e.NewDecoder().Reader(in)
		}
		return in
	}
	if f.Separator, err = separator(open()); err != nil {
		return nil, f, err
	}
	rows, err := NewCSV(open())
	if err != nil {
		return nil, f, err
	}
	rows.separator = f.Separator
	return rows, f, nil
}

// eightBit finds out whether a file without a mark is UTF-8 or Windows-1252. What is neither, or
// might be a mixture of both, is not guessed.
func eightBit(r io.Reader) (string, error) {
	var line, bad, multi int // bad: the first line that is not UTF-8; multi: one with what is UTF-8 beyond ASCII
	line = 1
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("reading list: %w", err)
		}
		chunk, last := buf[:kept+n], err == io.EOF
		for len(chunk) > 0 {
			c := chunk[0]
			if c < utf8.RuneSelf {
				if c == '\n' {
					line++
				}
				chunk = chunk[1:]
				continue
			}
			if !last && !utf8.FullRune(chunk) {
				break
			}
			if char, size := utf8.DecodeRune(chunk); char != utf8.RuneError || size > 1 {
				chunk = chunk[size:]
				if multi == 0 {
					multi = line
				}
				continue
			}
			switch c {
			case 0x81, 0x8D, 0x8F, 0x90, 0x9D: // Windows-1252 has nothing there
				return "", notText(line)
			}
			if chunk = chunk[1:]; bad == 0 {
				bad = line
			}
		}
		kept = copy(buf, chunk)
		switch {
		case !last:
		case bad > 0 && multi > 0:
			return "", Refuse(bad, 0, fmt.Sprintf("not UTF-8, as line %d is; save the file as CSV UTF-8", multi), fmt.Sprintf("bukan UTF-8, sedangkan baris %d ialah UTF-8; simpan fail sebagai CSV UTF-8", multi))
		case bad > 0:
			return Windows1252, nil
		default:
			return UTF8, nil
		}
	}
}

func notText(line int) *Error {
	return Refuse(line, 0, "neither UTF-8 nor Windows-1252; save the file as CSV UTF-8", "bukan UTF-8 dan bukan Windows-1252; simpan fail sebagai CSV UTF-8")
}

// separator looks at the first line: what separates its fields stands between them, outside of
// quotes, and no other separator does.
func separator(r io.Reader) (byte, error) {
	head := make([]byte, 16<<10)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("reading list: %w", err)
	}
	quoted, found := false, byte(0)
	for _, c := range head[:n] {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n':
			return separatorOr(found), nil
		case c == ',' || c == ';' || c == '\t':
			if found != 0 && found != c {
				return 0, Refuse(1, 0, "the columns' names are separated in two ways: use commas, semicolons or tabs alone", "nama lajur dipisahkan dengan dua cara: gunakan koma, koma bertitik atau tab sahaja")
			}
			found = c
		}
	}
	return separatorOr(found), nil
}

// separatorOr is a comma where nothing was found.
func separatorOr(c byte) byte {
	if c == 0 {
		return ','
	}
	return c
}
