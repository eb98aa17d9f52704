package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// stamped signs a document and puts a time-stamp into the signature (B-T).
func stamped(t *testing.T, a *pdftest.Authorities, document []byte, o pdf.Options) []byte {
	t.Helper()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	if o.Time.IsZero() {
		o.Time = pdftest.Now()
	}
	o.ContentsSize, o.Level = a.Builder(t).Size()+a.TokenSize(), pdf.LevelT
	p, err := d.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := p.Digest(a.Hash)
	if err != nil {
		t.Fatal(err)
	}
	der := a.CMS(t, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	imprint := sha256.Sum256(sd.SignatureValue())
	token, err := a.Timestamp(context.Background(), crypto.SHA256, imprint[:])
	if err != nil {
		t.Fatal(err)
	}
	if der, err = cms.AddTimestamp(der, token); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := p.Complete(&out, der); err != nil {
		t.Fatal(err)
	}
	r, size, err := p.Signed(der)
	if err != nil || size != int64(out.Len()) {
		t.Fatalf("%v: %d bytes, %d written", err, size, out.Len())
	}
	same := make([]byte, size)
	if n, err := r.ReadAt(same, 0); n != len(same) || err != nil || !bytes.Equal(same, out.Bytes()) {
		t.Fatalf("Signed differs from what Complete writes: %v", err)
	}
	return out.Bytes()
}

func extend(t *testing.T, document []byte, level pdf.Level, s pdf.Services) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := pdf.Extend(context.Background(), bytes.NewReader(document), int64(len(document)), level, s, &out)
	if err != nil || n != int64(out.Len()) {
		t.Fatalf("extending to %s: %v, %d bytes, %d written", level, err, n, out.Len())
	}
	return append(bytes.Clone(document), out.Bytes()...)
}

// ours lets our own verifier judge: everything valid, the first signature of
// the level given.
func ours(t *testing.T, root *x509.Certificate, document []byte, level pdf.Level) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(root)
	r, err := verify.Verify(context.Background(), bytes.NewReader(document), int64(len(document)), verify.Options{Roots: roots, Now: time.Now().Add(time.Second)})
	if err != nil || r.Verdict != verify.Valid || r.Signatures[0].Level != string(level) {
		t.Errorf("verify: %v, %s expected: %+v", err, level, r)
	}
}

func TestLevelsFromTimestampToArchive(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	a.CRLs = true
	jury := pdftest.NewJury(t, a.Root)
	all := shapes(t)
	all["encrypted"] = qpdf(t, all["form-indirect"], "--encrypt", "", "owner", "256", "--")
	all["encrypted-objs"] = qpdf(t, all["form-direct"], "--object-streams=generate", "--encrypt", "", "owner", "128", "--use-aes=y", "--")
	for name, document := range all {
		t.Run(name, func(t *testing.T) {
			signed := stamped(t, a, document, pdf.Options{Certify: 1, Lock: &pdf.Lock{Action: pdf.LockInclude, Fields: []string{"Borang é"}}})
			ours(t, a.Root, signed, pdf.LevelT)
			asked := a.Asked.Load()
			long := extend(t, signed, pdf.LevelLT, a.Services())
			if got := a.Asked.Load() - asked; got != 2 { // one list for signatory and authority, one for the issuer
				t.Errorf("%d answers fetched", got)
			}
			ours(t, a.Root, long, pdf.LevelLT)
			stamps := a.Stamps.Load()
			archive := extend(t, long, pdf.LevelLTA, a.Services())
			if a.Stamps.Load() != stamps+1 {
				t.Errorf("%d time-stamps", a.Stamps.Load()-stamps)
			}
			ours(t, a.Root, archive, pdf.LevelLTA)
			asked, stamps = a.Asked.Load(), a.Stamps.Load()
			for _, level := range []pdf.Level{pdf.LevelT, pdf.LevelLT, pdf.LevelLTA} {
				if again := extend(t, archive, level, a.Services()); len(again) != len(archive) {
					t.Errorf("%s: %d bytes added to a document that is at B-LTA", level, len(again)-len(archive))
				}
			}
			if again := extend(t, long, pdf.LevelLT, a.Services()); len(again) != len(long) {
				t.Errorf("%d bytes added to a document that is at B-LT", len(again)-len(long))
			}
			if a.Asked.Load() != asked || a.Stamps.Load() != stamps {
				t.Error("services asked for nothing")
			}
			renew := a.Services()
			renew.Renew = true
			renewed := extend(t, archive, pdf.LevelLTA, renew)
			jury.Judge(t, pdftest.Evidence{Original: document, Signed: renewed, Signatures: 3})
			ours(t, a.Root, renewed, pdf.LevelLTA)
		})
	}
}

// TestRootsOfTimestamps: evidence about a signatory leads to the roots of signatories,
// evidence about a time-stamp to those of time-stamping authorities.
func TestRootsOfTimestamps(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	other := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	signed := stamped(t, a, pdftest.Document(pdftest.Shape{}), pdf.Options{})
	s := a.Services()
	s.TSARoots = a.Roots()
	ours(t, a.Root, extend(t, signed, pdf.LevelLT, s), pdf.LevelLT)
	for _, wrong := range []pdf.Services{
		{Timestamper: a, Revocation: a, Now: s.Now, Roots: a.Roots(), TSARoots: other.Roots()},
		{Timestamper: a, Revocation: a, Now: s.Now, Roots: other.Roots(), TSARoots: a.Roots()},
	} {
		var unknown x509.UnknownAuthorityError
		if _, err := pdf.Extend(context.Background(), bytes.NewReader(signed), int64(len(signed)), pdf.LevelLT, wrong, io.Discard); !errors.As(err, &unknown) {
			t.Errorf("another's roots: %v", err)
		}
	}
}

// TestAnswersOfResponders lets pyHanko judge with nothing but the answers in
// the document.
func TestAnswersOfResponders(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	a.Announce(t)
	document := pdftest.Document(pdftest.Shape{})
	archive := extend(t, stamped(t, a, document, pdf.Options{}), pdf.LevelLTA, a.Services())
	if got := a.Asked.Load(); got != 3 { // signatory, authority, issuer
		t.Errorf("%d answers fetched", got)
	}
	ours(t, a.Root, archive, pdf.LevelLTA)
	r := pdftest.PyHanko(t, []*x509.Certificate{a.Root}, archive)[0]
	if len(r.Signatures) != 2 || !r.Strict || !r.Signatures[0].BottomLine || r.Signatures[0].ADES != "OK" || !r.Signatures[1].BottomLine {
		t.Errorf("pyHanko: %+v", r)
	}
}

func TestExtendSignatureWithoutTimestamp(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.RSAPKCS1, crypto.SHA256, nil))
	a.CRLs = true
	jury := pdftest.NewJury(t, a.Root)
	document := pdftest.Document(pdftest.Shape{})
	signed := a.Sign(t, document, pdf.Options{Certify: 1})
	for level, want := range map[pdf.Level]int{pdf.LevelT: 2, pdf.LevelLT: 2, pdf.LevelLTA: 3} {
		ours(t, a.Root, extend(t, signed, level, a.Services()), level)
		// pyHanko wants a time-stamp in the signature for its indication.
		jury.Judge(t, pdftest.Evidence{Original: document, Signed: extend(t, signed, level, a.Services()), Signatures: want, Uncovered: level == pdf.LevelLT, ADES: "-"})
	}
}

func TestExtendWritesNothingOnFailure(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	signed := stamped(t, a, pdftest.Document(pdftest.Shape{}), pdf.Options{})
	down := errors.New("service is down")
	broken := *a.Services().Roots
	for name, c := range map[string]struct {
		document []byte
		level    pdf.Level
		change   func(*pdf.Services)
		want     error
	}{
		"no level":          {signed, pdf.LevelB, nil, pdf.ErrOptions},
		"unsigned":          {pdftest.Document(pdftest.Shape{}), pdf.LevelT, nil, pdf.ErrOptions},
		"no roots":          {signed, pdf.LevelLT, func(s *pdf.Services) { s.Roots = nil }, pdf.ErrOptions},
		"no revocation":     {signed, pdf.LevelLT, func(s *pdf.Services) { s.Revocation = nil }, pdf.ErrOptions},
		"no time-stamper":   {signed, pdf.LevelLTA, func(s *pdf.Services) { s.Timestamper = nil }, pdf.ErrOptions},
		"revocation down":   {signed, pdf.LevelLT, func(s *pdf.Services) { s.Revocation = &pdftest.Authorities{PKI: a.PKI, Err: down} }, down},
		"time-stamper down": {signed, pdf.LevelLTA, func(s *pdf.Services) { s.Timestamper = &pdftest.Authorities{PKI: a.PKI, Err: down} }, down},
	} {
		s := a.Services()
		s.Roots = broken.Clone()
		if c.change != nil {
			c.change(&s)
		}
		var out bytes.Buffer
		if n, err := pdf.Extend(context.Background(), bytes.NewReader(c.document), int64(len(c.document)), c.level, s, &out); !errors.Is(err, c.want) || n != 0 || out.Len() != 0 {
			t.Errorf("%s: %v, %d bytes written", name, err, out.Len())
		}
	}
}

func TestExtendable(t *testing.T) {
	document := func(catalog string, extra map[int]string) []byte {
		return pdftest.Document(pdftest.Shape{Catalog: catalog, Extra: extra})
	}
	signature := func(entries string) []byte {
		return document("/AcroForm<</Fields[1000 0 R]>>", map[int]string{1000: "<</FT/Sig/T(a)/V 1001 0 R>>", 1001: "<</Type/Sig/Filter/X/SubFilter/x" + entries + ">>"})
	}
	fill := qpdf(t, document("/AcroForm<</Fields[1000 0 R]>>", map[int]string{1000: "<</FT/Sig/T(a)>>"}), "--encrypt", "", "owner", "256", "--modify=form", "--")
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	for name, c := range map[string]struct {
		document []byte
		want     map[pdf.Level]error // nil for the others
	}{
		"plain":                {document("", nil), nil},
		"at B-LTA":             {extend(t, stamped(t, a, document("", nil), pdf.Options{}), pdf.LevelLTA, a.Services()), nil},
		"store is a number":    {document("/DSS 7", nil), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"direct entry":         {document("/DSS<</Certs[null]>>", nil), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"list is a dictionary": {document("/DSS<</CRLs 1000 0 R>>", map[int]string{1000: "<<>>"}), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"VRI is a string":      {document("/DSS<</VRI 1000 0 R>>", map[int]string{1000: "(VRI)"}), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"unknown filter": {document("/DSS<</Certs[1000 0 R]>>", map[int]string{1000: "<</Filter/DCTDecode/Length 3>>\nstream\nabc\nendstream"}),
			map[pdf.Level]error{pdf.LevelLT: pdf.ErrUnsupported, pdf.LevelLTA: pdf.ErrUnsupported}},
		"signature without contents":   {signature("/ByteRange[0 1 2 3]"), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"signature without byte range": {signature("/Contents<3000>"), map[pdf.Level]error{pdf.LevelLT: pdf.ErrInvalid, pdf.LevelLTA: pdf.ErrInvalid}},
		"filling in only":              {fill, map[pdf.Level]error{pdf.LevelLTA: pdf.ErrEncrypted}},
	} {
		d, err := pdf.Open(bytes.NewReader(c.document), int64(len(c.document)))
		if err != nil {
			t.Fatal(name, err)
		}
		for _, level := range []pdf.Level{pdf.LevelB, pdf.LevelT, pdf.LevelLT, pdf.LevelLTA} {
			if err := d.Extendable(level); !errors.Is(err, c.want[level]) {
				t.Errorf("%s to %s: %v, want %v", name, level, err, c.want[level])
			}
		}
		if err := d.Extendable("B-X"); !errors.Is(err, pdf.ErrOptions) {
			t.Errorf("%s to an unknown level: %v", name, err)
		}
	}
}

// TestForeignEvidenceIsPassedOver: what is in the document was perhaps put
// there to keep the right evidence out.
func TestForeignEvidenceIsPassedOver(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	a.Points = []string{"x:z"}
	a.Announce(t)
	this, next := pdftest.Now().Add(-time.Minute), pdftest.Now().Add(48*time.Hour)
	answer := func(about, by *x509.Certificate, key crypto.Signer) []byte {
		der, err := ocsp.CreateResponse(a.Issuer, by, ocsp.Response{Status: ocsp.Good, SerialNumber: about.SerialNumber, Certificate: by, ThisUpdate: this, NextUpdate: next}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	list := func(e ...pkix.Extension) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: this, NextUpdate: next, ExtraExtensions: e}, a.Issuer, a.IssuerKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	point := func(hexadecimal string) pkix.Extension {
		der, err := hex.DecodeString(hexadecimal)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}
	}
	for name, c := range map[string]struct {
		held pdf.Evidence
		want int32 // answers fetched
	}{
		"nothing":              {pdf.Evidence{}, 3},
		"by a signatory":       {pdf.Evidence{OCSPs: [][]byte{answer(a.Signer, a.Signer, a.Key), answer(a.TSA, a.Signer, a.Key)}}, 3},
		"by the responder":     {pdf.Evidence{OCSPs: [][]byte{answer(a.Signer, a.Responder, a.ResponderKey), answer(a.TSA, a.Responder, a.ResponderKey)}}, 1},
		"a list of changes":    {pdf.Evidence{CRLs: [][]byte{list(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}})}}, 3},
		"a list of others":     {pdf.Evidence{CRLs: [][]byte{list(point("30038201ff"))}}, 3},             // onlyContainsCACerts
		"a list of reasons":    {pdf.Evidence{CRLs: [][]byte{list(point("300483020640"))}}, 3},           // keyCompromise
		"a list elsewhere":     {pdf.Evidence{CRLs: [][]byte{list(point("3009a007a0058603783a79"))}}, 3}, // x:y
		"a list for the point": {pdf.Evidence{CRLs: [][]byte{list(point("3009a007a0058603783a7a"))}}, 1}, // x:z
		"a list of its kind":   {pdf.Evidence{CRLs: [][]byte{list(point("30038101ff"))}}, 1},             // onlyContainsUserCerts
		"a list of everything": {pdf.Evidence{CRLs: [][]byte{list()}}, 1},
	} {
		signed := stamped(t, a, pdftest.Document(pdftest.Shape{}), pdf.Options{})
		d, err := pdf.Open(bytes.NewReader(signed), int64(len(signed)))
		if err != nil {
			t.Fatal(err)
		}
		u, err := d.AddEvidence(map[string]pdf.Evidence{"": c.held})
		if err != nil {
			t.Fatal(name, err)
		}
		b := bytes.NewBuffer(signed)
		if _, err := u.Append(b); err != nil {
			t.Fatal(err)
		}
		asked := a.Asked.Load()
		ours(t, a.Root, extend(t, b.Bytes(), pdf.LevelLT, a.Services()), pdf.LevelLT)
		if got := a.Asked.Load() - asked; got != c.want {
			t.Errorf("%s: %d answers fetched, want %d", name, got, c.want)
		}
	}
}

// TestStaleEvidenceIsRefetched: an answer that ended before the signature says
// nothing about it.
func TestStaleEvidenceIsRefetched(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	a.Clock = func() time.Time { return pdftest.Now().Add(-10 * time.Hour) }
	first := extend(t, stamped(t, a, pdftest.Document(pdftest.Shape{}), pdf.Options{}), pdf.LevelLT, a.Services())
	a.Clock = nil
	asked := a.Asked.Load()
	extend(t, stamped(t, a, first, pdf.Options{}), pdf.LevelLT, a.Services())
	if got := a.Asked.Load() - asked; got != 3 {
		t.Errorf("%d answers fetched, 3 expected", got)
	}
}
