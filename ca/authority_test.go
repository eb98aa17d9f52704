package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
)

// hierarchy adds a second root with an issuing CA to a.
func (a *authority) hierarchy(t testing.TB, suffix string, training bool) {
	t.Helper()
	for _, x := range []ca.Authority{{Name: "root" + suffix, Training: training}, {Name: "issuing" + suffix, Parent: "root" + suffix, Training: training}} {
		_, err := a.Create(ctx, "test", x)
		must(t, err)
	}
}

// verifies says whether a chain for c leads to the root called name, by the
// certificates between.
func (a *authority) verifies(c *x509.Certificate, root string, between ...*x509.Certificate) error {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: a.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	o.Roots.AddCert(a.Certificate(root))
	for _, b := range between {
		o.Intermediates.AddCert(b)
	}
	_, err := c.Verify(o)
	return err
}

// Two hierarchies side by side: each kind of key is certified by its own, with
// addresses, CRL and OCSP answers of its own.
func TestHierarchiesSideBySide(t *testing.T) {
	a := bootstrapped(t, func(p *ca.Profile) { p.Issuers = []string{"issuing-rsa", ca.Issuing} })
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	a.keys.Authorities["root-rsa"], a.keys.Authorities["issuing-rsa"] = k, rsaKey(t)
	a.hierarchy(t, "-rsa", false)
	if got := names(a.List()); !slices.Equal(got, []string{"root", "root-rsa", "issuing", "issuing-rsa"}) {
		t.Errorf("authorities %q", got)
	}
	for issuer, pub := range map[string]crypto.PublicKey{ca.Issuing: key(t).Public(), "issuing-rsa": rsaKey(t).Public()} {
		c, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_" + issuer}, pub)
		must(t, err)
		if !slices.Equal(c.CRLDistributionPoints, []string{"http://ca.example/crl/" + issuer + ".crl"}) || !slices.Equal(c.IssuingCertificateURL, []string{"http://ca.example/ca/" + issuer + ".cer"}) {
			t.Errorf("%s: addresses %q %q", issuer, c.CRLDistributionPoints, c.IssuingCertificateURL)
		}
		root := strings.Replace(issuer, "issuing", "root", 1)
		chain := a.ChainOf(c)
		if len(chain) != 2 || !chain[0].Equal(a.Certificate(issuer)) || !chain[1].Equal(a.Certificate(root)) {
			t.Errorf("%s: chain of %d", issuer, len(chain))
		}
		must(t, a.verifies(c, root, chain...))
		for _, other := range []string{ca.Root, "root-rsa"} {
			if other != root && a.verifies(c, other, chain...) == nil {
				t.Errorf("what %s issued verifies by %s", issuer, other)
			}
		}
		der, err := a.OCSP(ctx, c, a.Certificate(issuer))
		must(t, err)
		if status := ocspStatusBy(t, der, a.Certificate(issuer)); status != 0 {
			t.Errorf("%s: OCSP says %d", issuer, status)
		}
		must(t, a.Revoke(ctx, "test", c.SerialNumber.String(), 4))
		der, err = a.OCSP(ctx, c, a.Certificate(issuer))
		must(t, err)
		if status := ocspStatusBy(t, der, a.Certificate(issuer)); status != 1 {
			t.Errorf("%s: OCSP says %d of a revoked one", issuer, status)
		}
		if l := a.crl(t, issuer); len(l.RevokedCertificateEntries) != 1 || l.RevokedCertificateEntries[0].SerialNumber.Cmp(c.SerialNumber) != 0 {
			t.Errorf("%s: CRL %v", issuer, l.RevokedCertificateEntries)
		}
		if _, err := a.OCSP(ctx, c, a.Certificate(root)); !errors.Is(err, ca.ErrUnknown) {
			t.Errorf("%s: asked of the root: %v", issuer, err)
		}
	}
	// One request cannot ask about both.
	first, second := a.Certificate(ca.Issuing), a.Certificate("issuing-rsa")
	reply, _, err := a.OCSPReply(ctx, ocspQuery(t, nil, about(t, crypto.SHA1, first.SerialNumber, first), about(t, crypto.SHA1, second.SerialNumber, second)))
	must(t, err)
	if !slices.Equal(reply, []byte{0x30, 3, 0x0a, 1, 6}) {
		t.Errorf("about both: %x", reply)
	}
}

// ocspStatusBy gives the status in an answer by issuer's responder: 0 good, 1 revoked.
func ocspStatusBy(t testing.TB, der []byte, issuer *x509.Certificate) int {
	t.Helper()
	r, err := ocsp.ParseResponse(der, issuer)
	must(t, err)
	return r.Status
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return k
}

func names(list []ca.Authority) (out []string) {
	for _, x := range list {
		out = append(out, x.Name)
	}
	return out
}

// After a rollover the new CA issues at once, in every process; the old one still
// publishes and answers.
func TestRollover(t *testing.T) {
	a := bootstrapped(t, nil)
	other, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	before := a.officer(t)
	_, err = a.Create(ctx, "test", ca.Authority{Name: "issuing-2", Parent: ca.Root})
	must(t, err)
	if c := a.officer(t); c.CheckSignatureFrom(a.Certificate(ca.Issuing)) != nil {
		t.Error("a CA beside the old one issues before the rollover")
	}
	must(t, a.Rollover(ctx, "test", ca.Issuing, "issuing-2"))
	after, err := other.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, key(t).Public())
	must(t, err)
	must(t, after.CheckSignatureFrom(a.Certificate("issuing-2")))
	must(t, a.verifies(after, ca.Root, a.ChainOf(after)...))
	if cn := a.Certificate("issuing-2").Subject.CommonName; cn != "Mohor Issuing CA 2" {
		t.Errorf("called %q", cn)
	}
	must(t, a.Revoke(ctx, "test", before.SerialNumber.String(), 1))
	if l := a.crl(t, ca.Issuing); len(l.RevokedCertificateEntries) != 1 {
		t.Errorf("the old CA's CRL: %v", l.RevokedCertificateEntries)
	}
	der, err := other.OCSP(ctx, before, a.Certificate(ca.Issuing))
	must(t, err)
	if ocspStatusBy(t, der, a.Certificate(ca.Issuing)) != 1 {
		t.Error("the old CA's answer")
	}
	// The time-stamp unit is certified by the new CA when its time comes, the old
	// CA's responder by the old one.
	a.now = a.now.Add(5*365*day - 100*day)
	made := renewed(t, a)
	if !slices.Contains(made, "certificate tsa") || !slices.Contains(made, "certificate ocsp") || !slices.Contains(made, "certificate ocsp@issuing-2") {
		t.Errorf("renewed %q", made)
	}
	must(t, a.Certificate(ca.TSA).CheckSignatureFrom(a.Certificate("issuing-2")))
	must(t, a.Certificate(ca.Responder).CheckSignatureFrom(a.Certificate(ca.Issuing)))
	if _, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); err != nil {
		t.Error(err)
	}
	again, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	if !again.Certificate(ca.TSA).Equal(a.Certificate(ca.TSA)) {
		t.Error("another unit after a restart")
	}
	for what, pair := range map[string][2]string{"twice": {ca.Issuing, "issuing-2"}, "back": {"issuing-2", ca.Issuing}, "to itself": {"issuing-2", "issuing-2"},
		"a root": {ca.Root, "issuing-2"}, "by a root": {"issuing-2", ca.Root}, "by none": {"issuing-2", "issuing-3"}} {
		if err := a.Rollover(ctx, "test", pair[0], pair[1]); !errors.Is(err, ca.ErrInvalid) && !errors.Is(err, ca.ErrExists) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who trusts another root alone verifies what the cross-signed CA issued.
func TestCrossSign(t *testing.T) {
	a := bootstrapped(t, nil)
	_, err := a.Create(ctx, "test", ca.Authority{Name: "root-2"})
	must(t, err)
	c := a.officer(t)
	cross, err := a.CrossSign(ctx, "test", ca.Issuing, "root-2")
	must(t, err)
	if err := a.verifies(c, "root-2", a.Certificate(ca.Issuing)); err == nil {
		t.Error("control: verifies without the cross-certificate")
	}
	must(t, a.verifies(c, "root-2", cross))
	must(t, a.verifies(c, ca.Root, a.Certificate(ca.Issuing)))
	if !slices.Equal(cross.RawSubject, a.Certificate(ca.Issuing).RawSubject) || !slices.Equal(cross.CRLDistributionPoints, []string{"http://ca.example/crl/root-2.crl"}) {
		t.Errorf("%s, %q", cross.Subject, cross.CRLDistributionPoints)
	}
	if again, err := a.CrossSign(ctx, "test", ca.Issuing, "root-2"); err != nil || !again.Equal(cross) {
		t.Errorf("again: %v", err)
	}
	// The CA's own certificate stays what its parent gave, also after a restart.
	b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	must(t, b.Certificate(ca.Issuing).CheckSignatureFrom(a.Certificate(ca.Root)))
	// Answers hold for both.
	der, err := a.OCSP(ctx, c, cross)
	must(t, err)
	if ocspStatusBy(t, der, cross) != 0 {
		t.Error("answer by the cross-certificate")
	}
	must(t, a.Revoke(ctx, "test", cross.SerialNumber.String(), 5))
	if l := a.crl(t, "root-2"); len(l.RevokedCertificateEntries) != 1 {
		t.Errorf("CRL of root-2: %v", l.RevokedCertificateEntries)
	}
	if l := a.crl(t, ca.Root); len(l.RevokedCertificateEntries) != 0 {
		t.Errorf("CRL of root: %v", l.RevokedCertificateEntries)
	}
	for what, pair := range map[string][2]string{"a root": {ca.Root, "root-2"}, "its own root": {ca.Issuing, ca.Root}, "by an issuing CA": {ca.Issuing, ca.Issuing}, "none": {"x", "root-2"}} {
		if _, err := a.CrossSign(ctx, "test", pair[0], pair[1]); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is for training says so in every subject, and its root is not trusted.
func TestTrainingIsMarked(t *testing.T) {
	const mark = "LATIHAN, TIDAK SAH / TRAINING, NOT VALID"
	a := bootstrapped(t, func(p *ca.Profile) { p.Issuers = []string{"issuing-training"} })
	a.hierarchy(t, "-training", true)
	c := a.officer(t)
	for _, x := range append(a.ChainOf(c), c, a.Certificate("ocsp@issuing-training")) {
		if !slices.Contains(x.Subject.OrganizationalUnit, mark) {
			t.Errorf("not marked: %s", x.Subject)
		}
	}
	for _, x := range []string{ca.Root, ca.Issuing, ca.TSA} {
		if slices.Contains(a.Certificate(x).Subject.OrganizationalUnit, mark) {
			t.Errorf("marked: %s", x)
		}
	}
	if got := names(a.Trusted()); !slices.Equal(got, []string{"issuing", "root"}) {
		t.Errorf("trusted: %q", got)
	}
	for what, x := range map[string]ca.Authority{"training below a root": {Name: "x", Parent: ca.Root, Training: true}, "real below training": {Name: "x", Parent: "root-training"}} {
		if _, err := a.Create(ctx, "test", x); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := a.Rollover(ctx, "test", ca.Issuing, "issuing-training"); !errors.Is(err, ca.ErrInvalid) {
		t.Errorf("training in the place of a real one: %v", err)
	}
}

// Making an authority can fail at each step; again completes it, and nothing is
// there twice.
func TestCreateIsCompleted(t *testing.T) {
	for what, fail := range map[string]string{"key": "issuing-2", "parent's key": ca.Root} {
		t.Run(what, func(t *testing.T) {
			a := bootstrapped(t, nil)
			fault := errors.New("planted")
			a.keys.OnAuthority = func(name string) error {
				if name == fail {
					return fault
				}
				return nil
			}
			x := ca.Authority{Name: "issuing-2", Parent: ca.Root, Algorithm: "ECDSA-P256"}
			if _, err := a.Create(ctx, "test", x); !errors.Is(err, fault) {
				t.Fatalf("with the fault: %v", err)
			}
			if a.Certificate("issuing-2") != nil && fail == ca.Root {
				t.Error("a certificate without its parent's signature")
			}
			if fail == ca.Root {
				if err := a.Rollover(ctx, "test", ca.Issuing, "issuing-2"); !errors.Is(err, ca.ErrInvalid) {
					t.Errorf("rollover to a CA without a certificate: %v", err)
				}
			}
			a.officer(t) // the others are not held up
			a.keys.OnAuthority = nil
			_, err := a.Create(ctx, "test", x)
			must(t, err)
			if made, err := a.Create(ctx, "test", x); err != nil || len(made) != 0 {
				t.Errorf("again: %q, %v", made, err)
			}
			x.Algorithm = "RSA-3072"
			if _, err := a.Create(ctx, "test", x); !errors.Is(err, ca.ErrExists) {
				t.Errorf("of another kind: %v", err)
			}
			recorded := 0
			must(t, a.db.AuditRecords(ctx, 0, func(r audit.Record) error {
				if r.Action == "ca.authority" && r.Object == "authority:issuing-2" {
					recorded++
				}
				return nil
			}))
			if recorded != 1 {
				t.Errorf("recorded %d times", recorded)
			}
		})
	}
}

func TestAuthoritiesOfBadNames(t *testing.T) {
	a := bootstrapped(t, nil)
	for _, bad := range []string{"", "Root", "2root", "-x", "x-", "a--b", "ro ot", "../x", "röot", strings.Repeat("a", 33), "a.crl", "ocsp@issuing"} {
		if _, err := a.Create(ctx, "test", ca.Authority{Name: bad}); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, parent := range []string{"nobody", ca.Issuing} {
		if _, err := a.Create(ctx, "test", ca.Authority{Name: "x", Parent: parent}); !errors.Is(err, ca.ErrInvalid) {
			t.Errorf("below %q: %v", parent, err)
		}
	}
	if n := len(a.List()); n != 2 {
		t.Errorf("%d authorities", n)
	}
}

// A process that runs knows a CA that another made when it is asked about it.
func TestAuthoritiesOfOtherProcesses(t *testing.T) {
	for what, knows := range map[string]func(running *ca.Authorities, c, issuer *x509.Certificate) error{
		"chain": func(r *ca.Authorities, c, _ *x509.Certificate) error {
			if len(r.ChainOf(c)) != 2 || len(r.Chain("issuing-2")) != 2 {
				return ca.ErrUnknown
			}
			return nil
		},
		"certificate": func(r *ca.Authorities, _, issuer *x509.Certificate) error {
			if !issuer.Equal(r.Certificate("issuing-2")) {
				return ca.ErrUnknown
			}
			return nil
		},
		"trust": func(r *ca.Authorities, _, _ *x509.Certificate) error {
			if !slices.Contains(names(r.Trusted()), "issuing-2") {
				return ca.ErrUnknown
			}
			return nil
		},
		"revocation": func(r *ca.Authorities, c, issuer *x509.Certificate) error {
			_, _, err := r.Revocation(ctx, c, issuer)
			return err
		},
		"crl": func(r *ca.Authorities, _, _ *x509.Certificate) error {
			_, err := r.CRL(ctx, "issuing-2")
			return err
		},
		"ocsp": func(r *ca.Authorities, c, issuer *x509.Certificate) error {
			_, err := r.OCSP(ctx, c, issuer)
			return err
		},
		"ocsp request": func(r *ca.Authorities, c, issuer *x509.Certificate) error {
			der, _, err := r.OCSPReply(ctx, ocspQuery(t, nil, about(t, crypto.SHA1, c.SerialNumber, issuer)))
			if err == nil {
				_, err = ocsp.ParseResponse(der, issuer)
			}
			return err
		},
	} {
		a := bootstrapped(t, nil)
		running, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
		must(t, err)
		_, err = a.Create(ctx, "test", ca.Authority{Name: "issuing-2", Parent: ca.Root})
		must(t, err)
		must(t, a.Rollover(ctx, "test", ca.Issuing, "issuing-2"))
		if err := knows(running, a.officer(t), a.Certificate("issuing-2")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A CA whose certificate was revoked issues nothing from then on, in no process, and
// gets no other certificate for its key, whoever starts or completes the installation;
// it still publishes and answers, and its root's CRL names it.
func TestRevokedAuthority(t *testing.T) {
	a := bootstrapped(t, nil)
	officer := a.officer(t)
	_, err := a.Create(ctx, "test", ca.Authority{Name: "root-2"})
	must(t, err)
	other, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	was := a.Certificate(ca.Issuing)
	must(t, a.Revoke(ctx, "test", was.SerialNumber.String(), 2))
	before := certificates(t, a)
	made, err := ca.Bootstrap(ctx, a.shape, a.keys, a.db, a.clock)
	if err != nil || len(made) != 0 || certificates(t, a) != before {
		t.Errorf("completing made %q, %v", made, err)
	}
	again, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	if !again.Certificate(ca.Issuing).Equal(was) {
		t.Error("another certificate of the same key")
	}
	for what, b := range map[string]*ca.Authorities{"the same": a.Authorities, "another": other, "a new": again} {
		if _, err := b.IssueOfficer(ctx, "test", asked("cr_"+what), key(t).Public()); !errors.Is(err, ca.ErrUnavailable) {
			t.Errorf("%s process issues: %v", what, err)
		}
	}
	if _, err := a.CrossSign(ctx, "test", ca.Issuing, "root-2"); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("cross-signed: %v", err)
	}
	a.Authorities = again
	if l := a.crl(t, ca.Root); len(l.RevokedCertificateEntries) != 1 || l.RevokedCertificateEntries[0].ReasonCode != 2 {
		t.Errorf("the root's CRL: %v", l.RevokedCertificateEntries)
	}
	must(t, a.Revoke(ctx, "test", officer.SerialNumber.String(), 4))
	if l := a.crl(t, ca.Issuing); len(l.RevokedCertificateEntries) != 1 {
		t.Errorf("its CRL: %v", l.RevokedCertificateEntries)
	}
	_, err = a.OCSP(ctx, officer, was)
	must(t, err)
	// Another takes over, and certifies the time-stamp unit at once.
	_, err = a.Create(ctx, "test", ca.Authority{Name: "issuing-2", Parent: ca.Root})
	must(t, err)
	must(t, a.Rollover(ctx, "test", ca.Issuing, "issuing-2"))
	if made := renewed(t, a); !slices.Equal(made, []string{"certificate tsa"}) {
		t.Errorf("renewed %q", made)
	}
	must(t, a.Certificate(ca.TSA).CheckSignatureFrom(a.Certificate("issuing-2")))
	c, err := a.IssueOfficer(ctx, "test", asked("cr_new"), key(t).Public())
	must(t, err)
	must(t, c.CheckSignatureFrom(a.Certificate("issuing-2")))
	// One that has ended issues as little.
	a.now = a.Certificate("issuing-2").NotAfter.Add(time.Second)
	if _, err := a.IssueOfficer(ctx, "test", asked("cr_late"), key(t).Public()); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("an ended CA issues: %v", err)
	}
}
