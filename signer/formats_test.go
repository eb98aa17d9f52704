package signer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// requireTool returns the path of a program, skips without it, and fails where
// nothing may be wanting.
func requireTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	return path
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// run signs all that a covers.
func (h *house) run(a *signer.Authorization) error {
	return batch.NewRunner(h.s, 2, 3, quiet).Run(ctx, a)
}

func (h *house) items(t testing.TB, r *signer.Request) []batch.Item {
	t.Helper()
	items, err := h.DB.Items(ctx, r.Batch, "", -1, 1000)
	must(t, err)
	return items
}

func TestFormatsAndAlgorithms(t *testing.T) {
	h := newHouse(t)
	sum := sha512.Sum384([]byte("content"))
	for _, c := range []struct{ key, format, algorithm string }{
		{"ECDSA-P256", signer.RAW, ""}, {"ECDSA-P384", signer.RAW, signer.ECDSA}, {"RSA-2048", signer.RAW, ""}, {"RSA-2048", signer.RAW, signer.RSAPSS},
		{"ECDSA-P256", signer.CMS, ""}, {"ECDSA-P384", signer.CMS, ""}, {"RSA-2048", signer.CMS, signer.RSAPKCS1}, {"RSA-2048", signer.CMS, signer.RSAPSS},
	} {
		t.Run(c.key+" "+c.format+" "+c.algorithm, func(t *testing.T) {
			a := h.Ask(2)
			a.Credential = h.Issue(t, c.key).ID
			a.Options = signer.Options{Format: c.format, Algorithm: c.algorithm}
			a.Documents[1].Hash, a.Documents[1].Digest = crypto.SHA384, sum[:]
			r, f := h.prepare(t, a)
			auth, err := h.s.Authorize(ctx, f)
			must(t, err)
			must(t, h.run(auth))
			for _, it := range h.items(t, r) {
				switch {
				case it.State != batch.ItemSigned:
					t.Errorf("document %d is %s", it.Index, it.State)
				case c.format == signer.RAW:
					must(t, verifyRaw(auth.Credential.Certificate, r.Options.Algorithm, it.Hash, it.Digest, it.Signature))
				default:
					sd, err := cms.Parse(it.Signature)
					must(t, err)
					must(t, sd.Verify(it.Digest))
					other := bytes.Clone(it.Digest)
					if other[0] ^= 1; sd.Verify(other) == nil {
						t.Error("the SignedData verifies with another digest")
					}
				}
			}
		})
	}
}

func verifyRaw(c *x509.Certificate, algorithm string, h crypto.Hash, digest, sig []byte) error {
	switch pub := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, digest, sig) {
			return errors.New("wrong ECDSA signature")
		}
		return nil
	case *rsa.PublicKey:
		if algorithm == signer.RSAPSS {
			return rsa.VerifyPSS(pub, h, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(pub, h, digest, sig)
	}
	return errors.New("unknown key")
}

func TestUnknownFormatSignsNothing(t *testing.T) {
	h := newHouse(t)
	a := h.Ask(1)
	a.Options.Format = "XML"
	auth := h.authorize(t, a)
	if err := h.run(auth); err == nil || h.Keys.Signs.Load() != 0 {
		t.Errorf("%v", err)
	}
}

// The signed files are judged by our strict verifier and by pdfsig.
func TestSignedPDFs(t *testing.T) {
	h := newHouse(t)
	a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"))
	a.Options.Visible = &signer.Visible{Page: -1, X: 50, Y: 50, Width: 250, Height: 60}
	r, f := h.prepare(t, a)
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, h.run(auth))
	o := verify.Options{Roots: x509.NewCertPool(), Intermediates: h.CA.Chain(ca.Issuing), Now: h.Clock.Now()}
	o.Roots.AddCert(h.CA.Certificate(ca.Root))
	for _, name := range []string{ca.Root, ca.Issuing} {
		crl, err := h.CA.CRL(ctx, name)
		must(t, err)
		list, err := x509.ParseRevocationList(crl.DER)
		must(t, err)
		o.CRLs = append(o.CRLs, list)
	}
	for _, it := range h.items(t, r) {
		b, err := h.blobs.Open(ctx, it.SignedBlob)
		must(t, err)
		defer b.Close()
		rep, err := verify.Verify(ctx, b, b.Size(), o)
		if err != nil || rep.Verdict != verify.Valid || len(rep.Signatures) != 1 || b.Size() != it.SignedSize {
			t.Errorf("document %d: %+v, %v", it.Index, rep, err)
		}
		whole, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, err)
		if original := storetest.PDF([]string{"satu", "dua"}[it.Index]); !bytes.HasPrefix(whole, original) {
			t.Errorf("document %d: the original bytes were changed", it.Index)
		}
		path := filepath.Join(t.TempDir(), "signed.pdf")
		must(t, os.WriteFile(path, whole, 0o600))
		out, err := exec.Command(requireTool(t, "pdfsig"), "-nocert", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Signature is Valid") {
			t.Errorf("pdfsig: %v\n%s", err, out)
		}
	}
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Signed {
		t.Errorf("%s, %v", got.Status, err)
	}
}

// A certificate revoked between authorisation and completion: what was made is
// not released.
func TestRevokedWhileSigning(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(3))
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
	if err := h.run(auth); !errors.Is(err, signer.ErrCertificateRevoked) {
		t.Errorf("%v", err)
	}
	for _, it := range h.items(t, r) {
		if it.State != batch.Pending || it.Signature != nil {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.NeedsAuthorisation {
		t.Errorf("%s, %v", got.Status, err)
	}
	// One for what was to be completed, and one for what was in hand meanwhile, if anything.
	if n := h.refusals(t); n < 1 || n > 2 || h.Keys.Live.Load() != 0 {
		t.Errorf("%d refusals in the audit, %d keys open", h.refusals(t), h.Keys.Live.Load())
	}
}

// A PDF that stays with the caller: the gateway makes the SignedData, without the
// time that PAdES has elsewhere, and nothing else.
func TestPreparedPDFs(t *testing.T) {
	h := newHouse(t)
	h.serve(t)
	a := h.Ask(2)
	a.Options = signer.Options{Format: signer.PADES, PAdES: signer.PAdES{Level: "B-B"}, Each: map[uint32]signer.PAdES{1: {Level: "B-T"}}}
	r, f := h.prepare(t, a)
	if !h.Mail.Message().Unseen {
		t.Error("the officer is not told that nobody here has seen the document")
	}
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, h.run(auth))
	for _, it := range h.items(t, r) {
		sd, err := cms.Parse(it.Signature)
		must(t, err)
		must(t, sd.Verify(it.Digest))
		if sd.HasSigningTime || len(sd.Timestamps) != int(it.Index) || it.SignedBlob != "" || it.Timestamp.IsZero() != (it.Index == 0) {
			t.Errorf("document %d: %+v", it.Index, sd)
		}
	}
	for _, p := range []signer.PAdES{{Level: "B-LT"}, {Level: "B-LTA"}, {Level: "B-B", Reason: "x"}, {Visible: &signer.Visible{Page: 1}}, {Certify: 1}} {
		a := h.Ask(1)
		a.Options = signer.Options{Format: signer.PADES, PAdES: p}
		var doc *signer.DocumentError
		if _, _, err := h.s.Prepare(ctx, a); !errors.Is(err, signer.ErrPrepared) || !errors.As(err, &doc) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
