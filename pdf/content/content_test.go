package content_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/content"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// document makes a file whose only page has the content, with a composite font
// /C whose embedded CMap is also its /ToUnicode.
func document(data, cmap []byte) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var offsets []int
	object := func(body string, data []byte) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n", len(offsets))
		if data != nil {
			fmt.Fprintf(&b, "<<%s/Length %d>>\nstream\n%s\nendstream", body, len(data), data)
		} else {
			b.WriteString(body)
		}
		b.WriteString("\nendobj\n")
	}
	object("<</Type/Catalog/Pages 2 0 R>>", nil)
	object("<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>", nil)
	object("<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>/ExtGState<</G<</Font[5 0 R 9]>>>>/Font<</H 5 0 R/C 6 0 R/T<</Subtype/Type1/FontDescriptor<</FontFile 8 0 R>>>>>>>>>>", nil)
	object("/Subtype/Form/BBox[0 0 99 99]", append([]byte{}, data...))
	object("<</Type/Font/Subtype/TrueType/BaseFont/Times-Italic/Encoding/MacRomanEncoding>>", nil)
	object("<</Type/Font/Subtype/Type0/BaseFont/A/Encoding 8 0 R/ToUnicode 8 0 R/DescendantFonts[7 0 R]>>", nil)
	object("<</Type/Font/Subtype/CIDFontType2/BaseFont/A/DW 700/W[1[600 500]5 9 400]>>", nil)
	object("", append([]byte{}, cmap...))
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
	return b.Bytes()
}

func read(t testing.TB, data, cmap []byte) *content.Contents {
	t.Helper()
	return readFile(t, document(data, cmap))
}

func readFile(t testing.TB, b []byte) *content.Contents {
	t.Helper()
	f, err := syntax.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := f.Tree()
	if err != nil {
		t.Fatal(err)
	}
	page, err := f.Load(3, 0)
	if err != nil {
		t.Fatal(err)
	}
	g, err := f.Geometry(tree.Pages[0], page)
	if err != nil {
		t.Fatal(err)
	}
	c, err := content.NewReader(f).Page(page, g)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const codes = "1 begincodespacerange <00> <7F> endcodespacerange 1 begincodespacerange <8000> <FFFF> endcodespacerange\n" +
	"2 beginbfchar <41> <0042> <8001> <D83DDE00> endbfchar 2 beginbfrange <43> <45> <0061> <50> <51> [<00660069> <0078>] endbfrange\n" +
	"1 begincidrange <8001> <8009> 5 endcidrange"

func TestComposite(t *testing.T) {
	c := read(t, []byte("BT /C 10 Tf 0 0 Td <414344458001505133> Tj ET"), []byte(codes))
	text := ""
	for _, char := range c.Chars {
		text += char.Text
	}
	if text != "Babc😀fix" {
		t.Errorf("got %q", text)
	}
}

func TestWidthsAreThoseOfTheCIDs(t *testing.T) {
	c := read(t, []byte("BT /C 10 Tf 0 0 Td <80018009> Tj ET"), []byte("1 begincodespacerange <8000> <FFFF> endcodespacerange 1 begincidrange <8001> <8009> 5 endcidrange"))
	if len(c.Chars) != 2 || c.Chars[0].Box[2] != 4 || c.Chars[1].Box[2] != 11 {
		t.Errorf("got %+v", c.Chars)
	}
}

func TestBuiltInEncoding(t *testing.T) {
	program := "%!PS\n/Encoding 256 array\n0 1 255 {1 index exch /.notdef put} for\ndup 58 /period put\ndup 97 /eacute put\nreadonly def\ncurrentfile eexec"
	b := document([]byte("BT /T 9 Tf (:a) Tj ET"), []byte(program))
	c := readFile(t, b)
	if len(c.Chars) != 2 || c.Chars[0].Text != "." || c.Chars[1].Text != "é" {
		t.Errorf("got %+v", c.Chars)
	}
}

func TestPaints(t *testing.T) {
	for data, want := range map[string]bool{
		"0 0 9 9 re S": false, "0 0 9 9 re f": true, "BI /W 1 /H 1 ID x EI": true, "BT /H 9 Tf (a) Tj ET": false,
	} {
		if got := read(t, []byte(data), nil).Paints; got != want {
			t.Errorf("%q: %v", data, got)
		}
	}
}

func FuzzPage(f *testing.F) {
	for _, data := range []string{
		"q 1 0 0 1 5 6 cm BT /H 10 Tf 12 TL 1 Tc 2 Tw 50 Tz 3 Ts 100 700 Td [(Tan)-20<6461>]TJ T* (x) ' 1 2 (y) \" ET Q /X Do /G gs",
		"BI /W 2 /H 1 ID \xff\x00EI EI BT /C 1 Tf 3 Tr 1 0 0 1 1e9 .5 Tm <414344458001> Tj ET",
		"[[[[(a\\)\\051\\\n)<</A/B#20/C[1 2]>>] TJ % comment\n.- +5 --3 (", strings.Repeat("q ", 500),
	} {
		f.Add([]byte(data), []byte(codes))
	}
	f.Fuzz(func(t *testing.T, data, cmap []byte) {
		if bytes.Contains(data, []byte("endstream")) || bytes.Contains(cmap, []byte("endstream")) {
			return
		}
		start := time.Now()
		read(t, data, cmap)
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
	})
}
