package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/storetest"
)

// what OCSP and CRL tell of c: "good", or the reason, the time and the CRL's number.
func (a *authority) told(t testing.TB, c *x509.Certificate) string {
	t.Helper()
	issuer := a.ChainOf(c)[0]
	der, err := a.OCSP(ctx, c, issuer)
	must(t, err)
	r, err := ocsp.ParseResponse(der, issuer)
	must(t, err)
	row, err := a.BySerial(ctx, c.SerialNumber.String())
	must(t, err)
	l := a.crl(t, row.Issuer)
	k := slices.IndexFunc(l.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(c.SerialNumber) == 0 })
	if (r.Status == ocsp.Good) != (k < 0) {
		t.Errorf("OCSP says %d, the CRL %d", r.Status, k)
	}
	if k < 0 {
		return fmt.Sprintf("%s good %v", row.Status, l.Number)
	}
	e := l.RevokedCertificateEntries[k]
	if e.ReasonCode != r.RevocationReason || !e.RevocationTime.Equal(r.RevokedAt) || e.ReasonCode != row.Reason || !e.RevocationTime.Equal(row.RevokedAt) {
		t.Errorf("row %+v, CRL %+v, OCSP %d %v", row, e, r.RevocationReason, r.RevokedAt)
	}
	return fmt.Sprintf("%s %s %s %v", row.Status, ca.ReasonName(e.ReasonCode), e.RevocationTime.Format("15:04"), l.Number)
}

func TestSuspension(t *testing.T) {
	a := bootstrapped(t, nil)
	a.now = time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	c := a.officer(t)
	serial := c.SerialNumber.String()
	is := func(want string) {
		t.Helper()
		if got := a.told(t, c); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	is("ACTIVE good 1")
	must(t, a.Suspend(ctx, "admin:x", serial, "telefon hilang"))
	is("SUSPENDED certificateHold 09:00 2")
	a.now = a.now.Add(time.Hour)
	if err := a.Suspend(ctx, "admin:x", serial, "again"); !errors.Is(err, ca.ErrSuspended) {
		t.Errorf("suspending twice: %v", err)
	}
	must(t, a.Release(ctx, "admin:x", serial, "dijumpai"))
	is("ACTIVE good 3")
	if err := a.Release(ctx, "admin:x", serial, "again"); !errors.Is(err, ca.ErrActive) {
		t.Errorf("releasing twice: %v", err)
	}
	must(t, a.Suspend(ctx, "admin:x", serial, "hilang lagi"))
	is("SUSPENDED certificateHold 10:00 4")
	a.now = a.now.Add(time.Hour)
	// For good: the reason is the new one, the date that of the hold.
	must(t, a.Revoke(ctx, "admin:x", serial, 1))
	is("REVOKED keyCompromise 10:00 5")
	for name, err := range map[string]error{
		"releasing": a.Release(ctx, "admin:x", serial, "no"), "suspending": a.Suspend(ctx, "admin:x", serial, "no"), "revoking again": a.Revoke(ctx, "admin:x", serial, 4),
	} {
		if !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("%s what is revoked: %v", name, err)
		}
	}
	is("REVOKED keyCompromise 10:00 5")
	other := a.officer(t).SerialNumber.String()
	for name, why := range map[string]string{"none": "", "blank": " ", "a line": "a\nb", "long": strings.Repeat("x", 201), "not text": "\xff"} {
		if err := a.Suspend(ctx, "admin:x", other, why); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("a why that is %s: %v", name, err)
		}
	}
	for _, name := range []string{ca.Issuing, ca.TSA, ca.Responder} {
		if err := a.Suspend(ctx, "admin:x", a.Certificate(name).SerialNumber.String(), "x"); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("suspending %s: %v", name, err)
		}
	}
	if err := a.Suspend(ctx, "admin:x", "7", "x"); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("suspending nothing: %v", err)
	}
	var events []string
	for _, r := range storetest.Chain(t, a.db) {
		if r.Object == serial && r.Actor == "admin:x" && r.Verdict == audit.Accepted {
			events = append(events, r.Action+" "+r.Detail["why"]+r.Detail["reason"])
		}
	}
	if want := []string{"ca.suspend telefon hilang", "ca.release dijumpai", "ca.suspend hilang lagi", "ca.revoke keyCompromise"}; !slices.Equal(events, want) {
		t.Errorf("audited %q", events)
	}
}

func TestRevocationReasons(t *testing.T) {
	a := bootstrapped(t, nil)
	for reason := -1; reason < 12; reason++ {
		c := a.officer(t)
		err := a.Revoke(ctx, "test", c.SerialNumber.String(), reason)
		if ok := slices.Contains([]int{0, 1, 3, 4, 5, 9}, reason); ok != (err == nil) || !ok && !errors.Is(err, ca.ErrReason) {
			t.Errorf("reason %d: %v", reason, err)
		}
		if err := a.Schedule(ctx, "test", a.officer(t).SerialNumber.String(), reason, a.now.Add(time.Hour)); errors.Is(err, ca.ErrReason) != slices.Contains([]int{-1, 2, 6, 7, 8, 10, 11}, reason) {
			t.Errorf("scheduling with reason %d: %v", reason, err)
		}
	}
	if err := a.Revoke(ctx, "test", a.Certificate(ca.Issuing).SerialNumber.String(), 6); !errors.Is(err, ca.ErrReason) {
		t.Errorf("a hold of a CA: %v", err)
	}
	must(t, a.Revoke(ctx, "test", a.Certificate(ca.Issuing).SerialNumber.String(), 2))
	// RFC 5280, Section 5.3.1: unspecified is not said.
	for _, e := range a.crl(t, ca.Issuing).RevokedCertificateEntries {
		if e.ReasonCode == 0 && len(e.Extensions) != 0 {
			t.Errorf("entry %+v", e)
		}
	}
}

func TestScheduledRevocations(t *testing.T) {
	a := bootstrapped(t, nil)
	a.now = time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	due := a.now.Add(24 * time.Hour)
	var certs []*x509.Certificate
	for range 3 {
		c := a.officer(t)
		certs = append(certs, c)
		must(t, a.Schedule(ctx, "admin:x", c.SerialNumber.String(), 5, due))
	}
	serial := func(k int) string { return certs[k].SerialNumber.String() }
	for name, at := range map[string]time.Time{"now": a.now, "the past": a.now.Add(-time.Hour), "after its end": certs[0].NotAfter.Add(time.Second)} {
		if err := a.Schedule(ctx, "admin:x", serial(0), 5, at); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Schedule(ctx, "admin:x", "7", 5, due); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("nothing: %v", err)
	}
	// One is cancelled, one is put off.
	must(t, a.Unschedule(ctx, "admin:x", serial(1)))
	if err := a.Unschedule(ctx, "admin:x", serial(1)); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("cancelling twice: %v", err)
	}
	must(t, a.Schedule(ctx, "admin:y", serial(2), 3, due.Add(time.Hour)))
	a.now = due.Add(-time.Second)
	if done, err := a.RevokeDue(ctx); len(done) != 0 || err != nil {
		t.Errorf("before its time: %v, %v", done, err)
	}
	a.now = due
	before := a.crl(t, ca.Issuing).Number
	if done, err := a.RevokeDue(ctx); err != nil || len(done) != 1 || done[0].Serial != serial(0) || done[0].Actor != "admin:x" {
		t.Errorf("at its time: %v, %v", done, err)
	}
	if got, want := a.told(t, certs[0]), fmt.Sprintf("REVOKED cessationOfOperation 09:00 %d", before.Int64()+1); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	// The other is done by another process that starts late, and says so. A dead
	// token keeps no certificate from being revoked.
	a.now = due.Add(3 * time.Hour)
	b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	a.keys.OnAuthority = func(string) error { return errDead }
	if done, err := b.RevokeDue(ctx); !errors.Is(err, errDead) || !errors.Is(err, ca.ErrNotPublished) || len(done) != 1 {
		t.Errorf("late, without a token: %v, %v", done, err)
	}
	a.keys.OnAuthority = nil
	if got, want := a.told(t, certs[2]), fmt.Sprintf("REVOKED affiliationChanged 12:00 %d", before.Int64()+2); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := a.told(t, certs[1]); !strings.HasPrefix(got, "ACTIVE good") {
		t.Errorf("the cancelled one: %s", got)
	}
	if left, err := a.ScheduledUntil(ctx, due.AddDate(9, 0, 0), 9); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	var late []string
	for _, r := range storetest.Chain(t, a.db) {
		if r.Action == "ca.revoke" {
			late = append(late, r.Actor+" "+r.Detail["scheduled_by"]+" "+r.Detail["late"])
		}
	}
	if want := []string{"gateway admin:x ", "gateway admin:y 2h0m0s"}; !slices.Equal(late, want) {
		t.Errorf("audited %q", late)
	}
}

// More than one page of them, two processes at once: each once.
func TestManyDueAtOnce(t *testing.T) {
	a := bootstrapped(t, nil)
	const n = 250
	for range n {
		must(t, a.Schedule(ctx, "admin:x", a.officer(t).SerialNumber.String(), 5, a.now.Add(time.Hour)))
	}
	a.now = a.now.Add(time.Hour)
	b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for _, x := range []*ca.Authorities{a.Authorities, b} {
		wg.Go(func() {
			done, err := x.RevokeDue(ctx)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range done {
				seen[s.Serial]++
			}
		})
	}
	wg.Wait()
	for serial, times := range seen {
		if times != 1 {
			t.Errorf("%s: %d times", serial, times)
		}
	}
	if l := a.crl(t, ca.Issuing); len(seen) != n || len(l.RevokedCertificateEntries) != n {
		t.Errorf("%d done, %d listed", len(seen), len(l.RevokedCertificateEntries))
	}
}

// Processes that publish at once: numbers rise without a gap, each CRL that is kept
// was made once, and each process ends with one that holds what it revoked.
func TestProcessesPublishAtOnce(t *testing.T) {
	for engine, open := range engines(t) {
		t.Run(engine, func(t *testing.T) {
			a := bootstrappedOn(t, open(t), nil)
			const processes, rounds = 3, 8
			var certs [processes][]*x509.Certificate
			for k := range certs {
				for range rounds {
					certs[k] = append(certs[k], a.officer(t))
				}
			}
			var wg sync.WaitGroup
			for k := range certs {
				p, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
				must(t, err)
				wg.Go(func() {
					for _, c := range certs[k] {
						if err := p.Revoke(ctx, "test", c.SerialNumber.String(), 1); err != nil {
							t.Error(err)
							return
						}
						crl, err := p.CRL(ctx, ca.Issuing)
						if err != nil {
							t.Error(err)
							return
						}
						l, err := x509.ParseRevocationList(crl.DER)
						if err != nil || !slices.ContainsFunc(l.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(c.SerialNumber) == 0 }) {
							t.Errorf("process %d: CRL %d lacks its revocation, %v", k, crl.Number, err)
						}
						if _, err := p.PublishCRL(ctx, ca.Issuing); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			var last int64
			for _, r := range storetest.Chain(t, a.db) {
				if r.Action != "ca.crl" || r.Object != ca.Issuing {
					continue
				}
				if last++; r.Detail["number"] != fmt.Sprint(last) {
					t.Errorf("CRL %s after %d", r.Detail["number"], last-1)
				}
			}
			if l := a.crl(t, ca.Issuing); l.Number.Int64() != last || len(l.RevokedCertificateEntries) != processes*rounds {
				t.Errorf("CRL %v of %d has %d entries", l.Number, last, len(l.RevokedCertificateEntries))
			}
			t.Logf("%d processes, %d revocations, %d CRLs", processes, processes*rounds, last)
		})
	}
}

// OpenSSL judges what was suspended, released and revoked, by OCSP and by CRL, below
// an ECDSA and an RSA hierarchy.
func TestOpenSSLJudgesSuspensions(t *testing.T) {
	a := current(t)
	a.keys.Authorities["root-rsa"], a.keys.Authorities["issuing-rsa"] = rsaKey(t), rsaKey(t)
	a.shape.Issuers = []string{"issuing-rsa", ca.Issuing}
	var err error
	a.Authorities, err = ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	a.hierarchy(t, "-rsa", false)
	f := files{t, t.TempDir()}
	for issuer, pub := range map[string]crypto.PublicKey{ca.Issuing: key(t).Public(), "issuing-rsa": rsaKey(t).Public()} {
		c, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_" + issuer}, pub)
		must(t, err)
		serial, leaf := c.SerialNumber.String(), f.pem("leaf.pem", c)
		root, above := f.pem("root.pem", a.ChainOf(c)[1]), f.pem("issuing.pem", a.ChainOf(c)[0])
		judge := func(wantOCSP, wantVerify string) {
			t.Helper()
			for _, hash := range []string{"-sha1", "-sha256"} {
				for _, nonce := range []string{"-nonce", "-no_nonce"} {
					q := filepath.Join(f.dir, "q.der")
					ask := []string{"ocsp", hash, "-issuer", above, "-cert", leaf}
					if out, err := run(t, "openssl", append(ask, nonce, "-reqout", q)...); err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
					der, err := os.ReadFile(q)
					must(t, err)
					reply, _, err := a.OCSPReply(ctx, der)
					must(t, err)
					out, err := run(t, "openssl", append(ask, "-no_nonce", "-reqin", q, "-respin", f.der("r.der", reply), "-CAfile", root, "-verify_other", above)...)
					if err != nil || !strings.Contains(out, "Response verify OK") || !strings.Contains(out, wantOCSP) {
						t.Errorf("%s %s %s: no %q, %v\n%s", issuer, hash, nonce, wantOCSP, err, out)
					}
				}
			}
			of := strings.Replace(issuer, "issuing", "root", 1)
			var crls bytes.Buffer
			for _, l := range []string{f.der("i.crl", a.crl(t, issuer).Raw), f.der("r.crl", a.crl(t, of).Raw)} {
				out, err := run(t, "openssl", "crl", "-inform", "DER", "-in", l)
				must(t, err)
				crls.WriteString(out)
			}
			out, _ := run(t, "openssl", "verify", "-crl_check_all", "-CAfile", root, "-untrusted", above, "-CRLfile", f.der("crls.pem", crls.Bytes()), leaf)
			if !strings.Contains(out, wantVerify) {
				t.Errorf("%s: no %q\n%s", issuer, wantVerify, out)
			}
			text, err := run(t, "openssl", "crl", "-inform", "DER", "-in", filepath.Join(f.dir, "i.crl"), "-noout", "-text")
			if err != nil || strings.Contains(text, "Certificate Hold") != (wantOCSP == "Reason: certificateHold") {
				t.Errorf("%s: %v\n%s", issuer, err, text)
			}
		}
		judge("leaf.pem: good", "leaf.pem: OK")
		must(t, a.Suspend(ctx, "test", serial, "x"))
		judge("Reason: certificateHold", "certificate revoked")
		must(t, a.Release(ctx, "test", serial, "x"))
		judge("leaf.pem: good", "leaf.pem: OK")
		must(t, a.Suspend(ctx, "test", serial, "x"))
		must(t, a.Revoke(ctx, "test", serial, 4))
		judge("Reason: superseded", "certificate revoked")
	}
}
