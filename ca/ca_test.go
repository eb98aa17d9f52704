package ca_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

var ctx = context.Background()

const (
	ic   = "900101145678"
	name = "NOR'AINI BINTI ALI"
)

// authority is a bootstrapped pair of CAs over SQLite.
type authority struct {
	*ca.Authorities
	db    *store.DB
	path  string // of its file
	keys  *storetest.Keys
	now   time.Time
	shape ca.Profile
}

func (a *authority) clock() time.Time { return a.now }

func bootstrapped(t testing.TB, edit func(p *ca.Profile)) *authority {
	t.Helper()
	db, path := storetest.SQLite(t)
	a := bootstrappedOn(t, db, edit)
	a.path = path
	return a
}

// engines are the databases that the register can be in.
func engines(testing.TB) map[string]func(testing.TB) *store.DB {
	return map[string]func(testing.TB) *store.DB{
		"SQLite":     func(t testing.TB) *store.DB { db, _ := storetest.SQLite(t); return db },
		"PostgreSQL": func(t testing.TB) *store.DB { db, _ := storetest.Postgres(t); return db },
	}
}

func bootstrappedOn(t testing.TB, db *store.DB, edit func(p *ca.Profile)) *authority {
	t.Helper()
	a := &authority{db: db, keys: storetest.NewKeys(), now: time.Date(2026, 7, 1, 9, 0, 0, 5, time.FixedZone("MYT", 8*3600)), shape: storetest.Profile()}
	if edit != nil {
		edit(&a.shape)
	}
	made, err := ca.Bootstrap(ctx, a.shape, a.keys, db, a.clock)
	must(t, err)
	if want := []string{"certificate root", "crl root", "certificate issuing", "crl issuing", "certificate tsa", "certificate ocsp"}; !slices.Equal(made, want) {
		t.Fatalf("made %q", made)
	}
	a.Authorities, err = ca.Load(ctx, a.shape, a.keys, db, a.clock)
	must(t, err)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func (a *authority) officer(t testing.TB) *x509.Certificate {
	t.Helper()
	c, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_1"}, key(t).Public())
	must(t, err)
	return c
}

func (a *authority) crl(t testing.TB, name string) *x509.RevocationList {
	t.Helper()
	c, err := a.CRL(ctx, name)
	must(t, err)
	l, err := x509.ParseRevocationList(c.DER)
	must(t, err)
	must(t, l.CheckSignatureFrom(a.Certificate(name)))
	if l.Number.Int64() != c.Number || !l.ThisUpdate.Equal(c.ThisUpdate) || !l.NextUpdate.Equal(c.NextUpdate) {
		t.Errorf("row %+v, list %v %v", c, l.Number, l.ThisUpdate)
	}
	return l
}

var (
	oidKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidCRLDP       = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAIA         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
	oidPolicies    = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidSKI         = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAKI         = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// extensions maps those of c to whether they are critical.
func extensions(t testing.TB, c *x509.Certificate) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, e := range c.Extensions {
		if _, twice := out[e.Id.String()]; twice {
			t.Errorf("extension %v is there twice", e.Id)
		}
		out[e.Id.String()] = e.Critical
	}
	return out
}

func hasExactly(t testing.TB, c *x509.Certificate, want map[string]bool) {
	t.Helper()
	got := extensions(t, c)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: extensions (critical) %v, want %v", c.Subject, got, want)
	}
}

func keyID(t testing.TB, c *x509.Certificate) []byte {
	t.Helper()
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki)
	must(t, err)
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:]
}

func TestOfficersCertificate(t *testing.T) {
	a := bootstrapped(t, nil)
	c := a.officer(t)

	// Subject: C, CN, SURNAME, serialNumber in this order, one attribute each.
	var rdns pkix.RDNSequence
	rest, err := asn1.Unmarshal(c.RawSubject, &rdns)
	if err != nil || len(rest) != 0 {
		t.Fatal(err, rest)
	}
	var got []string
	for _, rdn := range rdns {
		for _, at := range rdn {
			got = append(got, fmt.Sprintf("%v=%v", at.Type, at.Value))
		}
	}
	if want := []string{"2.5.4.6=MY", "2.5.4.3=" + name, "2.5.4.4=" + ic, "2.5.4.5=" + ic}; !slices.Equal(got, want) {
		t.Errorf("subject %q, want %q", got, want)
	}
	// RFC 5280, Appendix A.1: countryName and serialNumber are PrintableString.
	for k, rdn := range rawStrings(t, c.RawSubject) {
		if (k == 0 || k == 3) && rdn.Tag != asn1.TagPrintableString {
			t.Errorf("attribute %d has the string type %d", k, rdn.Tag)
		}
	}

	hasExactly(t, c, map[string]bool{oidKeyUsage.String(): true, oidExtKeyUsage.String(): false, oidConstraints.String(): true, oidSKI.String(): false, oidAKI.String(): false,
		oidAIA.String(): false, oidPolicies.String(): false, oidCRLDP.String(): false})
	if c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment {
		t.Errorf("key usage %b", c.KeyUsage)
	}
	if !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}) || len(c.UnknownExtKeyUsage) != 1 || c.UnknownExtKeyUsage[0].String() != "1.3.6.1.5.5.7.3.36" {
		t.Errorf("extended key usage %v %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
	}
	if c.IsCA || !c.BasicConstraintsValid {
		t.Error("basic constraints")
	}
	if !slices.Equal(c.CRLDistributionPoints, []string{"http://ca.example/crl/issuing.crl"}) || !slices.Equal(c.IssuingCertificateURL, []string{"http://ca.example/ca/issuing.cer"}) || !slices.Equal(c.OCSPServer, []string{"http://ca.example/ocsp"}) {
		t.Errorf("addresses %v %v %v", c.CRLDistributionPoints, c.IssuingCertificateURL, c.OCSPServer)
	}
	if len(c.Policies) != 1 || c.Policies[0].String() != a.shape.PolicyOID {
		t.Errorf("policies %v", c.Policies)
	}
	if !bytes.Equal(c.SubjectKeyId, keyID(t, c)) || !bytes.Equal(c.AuthorityKeyId, a.Certificate(ca.Issuing).SubjectKeyId) {
		t.Error("key identifiers")
	}
	if now := a.now.UTC().Truncate(time.Second); !c.NotBefore.Equal(now.Add(-time.Minute)) || !c.NotAfter.Equal(now.Add(396*24*time.Hour)) {
		t.Errorf("valid from %v to %v", c.NotBefore, c.NotAfter)
	}

	row, err := a.BySerial(ctx, c.SerialNumber.String())
	if err != nil || row.Status != ca.Active || !bytes.Equal(row.DER, c.Raw) || row.Credential != "cr_1" || row.Issuer != ca.Issuing || !row.NotAfter.Equal(c.NotAfter) {
		t.Errorf("row %+v, %v", row, err)
	}
	if _, err := a.BySerial(ctx, "1"); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("an unknown serial number: %v", err)
	}
}

// rawStrings returns the values of a name's attributes in their own encoding.
func rawStrings(t testing.TB, name []byte) (out []asn1.RawValue) {
	t.Helper()
	var rdns []asn1.RawValue
	_, err := asn1.Unmarshal(name, &rdns)
	must(t, err)
	for _, rdn := range rdns {
		var at struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		_, err := asn1.Unmarshal(rdn.Bytes, &at)
		must(t, err)
		out = append(out, at.Value)
	}
	return out
}

func TestAuthoritiesCertificates(t *testing.T) {
	a := bootstrapped(t, func(p *ca.Profile) { p.Sandbox, p.Organization = true, "JPK" })
	root, issuing := a.Certificate(ca.Root), a.Certificate(ca.Issuing)
	if a.Certificate("other") != nil || !slices.Equal(a.Chain(ca.Issuing), []*x509.Certificate{issuing, root}) {
		t.Error("chain")
	}
	now := a.now.UTC().Truncate(time.Second)
	if !root.NotAfter.Equal(now.AddDate(20, 0, 0)) || !issuing.NotAfter.Equal(now.AddDate(10, 0, 0)) {
		t.Errorf("valid to %v and %v", root.NotAfter, issuing.NotAfter)
	}
	if root.MaxPathLen != 1 || issuing.MaxPathLen != 0 || !issuing.MaxPathLenZero || !root.IsCA || !issuing.IsCA {
		t.Errorf("path lengths %d and %d", root.MaxPathLen, issuing.MaxPathLen)
	}
	for _, c := range a.Chain(ca.Issuing) {
		if c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) != 0 {
			t.Errorf("%s: key usage %b", c.Subject, c.KeyUsage)
		}
		if !strings.Contains(c.Subject.CommonName, "SANDBOX, NOT VALID") || !slices.Contains(c.Subject.OrganizationalUnit, "SANDBOX, NOT VALID") || c.Subject.Organization[0] != "JPK" || c.Subject.Country[0] != "MY" {
			t.Errorf("subject %s", c.Subject)
		}
		if !bytes.Equal(c.SubjectKeyId, keyID(t, c)) {
			t.Errorf("%s: key identifier", c.Subject)
		}
	}
	hasExactly(t, root, map[string]bool{oidKeyUsage.String(): true, oidConstraints.String(): true, oidSKI.String(): false})
	hasExactly(t, issuing, map[string]bool{oidKeyUsage.String(): true, oidConstraints.String(): true, oidSKI.String(): false, oidAKI.String(): false, oidAIA.String(): false,
		oidPolicies.String(): false, oidCRLDP.String(): false})
	if plain := bootstrapped(t, nil); strings.Contains(plain.Certificate(ca.Root).Subject.String(), "SANDBOX") {
		t.Error("a real authority says SANDBOX")
	}
}

// RFC 5280, Section 4.1.2.2, and the 64 bits of the Baseline Requirements.
func TestSerialNumbers(t *testing.T) {
	a := bootstrapped(t, nil)
	seen := map[string]bool{}
	for range 30 {
		c := a.officer(t)
		n := c.SerialNumber
		if n.Sign() <= 0 || n.BitLen() < 64 || n.BitLen() > 159 || seen[n.String()] {
			t.Errorf("serial number %x", n)
		}
		seen[n.String()] = true
	}
	for _, c := range a.Chain(ca.Issuing) {
		if c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() < 64 {
			t.Errorf("serial number %x", c.SerialNumber)
		}
	}
}

func TestChainVerifies(t *testing.T) {
	a := bootstrapped(t, nil)
	c := a.officer(t)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Certificate(ca.Root))
	between.AddCert(a.Certificate(ca.Issuing))
	o := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: a.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	if chains, err := c.Verify(o); err != nil || len(chains) != 1 || len(chains[0]) != 3 {
		t.Errorf("%v, %v", chains, err)
	}
	o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := c.Verify(o); err == nil {
		t.Error("an officer's certificate is good for a server")
	}
	o.KeyUsages, o.CurrentTime = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, c.NotAfter.Add(time.Second)
	if _, err := c.Verify(o); err == nil {
		t.Error("an expired certificate verifies")
	}
	other := bootstrapped(t, nil)
	o.CurrentTime, o.Roots = a.now, x509.NewCertPool()
	o.Roots.AddCert(other.Certificate(ca.Root))
	if _, err := c.Verify(o); err == nil {
		t.Error("another root trusts it")
	}
}

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

// OpenSSL judges the chain with both CRLs, before and after a revocation.
func TestOpenSSLVerifiesChainAndCRLs(t *testing.T) {
	openssl := requireTool(t, "openssl")
	a := bootstrapped(t, nil)
	good, bad := a.officer(t), a.officer(t)
	dir := t.TempDir()
	write := func(file, kind string, ders ...[]byte) string {
		var b bytes.Buffer
		for _, der := range ders {
			must(t, pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}))
		}
		path := filepath.Join(dir, file)
		must(t, os.WriteFile(path, b.Bytes(), 0o600))
		return path
	}
	root, issuing := write("root.pem", "CERTIFICATE", a.Certificate(ca.Root).Raw), write("issuing.pem", "CERTIFICATE", a.Certificate(ca.Issuing).Raw)
	verify := func(c *x509.Certificate) (string, error) {
		crls := write("crls.pem", "X509 CRL", a.crl(t, ca.Root).Raw, a.crl(t, ca.Issuing).Raw)
		out, err := exec.Command(openssl, "verify", "-x509_strict", "-crl_check_all", "-policy_check", "-explicit_policy", "-policy", a.shape.PolicyOID, "-purpose", "smimesign",
			"-attime", fmt.Sprint(a.now.Unix()), "-CAfile", root, "-untrusted", issuing, "-CRLfile", crls, write("c.pem", "CERTIFICATE", c.Raw)).CombinedOutput()
		return string(out), err
	}
	for _, c := range []*x509.Certificate{good, bad} {
		if out, err := verify(c); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	must(t, a.Revoke(ctx, "test", bad.SerialNumber.String(), 1))
	if out, err := verify(bad); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("the revoked one: %v\n%s", err, out)
	}
	if out, err := verify(good); err != nil {
		t.Errorf("the other one: %v\n%s", err, out)
	}
	must(t, a.Revoke(ctx, "test", a.Certificate(ca.Issuing).SerialNumber.String(), 2))
	if out, err := verify(good); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("below a revoked CA: %v\n%s", err, out)
	}
}

func TestCRL(t *testing.T) {
	a := bootstrapped(t, nil)
	if _, err := a.CRL(ctx, "other"); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("another's CRL: %v", err)
	}
	first := a.crl(t, ca.Issuing)
	if first.Number.Int64() != 1 || len(first.RevokedCertificateEntries) != 0 || !first.NextUpdate.Equal(first.ThisUpdate.Add(24*time.Hour)) {
		t.Errorf("first CRL: number %v, %d entries", first.Number, len(first.RevokedCertificateEntries))
	}
	// The same until half of its time has passed, and never an expired one.
	a.now = a.now.Add(12*time.Hour - time.Second)
	if l := a.crl(t, ca.Issuing); l.Number.Int64() != 1 {
		t.Errorf("before half time: CRL %v", l.Number)
	}
	a.now = a.now.Add(time.Second)
	if l := a.crl(t, ca.Issuing); l.Number.Int64() != 2 || !l.ThisUpdate.Equal(a.now.UTC().Truncate(time.Second)) {
		t.Errorf("at half time: CRL %v of %v", l.Number, l.ThisUpdate)
	}

	one, two := a.officer(t), a.officer(t)
	must(t, a.Revoke(ctx, "test", one.SerialNumber.String(), 1))
	a.now = a.now.Add(time.Hour)
	must(t, a.Revoke(ctx, "test", two.SerialNumber.String(), 4))
	l := a.crl(t, ca.Issuing)
	if l.Number.Int64() != 4 || len(l.RevokedCertificateEntries) != 2 {
		t.Fatalf("CRL %v has %d entries", l.Number, len(l.RevokedCertificateEntries))
	}
	for k, want := range []struct {
		serial *big.Int
		reason int
		at     time.Time
	}{{one.SerialNumber, 1, a.now.Add(-time.Hour)}, {two.SerialNumber, 4, a.now}} {
		if e := l.RevokedCertificateEntries[k]; e.SerialNumber.Cmp(want.serial) != 0 || e.ReasonCode != want.reason || !e.RevocationTime.Equal(want.at.Truncate(time.Second)) {
			t.Errorf("entry %d: %+v", k, e)
		}
	}
	if row, err := a.BySerial(ctx, one.SerialNumber.String()); err != nil || row.Status != ca.Revoked || row.Reason != 1 {
		t.Errorf("row %+v, %v", row, err)
	}
	if err := a.Revoke(ctx, "test", one.SerialNumber.String(), 1); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("revoking twice: %v", err)
	}
	if err := a.Revoke(ctx, "test", "12345", 1); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("revoking nothing: %v", err)
	}
	if l := a.crl(t, ca.Root); len(l.RevokedCertificateEntries) != 0 {
		t.Error("the root's CRL lists the issuing CA's revocations")
	}
	// Numbers only rise, whoever asks at the same time.
	done := make(chan error, 10)
	for range cap(done) {
		go func() {
			_, err := a.PublishCRL(ctx, ca.Issuing)
			done <- err
		}()
	}
	for range cap(done) {
		must(t, <-done)
	}
	if n := a.crl(t, ca.Issuing).Number.Int64(); n < 14 {
		t.Errorf("CRL %d after ten more", n)
	}
}

// A revocation counts when its row is stored. When the token fails before the
// CRL is made, the next reader gets a CRL with it all the same.
func TestRevocationWithoutItsCRL(t *testing.T) {
	for what, later := range map[string]time.Duration{"in the same second": 0, "later": time.Minute} {
		a := bootstrapped(t, nil)
		c := a.officer(t)
		must(t, publish(a))
		a.now = a.now.Add(later)
		a.keys.OnAuthority = func(string) error { return errDead }
		if err := a.Revoke(ctx, "test", c.SerialNumber.String(), 1); !errors.Is(err, errDead) {
			t.Errorf("%s: %v", what, err)
		}
		a.keys.OnAuthority = nil
		l := a.crl(t, ca.Issuing)
		if len(l.RevokedCertificateEntries) != 1 {
			t.Errorf("%s: the CRL has %d entries", what, len(l.RevokedCertificateEntries))
		}
		if again := a.crl(t, ca.Issuing); again.Number.Cmp(l.Number) != 0 {
			t.Errorf("%s: CRL %v is made anew for every reader", what, again.Number)
		}
	}
}

func publish(a *authority) error {
	_, err := a.PublishCRL(ctx, ca.Issuing)
	return err
}

var errDead = errors.New("token is gone")

// A serial number is reserved before the key is used; when the key fails, the
// reservation tells of it and no certificate exists.
func TestSignerFailureLeavesAReservation(t *testing.T) {
	a := bootstrapped(t, nil)
	before := certificates(t, a)
	var atSign []string
	a.keys.OnAuthority = func(name string) error {
		if name != ca.Issuing {
			t.Errorf("%s signs", name)
		}
		atSign = reserved(t, a)
		return errDead
	}
	if c, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_1"}, key(t).Public()); !errors.Is(err, errDead) || c != nil {
		t.Fatalf("%v, %v", c, err)
	}
	left := reserved(t, a)
	if len(atSign) != 1 || !slices.Equal(left, atSign) {
		t.Fatalf("reserved while signing: %q, afterwards: %q", atSign, left)
	}
	row, err := a.BySerial(ctx, left[0])
	if err != nil || row.Status != ca.Reserved || len(row.DER) != 0 || len(row.Intent) == 0 || row.Credential != "cr_1" {
		t.Errorf("row %+v, %v", row, err)
	}
	if n := certificates(t, a); n != before {
		t.Errorf("%d certificates were issued", n-before)
	}
	if err := a.Revoke(ctx, "test", left[0], 1); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("revoking a reservation: %v", err)
	}
	// A key that signs something else is found out.
	a.keys.OnAuthority = nil
	other := bootstrapped(t, nil)
	keys := &swapped{Keys: a.keys}
	mixed, err := ca.Load(ctx, a.shape, keys, a.db, a.clock)
	must(t, err)
	keys.Keys = other.keys
	if c, err := mixed.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, key(t).Public()); err == nil {
		t.Errorf("a certificate under another key was issued: %v", c.Subject)
	}
	if n := certificates(t, a); n != before {
		t.Errorf("%d certificates were issued", n-before)
	}
}

// swapped is a token whose keys are exchanged while the gateway runs.
type swapped struct{ ca.Keys }

// reserved lists the serial numbers in the audit that were reserved and not
// issued.
func reserved(t testing.TB, a *authority) (out []string) {
	t.Helper()
	open := map[string]bool{}
	for _, r := range storetest.Chain(t, a.db) {
		if r.Verdict == audit.Refused {
			continue
		}
		switch r.Action {
		case "ca.reserve":
			open[r.Object] = true
		case "ca.issue":
			if !open[r.Object] {
				t.Errorf("%s was issued without a reservation", r.Object)
			}
			delete(open, r.Object)
		}
	}
	for serial := range open {
		out = append(out, serial)
	}
	return out
}

func certificates(t testing.TB, a *authority) (n int) {
	t.Helper()
	for _, r := range storetest.Chain(t, a.db) {
		if r.Action == "ca.issue" && r.Verdict == audit.Accepted {
			n++
		}
	}
	return n
}
