package table_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/table"
)

func TestOpenAny(t *testing.T) {
	rest := strings.Repeat("x", 64<<10)
	for what, x := range map[string]struct {
		file, encoding string
		separator      byte
		last           string // field of the first row; "" for refused
	}{
		"nothing":                   {"a", table.UTF8, ',', "a"},
		"UTF-8":                     {"a,é", table.UTF8, ',', "é"},
		"a mark":                    {"\ufeffa;é", table.UTF8, ';', "é"},
		"Windows-1252":              {"a\tcaf\xe9 \x80\x92", table.Windows1252, '\t', "café €’"},
		"a quoted separator":        {"\"a,b\";c", table.UTF8, ';', "c"},
		"a separator further down":  {"a;b\n1,2\n", table.UTF8, ';', "b"},
		"UTF-16LE":                  {"\xff\xfea\x00;\x00\xe9\x00", table.UTF16, ';', "é"},
		"UTF-16BE":                  {"\xfe\xff\x00a\x00,\x00\xe9", table.UTF16, ',', "é"},
		"half a character":          {"\xff\xfea\x00;", "", 0, ""},
		"two separators":            {"a;b,c", "", 0, ""},
		"mixed":                     {"a,é,\xe9", "", 0, ""},
		"a byte of no meaning":      {"a,\x81", "", 0, ""},
		"UTF-8 over two reads":      {"a,b\n" + rest[:64<<10-5] + "é,1\n" + rest[:64<<10-6] + "☃,2\n", table.UTF8, ',', "b"},
		"1252 at the end of a read": {"a,b\n" + rest[:64<<10-5] + "\xe9", table.Windows1252, ',', "b"},
		"cut in a character":        {"a,b\xc3", table.Windows1252, ',', "bÃ"},
	} {
		rows, f, err := table.OpenAny(strings.NewReader(x.file), int64(len(x.file)))
		var fields [][]byte
		if err == nil {
			fields, _, err = rows.Next(10)
		}
		switch {
		case x.last == "" && !errors.Is(err, table.ErrRefused):
			t.Errorf("%s: %q, %v", what, fields, err)
		case x.last != "" && (err != nil || f != (table.Format{Encoding: x.encoding, Separator: x.separator}) || string(fields[len(fields)-1]) != x.last):
			t.Errorf("%s: %+v, %q, %v", what, f, fields, err)
		}
	}
	broken := errors.New("the disk is broken")
	if _, _, err := table.OpenAny(brokenAt{broken}, 100); !errors.Is(err, broken) || errors.Is(err, table.ErrRefused) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// brokenAt can be read at its beginning alone.
type brokenAt struct{ err error }

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off == 0 && len(p) < 10 {
		return copy(p, bytes.Repeat([]byte("a"), len(p))), nil
	}
	return 0, b.err
}
