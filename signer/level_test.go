package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// services are the authority's, failing as often as they are told.
type services struct {
	*ca.Authorities
	stampFails, revocationFails int
}

var errOutage = errors.New("no answer")

func (s *services) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if s.stampFails > 0 {
		s.stampFails--
		return nil, errOutage
	}
	return s.Authorities.Timestamp(ctx, h, digest)
}

func (s *services) Revocation(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (pdf.Answer, error) {
	if s.revocationFails > 0 {
		s.revocationFails--
		return pdf.Answer{}, errOutage
	}
	o, crl, err := s.Authorities.RevocationSince(ctx, cert, issuer, since)
	return pdf.Answer{OCSP: o, CRL: crl}, err
}

// serve gives the signer time-stamps and revocation data.
func (h *house) serve(t testing.TB) *services {
	t.Helper()
	_, _, err := h.CA.Renew(ctx)
	must(t, err)
	s := &services{Authorities: h.CA}
	h.s.Timestamps, h.s.Revocation = s, s
	return s
}

// signed runs a transaction and returns its items and the files.
func (h *house) signed(t testing.TB, a signer.Ask) (items []batch.Item, files [][]byte) {
	t.Helper()
	r, f := h.prepare(t, a)
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, h.run(auth))
	items = h.items(t, r)
	for _, it := range items {
		if it.SignedBlob == "" {
			continue
		}
		b, err := h.blobs.Open(ctx, it.SignedBlob)
		must(t, err)
		whole, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, errors.Join(err, b.Close()))
		files = append(files, whole)
	}
	return items, files
}

// verdict is that of the strict verifier, which knows nothing but the root.
func (h *house) verdict(t testing.TB, file, password []byte) *verify.Report {
	t.Helper()
	o := verify.Options{Roots: x509.NewCertPool(), Now: h.Clock.Now().Add(time.Minute), Password: password}
	o.Roots.AddCert(h.CA.Certificate(ca.Root))
	rep, err := verify.Verify(ctx, bytes.NewReader(file), int64(len(file)), o)
	must(t, err)
	return rep
}

func TestLevels(t *testing.T) {
	for _, level := range []string{"B-T", "B-LT", "B-LTA"} {
		t.Run(level, func(t *testing.T) {
			h := newHouse(t)
			h.serve(t)
			a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"))
			a.Options.Level = level
			items, files := h.signed(t, a)
			for k, file := range files {
				rep := h.verdict(t, file, nil)
				if got := rep.Signatures[0].Level; got != level || level != "B-T" && rep.Verdict != verify.Valid {
					t.Errorf("document %d: %s, %s %+v", k, got, rep.Verdict, rep.Signatures[0].Reasons)
				}
				if items[k].Timestamp.Sub(h.Clock.Now()).Abs().Seconds() > 1 {
					t.Errorf("document %d: time-stamp of %v, now %v", k, items[k].Timestamp, h.Clock.Now())
				}
			}
			if n := h.Keys.Signs.Load(); n != 2 {
				t.Errorf("the officer's key was used %d times for 2 documents", n)
			}
		})
	}
}

func TestDetachedWithTimestamp(t *testing.T) {
	h := newHouse(t)
	h.serve(t)
	a := h.Ask(1)
	a.Options.Format, a.Options.Level = signer.CMS, "B-T"
	items, _ := h.signed(t, a)
	sd, err := cms.Parse(items[0].Signature)
	must(t, err)
	must(t, sd.Verify(items[0].Digest))
	if len(sd.Timestamps) != 1 || items[0].Timestamp.IsZero() {
		t.Fatalf("%d time-stamps", len(sd.Timestamps))
	}
	ts, err := cms.ParseTimestamp(sd.Timestamps[0])
	must(t, err)
	sum := sha256.Sum256(sd.SignatureValue())
	must(t, ts.Verify(sum[:]))
}

// An outage of the time-stamping authority or of the responder delays: the
// officer's key is used once all the same.
func TestOutageSignsOnce(t *testing.T) {
	h := newHouse(t)
	s := h.serve(t)
	s.stampFails, s.revocationFails = 2, 1
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Level = "B-LT"
	_, files := h.signed(t, a)
	if rep := h.verdict(t, files[0], nil); rep.Verdict != verify.Valid || rep.Signatures[0].Level != "B-LT" {
		t.Errorf("%+v", rep)
	}
	if n := h.Keys.Signs.Load(); n != 1 || s.stampFails+s.revocationFails != 0 {
		t.Errorf("the officer's key was used %d times; %+v", n, s)
	}
}

// units is an authority whose time-stamp unit is off, or is replaced: its
// tokens need size bytes, 0 without a unit.
type units struct {
	*services
	size int
}

func (u *units) TokenSize() int { return u.size }

func (u *units) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if u.size == 0 {
		return nil, ca.ErrNoUnit
	}
	return u.services.Timestamp(ctx, h, digest)
}

// TestUnitOff: there is no room to reserve, so the officer's key is not used
// before the unit is back.
func TestUnitOff(t *testing.T) {
	for _, level := range []string{"B-T", "B-LTA"} {
		h := newHouse(t)
		u := &units{services: h.serve(t)}
		h.s.Timestamps, h.s.Revocation = u, u
		a := h.pdfs(t, storetest.PDF("satu"))
		a.Options.Level = level
		auth := h.authorize(t, a)
		docs, err := h.s.Claim(ctx, auth, 1)
		must(t, err)
		if _, err := signOne(h.s, auth, docs[0]); !errors.Is(err, signer.ErrTimestamp) || h.Keys.Signs.Load() != 0 {
			t.Errorf("%s: %v, the officer's key was used %d times", level, err, h.Keys.Signs.Load())
		}
		u.size = u.services.TokenSize()
		out, err := signOne(h.s, auth, docs[0])
		if err != nil || out.Refused != nil || h.Keys.Signs.Load() != 1 {
			t.Errorf("%s: %v, %v, the officer's key was used %d times", level, err, out.Refused, h.Keys.Signs.Load())
		}
	}
}

// TestUnitReplaced: a signature waiting for its time-stamp has the room it was
// made with, although another unit asks for more.
func TestUnitReplaced(t *testing.T) {
	h := newHouse(t)
	u := &units{services: h.serve(t)}
	u.size, u.stampFails = u.services.TokenSize(), 1
	h.s.Timestamps, h.s.Revocation = u, u
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Level = "B-LTA"
	auth := h.authorize(t, a)
	docs, err := h.s.Claim(ctx, auth, 1)
	must(t, err)
	for i, size := range []int{u.size, 0, u.size + 100} {
		u.size = size
		out, err := signOne(h.s, auth, docs[0])
		if out.Refused != nil || (i < 2) != errors.Is(err, signer.ErrTimestamp) || i == 2 && err != nil {
			t.Errorf("try %d: %v, refused %v", i, err, out.Refused)
		}
	}
	if n := h.Keys.Signs.Load(); n != 1 {
		t.Errorf("the officer's key was used %d times for one document", n)
	}
}

// Without any time-stamp nothing is released and nothing stays.
func TestLastingOutage(t *testing.T) {
	h := newHouse(t)
	h.serve(t).stampFails = 1 << 30
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Level = "B-T"
	auth := h.authorize(t, a)
	docs, err := h.s.Claim(ctx, auth, 1)
	must(t, err)
	for range 3 {
		if _, err := signOne(h.s, auth, docs[0]); !errors.Is(err, signer.ErrTimestamp) || !errors.Is(err, errOutage) {
			t.Fatal(err)
		}
	}
	if n := h.Keys.Signs.Load(); n != 1 {
		t.Errorf("the officer's key was used %d times", n)
	}
	for _, it := range h.items(t, auth.Request) {
		if it.SignedBlob != "" || it.State == batch.ItemSigned {
			t.Errorf("%+v", it)
		}
	}
}

// with is a document with entries of its catalog, and more objects from 6 on.
func with(entries string, more ...string) []byte {
	b := storetest.PDF("satu")
	former := bytes.Index(b, []byte("\nxref\n")) + 1
	var table strings.Builder
	object := func(num int, body string) {
		fmt.Fprintf(&table, "%d 1\n%010d 00000 n \n", num, len(b))
		b = fmt.Appendf(b, "%d 0 obj\n%s\nendobj\n", num, body)
	}
	object(1, "<</Type/Catalog/Pages 2 0 R"+entries+">>")
	for i, body := range more {
		object(6+i, body)
	}
	return fmt.Appendf(b, "xref\n%strailer\n<</Size %d/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n", table.String(), 6+len(more), former, len(b))
}

// TestLevelOutOfReach: a document that cannot be brought to its level once it
// is signed is refused before the officer is asked.
func TestLevelOutOfReach(t *testing.T) {
	for _, entries := range []string{"/DSS 7", "/DSS<</Certs[null]>>", "/DSS<</Certs 7>>", "/DSS<</VRI(VRI)>>"} {
		h := newHouse(t)
		h.serve(t)
		a := h.pdfs(t, with(entries))
		if _, _, err := h.s.Prepare(ctx, a); err != nil {
			t.Errorf("B-B with %s: %v", entries, err)
		}
		a = h.pdfs(t, with(entries))
		a.Options.Level = "B-LT"
		h.refuses(t, "B-LT with "+entries, pdf.ErrInvalid, func() error {
			_, _, err := h.s.Prepare(ctx, a)
			return err
		})
	}
}

func TestEachDocumentHasItsOwn(t *testing.T) {
	h := newHouse(t)
	h.serve(t)
	a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("Tandatangan:"))
	a.Options.Each = map[uint32]signer.PAdES{1: {Level: "B-T", Reason: "Perakuan 2", Field: "Pegawai.Dua",
		Visible: &signer.Visible{Page: -1, Anchor: "Tandatangan:", Y: -70, Width: 200, Height: 60}}}
	_, files := h.signed(t, a)
	first, second := h.verdict(t, files[0], nil).Signatures[0], h.verdict(t, files[1], nil).Signatures[0]
	if first.Field != "Signature1" || first.Level != "B-B" || second.Field != "Pegawai.Dua" || second.Level != "B-T" {
		t.Errorf("%s %s, %s %s", first.Field, first.Level, second.Field, second.Level)
	}
	if !bytes.Contains(files[0], []byte("/Reason(Lulus)")) || !bytes.Contains(files[1], []byte("/Reason(Perakuan 2)")) {
		t.Error("reasons")
	}
}

func TestAnchorNotFound(t *testing.T) {
	h := newHouse(t)
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Visible = &signer.Visible{Anchor: "Tandatangan:", Width: 200, Height: 60}
	var at *signer.DocumentError
	h.refuses(t, "an anchor that is not there", pdf.ErrAnchor, func() error {
		_, _, err := h.s.Prepare(ctx, a)
		if !errors.As(err, &at) || at.Index != 0 {
			t.Errorf("%v names no document", err)
		}
		return err
	})
}

// encrypted is a document that opens with a password alone.
func encrypted(t testing.TB, password string) []byte {
	t.Helper()
	return encrypt(t, storetest.PDF("rahsia"), password)
}

// encrypt is the document behind a user password, with options of qpdf.
func encrypt(t testing.TB, document []byte, password string, options ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
	must(t, os.WriteFile(in, document, 0o600))
	args := slices.Concat([]string{"--encrypt", password, "owner", "256"}, options, []string{"--", in, out})
	if text, err := exec.Command(requireTool(t, "qpdf"), args...).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	must(t, err)
	return b
}

func TestEncryptedDocument(t *testing.T) {
	const password = "kata-laluan-22"
	h := newHouse(t)
	h.serve(t)
	a := h.pdfs(t, encrypted(t, password))
	a.Options.Level = "B-LTA"
	h.refuses(t, "an encrypted document without its password", pdf.ErrEncrypted, func() error {
		_, _, err := h.s.Prepare(ctx, a)
		return err
	})
	must(t, h.s.SealPassword(ctx, a.Documents[0].Blob, secret.New(password)))
	_, files := h.signed(t, a)
	if rep := h.verdict(t, files[0], []byte(password)); rep.Verdict != verify.Valid || rep.Signatures[0].Level != "B-LTA" {
		t.Errorf("%s %+v", rep.Verdict, rep.Reasons)
	}

	sealed, err := h.blobs.Open(ctx, a.Documents[0].Blob+".password")
	must(t, err)
	kept, err := io.ReadAll(io.NewSectionReader(sealed, 0, sealed.Size()))
	must(t, errors.Join(err, sealed.Close()))
	if bytes.Contains(kept, []byte(password)) {
		t.Error("the password is on the disk")
	}
	// What is not what was sealed opens nothing, wherever it was taken from.
	for what, b := range map[string][]byte{"nothing": {}, "a byte": {1}, "another byte": append(slices.Clone(kept[:len(kept)-1]), kept[len(kept)-1]^1)} {
		h.write(t, a.Documents[0].Blob+".password", b)
		if _, _, err := h.s.Prepare(ctx, a); !errors.Is(err, signer.ErrDocuments) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := h.pdfs(t, encrypted(t, password), encrypted(t, password))
	must(t, h.s.SealPassword(ctx, other.Documents[0].Blob, secret.New(password)))
	h.write(t, other.Documents[1].Blob+".password", kept)
	if _, _, err := h.s.Prepare(ctx, other); !errors.Is(err, signer.ErrDocuments) {
		t.Errorf("a password moved to another document: %v", err)
	}
}
