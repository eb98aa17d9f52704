package pdf_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// fields is a document with empty signature fields.
func fields(more map[int]string) []byte {
	extra := map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/Rect[50 50 250 110]/F 4/P 10 0 R>>",
		1001: "<</FT/Sig/T(Setiausaha)/Kids[1002 0 R]>>",
		1002: "<</Type/Annot/Subtype/Widget/Parent 1001 0 R/Rect[300 50 500 110]/F 4/P 10 0 R/AP<<>>>>",
		1003: "<</T(Borang)/Kids[1004 0 R]>>",
		1004: "<</T(Nama)/Parent 1003 0 R/FT/Tx/Type/Annot/Subtype/Widget/Rect[50 200 250 220]/F 4/P 10 0 R>>",
		1005: "<</T(Jabatan)/FT/Sig/Kids[1006 0 R]>>",
		1006: "<</T(Ketua)/Parent 1005 0 R/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/F 4/P 10 0 R>>",
	}
	for n, body := range more {
		extra[n] = body
	}
	return pdftest.Document(pdftest.Shape{Pages: 2, Page: "/Annots[1000 0 R 1002 0 R 1004 0 R 1006 0 R]", Extra: extra,
		Catalog: "/AcroForm<</Fields[1000 0 R 1001 0 R 1003 0 R 1005 0 R]/DA(/F0 10 Tf 0 g)/DR<</Font<</F0 3 0 R>>>>>>"})
}

func inField(lines ...string) *pdf.Visible { return &pdf.Visible{Lines: lines} }

// TestLaterSignaturesLeaveEarlierOnesValid signs again and again; the judges
// look at all signatures each time.
func TestLaterSignaturesLeaveEarlierOnesValid(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	jury := pdftest.NewJury(t, p.Root)
	place := &pdf.Visible{Page: 2, X: 50, Y: 50, Width: 200, Height: 60, Lines: []string{"SITI BINTI AHMAD"}}
	include := &pdf.Lock{Action: pdf.LockInclude, Fields: []string{"Borang"}}
	for name, c := range map[string]struct {
		document       []byte
		steps          []pdf.Options
		visible, split bool
	}{
		"new fields":           {pdftest.Document(pdftest.Shape{}), []pdf.Options{{}, {}, {Field: "Tiga"}}, false, false},
		"new visible fields":   {pdftest.Document(pdftest.Shape{Pages: 2}), []pdf.Options{{}, {Visible: place}, {}}, true, false},
		"object streams":       {qpdf(t, fields(nil), "--object-streams=generate"), []pdf.Options{{Field: "Pengarah"}, {}, {Field: "Setiausaha"}}, true, true},
		"existing fields":      {fields(nil), []pdf.Options{{Field: "Pengarah", Visible: inField("Pengarah")}, {Field: "Setiausaha", Visible: inField("Setiausaha")}, {Field: "Jabatan.Ketua"}}, true, true},
		"names with parents":   {fields(nil), []pdf.Options{{Field: "Baru.Satu.Dua"}, {Field: "Pengesahan"}}, false, false},
		"certified P 2":        {fields(nil), []pdf.Options{{Field: "Pengarah", Visible: inField("x"), Certify: 2}, {Field: "Setiausaha", Visible: inField("y")}, {}}, true, true},
		"certified P 3":        {fields(nil), []pdf.Options{{Certify: 3}, {Field: "Pengarah"}, {}}, true, false},
		"name in a group":      {fields(nil), []pdf.Options{{Field: "Borang.Sah"}, {Field: "Jabatan.Ketua"}}, false, false},
		"XFA":                  {pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[]/XFA 1000 0 R/NeedAppearances false>>", Extra: map[int]string{1000: "<</Length 11>>\nstream\n<xdp></xdp>\nendstream"}}), []pdf.Options{{}, {}}, false, false},
		"certified P 1":        {fields(nil), []pdf.Options{{Certify: 1}}, false, false},
		"certified and locked": {fields(nil), []pdf.Options{{Certify: 2, Lock: include}, {Field: "Pengarah"}, {}}, true, false},
		"locked":               {fields(nil), []pdf.Options{{Lock: include, Visible: place}, {}, {Field: "Jabatan.Ketua", Lock: &pdf.Lock{Action: pdf.LockAll}}}, true, false},
		"locked but one":       {fields(nil), []pdf.Options{{Lock: &pdf.Lock{Action: pdf.LockExclude, Fields: []string{"Pengarah"}}}, {Field: "Pengarah", Visible: inField("x")}}, true, false},
		"field with lock": {fields(map[int]string{
			1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/Rect[50 50 250 110]/F 4/P 10 0 R/Lock 1010 0 R>>",
			1010: "<</Type/SigFieldLock/Action/Include/Fields[(Borang.Nama)]/P 2>>"}),
			[]pdf.Options{{Field: "Pengarah"}, {Field: "Setiausaha"}}, true, true},
		"adbe.pkcs7.detached": {fields(nil), []pdf.Options{{SubFilter: pdf.SubFilterPKCS7}, {}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			signed := c.document
			for i, o := range c.steps {
				signed = p.Sign(t, signed, o)
				if name != "adbe.pkcs7.detached" { // which is not PAdES
					ours(t, p.Root, signed, pdf.LevelB)
				}
				for judge, objection := range jury.Verdicts(t, pdftest.Evidence{Original: c.document, Signed: signed, Signatures: i + 1, Visible: c.visible}) {
					// pdfsig finds no signature in a field whose widget is an object of its
					// own, and pyHanko no reason why that object got an appearance.
					if split := c.split && (judge == "pdfsig" || judge == "pyHanko"); objection != "" && !split {
						t.Errorf("signature %d, %s: %s", i+1, judge, objection)
					}
				}
			}
		})
	}
}

func TestEarlierSignaturesForbid(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	place := &pdf.Visible{Page: 2, X: 50, Y: 50, Width: 200, Height: 60, Lines: []string{"x"}}
	lock := func(action pdf.LockAction, names ...string) pdf.Options {
		return pdf.Options{Lock: &pdf.Lock{Action: action, Fields: names}}
	}
	ownLock := fields(map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/Rect[50 50 250 110]/F 4/P 10 0 R/Lock<</Type/SigFieldLock/Action/Include/Fields[(Borang)]/P 1>>>>"})
	for name, c := range map[string]struct {
		document []byte
		first    pdf.Options
		second   pdf.Options
		want     error
	}{
		"P 1":                       {fields(nil), pdf.Options{Certify: 1}, pdf.Options{Field: "Pengarah"}, pdf.ErrCertified},
		"P 2, new visible":          {fields(nil), pdf.Options{Certify: 2}, pdf.Options{Visible: place}, pdf.ErrCertified},
		"P 3, new visible":          {fields(nil), pdf.Options{Certify: 3}, pdf.Options{Visible: place}, pdf.ErrCertified},
		"all locked":                {fields(nil), lock(pdf.LockAll), pdf.Options{Field: "Pengarah"}, pdf.ErrCertified},
		"all locked, new":           {fields(nil), lock(pdf.LockAll), pdf.Options{}, pdf.ErrCertified},
		"locked":                    {fields(nil), lock(pdf.LockInclude, "x", "Pengarah"), pdf.Options{Field: "Pengarah"}, pdf.ErrCertified},
		"parent locked":             {fields(nil), lock(pdf.LockInclude, "Jabatan"), pdf.Options{Field: "Jabatan.Ketua"}, pdf.ErrCertified},
		"not excluded":              {fields(nil), lock(pdf.LockExclude, "Pengarah"), pdf.Options{Field: "Setiausaha"}, pdf.ErrCertified},
		"lock of field with P 1":    {ownLock, pdf.Options{Field: "Pengarah"}, pdf.Options{Field: "Setiausaha"}, pdf.ErrCertified},
		"certify later":             {fields(nil), pdf.Options{}, pdf.Options{Certify: 2}, pdf.ErrOptions},
		"signed already":            {fields(nil), pdf.Options{Field: "Pengarah"}, pdf.Options{Field: "Pengarah"}, pdf.ErrOptions},
		"place in an existing one":  {fields(nil), pdf.Options{}, pdf.Options{Field: "Pengarah", Visible: place}, pdf.ErrOptions},
		"no area":                   {fields(nil), pdf.Options{}, pdf.Options{Field: "Jabatan.Ketua", Visible: inField("x")}, pdf.ErrOptions},
		"lock and own lock":         {ownLock, pdf.Options{}, pdf.Options{Field: "Pengarah", Lock: &pdf.Lock{Action: pdf.LockAll}}, pdf.ErrOptions},
		"below a text field":        {fields(nil), pdf.Options{}, pdf.Options{Field: "Borang.Nama.x"}, pdf.ErrOptions},
		"a text field":              {fields(nil), pdf.Options{}, pdf.Options{Field: "Borang.Nama"}, pdf.ErrOptions},
		"a group":                   {fields(nil), pdf.Options{}, pdf.Options{Field: "Borang"}, pdf.ErrOptions},
		"new in a group":            {fields(nil), pdf.Options{}, pdf.Options{Field: "Borang.b"}, pdf.ErrOptions},
		"new group":                 {fields(nil), pdf.Options{}, pdf.Options{Field: "a.b"}, pdf.ErrOptions},
		"empty part of a name":      {fields(nil), pdf.Options{}, pdf.Options{Field: "a..b"}, pdf.ErrOptions},
		"not terminal":              {fields(nil), pdf.Options{}, pdf.Options{Field: "Jabatan"}, pdf.ErrUnsupported},
		"read-only":                 {fields(map[int]string{1005: "<</T(Jabatan)/Ff 1/FT/Sig/Kids[1006 0 R]>>"}), pdf.Options{}, pdf.Options{Field: "Jabatan.Ketua"}, pdf.ErrOptions},
		"hidden":                    {fields(map[int]string{1000: "<</Subtype/Widget/FT/Sig/T(Pengarah)/Rect[50 50 250 110]/F 2>>"}), pdf.Options{}, pdf.Options{Field: "Pengarah", Visible: inField("x")}, pdf.ErrOptions},
		"on no page":                {fields(map[int]string{1002: "<</Subtype/Widget/Parent 1001 0 R/Rect[0 0 99 99]/P 12 0 R>>", 1000: "<</FT/Sig/T(Pengarah)/Rect[50 50 250 110]/Kids[]>>", 10: "<</Type/Page/Parent 2 0 R>>"}), pdf.Options{}, pdf.Options{Field: "Setiausaha", Visible: inField("x")}, pdf.ErrOptions},
		"value above":               {fields(map[int]string{1005: "<</T(Jabatan)/FT/Sig/V null/Kids[1006 0 R]>>", 1003: "<</T(Borang)/V(x)/Kids[1004 0 R]>>"}), pdf.Options{}, pdf.Options{Field: "Borang.Baru"}, pdf.ErrUnsupported},
		"unknown level":             {fields(nil), pdf.Options{}, pdf.Options{Level: "B-Z"}, pdf.ErrOptions},
		"unknown subfilter":         {fields(nil), pdf.Options{}, pdf.Options{SubFilter: "adbe.x509.rsa_sha1"}, pdf.ErrOptions},
		"unknown permission":        {fields(nil), pdf.Options{}, pdf.Options{Certify: 4}, pdf.ErrOptions},
		"lock of nothing":           {fields(nil), pdf.Options{}, lock(pdf.LockInclude), pdf.ErrOptions},
		"lock of all and something": {fields(nil), pdf.Options{}, lock(pdf.LockAll, "x"), pdf.ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			signed := p.Sign(t, c.document, c.first)
			_, err := attempt(signed, c.second)
			var refused *pdf.Error
			if !errors.Is(err, c.want) || !errors.As(err, &refused) || refused.Detail == "" {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// seeded is a document whose field has seed values.
func seeded(sv string) []byte {
	return fields(map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/Rect[50 50 250 110]/F 4/P 10 0 R/SV 1010 0 R>>", 1010: "<</Type/SV" + sv + ">>"})
}

func TestSeedValues(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, func(c *x509.Certificate) {
		c.Policies = []x509.OID{must(x509.ParseOID("2.16.458.1.1"))}
	})
	der := func(c *x509.Certificate) string { return fmt.Sprintf("<%x>", c.Raw) }
	chain := []*x509.Certificate{p.Signer, p.Issuer}
	reason := pdf.Options{Reason: "Lulus"}
	for name, c := range map[string]struct {
		sv   string
		o    pdf.Options
		want error
	}{
		"wishes only":              {"/Reasons[(x)]/SubFilter[/adbe.pkcs7.detached]/DigestMethod[(SHA1)]/Filter/Entrust", pdf.Options{}, nil},
		"filter":                   {"/Ff 1/Filter/Adobe.PPKLite", pdf.Options{}, nil},
		"other filter":             {"/Ff 1/Filter/Entrust.PPKEF", pdf.Options{}, pdf.ErrUnsupported},
		"subfilter":                {"/Ff 2/SubFilter[/ETSI.CAdES.detached/adbe.pkcs7.detached]", pdf.Options{}, nil},
		"other subfilter first":    {"/Ff 2/SubFilter[/adbe.pkcs7.detached/ETSI.CAdES.detached]", pdf.Options{}, pdf.ErrOptions},
		"other subfilter asked":    {"/Ff 2/SubFilter[/adbe.pkcs7.detached]", pdf.Options{SubFilter: pdf.SubFilterPKCS7}, nil},
		"subfilter nobody has":     {"/Ff 2/SubFilter[/adbe.x509.rsa_sha1]", pdf.Options{}, pdf.ErrUnsupported},
		"version":                  {"/Ff 4/V 3", pdf.Options{}, nil},
		"future version":           {"/Ff 4/V 4", pdf.Options{}, pdf.ErrUnsupported},
		"reason":                   {"/Ff 8/Reasons[(Lulus)(Tolak)]", reason, nil},
		"other reason":             {"/Ff 8/Reasons[(Tolak)]", reason, pdf.ErrOptions},
		"no reason allowed":        {"/Ff 8/Reasons[(.)]", reason, pdf.ErrOptions},
		"no reason given":          {"/Ff 8/Reasons[(.)]", pdf.Options{}, nil},
		"attestation":              {"/Ff 16/LegalAttestation[(x)]", pdf.Options{}, pdf.ErrUnsupported},
		"revocation data":          {"/Ff 32/AddRevInfo true", pdf.Options{Level: pdf.LevelLTA}, pdf.ErrUnsupported},
		"no revocation data":       {"/Ff 32/AddRevInfo false", pdf.Options{}, nil},
		"digest":                   {"/Ff 64/DigestMethod[(SHA1)(SHA256)]", pdf.Options{Hash: crypto.SHA256}, nil},
		"other digest":             {"/Ff 64/DigestMethod[(SHA512)]", pdf.Options{Hash: crypto.SHA256}, pdf.ErrOptions},
		"old digest":               {"/Ff 64/DigestMethod[(SHA1)(RIPEMD160)]", pdf.Options{}, pdf.ErrUnsupported},
		"locked document":          {"/Ff 128/LockDocument/true", pdf.Options{}, pdf.ErrOptions},
		"document locked":          {"/Ff 128/LockDocument/true", pdf.Options{Certify: 1}, nil},
		"document not locked":      {"/Ff 128/LockDocument/false", pdf.Options{}, nil},
		"appearance":               {"/Ff 256/AppearanceFilter(x)", pdf.Options{}, pdf.ErrUnsupported},
		"malformed bits":           {"/Ff/All", pdf.Options{}, pdf.ErrInvalid},
		"malformed bits of a part": {"/TimeStamp<</Ff true>>", pdf.Options{}, pdf.ErrInvalid},
		"unknown bit":              {"/Ff 512", pdf.Options{}, pdf.ErrUnsupported},
		"certification":            {"/MDP<</P 2>>", pdf.Options{Certify: 2}, nil},
		"other certification":      {"/MDP<</P 2>>", pdf.Options{Certify: 3}, pdf.ErrOptions},
		"approval only":            {"/MDP<</P 0>>", pdf.Options{Certify: 2}, pdf.ErrOptions},
		"time-stamp":               {"/TimeStamp<</URL(http://127.0.0.1/)/Ff 1>>", pdf.Options{}, pdf.ErrOptions},
		"time-stamp to come":       {"/TimeStamp<</URL(http://127.0.0.1/)/Ff 1>>", pdf.Options{Level: pdf.LevelLT}, nil},
		"no certificate":           {"/Cert<</Ff 1/Subject[" + der(p.Signer) + "]>>", pdf.Options{}, pdf.ErrOptions},
		"subject":                  {"/Cert<</Ff 1/Subject[" + der(p.Signer) + "]>>", pdf.Options{Certificates: chain}, nil},
		"other subject":            {"/Cert<</Ff 1/Subject[" + der(p.Root) + "]>>", pdf.Options{Certificates: chain}, pdf.ErrOptions},
		"issuer":                   {"/Cert<</Ff 2/Issuer[" + der(p.Root) + der(p.Issuer) + "]>>", pdf.Options{Certificates: chain}, nil},
		"other issuer":             {"/Cert<</Ff 2/Issuer[" + der(p.Root) + "]>>", pdf.Options{Certificates: chain}, pdf.ErrOptions},
		"policy":                   {"/Cert<</Ff 4/OID[(2.16.458.1.1)]>>", pdf.Options{Certificates: chain}, nil},
		"other policy":             {"/Cert<</Ff 4/OID[(2.16.458.1.1)(2.16.458.1.2)]>>", pdf.Options{Certificates: chain}, pdf.ErrOptions},
		"subject name":             {"/Cert<</Ff 8/SubjectDN[<</CN(x)>><</CN(SITI BINTI AHMAD)/2.5.4.5(800101145678)>>]>>", pdf.Options{Certificates: chain}, nil},
		"other subject name":       {"/Cert<</Ff 8/SubjectDN[<</CN(SITI BINTI AHMAD)/O(x)>>]>>", pdf.Options{Certificates: chain}, pdf.ErrOptions},
		"key usage":                {"/Cert<</Ff 32/KeyUsage[(0)(11X0)]>>", pdf.Options{Certificates: chain}, nil},
		"other key usage":          {"/Cert<</Ff 32/KeyUsage[(X0)]>>", pdf.Options{Certificates: chain}, pdf.ErrOptions},
		"URL":                      {"/Cert<</Ff 64/URL(http://127.0.0.1/)>>", pdf.Options{}, nil},
		"unknown certificate bits": {"/Cert<</Ff 128>>", pdf.Options{Certificates: chain}, pdf.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Field = "Pengarah"
			_, err := attempt(seeded(c.sv), c.o)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	prepared, err := attempt(seeded("/Ff 64/DigestMethod[(SHA384)]"), pdf.Options{Field: "Pengarah"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := prepared.Digest(crypto.SHA256); !errors.Is(err, pdf.ErrOptions) {
		t.Errorf("Digest with another hash than the seed value: %v", err)
	}
	signed := p.Sign(t, seeded("/Ff 75/Filter/Adobe.PPKLite/SubFilter[/ETSI.CAdES.detached]/DigestMethod[(SHA256)]/Reasons[(Lulus)]/MDP<</P 2>>/Cert<</Ff 33/Subject["+der(p.Signer)+"]/KeyUsage[(11)]>>"),
		pdf.Options{Field: "Pengarah", Reason: "Lulus", Certify: 2, Certificates: []*x509.Certificate{p.Signer}})
	if r := pdftest.PyHanko(t, []*x509.Certificate{p.Root}, signed)[0].Signatures; len(r) != 1 || !r[0].BottomLine || r[0].SeedValueOK == nil || !*r[0].SeedValueOK {
		t.Errorf("pyHanko: %+v", r)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestAppearanceStaysInItsField: everything of a field but its value and its
// appearance keeps its bytes.
func TestAppearanceStaysInItsField(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := fields(nil)
	increment := p.Sign(t, document, pdf.Options{Field: "Setiausaha", Visible: inField("HALIM BIN OTHMAN")})[len(document):]
	for _, want := range []string{"1001 0 obj\n<</FT/Sig/T(Setiausaha)/Kids[1002 0 R]\n/V ", "1002 0 obj\n<</Type/Annot/Subtype/Widget/Parent 1001 0 R/Rect[300 50 500 110]/F 4/P 10 0 R/AP <</N "} {
		if !bytes.Contains(increment, []byte(want)) {
			t.Errorf("increment lacks %q:\n%.2000s", want, increment)
		}
	}
	if bytes.Contains(increment, []byte("\n10 0 obj")) {
		t.Error("page was rewritten")
	}
}
