package ca_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
)

// Each issuing CA's responder is asked about a certificate in force, and what is wrong with it found.
func TestRespondersAreWatched(t *testing.T) {
	a := bootstrapped(t, nil)
	_, err := a.Create(ctx, "test", ca.Authority{Name: "issuing-2", Parent: ca.Root})
	must(t, err)
	answers := func(n int) []ca.Answering {
		t.Helper()
		list, err := a.Answers(ctx)
		must(t, err)
		if len(list) != n {
			t.Fatalf("%d responders: %+v", len(list), list)
		}
		return list
	}
	for _, r := range answers(2) {
		if r.Err != nil || r.Certificate == nil || r.Ends || !r.Fresh.ThisUpdate.Equal(a.now.UTC().Truncate(time.Second)) || !r.Fresh.Until.Equal(r.Fresh.ThisUpdate.Add(time.Hour)) {
			t.Errorf("%+v", r)
		}
	}
	signs := 0
	a.keys.OnAuthority = func(string) error { signs++; return nil }
	a.now = a.now.Add(29 * time.Minute)
	if list := answers(2); signs != 0 || list[0].Err != nil {
		t.Errorf("%d signatures for what is known, %+v", signs, list[0])
	}
	a.keys.OnAuthority = func(string) error { return errDead }
	a.now = a.now.Add(2 * time.Minute)
	for _, r := range answers(2) {
		if !errors.Is(r.Err, errDead) || r.Certificate == nil {
			t.Errorf("a dead token: %+v", r)
		}
	}
	a.keys.OnAuthority = nil

	// The responder of one is revoked, then its CA; that of the other ends, as nobody renews it.
	list := answers(2)
	must(t, a.Revoke(ctx, "test", list[1].Certificate.SerialNumber.String(), 5))
	if list = answers(2); list[0].Err != nil || !errors.Is(list[1].Err, ca.ErrNoUnit) {
		t.Errorf("revoked: %+v", list)
	}
	must(t, a.Revoke(ctx, "test", a.Certificate("issuing-2").SerialNumber.String(), 5))
	a.now = list[0].Certificate.NotAfter.Add(time.Second)
	if list = answers(1); list[0].Issuer != ca.Issuing || !errors.Is(list[0].Err, ca.ErrNoUnit) {
		t.Errorf("ended: %+v", list)
	}
	// One that can last no longer than its CA.
	a = bootstrapped(t, nil)
	a.now = a.Certificate(ca.Issuing).NotAfter.Add(-24 * time.Hour)
	_, _, err = a.Renew(ctx)
	must(t, err)
	if list = answers(1); !list[0].Ends || list[0].Err != nil {
		t.Errorf("with its CA: %+v", list)
	}
}

// What others' servers answered is remembered; one that failed is asked again, seldom, and only
// while somebody else wants to know.
func TestSourcesAreRemembered(t *testing.T) {
	x := newAbroad(t)
	c := x.client()
	host := strings.TrimPrefix(x.url, "http://")
	if list := c.Sources(); len(list) != 0 {
		t.Fatalf("nobody was asked: %+v", list)
	}
	began, down := x.now, false
	x.serve = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down || r.URL.Path == "/crl":
			http.Error(w, "no", http.StatusBadGateway)
		default:
			// It says "now" by the machine's clock, which may be behind x's.
			send("application/ocsp-response", x.response(t, func(r *ocsp.Response) { r.NextUpdate = x.now.Add(10 * time.Minute) }, nil, nil))(w, r)
		}
	}
	ask := func() { _, _, _ = c.Revocation(ctx, x.leaf, x.cert) }
	only := func() ca.Source {
		t.Helper()
		list := c.Sources()
		if len(list) == 0 || list[len(list)-1].Kind != "ocsp" || list[len(list)-1].Host != host {
			t.Fatalf("%+v", list)
		}
		return list[len(list)-1]
	}
	ask()
	if s := only(); !s.Good.Equal(began) || !s.Until.Equal(began.Add(10*time.Minute)) || s.Err != nil || !s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
	down = true
	x.now = x.now.Add(6 * time.Minute)
	first := x.now
	ask()
	x.now = x.now.Add(time.Minute)
	ask()
	list := c.Sources()
	if len(list) != 2 || list[0].Kind != "crl" || !list[0].Good.IsZero() || list[0].Err == nil {
		t.Fatalf("both ways failed: %+v", list)
	}
	if s := list[1]; !s.Good.Equal(began) || !s.Since.Equal(first) || !s.Tried.Equal(x.now) || s.Err == nil {
		t.Errorf("%+v", s)
	}
	x.hits.Store(0)
	x.now = x.now.Add(4 * time.Minute)
	c.Retry(ctx, 5*time.Minute)
	if x.hits.Load() != 0 {
		t.Errorf("asked again at once: %d requests", x.hits.Load())
	}
	x.now = x.now.Add(time.Minute)
	c.Retry(ctx, 5*time.Minute)
	if s := only(); x.hits.Load() != 2 || !s.Tried.Equal(x.now) || !s.Since.Equal(first) {
		t.Errorf("asked again: %d requests, %+v", x.hits.Load(), s)
	}
	down = false
	x.now = x.now.Add(5 * time.Minute)
	c.Retry(ctx, 5*time.Minute)
	if s := only(); x.hits.Load() != 4 || s.Err != nil || !s.Good.Equal(x.now) || !s.Since.IsZero() {
		t.Errorf("it is back: %d requests, %+v", x.hits.Load(), s)
	}
	x.now = x.now.Add(25 * time.Hour)
	c.Retry(ctx, 5*time.Minute)
	if list := c.Sources(); x.hits.Load() != 4 || len(list) != 0 {
		t.Errorf("nobody has wanted it for a day: %d requests, %+v", x.hits.Load(), list)
	}
}
