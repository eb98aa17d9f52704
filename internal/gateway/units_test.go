package gateway_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// proven opens and proves a sandbox without its init, as `serve` does.
func proven(t *testing.T, g *gatewaytest.Gateway) (*gateway.Server, error) {
	t.Helper()
	i, err := gateway.Open(t.Context(), g.Dir, g.Clock.Now)
	if err != nil {
		return nil, err
	}
	box, err := sandbox.StartMailbox(g.Clock.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := gateway.Prove(t.Context(), i, box, slog.New(slog.NewTextHandler(g.Log, nil)))
	if err != nil {
		return nil, errors.Join(err, box.Close(), i.Close())
	}
	return s, nil
}

// removePairs destroys key pairs of the token. m keeps the module open and logged in.
func removePairs(t *testing.T, g *gatewaytest.Gateway, _ *hsm.Module, labels ...string) {
	t.Helper()
	c, err := gateway.LoadConfig(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	library, err := hsm.DefaultModule()
	if err != nil {
		t.Fatal(err)
	}
	p := pkcs11.New(library)
	slots, err := p.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	destroyed := 0
	for _, slot := range slots {
		if info, err := p.GetTokenInfo(slot); err != nil || info.Label != c.Token.Label {
			continue
		}
		session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		for _, label := range labels {
			if err := p.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}); err != nil {
				t.Fatal(err)
			}
			found, _, err := p.FindObjects(session, 10)
			if err = errors.Join(err, p.FindObjectsFinal(session)); err != nil {
				t.Fatal(err)
			}
			for _, h := range found {
				if err := p.DestroyObject(session, h); err != nil {
					t.Fatal(err)
				}
				destroyed++
			}
		}
		if err := p.CloseSession(session); err != nil {
			t.Fatal(err)
		}
	}
	if destroyed != 2*len(labels) {
		t.Fatalf("%d objects of %q were there", destroyed, labels)
	}
}

func execSQL(t *testing.T, g *gatewaytest.Gateway, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// An installation of a release that had neither time-stamp unit nor responder gets
// both from the next start, on record; one that lost a key does not get another.
func TestStartMakesUnits(t *testing.T) {
	g := gatewaytest.New(t)
	m, _ := insider(t, g)
	g.Stop()
	removePairs(t, g, m, "tsa", "ocsp")
	execSQL(t, g, "DELETE FROM certificates WHERE credential_id IN ('authority:tsa', 'authority:ocsp')", "DELETE FROM audit_events")
	if err := os.Remove(filepath.Join(g.Dir, "audit-heads.jsonl")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := proven(t, g)
		if err != nil {
			t.Fatal(err)
		}
		rec := ask(t, s.Handler(), http.MethodPost, "/tsa", "application/timestamp-query", tsQuery(t))
		if token, err := cms.ParseTimestampResponse(rec); err != nil || len(token) == 0 {
			t.Errorf("no token: %v", err)
		}
		if err := s.CloseAll(); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, g, "SELECT COUNT(*) FROM audit_events WHERE action = 'hsm.key' AND object IN ('key:tsa', 'key:ocsp') AND detail LIKE '%\"by\":\"start\"%'"); n != 2 {
		t.Errorf("%d keys of units are on record, want 2", n)
	}
	for _, k := range keyList(t, keyring(t, g)) {
		if k.Problem != "" {
			t.Errorf("%+v", k)
		}
	}
	removePairs(t, g, m, "tsa")
	if s, err := proven(t, g); err == nil {
		t.Error("started without a key that is on record", s.CloseAll())
	}
	execSQL(t, g, "DELETE FROM certificates WHERE credential_id = 'authority:tsa'")
	if s, err := proven(t, g); !errors.Is(err, gateway.ErrKeys) || !strings.Contains(err.Error(), "tsa is on record and not in the token") {
		t.Error("without key and certificate:", err, s)
	}
}

// ask sends a request to a handler and wants 200.
func ask(t *testing.T, h http.Handler, method, path, contentType string, body []byte) []byte {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	r, err := http.NewRequest(method, srv.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, b, err)
	}
	return b
}

func tsQuery(t *testing.T) []byte {
	t.Helper()
	q, err := cms.TimestampRequest(crypto.SHA256, make([]byte, 32), nil, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// chain is issuing CA and root, as the gateway publishes them.
func chain(t *testing.T, g *gatewaytest.Gateway) (certs []*x509.Certificate) {
	t.Helper()
	raw := g.Do(http.MethodGet, "/ca/chain.pem", "", nil).Raw
	for b, rest := pem.Decode(raw); b != nil; b, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	return certs
}

func TestTimestampOverHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	r := g.Do(http.MethodPost, "/tsa", "application/timestamp-query", tsQuery(t), "X-API-Key", "") // nobody logs in for it
	if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "application/timestamp-reply" {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	token, err := cms.ParseTimestampResponse(r.Raw)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := cms.ParseTimestamp(token)
	if err != nil || ts.Verify(make([]byte, 32)) != nil || !ts.Time.Equal(g.Clock.Now()) {
		t.Fatalf("%v, %v", ts, err)
	}
	between, roots := x509.NewCertPool(), x509.NewCertPool()
	between.AddCert(ts.Others[0])
	roots.AddCert(chain(t, g)[1])
	if _, err := ts.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: ts.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}); err != nil {
		t.Error(err)
	}
	for name, x := range map[string]struct {
		kind   string
		body   []byte
		status int
	}{
		"other type": {"application/json", tsQuery(t), 400},
		"no type":    {"", tsQuery(t), 400},
		"rubbish":    {"application/timestamp-query", []byte("x"), 200},
		"10 MB":      {"application/timestamp-query", make([]byte, 10<<20), 200},
		"empty":      {"application/timestamp-query", nil, 200},
	} {
		r := g.Do(http.MethodPost, "/tsa", x.kind, append([]byte{}, x.body...))
		if r.Status != x.status {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
		var refusal *cms.TimestampRefusal
		if _, err := cms.ParseTimestampResponse(r.Raw); x.status == 200 && !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := g.Do(http.MethodGet, "/tsa", "", nil); r.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", r.Status)
	}
}

func TestOCSPOverHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	issuing := chain(t, g)[0]
	o := g.Dev.Officers[0]
	_, cert, err := g.Server.Registrar.IssueCredential(t.Context(), "test", enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, g.Dev.System, "ECDSA-P256", o.PIN)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.OCSPServer) != 1 || cert.OCSPServer[0] != g.URL+"/ocsp" {
		t.Fatalf("responder %q", cert.OCSPServer)
	}
	der, err := ocsp.CreateRequest(cert, issuing, nil)
	if err != nil {
		t.Fatal(err)
	}
	status := func(r *gatewaytest.Reply) int {
		t.Helper()
		got, err := ocsp.ParseResponseForCert(r.Raw, cert, issuing)
		if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "application/ocsp-response" || err != nil {
			t.Fatalf("%d %s, %v", r.Status, r.Raw, err)
		}
		return got.Status
	}
	text := base64.StdEncoding.EncodeToString(der)
	both := func(want int) {
		t.Helper()
		if got := status(g.Do(http.MethodPost, "/ocsp", "application/ocsp-request", der, "X-API-Key", "")); got != want {
			t.Errorf("POST: status %d, want %d", got, want)
		}
		for _, path := range []string{url.QueryEscape(text), url.PathEscape(text), text, strings.TrimRight(text, "=")} {
			r := g.Do(http.MethodGet, "/ocsp/"+path, "", nil)
			if got := status(r); got != want || !strings.Contains(r.Header.Get("Cache-Control"), "max-age=60") {
				t.Errorf("GET %s: status %d, want %d, %v", path, got, want, r.Header)
			}
			a, _ := ocsp.ParseResponse(r.Raw, issuing)
			if r.Header.Get("Last-Modified") != a.ThisUpdate.Format(http.TimeFormat) || r.Header.Get("Expires") != g.Clock.Now().Add(time.Minute).UTC().Format(http.TimeFormat) {
				t.Errorf("GET: %v", r.Header)
			}
			if again := g.Do(http.MethodGet, "/ocsp/"+path, "", nil, "If-None-Match", r.Header.Get("ETag")); again.Status != http.StatusNotModified || len(again.Raw) != 0 {
				t.Errorf("what was not modified: %d", again.Status)
			}
		}
	}
	both(ocsp.Good)
	if err := g.Server.Revoke(t.Context(), "test", cert.SerialNumber.String(), 1); err != nil {
		t.Fatal(err)
	}
	both(ocsp.Revoked)
	for _, path := range []string{"%21%21", "***", strings.Repeat("A", 100_000)} {
		if r := g.Do(http.MethodGet, "/ocsp/"+path, "", nil); r.Status != http.StatusBadRequest {
			t.Errorf("GET %.10s: %d", path, r.Status)
		}
	}
	for name, body := range map[string][]byte{"rubbish": []byte("x"), "10 MB": make([]byte, 10<<20), "empty": {}} {
		if r := g.Do(http.MethodPost, "/ocsp", "application/ocsp-request", body); r.Status != http.StatusOK || !bytes.Equal(r.Raw, []byte{0x30, 3, 10, 1, 1}) {
			t.Errorf("%s: %d %x", name, r.Status, r.Raw)
		}
	}
	if r := g.Do(http.MethodPost, "/ocsp", "text/plain", der); r.Status != http.StatusBadRequest {
		t.Errorf("another type: %d", r.Status)
	}
	// Down for longer than the responder's certificate lasts; the next start renews it.
	g.Stop()
	g.Clock.Advance(40 * 24 * time.Hour)
	g.Start()
	both(ocsp.Revoked)
}

// moduleKeys are a module's keys as ca wants them.
type moduleKeys struct{ m *hsm.Module }

func (k moduleKeys) Signer(_ context.Context, name string) (crypto.Signer, error) {
	return k.m.Signer(name)
}

// What a token and an OCSP answer cost beside the signature of the HSM in them.
func BenchmarkUnits(b *testing.B) {
	g := gatewaytest.New(b)
	m, db := insider(b, g)
	a, err := ca.Load(b.Context(), ca.DefaultProfile(), moduleKeys{m}, db, g.Clock.Now)
	if err != nil {
		b.Fatal(err)
	}
	key, err := m.Signer(ca.TSA)
	if err != nil {
		b.Fatal(err)
	}
	digest := make([]byte, 32)
	tsa, issuing := a.Certificate(ca.TSA), a.Certificate(ca.Issuing)
	// About nobody's serial number: an answer that is not kept.
	request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: big.NewInt(5)}, issuing, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"signature": func() error { _, err := key.Sign(nil, digest, crypto.SHA256); return err },
		"token":     func() error { _, err := a.Timestamp(b.Context(), crypto.SHA256, digest); return err },
		"ocsp":      func() error { _, _, err := a.OCSPReply(b.Context(), request); return err },
		"ocsp-kept": func() error { _, err := a.OCSP(b.Context(), tsa, issuing); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
