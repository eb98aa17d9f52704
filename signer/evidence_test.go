package signer_test

import (
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// asked keeps what was asked and answered.
type asked struct {
	*services
	mu      sync.Mutex
	answers map[string][][]byte // OCSP answers by the certificate asked about
	n       int
}

func (s *asked) Revocation(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (pdf.Answer, error) {
	a, err := s.services.Revocation(ctx, cert, issuer, since)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.answers == nil {
		s.answers = make(map[string][][]byte)
	}
	if len(a.OCSP) > 0 {
		s.answers[string(cert.Raw)] = append(s.answers[string(cert.Raw)], a.OCSP)
	}
	return a, err
}

// signatures counts those of the authority's keys from now on.
func (h *house) signatures() func(name string) int {
	var mu sync.Mutex
	n := make(map[string]int)
	h.Keys.OnAuthority = func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		n[name]++
		return nil
	}
	return func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return n[name]
	}
}

// One answer about each certificate serves a batch, whoever of those that sign at
// once asks first.
func TestOneAnswerForABatch(t *testing.T) {
	const count = 24
	for _, level := range []string{"B-LT", "B-LTA"} {
		t.Run(level, func(t *testing.T) {
			h := newHouse(t)
			s := &asked{services: h.serve(t)}
			h.s.Revocation = s
			var files [][]byte
			for range count {
				files = append(files, storetest.PDF("satu"))
			}
			a := h.pdfs(t, files...)
			a.Options.Level = level
			r, f := h.prepare(t, a)
			auth, err := h.s.Authorize(ctx, f)
			must(t, err)
			signs := h.signatures()
			must(t, batch.NewRunner(h.s, 8, 5, quiet).Run(ctx, auth))
			// The officer's certificate and the unit's; the issuing CA has a list.
			if n := signs(ca.Responder); n != 2 || s.n != 3 {
				t.Errorf("%d OCSP answers were signed, %d asked for, for %d documents", n, s.n, count)
			}
			if n, want := signs(ca.TSA), map[string]int{"B-LT": count, "B-LTA": 2 * count}[level]; n != want {
				t.Errorf("%d time-stamps, want %d", n, want)
			}
			items := h.items(t, r)
			for k, it := range items {
				file := h.file(t, it.SignedBlob)
				if rep := h.verdict(t, file, nil); rep.Verdict != verify.Valid || rep.Signatures[0].Level != level || it.Level != level {
					t.Errorf("document %d: %s, %s, %s", k, rep.Verdict, rep.Signatures[0].Level, it.Level)
				}
			}
		})
	}
}

func (h *house) file(t testing.TB, blob string) []byte {
	t.Helper()
	b, err := h.blobs.Open(ctx, blob)
	must(t, err)
	defer b.Close()
	p := make([]byte, b.Size())
	_, err = b.ReadAt(p, 0)
	must(t, err)
	return p
}

// The answer about the signatory's certificate is of the intent's time or later, and
// made anew when it is old.
func TestAnswersAreFresh(t *testing.T) {
	h := newHouse(t)
	s := &asked{services: h.serve(t)}
	h.s.Revocation, h.s.IntentBase = s, 12*time.Hour
	var files [][]byte
	for range 8 {
		files = append(files, storetest.PDF("satu"))
	}
	a := h.pdfs(t, files...)
	a.Options.Level = "B-LT"
	_, f := h.prepare(t, a)
	credential, err := h.DB.Credential(ctx, storetest.IC, storetest.System, "")
	must(t, err)
	cert := credential.Certificate
	signs := h.signatures()
	// Somebody asked before: that answer is kept, and knows nothing of what comes
	// between it and the intent.
	_, _, err = h.CA.Revocation(ctx, cert, h.CA.Certificate(ca.Issuing))
	must(t, err)
	h.Clock.Advance(time.Second)
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	defer auth.Close()
	docs, err := h.s.Claim(ctx, auth, len(files))
	must(t, err)
	sign := func(k, signed, made int) {
		t.Helper()
		out, err := signOne(h.s, auth, docs[k])
		if err != nil || out.Refused != nil || out.Level != "B-LT" {
			t.Fatalf("document %d: %v %+v", k, err, out)
		}
		got := s.answers[string(cert.Raw)]
		if n := signs(ca.Responder); n != signed || len(got) != made {
			t.Errorf("document %d: %d answers signed, want %d; %d had about the officer's, want %d", k, n, signed, len(got), made)
		}
		r, err := ocsp.ParseResponse(got[len(got)-1], nil)
		must(t, err)
		if r.ThisUpdate.Before(auth.Intent.CreatedAt.Truncate(time.Second)) || !r.NextUpdate.After(h.Clock.Now()) {
			t.Errorf("document %d: an answer of %v until %v, the intent is of %v, it is %v", k, r.ThisUpdate, r.NextUpdate, auth.Intent.CreatedAt, h.Clock.Now())
		}
	}
	sign(0, 3, 1) // the one before, one about the officer's, one about the unit's
	h.Clock.Advance(10 * time.Minute)
	sign(1, 3, 1)
	h.Clock.Advance(6 * time.Minute) // older than evidenceFor: asked again, and still kept there
	sign(2, 3, 2)
	h.Clock.Advance(20 * time.Minute)
	sign(3, 5, 3) // half of its time was over
}

// A certificate revoked while its batch is signed: the good answer that is kept
// saves nothing that was not stored before.
func TestRevokedWithAGoodAnswerKept(t *testing.T) {
	h := newHouse(t)
	s := &asked{services: h.serve(t)}
	h.s.Revocation = s
	a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"), storetest.PDF("tiga"))
	a.Options.Level = "B-LTA"
	r, f := h.prepare(t, a)
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	defer auth.Close()
	docs, err := h.s.Claim(ctx, auth, 3)
	must(t, err)
	sign := func(k int) signer.Outcome {
		t.Helper()
		out, err := signOne(h.s, auth, docs[k])
		must(t, err)
		return out
	}
	_, err = h.s.Complete(ctx, auth, []signer.Outcome{sign(0)})
	must(t, err)
	second := sign(1)
	must(t, h.CA.Revoke(ctx, "test", auth.Credential.Certificate.SerialNumber.String(), 1))
	third := sign(2) // by the answer that is kept
	if n := s.n; n != 3 {
		t.Errorf("asked %d times", n)
	}
	_, err = h.s.Complete(ctx, auth, []signer.Outcome{second, third})
	wants(t, "completing after the revocation", err, signer.ErrCertificateRevoked)
	for k, it := range h.items(t, r) {
		if (it.State == batch.ItemSigned) != (k == 0) {
			t.Errorf("item %d is %s", k, it.State)
		}
	}
	for _, out := range []signer.Outcome{second, third} {
		if b, err := h.blobs.Open(ctx, out.Blob); err == nil {
			b.Close()
			t.Errorf("the file of document %d is still there", out.Index)
		}
	}
}
