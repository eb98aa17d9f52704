package gateway_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// What keeps a database of SQLite from being changed, and lets it be read.
const (
	readOnly  = "CREATE TRIGGER read_only BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
	readWrite = "DROP TRIGGER read_only"
)

func crlOf(t *testing.T, g *gatewaytest.Gateway, name string) *x509.RevocationList {
	t.Helper()
	r := g.Do(http.MethodGet, "/crl/"+name+".crl", "", nil)
	l, err := x509.ParseRevocationList(r.Raw)
	if r.Status != http.StatusOK || err != nil {
		t.Fatalf("%d %s, %v", r.Status, r.Raw, err)
	}
	return l
}

// Nobody asks for a CRL, and there is always a young one. While the database cannot
// be written the last one is handed out until its end, and OCSP answers.
func TestCRLsArePublished(t *testing.T) {
	g := gatewaytest.New(t)
	ctx := t.Context()
	step := func(want time.Duration) {
		t.Helper()
		if got := gateway.PublisherStep(ctx, g.Server); got != want {
			t.Errorf("comes back in %v, want %v\n%s", got, want, g.Log)
		}
	}
	newest := func() (n int) {
		return count(t, g, "SELECT MAX(number) FROM crls WHERE issuer = 'issuing'")
	}
	first := newest()
	step(time.Minute)
	g.Clock.Advance(12*time.Hour - time.Minute)
	step(time.Minute)
	if n := newest(); n != first {
		t.Errorf("before half of its life: CRL %d after %d", n, first)
	}
	g.Clock.Advance(time.Minute)
	step(time.Minute)
	if n, roots := newest(), count(t, g, "SELECT MAX(number) FROM crls WHERE issuer = 'root'"); n != first+1 || roots != 2 {
		t.Errorf("at half of its life: CRL %d after %d, %d of the root", n, first, roots)
	}
	cert := certificate(t, g, g.Dev.Officers[0].Credentials[0].CredentialID)
	if err := g.Server.Revoke(ctx, "test", cert.SerialNumber.String(), 1); err != nil {
		t.Fatal(err)
	}
	if n := newest(); n != first+2 {
		t.Errorf("after a revocation: CRL %d", n)
	}

	execSQL(t, g, readOnly)
	g.Clock.Advance(13 * time.Hour)
	for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		step(pause)
	}
	if log := g.Log.String(); !strings.Contains(log, "keeping CRLs published; trying again") || strings.Contains(log, "CRL is stale") {
		t.Error("the log does not say that CRLs cannot be renewed, or calls them stale too early")
	}
	last := crlOf(t, g, "issuing")
	if last.Number.Int64() != int64(first+2) || len(last.RevokedCertificateEntries) != 1 {
		t.Errorf("CRL %v", last.Number)
	}
	chain := chain(t, g)
	q, err := ocsp.CreateRequest(cert, chain[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(q)
	for how, r := range map[string]*gatewaytest.Reply{
		"POST":            g.Do(http.MethodPost, "/ocsp", "application/ocsp-request", q),
		"GET":             g.Do(http.MethodGet, "/ocsp/"+url.QueryEscape(encoded), "", nil),
		"GET, as it is":   g.Do(http.MethodGet, "/ocsp/"+encoded, "", nil),
		"GET, unpadded":   g.Do(http.MethodGet, "/ocsp/"+strings.TrimRight(encoded, "="), "", nil),
		"GET, path style": g.Do(http.MethodGet, "/ocsp/"+url.PathEscape(encoded), "", nil),
	} {
		a, err := ocsp.ParseResponse(r.Raw, chain[0])
		if err != nil || a.Status != ocsp.Revoked || a.RevocationReason != 1 || !a.ThisUpdate.Equal(g.Clock.Now().UTC().Truncate(time.Second)) {
			t.Errorf("%s: %+v, %v", how, a, err)
		}
	}

	g.Clock.Advance(5*time.Hour + time.Second) // three quarters
	step(time.Minute)
	if !strings.Contains(g.Log.String(), "CRL is stale") {
		t.Error("nobody is told of a stale CRL")
	}
	ready := g.Do(http.MethodGet, "/readyz", "", nil) // an answer is repeated for a moment: this is the first
	if parts, _ := ready.Body["parts"].(map[string]any); ready.Status != http.StatusOK || parts["crl"] != "degraded" || ready.Body["status"] != "ok" {
		t.Errorf("ready: %s", ready.Raw)
	}
	if l := crlOf(t, g, "issuing"); l.Number.Cmp(last.Number) != 0 {
		t.Errorf("CRL %v", l.Number)
	}
	g.Clock.Advance(6 * time.Hour)
	if r := g.Do(http.MethodGet, "/crl/issuing.crl", "", nil); r.Status < 500 {
		t.Errorf("an ended CRL: %d", r.Status)
	}
	execSQL(t, g, readWrite)
	step(time.Minute)
	if l := crlOf(t, g, "issuing"); l.Number.Int64() != last.Number.Int64()+1 || len(l.RevokedCertificateEntries) != 1 {
		t.Errorf("when it can be written again: CRL %v", l.Number)
	}
}

// A revocation to come is done by the running gateway at its time, and by one that
// starts after it before anybody signs.
func TestScheduledRevocationIsDone(t *testing.T) {
	g := gatewaytest.New(t)
	ctx := t.Context()
	creds := g.Dev.Officers[0].Credentials
	one, two := certificate(t, g, creds[0].CredentialID), certificate(t, g, creds[1].CredentialID)
	schedule := func(c *x509.Certificate, in time.Duration) {
		t.Helper()
		if err := g.Server.Schedule(ctx, "test", c.SerialNumber.String(), ca.ReasonCode("cessationOfOperation"), g.Clock.Now().Add(in)); err != nil {
			t.Fatal(err)
		}
	}
	schedule(one, 90*time.Second)
	schedule(two, 2*time.Hour)
	for _, want := range []time.Duration{time.Minute, 30 * time.Second} {
		if got := gateway.PublisherStep(ctx, g.Server); got != want {
			t.Errorf("comes back in %v, want %v", got, want)
		}
		g.Clock.Advance(want)
	}
	ask := raw("satu")
	ask["credential_id"] = creds[0].CredentialID
	tx, code := g.Ask(ask) // at its time, but nobody has come back yet
	if got := gateway.PublisherStep(ctx, g.Server); got != time.Minute {
		t.Errorf("comes back in %v", got)
	}
	want(t, g.Confirm(tx, code, nil), 409, "certificate_revoked")
	if l := crlOf(t, g, "issuing"); len(l.RevokedCertificateEntries) != 1 || l.RevokedCertificateEntries[0].ReasonCode != 5 || !l.RevokedCertificateEntries[0].RevocationTime.Equal(g.Clock.Now()) {
		t.Errorf("CRL %+v", l.RevokedCertificateEntries)
	}
	g.Stop()
	g.Clock.Advance(3 * time.Hour)
	g.Start()
	if l := crlOf(t, g, "issuing"); len(l.RevokedCertificateEntries) != 2 {
		t.Errorf("after a restart: CRL %+v", l.RevokedCertificateEntries)
	}
	ask["credential_id"] = creds[1].CredentialID
	r, _ := g.Ask(ask)
	want(t, r, 409, "certificate_revoked")
	n := 0
	for _, e := range events(t, g, "ca.revoke") {
		if e.actor == "gateway" && strings.Contains(e.detail, `"late":"1h1m30s"`) && e.object == two.SerialNumber.String() {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events say that it was late", n)
	}
	if !strings.Contains(g.Log.String(), "the revocation is late") {
		t.Error("the log does not say that it was late")
	}
}
