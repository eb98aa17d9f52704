package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/stepcatest"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

var (
	_ enrol.Issuer       = (*ca.Authorities)(nil)
	_ ca.ExternalRecords = (*store.DB)(nil)
)

// onEngines tries an issuer on each database.
func onEngines(t *testing.T, f func(t *testing.T, db *store.DB)) {
	for engine, open := range engines(t) {
		t.Run(engine, func(t *testing.T) { f(t, open(t)) })
	}
}

// external is another CA, real, and what asks it.
type external struct {
	*ca.Authorities
	*ca.External
	server *stepcatest.Server
	keys   *storetest.Keys
	db     *store.DB
	now    time.Time
}

func (x *external) clock() time.Time { return x.now }

func newExternal(t *testing.T, db *store.DB) *external {
	t.Helper()
	x := &external{server: stepcatest.New(t), db: db, now: time.Now()}
	roots := x509.NewCertPool()
	roots.AddCert(x.server.Root)
	x.External = &ca.External{Records: db, Roots: roots, Validity: 396 * 24 * time.Hour, Now: x.clock,
		CA: &ca.StepCA{URL: x.server.URL, Provisioner: "mohor", Key: x.server.Provisioner, HTTP: x.server.HTTP, Now: x.clock}}
	x.keys = storetest.NewKeys()
	_, err := ca.Bootstrap(ctx, storetest.Profile(), x.keys, db, x.clock)
	must(t, err)
	x.Authorities, err = ca.Load(ctx, storetest.Profile(), x.keys, db, x.clock)
	must(t, err)
	x.Authorities.External = x.External
	x.server.Start(t, x.provisioner(t))
	return x
}

func (x *external) provisioner(t *testing.T) []byte {
	t.Helper()
	p, err := x.CA.ProvisionerJSON(x.Validity, x.server.CRL, storetest.Profile().PolicyOID)
	must(t, err)
	return p
}

// request is what an officer's key signs at application.
func request(t testing.TB, o ca.Officer, key crypto.Signer, edit func(r *x509.CertificateRequest)) []byte {
	t.Helper()
	subject, err := o.Subject()
	must(t, err)
	r := &x509.CertificateRequest{RawSubject: subject}
	if edit != nil {
		edit(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	must(t, err)
	return der
}

func TestIssuersConform(t *testing.T) {
	t.Run("own", func(t *testing.T) {
		onEngines(t, func(t *testing.T, db *store.DB) {
			clock := time.Now()
			now := func() time.Time { return clock }
			keys := storetest.NewKeys()
			_, err := ca.Bootstrap(ctx, storetest.Profile(), keys, db, now)
			must(t, err)
			a, err := ca.Load(ctx, storetest.Profile(), keys, db, now)
			must(t, err)
			conform(t, a, db, a.Certificate(ca.Root))
		})
	})
	t.Run("step-ca", func(t *testing.T) {
		onEngines(t, func(t *testing.T, db *store.DB) {
			x := newExternal(t, db)
			conform(t, x, db, x.server.Root)
		})
	})
}

// conform is what every enrol.Issuer does.
func conform(t *testing.T, i enrol.Issuer, db *store.DB, root *x509.Certificate) {
	o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
	k := key(t)
	csr := request(t, o, k, nil)
	before := len(storetest.Chain(t, db))
	flip := bytes.Clone(csr)
	flip[len(flip)-1] ^= 1
	other, third := o, o
	other.Name, third.IC = "ORANG LAIN", "900101145679"
	for what, r := range map[string][]byte{
		"nothing": nil, "no PKCS #10": []byte("x"), "another signature": flip,
		"another name": request(t, other, k, nil), "another IC": request(t, third, k, nil),
		"further names": request(t, o, k, func(r *x509.CertificateRequest) { r.DNSNames = []string{"jpk.example"} }),
	} {
		if cert, _, err := i.Issue(ctx, "test", o, r); !errors.Is(err, ca.ErrRequest) || cert != nil {
			t.Errorf("a request with %s: %v", what, err)
		}
	}
	if len(storetest.Chain(t, db)) != before {
		t.Error("a refused request left something")
	}

	// All who ask at once get the one certificate.
	certs := make([]*x509.Certificate, 6)
	var wg sync.WaitGroup
	for n := range certs {
		wg.Go(func() {
			var err error
			if certs[n], _, err = i.Issue(ctx, "test", o, csr); err != nil {
				t.Errorf("asked at once: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	cert, chain, err := i.Issue(ctx, "test", o, csr)
	must(t, err)
	for _, c := range certs {
		if !c.Equal(cert) {
			t.Fatal("one credential got two certificates")
		}
	}
	if !k.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != name || cert.Subject.SerialNumber != ic || !strings.Contains(cert.Subject.String(), "2.5.4.4") {
		t.Errorf("certificate %s", cert.Subject)
	}
	if len(chain) != 2 || cert.CheckSignatureFrom(chain[0]) != nil || chain[0].CheckSignatureFrom(chain[1]) != nil || !chain[1].Equal(root) {
		t.Errorf("chain of %d", len(chain))
	}
	row, err := db.CertificateBySerial(ctx, cert.SerialNumber.String())
	if err != nil || row.Status != ca.Active || !bytes.Equal(row.DER, cert.Raw) || row.Credential != "cr_1" || row.Subject != "C=MY,CN="+name+",SURNAME="+ic+",SERIALNUMBER="+ic {
		t.Errorf("row %+v, %v", row, err)
	}
	var actions []string
	for _, r := range storetest.Chain(t, db)[before:] {
		if r.Object == row.Serial {
			actions = append(actions, r.Action)
		}
	}
	if strings.Join(actions, " ") != "ca.reserve ca.issue" {
		t.Errorf("audit has %q", actions)
	}
	if c, _, err := i.Issue(ctx, "test", o, request(t, o, key(t), nil)); !errors.Is(err, ca.ErrExists) || c != nil {
		t.Errorf("another key for the credential: %v", err)
	}

	must(t, i.Revoke(ctx, "test", row.Serial, ca.ReasonCode("keyCompromise")))
	if row, err = db.CertificateBySerial(ctx, row.Serial); err != nil || row.Status != ca.Revoked || row.Reason != 1 {
		t.Errorf("after the revocation %+v, %v", row, err)
	}
	if err := i.Revoke(ctx, "test", row.Serial, 1); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("revoked twice: %v", err)
	}
	if err := i.Revoke(ctx, "test", "12345", 1); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
	if c, _, err := i.Issue(ctx, "test", o, csr); !errors.Is(err, ca.ErrRevoked) || c != nil {
		t.Errorf("issued again after the revocation: %v", err)
	}
}

// revoked is what step-ca's list holds, with the reasons.
func (x *external) revoked(t *testing.T) map[string]int {
	t.Helper()
	resp, err := http.Get(x.server.CRL)
	must(t, err)
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	must(t, err)
	list, err := x509.ParseRevocationList(der)
	must(t, err)
	out := map[string]int{}
	for _, e := range list.RevokedCertificateEntries {
		out[e.SerialNumber.String()] = e.ReasonCode
	}
	return out
}

// trip is a transport that a test gets between.
type trip struct {
	next http.RoundTripper
	f    func(r *http.Request, next http.RoundTripper) (*http.Response, error)
}

func (x trip) RoundTrip(r *http.Request) (*http.Response, error) { return x.f(r, x.next) }

var errCut = errors.New("connection cut")

// between has f handle what goes to the CA.
func (x *external) between(f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) (restore func()) {
	was := x.CA.HTTP
	c := *was
	c.Transport = trip{was.Transport, f}
	x.CA.HTTP = &c
	return func() { x.CA.HTTP = was }
}

// An answer that is lost leaves no second valid certificate: what the CA issued unheard is revoked
// there, also when the CA cannot be told at once.
func TestLostAnswer(t *testing.T) {
	onEngines(t, func(t *testing.T, db *store.DB) {
		x := newExternal(t, db)
		o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
		csr := request(t, o, key(t), nil)
		var lost string
		restore := x.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode == http.StatusCreated {
					lost = string(body)
				}
			}
			return nil, errCut
		})
		cert, _, err := x.Issue(ctx, "test", o, csr)
		if !errors.Is(err, ca.ErrUnavailable) || cert != nil || !strings.Contains(lost, "BEGIN CERTIFICATE") {
			t.Fatalf("%v, the CA answered %.80q", err, lost)
		}
		if err := x.Settle(ctx); !errors.Is(err, ca.ErrUnavailable) {
			t.Errorf("settled without the CA: %v", err)
		}
		restore()
		cert, _, err = x.Issue(ctx, "test", o, csr)
		must(t, err)
		must(t, x.Settle(ctx))
		var surplus string
		for _, r := range storetest.Chain(t, db) {
			if r.Action == "ca.discard" {
				surplus = r.Object
			}
		}
		list := x.revoked(t)
		if _, ok := list[surplus]; !ok || len(list) != 1 || surplus == cert.SerialNumber.String() {
			t.Errorf("the CA has revoked %v, and %s was lost", list, surplus)
		}
		must(t, x.Settle(ctx)) // nothing is told twice
		told := 0
		for _, r := range storetest.Chain(t, db) {
			if r.Action == "ca.told" {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

// Gateways that ask for the same certificate at once all get the one that the first asked for.
func TestTwoGatewaysAskAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, db *store.DB) {
		x := newExternal(t, db)
		o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
		csr := request(t, o, key(t), nil)
		got := make(chan string, 8)
		var wg sync.WaitGroup
		for range 4 {
			other, err := ca.Load(ctx, storetest.Profile(), x.keys, db, x.clock)
			must(t, err)
			other.External = x.External
			wg.Go(func() {
				cert, chain, err := other.Issue(ctx, "test", o, csr)
				if err != nil || len(chain) == 0 {
					t.Errorf("asked at once: %d certificates above, %v", len(chain), err)
					return
				}
				got <- cert.SerialNumber.String()
			})
		}
		wg.Wait()
		close(got)
		serials := map[string]bool{}
		for s := range got {
			serials[s] = true
		}
		if len(serials) != 1 {
			t.Fatalf("one credential got %d certificates", len(serials))
		}
		must(t, x.Settle(ctx))
		discarded := map[string]bool{}
		for _, r := range storetest.Chain(t, db) {
			if r.Action == "ca.discard" {
				discarded[r.Object] = true
			}
		}
		list := x.revoked(t)
		for s := range list {
			if serials[s] || !discarded[s] {
				t.Errorf("the CA has revoked %s, which is good", s)
			}
		}
		if len(list) != len(discarded) {
			t.Errorf("the CA has revoked %d of %d", len(list), len(discarded))
		}
	})
}

// A request whose process died is found by its age.
func TestStaleRequest(t *testing.T) {
	onEngines(t, func(t *testing.T, db *store.DB) {
		x := newExternal(t, db)
		o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
		k := key(t)
		x.Records = deadStore{db}
		if _, _, err := x.Issue(ctx, "test", o, request(t, o, k, nil)); !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		x.Records = db
		must(t, x.Settle(ctx))
		if list := x.revoked(t); len(list) != 0 {
			t.Errorf("a request that may be under way was given up: %v", list)
		}
		x.now = x.now.Add(11 * time.Minute)
		must(t, x.Settle(ctx))
		if list := x.revoked(t); len(list) != 1 {
			t.Errorf("the CA has revoked %v", list)
		}
		x.now = time.Now()
		if _, _, err := x.Issue(ctx, "test", o, request(t, o, k, nil)); err != nil {
			t.Errorf("asked again: %v", err)
		}
	})
}

// deadStore dies where the certificate is to be stored.
type deadStore struct{ *store.DB }

func (deadStore) StoreExternal(context.Context, ca.Certificate, []*x509.Certificate, audit.Event) error {
	return errDead
}

// Revoked while the CA is away: here at once, there later.
func TestRevokeWithoutTheCA(t *testing.T) {
	db, _ := storetest.SQLite(t)
	x := newExternal(t, db)
	o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
	cert, _, err := x.Issue(ctx, "test", o, request(t, o, key(t), nil))
	must(t, err)
	serial := cert.SerialNumber.String()
	if err := x.Revoke(ctx, "test", serial, ca.ReasonCode("certificateHold")); !errors.Is(err, ca.ErrReason) {
		t.Errorf("suspended: %v", err)
	}
	x.server.Stop()
	if err := x.CA.Health(ctx); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("health of a CA that is down: %v", err)
	}
	if err := x.Revoke(ctx, "test", serial, 4); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("revoked without the CA: %v", err)
	}
	if row, err := db.CertificateBySerial(ctx, serial); err != nil || row.Status != ca.Revoked {
		t.Errorf("row %+v, %v", row, err)
	}
	if _, _, err := x.Issue(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, request(t, o, key(t), nil)); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("issued without the CA: %v", err)
	}
	x.server.Start(t, x.provisioner(t))
	must(t, x.CA.Health(ctx))
	must(t, x.Settle(ctx))
	// What was never asked for because the CA was down is not on its list.
	if list := x.revoked(t); len(list) != 1 || list[serial] != 4 {
		t.Errorf("the CA has revoked %v", list)
	}
}

// What the CA's own rules refuse is said, and asked for again when they changed.
func TestRefusedByTheCA(t *testing.T) {
	db, _ := storetest.SQLite(t)
	x := newExternal(t, db)
	o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
	csr := request(t, o, key(t), nil)
	right := x.CA.Key
	x.CA.Key = key(t)
	if _, _, err := x.Issue(ctx, "test", o, csr); !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(err.Error(), "401") {
		t.Errorf("with another provisioner's key: %v", err)
	}
	x.CA.Key = right
	x.Validity *= 2
	if _, _, err := x.Issue(ctx, "test", o, csr); !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(err.Error(), "duration") {
		t.Errorf("for longer than its rules allow: %v", err)
	}
	x.Validity /= 2
	must(t, x.Settle(ctx))
	_, _, err := x.Issue(ctx, "test", o, csr)
	must(t, err)
	if len(x.revoked(t)) != 0 {
		t.Error("what was never issued was revoked")
	}
	// A template that does not take our serial number makes certificates we cannot account for.
	x.server.Stop()
	x.server.Start(t, bytes.Replace(x.provisioner(t), []byte(`\"serialNumber\": {{ toJson .Token.mohor.serial }},`), nil, 1))
	o.Credential = "cr_2"
	if _, _, err := x.Issue(ctx, "test", o, request(t, o, key(t), nil)); !errors.Is(err, ca.ErrAnswer) || !strings.Contains(err.Error(), "mohor ca provisioner") {
		t.Errorf("with a number of the CA's own: %v", err)
	}
	must(t, x.Settle(ctx))
	if list := x.revoked(t); len(list) != 2 {
		t.Errorf("the CA has revoked %v: the number we asked for and the one it used were expected", list)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	x.CA.Key = p521
	if _, err := x.CA.ProvisionerJSON(x.Validity, "", ""); !errors.Is(err, ca.ErrInvalid) {
		t.Errorf("a provisioner's key on P-521: %v", err)
	}
}

// A CA that answers with something else than was asked for gets it revoked, and the
// officer gets nothing.
func TestLyingCA(t *testing.T) {
	db, _ := storetest.SQLite(t)
	x := newExternal(t, db)
	strange := key(t)
	root := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Lying Root"}, NotBefore: x.now.Add(-time.Hour), NotAfter: x.now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, strange.Public(), strange)
	must(t, err)
	lying, err := x509.ParseCertificate(der)
	must(t, err)
	var edit func(c *x509.Certificate)
	var answer func(good []byte) string
	var pub, another crypto.PublicKey
	x.Roots.AddCert(lying) // but for the last of the cases
	defer x.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		var asked struct{ OTT, NotBefore, NotAfter string }
		must(t, json.NewDecoder(r.Body).Decode(&asked))
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(asked.OTT, ".")[1])
		must(t, err)
		var token struct {
			Mohor struct {
				Serial  string
				Subject []byte
			}
		}
		must(t, json.Unmarshal(raw, &token))
		c := &x509.Certificate{RawSubject: token.Mohor.Subject, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
		c.SerialNumber, _ = new(big.Int).SetString(token.Mohor.Serial, 10)
		c.NotBefore, _ = time.Parse(time.RFC3339, asked.NotBefore)
		c.NotAfter, _ = time.Parse(time.RFC3339, asked.NotAfter)
		edit(c)
		leaf, err := x509.CreateCertificate(rand.Reader, c, lying, pub, strange)
		must(t, err)
		return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer(leaf)))}, nil
	})()
	chain := func(leaf []byte) string {
		out, err := json.Marshal(map[string]any{"certChain": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}))}})
		must(t, err)
		return string(out)
	}
	n := 0
	ask := func() error {
		n++
		o := ca.Officer{IC: ic, Name: name, Credential: fmt.Sprint("cr_", n)}
		k := key(t)
		if pub = k.Public(); another != nil {
			pub = another
		}
		cert, _, err := x.Issue(ctx, "test", o, request(t, o, k, nil))
		if (cert == nil) == (err == nil) {
			t.Errorf("certificate %v and error %v", cert, err)
		}
		return err
	}
	edit, answer = func(*x509.Certificate) {}, chain
	must(t, ask()) // the liar tells the truth for once: what follows fails for its own reason
	for _, lie := range []struct {
		said string
		edit func(c *x509.Certificate)
	}{
		{"another subject", func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: name} }},
		{"a serial number of its own", func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Add(c.SerialNumber, big.NewInt(1)) }},
		{"for longer", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) }},
		{"from another time on", func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(-24 * time.Hour) }},
		{"from another time on", func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(24 * time.Hour) }},
		{"something else", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }},
		{"something else", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }},
		{"something else", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }},
		{"without id-kp-documentSigning", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }},
		{"without id-kp-documentSigning", func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		{"something else", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }},
		{"something else", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) }},
		{"something else", func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 999, 1}} }},
		{"further names", func(c *x509.Certificate) { c.EmailAddresses = []string{"x@jpk.example"} }},
	} {
		edit = lie.edit
		if err := ask(); !errors.Is(err, ca.ErrAnswer) || !strings.Contains(err.Error(), lie.said) {
			t.Errorf("%s: %v", lie.said, err)
		}
	}
	edit, another = func(*x509.Certificate) {}, strange.Public()
	if err := ask(); !errors.Is(err, ca.ErrAnswer) || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
	another = nil
	for what, text := range map[string]string{"nothing": "", "no certificate": `{"certChain":[]}`, "no PEM": `{"certChain":["x"]}`, "no X.509": `{"certChain":["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]}`,
		"too much": `{"x":"` + strings.Repeat("x", 70<<10) + `"}`} {
		answer = func([]byte) string { return text }
		if err := ask(); !errors.Is(err, ca.ErrAnswer) {
			t.Errorf("%s: %v", what, err)
		}
	}
	answer, x.Roots = chain, x509.NewCertPool()
	x.Roots.AddCert(x.server.Root)
	if err := ask(); !errors.Is(err, ca.ErrAnswer) || !strings.Contains(err.Error(), "roots_file") {
		t.Errorf("below another root: %v", err)
	}
	untold, err := db.UntoldExternal(ctx)
	must(t, err)
	if len(untold) != n-1+1 { // all but the good one, and the number the liar made up
		t.Errorf("%d to be revoked after %d requests", len(untold), n)
	}
}

// A CA that never answers holds nobody for ever, and one whose TLS certificate is of
// another root is not asked.
func TestUnreachableCA(t *testing.T) {
	db, _ := storetest.SQLite(t)
	x := newExternal(t, db)
	o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
	csr := request(t, o, key(t), nil)
	hang := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(hang)
	x.CA.URL = s.URL
	if _, _, err := x.Issue(ctx, "test", o, csr); !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a TLS certificate of another root: %v", err)
	}
	untold, err := db.UntoldExternal(ctx)
	must(t, err)
	if len(untold) != 0 {
		t.Error("what was never asked for is to be revoked")
	}
	c := *s.Client()
	c.Timeout = 100 * time.Millisecond
	x.CA.HTTP = &c
	if _, _, err := x.Issue(ctx, "test", o, csr); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("no answer: %v", err)
	}
	if untold, err = db.UntoldExternal(ctx); err != nil || len(untold) != 1 {
		t.Errorf("%d to be revoked, %v", len(untold), err)
	}
}

// The provisioner's key is in nothing that is printed.
func TestStepCAPrintsNoKey(t *testing.T) {
	k := key(t)
	s := &ca.StepCA{URL: "https://ca.example:9000", Key: k}
	d, err := k.Bytes()
	must(t, err)
	secret := new(big.Int).SetBytes(d).String()
	if !strings.Contains(fmt.Sprintf("%+v", *k), secret) { // the control: this tells
		t.Fatal("the key is printed in another form than is looked for")
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s", s, s, s), fmt.Sprintf("%+v", []any{s})} {
		if strings.Contains(out, secret) {
			t.Errorf("printed: %s", out)
		}
	}
}

// waiting tells, once, that a gateway found another asking.
type waiting struct {
	ca.ExternalRecords
	once  sync.Once
	found chan struct{}
}

func (w *waiting) ReserveExternal(ctx context.Context, c ca.Certificate, abandoned time.Time, ev audit.Event) error {
	err := w.ExternalRecords.ReserveExternal(ctx, c, abandoned, ev)
	if errors.Is(err, ca.ErrAsking) {
		w.once.Do(func() { close(w.found) })
	}
	return err
}

// held lets a request through when it may.
type held struct {
	http.RoundTripper
	begun, may chan struct{}
	once       sync.Once
}

func (h *held) RoundTrip(r *http.Request) (*http.Response, error) {
	h.once.Do(func() { close(h.begun) })
	<-h.may
	return h.RoundTripper.RoundTrip(r)
}

// The second gateway waits for what the first has asked for, and asks for nothing.
func TestSecondGatewayWaits(t *testing.T) {
	onEngines(t, func(t *testing.T, db *store.DB) {
		x := newExternal(t, db)
		w := &waiting{ExternalRecords: db, found: make(chan struct{})}
		h := &held{RoundTripper: x.CA.HTTP.Transport, begun: make(chan struct{}), may: w.found}
		x.CA.HTTP = &http.Client{Transport: h, Timeout: x.CA.HTTP.Timeout}
		second, err := ca.Load(ctx, storetest.Profile(), x.keys, db, x.clock)
		must(t, err)
		other := *x.External
		other.Records = w
		second.External = &other
		o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
		csr := request(t, o, key(t), nil)
		first := make(chan string, 1)
		go func() {
			c, _, err := x.Issue(ctx, "test", o, csr)
			if err != nil {
				t.Error(err)
				first <- ""
				return
			}
			first <- c.SerialNumber.String()
		}()
		<-h.begun
		c, _, err := second.Issue(ctx, "test", o, csr)
		must(t, err)
		if got := <-first; got != c.SerialNumber.String() {
			t.Errorf("one got %s, the other %s", got, c.SerialNumber)
		}
		must(t, x.Settle(ctx))
		if list := x.revoked(t); len(list) != 0 {
			t.Errorf("the CA was told to revoke %v", list)
		}
	})
}

// Whoever asked and died is waited for as long as the CA would take the request; then it
// is to be revoked, and another asks.
func TestGatewayDiesWhileAsking(t *testing.T) {
	onEngines(t, func(t *testing.T, db *store.DB) {
		x := newExternal(t, db)
		o := ca.Officer{IC: ic, Name: name, Credential: "cr_1"}
		csr := request(t, o, key(t), nil)
		dead := ca.Certificate{Serial: "1234567890", Issuer: ca.ExternalIssuer, Credential: o.Credential, Key: []byte("k"), NotBefore: x.now, NotAfter: x.now.Add(time.Hour)}
		must(t, db.ReserveExternal(ctx, dead, x.now, audit.Event{At: x.now, Actor: "test", Action: "ca.reserve", Object: dead.Serial, Verdict: audit.Accepted}))
		short, cancel := context.WithCancel(ctx)
		w := &waiting{ExternalRecords: db, found: make(chan struct{})}
		other := *x.External
		other.Records = w
		x.Authorities.External = &other
		go func() { <-w.found; cancel() }()
		if _, _, err := x.Issue(short, "test", o, csr); !errors.Is(err, context.Canceled) {
			t.Errorf("while it may still be issued: %v", err)
		}
		x.now = x.now.Add(2*time.Minute + time.Second)
		_, _, err := x.Issue(ctx, "test", o, csr)
		must(t, err)
		must(t, x.Settle(ctx))
		if list := x.revoked(t); len(list) != 1 {
			t.Errorf("the CA was told to revoke %v", list)
		}
	})
}
