package ca_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
)

const day = 24 * time.Hour

// RFC 3161, Section 2.3: one purpose, critical.
func TestUnitsCertificates(t *testing.T) {
	a := bootstrapped(t, func(p *ca.Profile) { p.Sandbox = true })
	now := a.now.UTC().Truncate(time.Second)
	tsa := a.Certificate(ca.TSA)
	hasExactly(t, tsa, map[string]bool{oidKeyUsage.String(): true, oidExtKeyUsage.String(): true, oidConstraints.String(): true, oidSKI.String(): false, oidAKI.String(): false,
		oidAIA.String(): false, oidPolicies.String(): false, oidCRLDP.String(): false})
	if !slices.Equal(tsa.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}) || len(tsa.UnknownExtKeyUsage) != 0 || tsa.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment {
		t.Errorf("time-stamp unit: usage %v %v %b", tsa.ExtKeyUsage, tsa.UnknownExtKeyUsage, tsa.KeyUsage)
	}
	if !tsa.NotAfter.Equal(now.Add(5*365*day)) || tsa.IsCA || !slices.Equal(tsa.OCSPServer, []string{"http://ca.example/ocsp"}) {
		t.Errorf("time-stamp unit: %v, %v", tsa.NotAfter, tsa.OCSPServer)
	}
	responder := a.Certificate(ca.Responder)
	hasExactly(t, responder, map[string]bool{oidKeyUsage.String(): true, oidExtKeyUsage.String(): false, oidConstraints.String(): true, oidSKI.String(): false, oidAKI.String(): false,
		oidPolicies.String(): false, "1.3.6.1.5.5.7.48.1.5": false})
	if !slices.Equal(responder.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}) || responder.KeyUsage != x509.KeyUsageDigitalSignature || !responder.NotAfter.Equal(now.Add(30*day)) {
		t.Errorf("responder: usage %v %b, until %v", responder.ExtKeyUsage, responder.KeyUsage, responder.NotAfter)
	}
	for _, c := range []*x509.Certificate{tsa, responder} {
		must(t, c.CheckSignatureFrom(a.Certificate(ca.Issuing)))
		if !slices.Contains(c.Subject.OrganizationalUnit, "SANDBOX, NOT VALID") {
			t.Errorf("subject %s", c.Subject)
		}
		if row, err := a.BySerial(ctx, c.SerialNumber.String()); err != nil || row.Status != ca.Active || row.Issuer != ca.Issuing {
			t.Errorf("row %+v, %v", row, err)
		}
	}
}

// renewed gives which certificates Renew makes.
func renewed(t *testing.T, a *authority) []string {
	t.Helper()
	made, off, err := a.Renew(ctx)
	must(t, err)
	if len(off) != 0 {
		t.Errorf("off: %v", off)
	}
	return made
}

func TestUnitsAreRenewed(t *testing.T) {
	a := bootstrapped(t, nil)
	if made := renewed(t, a); len(made) != 0 {
		t.Errorf("at once: %v", made)
	}
	a.now = a.now.Add(15*day - time.Second)
	if made := renewed(t, a); len(made) != 0 {
		t.Errorf("before half of the responder's time: %v", made)
	}
	a.now = a.now.Add(2 * time.Second)
	old := a.Certificate(ca.Responder)
	if made := renewed(t, a); !slices.Equal(made, []string{"certificate ocsp"}) || a.Certificate(ca.Responder).Equal(old) {
		t.Errorf("after half of the responder's time: %v", made)
	}
	// It has ended while the gateway was down.
	a.now = a.now.Add(40 * day)
	if _, err := a.OCSP(ctx, a.Certificate(ca.TSA), a.Certificate(ca.Issuing)); !errors.Is(err, ca.ErrNoUnit) {
		t.Errorf("with a responder that ended: %v", err)
	}
	renewed(t, a)
	if _, err := a.OCSP(ctx, a.Certificate(ca.TSA), a.Certificate(ca.Issuing)); err != nil {
		t.Error(err)
	}
	tsa := a.Certificate(ca.TSA)
	a.now = tsa.NotAfter.Add(-365 * day)
	if made := renewed(t, a); !slices.Contains(made, "certificate tsa") || a.Certificate(ca.TSA).Equal(tsa) {
		t.Errorf("with a year left: %v", made)
	}
	// Never beyond the issuing CA, and not again and again at its end.
	a.now = a.Certificate(ca.Issuing).NotAfter.Add(-100 * day)
	renewed(t, a)
	if got := a.Certificate(ca.TSA).NotAfter; !got.Equal(a.Certificate(ca.Issuing).NotAfter) {
		t.Errorf("the time-stamp unit ends %v", got)
	}
	if made := renewed(t, a); len(made) != 0 {
		t.Errorf("at the end of the issuing CA: %v", made)
	}
}

// Another process finds what this one has renewed.
func TestLoadTakesTheNewestUnits(t *testing.T) {
	a := bootstrapped(t, nil)
	a.now = a.now.Add(16 * day)
	renewed(t, a)
	b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	for _, name := range []string{ca.TSA, ca.Responder} {
		if !b.Certificate(name).Equal(a.Certificate(name)) {
			t.Errorf("%s: another certificate", name)
		}
	}
	if _, err := ca.Load(ctx, a.shape, mixedKeys{a.keys}, a.db, a.clock); err == nil {
		t.Error("a certificate of another key is loaded")
	}
}

// mixedKeys has another time-stamp key.
type mixedKeys struct{ ca.Keys }

func (k mixedKeys) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	if name == ca.TSA {
		name = "another"
	}
	return k.Keys.Signer(ctx, name)
}

// A unit whose certificate was revoked is silent at once, and its key is not
// certified again; the other goes on.
func TestRevokedUnit(t *testing.T) {
	digest := sha256.Sum256([]byte("x"))
	for _, name := range []string{ca.TSA, ca.Responder} {
		a := bootstrapped(t, nil)
		officer := a.officer(t)
		// Revoked by another process.
		b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
		must(t, err)
		must(t, b.Revoke(ctx, "test", a.Certificate(name).SerialNumber.String(), 1))
		check := func() {
			t.Helper()
			_, terr := a.Timestamp(ctx, crypto.SHA256, digest[:])
			_, oerr := a.OCSP(ctx, officer, a.Certificate(ca.Issuing))
			if name == ca.TSA && !errors.Is(terr, ca.ErrNoUnit) || name == ca.Responder && terr != nil {
				t.Errorf("%s revoked: time-stamp %v", name, terr)
			}
			if name == ca.Responder && !errors.Is(oerr, ca.ErrNoUnit) || name == ca.TSA && oerr != nil {
				t.Errorf("%s revoked: OCSP %v", name, oerr)
			}
		}
		check()
		made, off, err := a.Renew(ctx)
		if err != nil || len(made) != 0 || !slices.Equal(off, []string{name}) {
			t.Errorf("%s revoked: made %v, off %v, %v", name, made, off, err)
		}
		check()
		if a.Certificate(name) != nil {
			t.Errorf("%s goes on", name)
		}
		if name == ca.TSA && a.TokenSize() != 0 {
			t.Error("a size without a unit")
		}
	}
}

// TestPlantedUnit: a certificate for the unit's key that the issuing CA did not
// sign is put into the register.
func TestPlantedUnit(t *testing.T) {
	for _, name := range []string{ca.TSA, ca.Responder} {
		a, other := bootstrapped(t, nil), bootstrapped(t, nil)
		theirs := other.Certificate(ca.Issuing)
		signer, err := other.keys.Signer(ctx, ca.Issuing)
		must(t, err)
		unit, err := a.keys.Signer(ctx, name)
		must(t, err)
		template := *a.Certificate(name)
		template.SerialNumber = new(big.Int).Add(template.SerialNumber, big.NewInt(1))
		template.NotBefore = template.NotBefore.Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, &template, theirs, unit.Public(), signer)
		must(t, err)
		row := ca.Certificate{Serial: template.SerialNumber.String(), Issuer: ca.Issuing, Subject: name, Credential: "authority:" + name,
			NotBefore: template.NotBefore, NotAfter: template.NotAfter}
		ev := audit.Event{At: a.now.Add(time.Hour), Actor: "test", Action: "ca.issue", Object: row.Serial, Verdict: audit.Accepted}
		must(t, a.db.ReserveSerial(ctx, row, ev))
		must(t, a.db.StoreCertificate(ctx, row.Serial, der, ev))
		if _, off, err := a.Renew(ctx); err == nil || len(off) != 0 {
			t.Errorf("%s: renewed beside a planted certificate: off %v", name, off)
		}
		if a.Certificate(name).CheckSignatureFrom(a.Certificate(ca.Issuing)) != nil {
			t.Errorf("%s: the planted certificate serves", name)
		}
		if _, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock); err == nil {
			t.Errorf("%s: the planted certificate is loaded", name)
		}
	}
}
