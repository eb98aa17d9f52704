package ca_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/storetest"
)

// asked is the officer of these tests under a credential.
func asked(credential string) ca.Officer {
	return ca.Officer{IC: ic, Name: name, Credential: credential}
}

// events are those of an action and verdict.
func (a *authority) events(t testing.TB, action, verdict string) (out []audit.Record) {
	t.Helper()
	for _, r := range storetest.Chain(t, a.db) {
		if r.Action == action && r.Verdict == verdict {
			out = append(out, r)
		}
	}
	return out
}

// count has signs count the signatures of authorities.
func (a *authority) count() (signs *int) {
	signs = new(int)
	a.keys.OnAuthority = func(string) error { *signs++; return nil }
	return signs
}

// When the issuer signs, the register and the audit hold the very bytes.
func TestIntentIsOnRecordBeforeTheSignature(t *testing.T) {
	a := bootstrapped(t, nil)
	var intent ca.Certificate
	a.keys.OnAuthority = func(string) error {
		open := reserved(t, a)
		var err error
		if len(open) == 1 {
			intent, err = a.BySerial(ctx, open[0])
		}
		return err
	}
	c := a.officer(t)
	if intent.Status != ca.Reserved || !bytes.Equal(intent.Intent, c.RawTBSCertificate) || len(intent.DER) != 0 {
		t.Errorf("while signing: %s, %d bytes intended, %d there", intent.Status, len(intent.Intent), len(intent.DER))
	}
	sum := sha256.Sum256(c.RawTBSCertificate)
	e := a.events(t, "ca.reserve", audit.Accepted)
	if last := e[len(e)-1]; last.Detail["tbs"] != hex.EncodeToString(sum[:]) || last.Object != c.SerialNumber.String() || last.Detail["credential"] != "cr_1" {
		t.Errorf("audit: %+v", last)
	}
	row, err := a.BySerial(ctx, c.SerialNumber.String())
	must(t, err)
	key := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	if len(row.Intent) != 0 || !bytes.Equal(row.Key, key[:]) {
		t.Errorf("afterwards: intent of %d bytes, key %x", len(row.Intent), row.Key)
	}
}

// What breaks a rule is not signed, whatever it is.
func TestLintRefuses(t *testing.T) {
	long := strings.Repeat("A", 65)
	for what, c := range map[string]struct {
		edit func(*ca.Profile)
		who  ca.Officer
		rule string
	}{
		"a name too long": {nil, ca.Officer{IC: ic, Name: long, Credential: "cr_1"}, "e_subject_common_name_max_length"},
		"a country that is none": {func(p *ca.Profile) {
			p.EndEntities = map[string]ca.EndEntity{"officer": {Subject: []string{"C=Malaysia", "CN={name}", "SERIALNUMBER={ic}"}}}
		}, asked("cr_1"), "country"},
		"ended before it began": {func(p *ca.Profile) { p.Officer = -time.Hour }, asked("cr_1"), "e_validity_time_not_positive"},
	} {
		a := bootstrapped(t, nil)
		shape := a.shape
		if c.edit != nil {
			c.edit(&shape)
		}
		b, err := ca.Load(ctx, shape, a.keys, a.db, a.clock)
		must(t, err)
		signs := a.count()
		if got, err := b.IssueOfficer(ctx, "test", c.who, key(t).Public()); !errors.Is(err, ca.ErrLint) || got != nil || !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%s: %v", what, err)
		}
		refusals := a.events(t, "ca.issue", audit.Refused)
		if *signs != 0 || len(refusals) != 1 || !strings.Contains(refusals[0].Detail["reason"], c.rule) {
			t.Errorf("%s: %d signatures, audit %+v", what, *signs, refusals)
		} else if row, err := a.BySerial(ctx, refusals[0].Object); err != nil || row.Status != ca.Reserved {
			t.Errorf("%s: row %+v, %v", what, row.Status, err)
		}
	}
	// CAs and units, too.
	signs := 0
	keys := storetest.NewKeys()
	keys.OnAuthority = func(string) error { signs++; return nil }
	db, _ := storetest.SQLite(t)
	shape := storetest.Profile()
	shape.Organization = long
	if made, err := ca.Bootstrap(ctx, shape, keys, db, time.Now); !errors.Is(err, ca.ErrLint) || len(made) != 0 || signs != 0 {
		t.Errorf("a root: made %q after %d signatures, %v", made, signs, err)
	}
	for what, edit := range map[string]func(*ca.Profile){"tsa": func(p *ca.Profile) { p.TSA = -time.Hour }, "ocsp": func(p *ca.Profile) { p.Responder = -time.Hour }} {
		db, _ := storetest.SQLite(t)
		shape := storetest.Profile()
		edit(&shape)
		made, err := ca.Bootstrap(ctx, shape, storetest.NewKeys(), db, time.Now)
		if !errors.Is(err, ca.ErrLint) || slices.Contains(made, "certificate "+what) {
			t.Errorf("%s: made %q, %v", what, made, err)
		}
	}
}

// All that the installation issues passes, without a warning.
func TestNothingIsAdvisedAgainst(t *testing.T) {
	for _, oid := range []string{"2.999.1", ca.DefaultProfile().PolicyOID} {
		a := bootstrapped(t, func(p *ca.Profile) { p.PolicyOID = oid })
		a.hierarchy(t, "-training", true)
		all := []*x509.Certificate{a.officer(t)}
		for _, n := range []string{ca.Root, ca.Issuing, ca.TSA, ca.Responder, "root-training", "issuing-training", "ocsp@issuing-training"} {
			all = append(all, a.Certificate(n))
		}
		checked := 0
		for _, c := range all {
			z, err := zx509.ParseCertificate(c.Raw)
			if err != nil { // numbers of more than 31 bits
				continue
			}
			checked++
			for _, rule := range lint.GlobalRegistry().CertificateLints().Lints() {
				if r := rule.Execute(z, lint.NewEmptyConfig()); r.Status >= lint.Warn {
					t.Errorf("%s: %s (%v) %s", c.Subject, rule.Name, r.Status, r.Details)
				}
			}
		}
		if oid == "2.999.1" && checked != len(all) {
			t.Errorf("%d of %d certificates were read", checked, len(all))
		}
	}
}

// A key belongs to one holder, for ever.
func TestDuplicateKeysAreRefused(t *testing.T) {
	a := bootstrapped(t, nil)
	pub := key(t).Public()
	first, err := a.IssueOfficer(ctx, "test", asked("cr_1"), pub)
	must(t, err)
	signs := a.count()
	refuses := func(what string, o ca.Officer, pub crypto.PublicKey, want error) {
		t.Helper()
		n := len(a.events(t, "ca.issue", audit.Refused))
		if c, err := a.IssueOfficer(ctx, "test", o, pub); !errors.Is(err, want) || c != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := len(a.events(t, "ca.issue", audit.Refused)); got != n+1 {
			t.Errorf("%s: %d refusals in the audit", what, got-n)
		}
	}
	refuses("another credential", asked("cr_2"), pub, ca.ErrDuplicateKey)
	refuses("a CA's key", asked("cr_2"), a.Certificate(ca.Issuing).PublicKey, ca.ErrDuplicateKey)
	refuses("a unit's key", asked("cr_2"), a.Certificate(ca.TSA).PublicKey, ca.ErrDuplicateKey)
	refuses("a weak key", asked("cr_2"), &weak, ca.ErrWeakKey)
	if *signs != 0 {
		t.Errorf("%d signatures", *signs)
	}
	// The holder may be certified again under another name.
	o := asked("cr_1")
	o.Name = "NOR'AINI BINTI ALI OMAR"
	second, err := a.IssueOfficer(ctx, "test", o, pub)
	if err != nil || second.Equal(first) || *signs != 1 {
		t.Errorf("another name: %v", err)
	}
	a.keys.OnAuthority = nil
	must(t, a.Revoke(ctx, "test", first.SerialNumber.String(), 1))
	refuses("a revoked key", asked("cr_1"), pub, ca.ErrRevoked)
	refuses("a revoked key of another", asked("cr_2"), pub, ca.ErrDuplicateKey)
	// Units and cross-certificates keep their keys on purpose.
	a.now = a.now.Add(20 * 24 * time.Hour)
	if made := renewed(t, a); !slices.Contains(made, "certificate ocsp") {
		t.Errorf("renewed %q", made)
	}
	_, err = a.Create(ctx, "test", ca.Authority{Name: "root-2"})
	must(t, err)
	_, err = a.CrossSign(ctx, "test", ca.Issuing, "root-2")
	must(t, err)
}

// Asked again, also by many at once, the CA gives what it gave.
func TestIssuingAgainGivesTheSame(t *testing.T) {
	a := bootstrapped(t, nil)
	other, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	pub := key(t).Public()
	before := certificates(t, a)
	var wg sync.WaitGroup
	got := make([]*x509.Certificate, 8)
	for k := range got {
		wg.Go(func() {
			by := []*ca.Authorities{a.Authorities, other}[k%2]
			c, err := by.IssueOfficer(ctx, "test", asked("cr_1"), pub)
			if err != nil {
				t.Error(err)
			}
			got[k] = c
		})
	}
	wg.Wait()
	for _, c := range got {
		if c == nil || !c.Equal(got[0]) {
			t.Fatal("two certificates for one key")
		}
	}
	if n := certificates(t, a) - before; n != 1 {
		t.Errorf("%d were issued", n)
	}
	// After its end it is issued anew.
	a.now = got[0].NotAfter.Add(time.Hour)
	c, err := a.IssueOfficer(ctx, "test", asked("cr_1"), pub)
	if err != nil || c.Equal(got[0]) {
		t.Errorf("after the end: %v", err)
	}
}

// Each durable step of issuance fails, before it is done or after, and is run again:
// one certificate, one number for each attempt, nothing without a record.
func TestIssuanceIsCompleted(t *testing.T) {
	for _, step := range []string{"ReserveSerial", "StoreCertificate", "sign"} {
		for _, after := range []bool{false, true} {
			a := bootstrapped(t, nil)
			before := certificates(t, a)
			f := &failing{a.db, step, after}
			b, err := ca.Load(ctx, a.shape, a.keys, f, a.clock)
			must(t, err)
			if step == "sign" {
				a.keys.OnAuthority = func(string) error { return errDead }
			}
			pub := key(t).Public()
			if _, err := b.IssueOfficer(ctx, "test", asked("cr_1"), pub); !errors.Is(err, errDead) {
				t.Errorf("%s, done %v: %v", step, after, err)
			}
			a.keys.OnAuthority = nil
			c, err := a.IssueOfficer(ctx, "test", asked("cr_1"), pub)
			must(t, err)
			a.sound(t, c, before+1)
		}
	}
}

// sound checks the register after a fault: c is the only certificate issued for its
// key, and every number in the audit is there once.
func (a *authority) sound(t testing.TB, c *x509.Certificate, issued int) {
	t.Helper()
	if n := certificates(t, a); n != issued {
		t.Errorf("%d certificates were issued, want %d", n, issued)
	}
	rows, err := a.db.CertificatesByKey(ctx, ca.KeyHash(c.RawSubjectPublicKeyInfo))
	must(t, err)
	if len(rows) != 1 || !bytes.Equal(rows[0].DER, c.Raw) {
		t.Errorf("%d certificates of the key", len(rows))
	}
	seen := map[string]bool{}
	for _, e := range a.events(t, "ca.reserve", audit.Accepted) {
		if seen[e.Object] {
			t.Errorf("number %s was reserved twice", e.Object)
		}
		seen[e.Object] = true
		if row, err := a.BySerial(ctx, e.Object); err != nil || row.Status == ca.Reserved && len(row.Intent) == 0 {
			t.Errorf("number %s: %+v, %v", e.Object, row, err)
		}
	}
}

// A profile that cannot work is found without issuing.
func TestCheckProfiles(t *testing.T) {
	a := bootstrapped(t, nil)
	a.hierarchy(t, "-training", true)
	load := func(e ca.EndEntity) *ca.Authorities {
		shape := a.shape
		shape.EndEntities = map[string]ca.EndEntity{"special": e}
		b, err := ca.Load(ctx, shape, a.keys, a.db, a.clock)
		must(t, err)
		return b
	}
	signs := a.count()
	for what, e := range map[string]ca.EndEntity{
		"as the default": {}, "for training": {Issuers: []string{"issuing-training"}, Validity: 24 * time.Hour},
		"all of it": {Issuers: []string{ca.Issuing}, Keys: []string{"ECDSA-P384"}, KeyUsage: []string{"digitalSignature"}, ExtKeyUsage: []string{"clientAuth", "1.3.6.1.4.1.311.10.3.12"},
			Policies: []string{"2.999.5", "2.999.6"}, Subject: []string{"C=MY", "O=JPK", "OU=Unit", "CN={name}", "TITLE={name}", "SURNAME={ic}", "SERIALNUMBER={ic}"},
			CRL: []string{"{public}/crl/{issuer}.crl", "http://mirror.example/{issuer}.crl"}, OCSP: []string{"http://ocsp.example"}, CAIssuers: []string{"http://mirror.example/{issuer}.cer"}},
	} {
		if err := load(e).CheckProfiles(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, c := range map[string]struct {
		e   ca.EndEntity
		why string
	}{
		"no such issuer":      {ca.EndEntity{Issuers: []string{"issuing-9"}}, `there is no issuing CA "issuing-9"`},
		"a root":              {ca.EndEntity{Issuers: []string{ca.Root}}, "no issuing CA"},
		"a kind of key":       {ca.EndEntity{Keys: []string{"RSA-1024"}}, "keys:"},
		"an hour":             {ca.EndEntity{Validity: time.Minute}, "validity"},
		"a CA's usage":        {ca.EndEntity{KeyUsage: []string{"keyCertSign"}}, "key_usage"},
		"a responder":         {ca.EndEntity{ExtKeyUsage: []string{"1.3.6.1.5.5.7.3.9"}}, "not for people"},
		"one in disguise":     {ca.EndEntity{ExtKeyUsage: []string{"1.3.6.1.5.5.7.3.09"}}, "not for people"},
		"any purpose":         {ca.EndEntity{ExtKeyUsage: []string{"2.5.29.37.0"}}, "not for people"},
		"a word":              {ca.EndEntity{ExtKeyUsage: []string{"signing"}}, "ext_key_usage"},
		"a policy":            {ca.EndEntity{Policies: []string{"x"}}, "policies"},
		"no IC":               {ca.EndEntity{Subject: []string{"C=MY", "CN={name}"}}, "{ic}"},
		"an attribute":        {ca.EndEntity{Subject: []string{"CN={ic}", "FOO=bar"}}, "subject"},
		"https":               {ca.EndEntity{CRL: []string{"https://x.example/{issuer}"}}, "crl"},
		"an unknown word":     {ca.EndEntity{OCSP: []string{"http://x.example/{serial}"}}, "ocsp"},
		"usages that clash":   {ca.EndEntity{ExtKeyUsage: []string{"clientAuth"}}, "e_key_usage_and_extended_key_usage_inconsistent"},
		"a country":           {ca.EndEntity{Subject: []string{"C=Malaysia", "CN={ic}"}}, "refused by lint"},
		"policies twice":      {ca.EndEntity{Policies: []string{"2.999.5", "2.999.5"}}, "invalid certificate policies"},
		"too long with some":  {ca.EndEntity{Subject: []string{"CN={name} ({ic})"}}, "refused by lint"},
		"a name that is long": {ca.EndEntity{Subject: []string{"CN={ic} " + strings.Repeat("A", 60)}}, "refused by lint"},
	} {
		if err := load(c.e).CheckProfiles(ctx); !errors.Is(err, ca.ErrProfile) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "special") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if *signs != 0 {
		t.Errorf("%d signatures", *signs)
	}
	a.keys.OnAuthority = nil
	b := load(ca.EndEntity{Issuers: []string{"issuing-training"}, Keys: []string{"ECDSA-P256"}, Subject: []string{"C=MY", "CN={name}", "SERIALNUMBER={ic}"}, KeyUsage: []string{"digitalSignature"}, ExtKeyUsage: []string{"clientAuth"}})
	o := asked("cr_t")
	o.Profile = "special"
	c, err := b.IssueOfficer(ctx, "test", o, key(t).Public())
	must(t, err)
	if got := c.Subject.String(); !strings.Contains(got, "LATIHAN") || strings.Contains(got, "2.5.4.4=") || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("%s, %v", got, c.ExtKeyUsage)
	}
	if _, err := b.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_r", Profile: "special"}, rsaKey(t).Public()); !errors.Is(err, ca.ErrWeakKey) {
		t.Errorf("a kind that the profile lacks: %v", err)
	}
	if _, err := b.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Profile: "none"}, key(t).Public()); !errors.Is(err, ca.ErrProfile) {
		t.Errorf("a profile that is none: %v", err)
	}
}

// No two names read alike in the register, and a name read back is the name (RFC 4514,
// Section 2.4).
func TestSubjectsReadApart(t *testing.T) {
	a := bootstrapped(t, nil)
	for n, want := range map[string]string{"A": "CN=A,", "A ": `CN=A\ ,`, " A": `CN=\ A,`, " ": `CN=\ ,`, "  ": `CN=\ \ ,`, "#A": `CN=\#A,`, "A,CN=B": `CN=A\,CN=B,`, `A\`: `CN=A\\,`} {
		o := asked("cr_" + n)
		o.Name = n
		c, err := a.IssueOfficer(ctx, "test", o, key(t).Public())
		must(t, err)
		row, err := a.BySerial(ctx, c.SerialNumber.String())
		must(t, err)
		if !strings.HasPrefix(row.Subject, "C=MY,"+want+"SURNAME=") {
			t.Errorf("%q reads %s", n, row.Subject)
		}
	}
}
