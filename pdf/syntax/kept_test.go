package syntax_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// straddling is a document of which object 9 begins with the number behind the
// startxref of its first revision, and ends in the second.
func straddling() (document []byte, end int64) {
	b := bytes.NewBufferString("%PDF-1.7\n")
	var body strings.Builder
	var offs [4]int
	for i, o := range []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Count 1/Kids[3 0 R]>>", "<</Type/Page/MediaBox[0 0 9 9]>>"} {
		offs[i] = 200 + body.Len()
		fmt.Fprintf(&body, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	offs[3] = 200 + body.Len() + len("startxref\n")
	fmt.Fprintf(b, "xref\n0 4\n0000000000 65535 f \n%010d 00000 n \n%010d 00000 n \n%010d 00000 n \n9 1\n%010d 00000 n \n", offs[0], offs[1], offs[2], offs[3])
	b.WriteString("trailer\n<</Size 10/Root 1 0 R>>\n")
	b.WriteString(strings.Repeat(" ", 200-b.Len()))
	fmt.Fprintf(b, "%sstartxref\n9\n%%%%EOF\n", body.String())
	end = int64(b.Len())
	b.WriteString(" 0 obj\n<</K 1>>\nendobj\n")
	at := b.Len()
	fmt.Fprintf(b, "xref\n8 1\n%010d 00000 n \ntrailer\n<</Size 10/Root 1 0 R/Prev 9>>\nstartxref\n%d\n%%%%EOF\n", offs[0], at)
	return b.Bytes(), end
}

// TestRevisionsReadForThemselves: what one revision has read, another one
// refuses when it knows less, whichever reads first.
func TestRevisionsReadForThemselves(t *testing.T) {
	first := pdftest.Document(pdftest.Shape{Extra: map[int]string{9: "<</K 50 0 R>>"}})
	straddles, end := straddling()
	for name, c := range map[string]struct {
		document []byte
		end      int64
	}{
		"reference beyond /Size":      {revised(t, first, "", map[int]string{60: "(new)"}), int64(len(first))},
		"object beyond the last byte": {straddles, end},
	} {
		for _, newest := range []bool{true, false} {
			f, err := syntax.Open(bytes.NewReader(c.document), int64(len(c.document)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			old, err := f.At(c.end)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			read := func(f *syntax.File) error { _, err := f.Load(9, 0); return err }
			var now, then error
			if newest {
				now, then = read(f), read(old)
			} else {
				then, now = read(old), read(f)
			}
			if now != nil || !errors.Is(then, syntax.ErrInvalid) {
				t.Errorf("%s, newest first %v: newest %v, old one %v", name, newest, now, then)
			}
		}
	}
}

// TestHexadecimalStrings of all lengths around the windows in which they are
// read, whole and not.
func TestHexadecimalStrings(t *testing.T) {
	for _, n := range []int{0, 1, 400, 499, 500, 501, 511, 512, 1000, 2040, 2048, 5000, 9500, 30_000, 70_000, 600_000} {
		want := bytes.Repeat([]byte{0x0A, 0xB1, 0xFF}, n/3+1)[:n]
		digits := hex.EncodeToString(want)
		for name, c := range map[string]struct {
			text  string
			want  []byte
			fault int // in text, -1 for none
		}{
			"lower case":  {"<" + digits + ">", want, -1},
			"upper case":  {"<" + strings.ToUpper(digits) + ">", want, -1},
			"white space": {"<" + digits[:n] + "\r\n \t\f\x00" + digits[n:] + " >", want, -1},
			"odd":         {"<" + digits + "7>", append(bytes.Clone(want), 0x70), -1},
			"odd, blank":  {"<" + digits + "7 >", append(bytes.Clone(want), 0x70), -1},
			"malformed":   {"<" + digits + "G0>", nil, 1 + 2*n},
			"no end":      {"<" + digits + "(", nil, 1 + 2*n},
		} {
			document := pdftest.Document(pdftest.Shape{Extra: map[int]string{9: c.text}})
			f, err := syntax.Open(bytes.NewReader(document), int64(len(document)))
			if err != nil {
				t.Fatal(err)
			}
			o, err := f.Load(9, 0)
			if c.fault < 0 {
				if err != nil || !bytes.Equal(o.Value.Bytes, c.want) || !o.Value.Hex || string(o.Raw(o.Value)) != c.text {
					t.Errorf("%d bytes, %s: %v", n, name, err)
				}
				continue
			}
			var refused *syntax.Error
			at := int64(bytes.Index(document, []byte("9 0 obj\n"))) + int64(len("9 0 obj\n")+c.fault)
			if !errors.As(err, &refused) || !errors.Is(err, syntax.ErrInvalid) || refused.Offset != at {
				t.Errorf("%d bytes, %s: %v, want a fault at %d", n, name, err, at)
			}
		}
	}
}
