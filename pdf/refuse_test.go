package pdf_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// attempt opens and prepares a document.
func attempt(document []byte, o pdf.Options) (*pdf.Prepared, error) {
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		return nil, err
	}
	if o.Time.IsZero() {
		o.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	return d.Prepare(o)
}

// signedField is an /AcroForm with one signed field; kind is the /P of DocMDP.
func signedField(catalog, sig string) pdftest.Shape {
	return pdftest.Shape{Catalog: "/AcroForm<</SigFlags 3/Fields[1000 0 R]>>" + catalog, Extra: map[int]string{
		1000: "<</FT/Sig/T(S)/V 1001 0 R/Subtype/Widget/Rect[0 0 0 0]>>",
		1001: "<</Type/Sig/Filter/Adobe.PPKLite/ByteRange[0 1 2 3]/Contents<00>" + sig + ">>"}}
}

func TestRefusedDocuments(t *testing.T) {
	plain := pdftest.Document(pdftest.Shape{})
	docMDP := func(p string) string {
		return "/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/V/1.2" + p + ">>>>]"
	}
	pages := func(pagesNode, more string) []byte {
		w := &pdftest.Writer{}
		w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
		w.Object(2, pagesNode)
		w.Object(4, more)
		return w.Close("")
	}
	leaf := "<</Type/Page/MediaBox[0 0 9 9]>>"
	deep := &pdftest.Writer{}
	deep.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	for i := 2; i < 200; i++ {
		deep.Object(i, fmt.Sprintf("<</Type/Pages/Count 1/Kids[%d 0 R]>>", i+1))
	}
	deep.Object(200, leaf)
	for name, c := range map[string]struct {
		document []byte
		want     error
	}{
		"empty":                {nil, pdf.ErrInvalid},
		"text":                 {[]byte("Hello, this is no PDF"), pdf.ErrInvalid},
		"html with header":     {[]byte("<html>%PDF-1.7 startxref 5 %%EOF"), pdf.ErrInvalid},
		"version 9":            {bytes.Replace(plain, []byte("%PDF-1.7"), []byte("%PDF-9.7"), 1), pdf.ErrInvalid},
		"encrypted":            {qpdf(t, plain, "--encrypt", "user", "owner", "128", "--use-aes=y", "--"), pdf.ErrEncrypted},
		"certified P 1":        {pdftest.Document(signedField("/Perms<</DocMDP 1001 0 R>>", docMDP("/P 1"))), pdf.ErrCertified},
		"certified P 7":        {pdftest.Document(signedField("/Perms<</DocMDP 1001 0 R>>", docMDP("/P 7"))), pdf.ErrInvalid},
		"usage rights":         {pdftest.Document(signedField("/Perms<</UR3 1001 0 R>>", "")), pdf.ErrUnsupported},
		"zero pages":           {pages("<</Type/Pages/Count 0/Kids[]>>", leaf), pdf.ErrInvalid},
		"no kids":              {pages("<</Type/Pages/Count 0>>", leaf), pdf.ErrInvalid},
		"cycle":                {pages("<</Type/Pages/Count 1/Kids[4 0 R 2 0 R]>>", leaf), pdf.ErrInvalid},
		"longer cycle":         {pages("<</Type/Pages/Count 1/Kids[4 0 R]>>", "<</Type/Pages/Kids[2 0 R]>>"), pdf.ErrInvalid},
		"page twice":           {pages("<</Type/Pages/Count 2/Kids[4 0 R 4 0 R]>>", leaf), pdf.ErrInvalid},
		"wrong count":          {pages("<</Type/Pages/Count 7/Kids[4 0 R]>>", leaf), pdf.ErrInvalid},
		"huge count":           {pages("<</Type/Pages/Count 99999999999999/Kids[4 0 R]>>", leaf), pdf.ErrInvalid},
		"direct page":          {pages("<</Type/Pages/Count 1/Kids["+leaf+"]>>", leaf), pdf.ErrInvalid},
		"missing page":         {pages("<</Type/Pages/Count 1/Kids[400 0 R]>>", leaf), pdf.ErrInvalid},
		"duplicate key":        {pages("<</Type/Pages/Count 1/Kids[4 0 R]/Ki#64s[4 0 R]>>", leaf), pdf.ErrInvalid},
		"deep tree":            {deep.Close(""), pdf.ErrTooLarge},
		"deep array":           {pages("<</Type/Pages/Count 1/Kids[4 0 R]/X"+strings.Repeat("[", 100000)+">>", leaf), pdf.ErrTooLarge},
		"many values":          {pages("<</Type/Pages/Count 1/Kids[4 0 R]/X["+strings.Repeat("0 ", 300000)+"]>>", leaf), pdf.ErrTooLarge},
		"field cycle":          {pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Extra: map[int]string{1000: "<</T(a)/Kids[1000 0 R]>>"}}), pdf.ErrInvalid},
		"malformed annots":     {pdftest.Document(pdftest.Shape{Page: "/Annots 7"}), pdf.ErrInvalid},
		"value yet to come":    {pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Extra: map[int]string{1000: "<</FT/Sig/T(S)/V 1001 0 R>>"}}), pdf.ErrInvalid},
		"field yet to come":    {pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[13 0 R]>>"}), pdf.ErrInvalid},
		"perms yet to come":    {pdftest.Document(pdftest.Shape{Catalog: "/Perms<</DocMDP 12 0 R>>"}), pdf.ErrInvalid},
		"malformed ID":         {pdftest.Document(pdftest.Shape{Trailer: "/ID[<00>]"}), pdf.ErrInvalid},
		"prev to itself":       {pdftest.Document(pdftest.Shape{Trailer: fmt.Sprintf("/Prev %d", bytes.LastIndex(plain, []byte("xref\n0"))-0)}), pdf.ErrInvalid},
		"prev negative":        {pdftest.Document(pdftest.Shape{Trailer: "/Prev -1"}), pdf.ErrInvalid},
		"prev outside":         {pdftest.Document(pdftest.Shape{Trailer: "/Prev 99999999"}), pdf.ErrInvalid},
		"prev into nowhere":    {pdftest.Document(pdftest.Shape{Trailer: "/Prev 3"}), pdf.ErrInvalid},
		"no end of file mark":  {bytes.TrimSuffix(plain, []byte("%%EOF\n")), pdf.ErrInvalid},
		"offsets off by three": {bytes.Replace(plain, []byte("%\xE2\xE3\xCF\xD3\n"), []byte("%\xE2\xE3\xCF\xD3\n%x\n"), 1), pdf.ErrInvalid},
		"size too small":       {bytes.Replace(plain, []byte("/Size 12"), []byte("/Size 10"), 1), pdf.ErrInvalid},
		"size huge":            {bytes.Replace(plain, []byte("/Size 12"), []byte("/Size 99999999"), 1), pdf.ErrInvalid},
		"malformed lock":       {pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Extra: map[int]string{1000: "<</FT/Sig/T(F)/Lock<<>>>>"}}), pdf.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := attempt(c.document, pdf.Options{Field: "F"})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			var refused *pdf.Error
			if !errors.As(err, &refused) || refused.Code == "" || refused.Detail == "" {
				t.Errorf("%v is no *pdf.Error with code and detail", err)
			}
			if d := time.Since(start); d > 30*time.Second { // hangs; what it may cost is measured elsewhere
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestRefusedOptions(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{Catalog: form, Extra: map[int]string{1000: "<</FT/Tx/T(nama)>>"}})
	for name, o := range map[string]pdf.Options{
		"no such use of field": {Field: "nama"},
		"control character":    {Reason: "a\x00b"},
		"not UTF-8":            {Location: "\xff\xfe"},
		"long":                 {Name: strings.Repeat("x", 1001)},
		"contents":             {ContentsSize: 1<<20 + 1},
		"negative contents":    {ContentsSize: -1},
		"year 0":               {Time: time.Unix(-1<<40, 0)},
	} {
		if _, err := attempt(document, o); !errors.Is(err, pdf.ErrOptions) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Prepare(pdf.Options{}); !errors.Is(err, pdf.ErrOptions) {
		t.Errorf("without time: %v", err)
	}
}

func TestTruncatedDocumentsAreRefused(t *testing.T) {
	for name, document := range map[string][]byte{
		"classic": pdftest.Document(pdftest.Shape{}),
		"streams": qpdf(t, pdftest.Document(pdftest.Shape{}), "--object-streams=generate"),
	} {
		for n := range len(document) - 2 {
			_, err := attempt(document[:n], pdf.Options{})
			var refused *pdf.Error
			if !errors.As(err, &refused) {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, n, len(document), err)
			}
		}
	}
}

func TestPrepareIsDeterministicAndKeepsTokens(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{Catalog: form, Page: "/Annots[1000 0 R %c]\n]/Str(a\\)\\(b#20)/N#41me true",
		Extra: map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(Signature1)/Rect[1 1 2 2]>>"}})
	o := pdf.Options{Time: pdftest.Now(), Visible: &pdf.Visible{Page: 1, Width: 100, Height: 40, Lines: []string{"x"}}}
	var first []byte
	for range 3 {
		p, err := attempt(document, o)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := p.Complete(&out, []byte{0x30, 0}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out.Bytes()
		}
		if !bytes.Equal(first, out.Bytes()) {
			t.Fatal("same document and options, other bytes")
		}
	}
	increment := string(first[len(document):])
	for _, want := range []string{
		"/DA(/Helv 0 Tf 0 g)/DR<</Font<</Helv 3 0 R>>>>/Custom#20Key <ABC>% keep\n",
		"/Str(a\\)\\(b#20)/N#41me true", "/Annots[1000 0 R %c]\n", "/Info 3 0 R", "/T(Signature2)", "<00112233445566778899aabbccddeeff><",
	} {
		if !strings.Contains(increment, want) {
			t.Errorf("increment lacks %q:\n%s", want, increment)
		}
	}
}

func TestCompleteRefusesSignatureThatDoesNotFit(t *testing.T) {
	p, err := attempt(pdftest.Document(pdftest.Shape{}), pdf.Options{ContentsSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for n, want := range map[int]error{0: pdf.ErrOptions, 100: nil, 101: pdf.ErrOptions} {
		out.Reset()
		if _, err := p.Complete(&out, make([]byte, n)); !errors.Is(err, want) || err != nil && out.Len() > 0 {
			t.Errorf("%d bytes: %v, %d written", n, err, out.Len())
		}
	}
}

// changing is a document that changes after some reads.
type changing struct {
	*bytes.Reader
	changed bool
}

func (c *changing) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(b, off)
	if c.changed && off == 0 && n > 20 {
		b[12] ^= 1
	}
	return n, err
}

func TestDigestShowsThatTheDocumentChanged(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{})
	r := &changing{Reader: bytes.NewReader(document)}
	d, err := pdf.Open(r, int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Prepare(pdf.Options{Time: pdftest.Now()})
	if err != nil {
		t.Fatal(err)
	}
	_, before, err := p.Digest(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if want := crypto.SHA256.New(); true {
		want.Write(document)
		if !bytes.Equal(before, want.Sum(nil)) {
			t.Error("not the SHA-256 of the document")
		}
	}
	r.changed = true
	if _, after, err := p.Digest(crypto.SHA384); err != nil || bytes.Equal(before, after) {
		t.Errorf("change not seen: %v", err)
	}
	if _, _, err := p.Digest(crypto.SHA1); err == nil {
		t.Error("SHA-1 accepted")
	}
}

// held is a document in memory.
type held struct{ *bytes.Reader }

func (h held) Held() []byte {
	b := make([]byte, h.Size())
	_, _ = h.ReadAt(b, 0)
	return b
}

// What was hashed before is not read again, and a document in memory is written in one piece.
func TestDigestAfterIsDigest(t *testing.T) {
	for _, document := range [][]byte{pdftest.Document(pdftest.Shape{}), pdftest.Document(pdftest.Shape{Pages: 40})} {
		var want, whole []byte
		for name, r := range map[string]io.ReaderAt{"read": bytes.NewReader(document), "held": held{bytes.NewReader(document)}} {
			d, err := pdf.Open(r, int64(len(document)))
			if err != nil {
				t.Fatal(err)
			}
			p, err := d.Prepare(pdf.Options{Time: pdftest.Now()})
			if err != nil {
				t.Fatal(err)
			}
			byteRange, _, err := p.Digest(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			h := crypto.SHA256.New()
			h.Write(document)
			after, err := p.DigestAfter(h, int64(len(document)))
			if err != nil || !bytes.Equal(after, byteRange) || want != nil && !bytes.Equal(after, want) {
				t.Errorf("%s: %x, want %x, %v", name, after, byteRange, err)
			}
			if _, err := p.DigestAfter(crypto.SHA256.New(), int64(len(document))-1); !errors.Is(err, pdf.ErrOptions) {
				t.Errorf("%s: of another size: %v", name, err)
			}
			if _, err := p.DigestAfter(crypto.SHA512.New(), int64(len(document))); !errors.Is(err, pdf.ErrOptions) {
				t.Errorf("%s: of another hash: %v", name, err)
			}
			var out bytes.Buffer
			if n, err := p.Complete(&out, []byte{0x30, 0}); err != nil || n != int64(out.Len()) || whole != nil && !bytes.Equal(out.Bytes(), whole) {
				t.Errorf("%s: another file, %v", name, err)
			}
			want, whole = after, out.Bytes()
		}
	}
}

// TestFieldsAndWarnings looks at what Open tells about a document.
func TestFieldsAndWarnings(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{Pages: 7,
		Catalog: "/OpenAction<</S/JavaScript/JS(x)>>/Names<</JavaScript 3 0 R/EmbeddedFiles 3 0 R>>/AcroForm<</XFA[]/Fields[1000 0 R 1002 0 R]>>",
		Page:    "/AA<<>>",
		Extra: map[int]string{1000: "<</FT/Sig/T(Kosong)>>", 1001: "<</T<FEFF004200E9>/V<<>>>>",
			1002: "<</T(Atas)/FT/Sig/Kids[1001 0 R]>>"}})
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Pages(), d.Signatures(), d.Warnings()); got !=
		"7 [{Kosong false} {Atas false} {Atas.Bé true}] [open_action additional_actions javascript embedded_files xfa]" {
		t.Error(got)
	}
}
