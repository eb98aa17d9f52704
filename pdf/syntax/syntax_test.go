package syntax_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

func deflate(t testing.TB, b []byte) string {
	t.Helper()
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// open opens, walks pages and form and returns the first error.
func open(b []byte) (*syntax.File, *syntax.Tree, error) {
	f, err := syntax.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	tree, err := f.Tree()
	if err == nil {
		_, err = f.Form(tree.Catalog)
	}
	return f, tree, err
}

// value parses one value as the catalog's /X.
func value(t *testing.T, text string) (syntax.Value, *syntax.Object, error) {
	t.Helper()
	_, tree, err := open(pdftest.Document(pdftest.Shape{Catalog: "/X " + text}))
	if err != nil {
		return syntax.Value{}, nil, err
	}
	return tree.Catalog.Value.Key("X"), tree.Catalog, nil
}

func TestValues(t *testing.T) {
	for text, want := range map[string]any{
		"(a(b)c\\)\\051\\\r\n\\n\\7\\78)":      "a(b)c))\n\a\a8",
		"(a\r\nb\rc)":                          "a\nb\nc",
		"<48 65 6C6c6F7>":                      "Hellop",
		"<>":                                   "",
		"/A#20B#23":                            "A B#",
		"/":                                    "",
		"12":                                   12.0,
		"-.5":                                  -0.5,
		"+7.":                                  7.0,
		"000000000000000000000000000012":       12.0,
		"%c\n(after a comment)":                "after a comment",
		strings.Repeat(" ", 5000) + "(window)": "window",
		"(" + strings.Repeat("x", 70000) + ")": strings.Repeat("x", 70000),
	} {
		v, o, err := value(t, text)
		if err != nil {
			t.Errorf("%.40q: %v", text, err)
			continue
		}
		switch want := want.(type) {
		case string:
			if string(v.Bytes) != want {
				t.Errorf("%.40q: got %.40q", text, v.Bytes)
			}
		case float64:
			if v.Real != want {
				t.Errorf("%q: got %v", text, v.Real)
			}
		}
		if raw := string(o.Raw(v)); !strings.HasSuffix(text, raw) || raw == "" {
			t.Errorf("%.40q: raw %.40q", text, raw)
		}
	}
	for _, text := range []string{"(open", "<4", "<4G>", "[1 2", "<</A>>", "<</A 1/A 2>>", "<</A 1/#41 2>>", "1.2.3", "--1", "1e5", "tru", "]", "/A#", "/A#00", ">", "99999999999999999999", "{}"} {
		if v, _, err := value(t, text); !errors.Is(err, syntax.ErrInvalid) {
			t.Errorf("%q: %v %+v", text, err, v)
		}
	}
}

// xrefStream makes a document whose cross-reference section is the stream
// given, and whose object stream 5 has the data given.
func xrefStream(dict, data, objects, objectData string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n")
	at := b.Len()
	fmt.Fprintf(&b, "5 0 obj\n<</Type/ObjStm%s/Length %d>>\nstream\n%s\nendstream\nendobj\n", objects, len(objectData), objectData)
	xref := b.Len()
	data = strings.ReplaceAll(data, "@@", string([]byte{byte(at >> 8), byte(at)}))
	fmt.Fprintf(&b, "6 0 obj\n<</Type/XRef/Root 1 0 R%s/Length %d>>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF", dict, len(data), data, xref)
	return b.Bytes()
}

const (
	rows    = "\x00\x00\x00\x00" + "\x02\x00\x05\x00" + "\x02\x00\x05\x01" + "\x02\x00\x05\x02" + "\x00\x00\x00\x00" + "\x01@@\x00"
	objects = "<</Type/Catalog/Pages 2 0 R>>  " + "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 9 9]     >>" + "<</Type/Page/Parent 2 0 R>>"
)

func TestObjectStreams(t *testing.T) {
	three := fmt.Sprintf("1 0 2 31 3 %d ", 31+strings.Index(objects[31:], "<</Type/Page/"))
	good := fmt.Sprintf("/N 3/First %d", len(three))
	if _, tree, err := open(xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good, three+objects)); err != nil || len(tree.Pages) != 1 {
		t.Fatalf("plain: %v", err)
	}
	bomb := deflate(t, make([]byte, 80<<20))
	for name, c := range map[string]struct {
		document []byte
		want     error
	}{
		"bomb of objects":     {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good+"/Filter/FlateDecode", bomb), syntax.ErrTooLarge},
		"bomb of entries":     {xrefStream("/W[1 2 1]/Size 8388600/Index[0 8388600]/Filter/FlateDecode", bomb, good, ""), syntax.ErrTooLarge},
		"entries twice":       {xrefStream("/W[1 2 1]/Size 7/Index[0 3 0 3]", rows, good, three+objects), syntax.ErrInvalid},
		"wide fields":         {xrefStream("/W[1 9 1]/Size 7", rows, good, three+objects), syntax.ErrInvalid},
		"negative field":      {xrefStream("/W[1 -2 1]/Size 7", rows, good, three+objects), syntax.ErrInvalid},
		"negative index":      {xrefStream("/W[1 2 1]/Size 7/Index[-1 6]", rows, good, three+objects), syntax.ErrInvalid},
		"odd index":           {xrefStream("/W[1 2 1]/Size 7/Index[0 6 9]", rows, good, three+objects), syntax.ErrInvalid},
		"short data":          {xrefStream("/W[1 2 1]/Size 7/Index[0 7]", rows, good, three+objects), syntax.ErrInvalid},
		"other filter":        {xrefStream("/W[1 2 1]/Size 7/Index[0 6]/Filter/DCTDecode", rows, good, three+objects), syntax.ErrUnsupported},
		"indirect length":     {xrefStream("/W[1 2 1]/Size 7/Index[0 6]/Filter[1 0 R]", rows, good, three+objects), syntax.ErrInvalid},
		"object twice":        {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good, strings.Replace(three, "2 31", "1 31", 1)+objects), syntax.ErrInvalid},
		"large object stream": {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good+"/Filter/FlateDecode", deflate(t, make([]byte, 33<<20))), syntax.ErrTooLarge},
		"not deflate":         {xrefStream("/W[1 2 1]/Size 7/Index[0 6]/Filter/FlateDecode", rows, good, three+objects), syntax.ErrInvalid},
		"wrong first":         {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, "/N 3/First 99999", three+objects), syntax.ErrInvalid},
		"negative first":      {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, "/N 3/First -1", three+objects), syntax.ErrInvalid},
		"huge N":              {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, "/N 999999999999/First 14", three+objects), syntax.ErrInvalid},
		"other number":        {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good, "9"+three[1:]+objects), syntax.ErrInvalid},
		"in itself":           {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows[:20]+"\x02\x00\x05\x00", good, three+objects), syntax.ErrInvalid},
		"length in itself":    {xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, good+"/Filter 1 0 R", three+objects), syntax.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, _, err := open(c.document); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestPredictors reads cross-reference streams that other software wrote with
// predictors, and each PNG filter from a table.
func TestPredictors(t *testing.T) {
	plain := strings.ReplaceAll(rows, "@@", "\x00\x09")
	three := fmt.Sprintf("1 0 2 31 3 %d ", 31+strings.Index(objects[31:], "<</Type/Page/"))
	for filter := range 6 {
		var out []byte
		up := make([]byte, 4)
		for i := 0; i < len(plain); i += 4 {
			row := []byte(plain[i : i+4])
			out = append(out, byte(filter))
			for k := range row {
				var left, corner byte
				if k > 0 {
					left, corner = row[k-1], up[k-1]
				}
				switch filter {
				case 0:
					out = append(out, row[k])
				case 1:
					out = append(out, row[k]-left)
				case 2:
					out = append(out, row[k]-up[k])
				case 3:
					out = append(out, row[k]-byte((int(left)+int(up[k]))/2))
				default:
					out = append(out, row[k]-nearest(left, up[k], corner))
				}
			}
			up = row
		}
		document := xrefStream("/W[1 2 1]/Size 7/Index[0 6]/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>",
			deflate(t, out), fmt.Sprintf("/N 3/First %d", len(three)), three+objects)
		_, _, err := open(document)
		if filter < 5 && err != nil || filter == 5 && !errors.Is(err, syntax.ErrInvalid) {
			t.Errorf("filter %d: %v", filter, err)
		}
	}
}

// nearest is the Paeth predictor in the words of its specification.
func nearest(a, b, c byte) byte {
	best, distance := a, 1000
	p := int(a) + int(b) - int(c)
	for _, x := range []byte{a, b, c} {
		d := p - int(x)
		if d < 0 {
			d = -d
		}
		if d < distance {
			best, distance = x, d
		}
	}
	return best
}

func TestHybridFiles(t *testing.T) {
	const unused = "0000000000 65535 f \n"
	for name, c := range map[string]struct {
		document []byte
		want     error
	}{
		"hidden object":        {pdftest.Hybrid(3, unused, "FOUR"), nil},
		"hidden page":          {pdftest.Hybrid(4, unused, "FOUR"), nil},
		"same entry in both":   {pdftest.Hybrid(4, "FOUR 00000 n \n", "FOUR"), nil},
		"differing entries":    {pdftest.Hybrid(4, "FOUR 00000 n \n", "THREE"), syntax.ErrInvalid},
		"differing and unused": {pdftest.Hybrid(3, "FOUR 00000 n \n", "THREE"), syntax.ErrInvalid},
	} {
		if _, _, err := open(c.document); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestXrefTables(t *testing.T) {
	plain := string(pdftest.Document(pdftest.Shape{}))
	for name, c := range map[string]struct {
		old, new string
		want     error
	}{
		"carriage return":  {" f \n", " f\r\n", nil},
		"19 bytes":         {" f \n", " f\n", syntax.ErrInvalid},
		"unknown type":     {" f \n", " x \n", syntax.ErrInvalid},
		"no digits":        {"0000000000 65535 f", "00000-0001 65535 f", syntax.ErrInvalid},
		"negative first":   {"xref\n0 12\n", "xref\n-1 12\n", syntax.ErrInvalid},
		"huge count":       {"xref\n0 12\n", "xref\n0 99999999\n", syntax.ErrInvalid},
		"huge first":       {"xref\n0 12\n", "xref\n99999999999 12\n", syntax.ErrInvalid},
		"count short":      {"xref\n0 12\n", "xref\n0 11\n", syntax.ErrInvalid},
		"no trailer":       {"trailer", "trialer", syntax.ErrInvalid},
		"object twice":     {"trailer", "1 1\n0000000000 00000 f \ntrailer", syntax.ErrInvalid},
		"more subsections": {"xref\n0 12\n", "xref\n20 0\n0 12\n", nil},
	} {
		text := strings.Replace(plain, c.old, c.new, 1)
		if text == plain {
			t.Fatalf("%s changes nothing", name)
		}
		if _, _, err := open([]byte(text)); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestRevisionsHideObjects(t *testing.T) {
	old := pdftest.Document(pdftest.Shape{})
	start := bytes.LastIndex(old, []byte("xref\n0"))
	var b bytes.Buffer
	b.Write(old)
	at := b.Len()
	b.WriteString("2 0 obj\n<</Type/Pages/Count 2/Kids[10 0 R 20 0 R]/MediaBox[0 0 9 9]>>\nendobj\n")
	page := b.Len()
	b.WriteString("20 0 obj<</Type/Page/Parent 2 0 R>>endobj\n")
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n2 1\n%010d 00000 n \n20 1\n%010d 00000 n \ntrailer<</Size 21/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF", at, page, start, xref)
	_, tree, err := open(b.Bytes())
	if err != nil || len(tree.Pages) != 2 {
		t.Fatalf("%v %+v", err, tree)
	}
	cyclic := bytes.Replace(b.Bytes(), fmt.Appendf(nil, "/Prev %d", start), fmt.Appendf(nil, "/Prev %d", xref), 1)
	if _, _, err := open(cyclic); !errors.Is(err, syntax.ErrInvalid) || !strings.Contains(err.Error(), "cycle") {
		t.Errorf("cycle: %v", err)
	}
}

func TestJunkBeforeHeader(t *testing.T) {
	absolute := pdftest.Document(pdftest.Shape{Junk: "junk\r\n"})
	f, _, err := open(absolute)
	if err != nil || f.Base() != 0 {
		t.Errorf("offsets from the start of the file: %v", err)
	}
	relative := append([]byte("junk\r\n"), pdftest.Document(pdftest.Shape{})...)
	f, _, err = open(relative)
	if err != nil || f.Base() != 6 {
		t.Errorf("offsets from the header: %v", err)
	}
	far := append(bytes.Repeat([]byte{'j'}, 1025), pdftest.Document(pdftest.Shape{})...)
	if _, _, err = open(far); !errors.Is(err, syntax.ErrInvalid) {
		t.Errorf("header beyond 1024 bytes: %v", err)
	}
}

// TestErrorsOfTheReader: an input error is not the document's fault.
func TestErrorsOfTheReader(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{})
	for n := range 12 {
		r := &failing{Reader: bytes.NewReader(document), after: n}
		f, err := syntax.Open(r, int64(len(document)))
		if err == nil {
			_, err = f.Tree()
		}
		var refused *syntax.Error
		if r.failed && (!errors.Is(err, errDisk) || errors.As(err, &refused)) {
			t.Errorf("after %d reads: %v", n, err)
		}
		if !r.failed && err != nil {
			t.Errorf("after %d reads: %v", n, err)
		}
	}
}

var errDisk = errors.New("disk on fire")

type failing struct {
	*bytes.Reader
	after  int
	failed bool
}

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	if f.after--; f.after < 0 {
		f.failed = true
		return 0, errDisk
	}
	return f.Reader.ReadAt(b, off)
}
