package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// impatient posts and hangs up after a while; the status is 0 when it did.
func impatient(t *testing.T, g *gatewaytest.Gateway, path string, body any, patience time.Duration) int {
	t.Helper()
	p, err := json.Marshal(body)
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", g.URL+path, bytes.NewReader(p))
	check(t, err)
	req.Header.Set("X-API-Key", string(g.Dev.APIKey.Reveal()))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the status is what counts
	return resp.StatusCode
}

// A client that hangs up leaves nothing half-done: a transaction has its code or is cancelled, a
// signature is made or its code lives on.
func TestClientsThatHangUp(t *testing.T) {
	g := gatewaytest.New(t)
	ask := raw("satu")
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	hung := 0
	for k := range 20 {
		if impatient(t, g, "/v1/transactions", ask, time.Duration(k)*400*time.Microsecond+100*time.Microsecond) == 0 {
			hung++
		}
		g.Clock.Advance(time.Hour) // the codes an officer does not use are counted
	}
	g.Stop() // requests in work end first
	if half := query(t, g, "UPDATE transactions SET status = status WHERE status = 'WAITING' AND NOT EXISTS (SELECT 1 FROM challenges c WHERE c.transaction_id = transactions.id)"); half > 0 || hung == 0 {
		t.Errorf("%d hung up, %d transactions without a code", hung, half)
	}
	g.Start()
	hung = 0
	for range 12 {
		g.Clock.Advance(time.Hour)
		tx, code := g.Ask(raw("dua"))
		want(t, tx, 201, "")
		path := "/v1/transactions/" + tx.Text("transaction_id")
		body := map[string]any{"nonce": tx.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": code}
		if impatient(t, g, path+"/sign", body, time.Duration(rand.IntN(40000)+500)*time.Microsecond) == 0 {
			hung++
		}
		again := g.Confirm(tx, code, nil) // waits for the one before, of the same officer
		if again.Status != 200 && again.Code() != "otp_already_used" {
			t.Fatalf("after hanging up: %d %s", again.Status, again.Raw)
		}
		state := ""
		for end := time.Now().Add(20 * time.Second); state == "" || state == "SIGNING" && time.Now().Before(end); {
			state = g.Do("GET", path, "", nil).Text("status")
		}
		if state != "SIGNED" {
			t.Errorf("after hanging up the transaction is %s", state)
		}
	}
	if hung == 0 {
		t.Error("nobody hung up")
	}
}

// DELETE in each state has its answer, and a second one says what the first did.
func TestCancelInEachState(t *testing.T) {
	g := gatewaytest.New(t)
	gone := func(what, path string, status int, code string) {
		t.Helper()
		if r := g.Do("DELETE", path, "", nil); r.Status != status || r.Code() != code {
			t.Errorf("%s: %d %s, want %d %s", what, r.Status, r.Raw, status, code)
		}
	}
	of := func(tx *gatewaytest.Reply) string { return "/v1/transactions/" + tx.Text("transaction_id") }
	tx, code := g.Ask(raw("satu"))
	gone("waiting", of(tx), 204, "")
	gone("cancelled", of(tx), 409, "transaction_cancelled")
	want(t, g.Confirm(tx, code, nil), 409, "transaction_cancelled")
	tx, code = g.Ask(raw("dua"))
	want(t, g.Confirm(tx, code, nil), 200, "")
	gone("signed", of(tx), 409, "otp_already_used")
	tx, _ = g.Ask(raw("tiga"))
	g.Clock.Advance(31 * time.Minute)
	gone("expired", of(tx), 410, "transaction_expired")
	gone("nobody's", "/v1/transactions/tx_x", 404, "not_found")

	line := []byte(`{"name":"a","digest":{"alg":"SHA-256","value":"` + strings.Repeat("A", 43) + `="}}` + "\n")
	open := func() string {
		made := g.Do("POST", "/v1/batches", "", map[string]string{"name": "K", "kind": "digest"})
		want(t, made, 201, "")
		path := "/v1/batches/" + made.Text("batch_id")
		want(t, g.Do("POST", path+"/items", "application/x-ndjson", line), 200, "")
		return path
	}
	b := open()
	gone("open", b, 204, "")
	gone("cancelled", b, 409, "batch_sealed")
	want(t, g.Do("POST", b+"/items", "application/x-ndjson", line), 409, "batch_sealed")
	b = open()
	want(t, g.Do("POST", b+"/seal", "", nil), 200, "")
	tx, _ = g.Ask(map[string]any{"format": "RAW", "batch_id": strings.TrimPrefix(b, "/v1/batches/")})
	want(t, tx, 201, "")
	gone("a batch that somebody is to sign", b, 409, "batch_busy")
	gone("its transaction", of(tx), 204, "")
	gone("sealed", b, 204, "")
}

// Who asks too often is told when to come back, and is served then.
func TestRateOfAnApp(t *testing.T) {
	g := gatewaytest.New(t)
	app := otherApp()
	app.Rate = 2
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", app)
	check(t, err)
	as := []string{"X-API-Key", string(key.Reveal()), "Idempotency-Key", "k"}
	post := func() *gatewaytest.Reply {
		return g.Do("POST", "/v1/batches", "", map[string]string{"name": "K", "kind": "digest"}, as...)
	}
	var r *gatewaytest.Reply
	for n := range 20 {
		if r = post(); r.Status != 201 {
			if n != 4 { // two seconds' worth at once
				t.Errorf("%d requests at once", n)
			}
			break
		}
	}
	want(t, r, 429, "rate_limited")
	after, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || after < 1 {
		t.Fatalf("Retry-After: %q", r.Header.Get("Retry-After"))
	}
	g.Clock.Advance(time.Duration(after) * time.Second)
	want(t, post(), 201, "") // and 429 was not kept
	// Another app's patience is not used up.
	want(t, g.Do("GET", "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil), 200, "")
}

// What is too large is said to be, before it is judged.
func TestBoundsOfBodies(t *testing.T) {
	g := gatewaytest.New(t)
	made := g.Do("POST", "/v1/batches", "", map[string]string{"name": "K", "kind": "digest"})
	want(t, made, 201, "")
	items := "/v1/batches/" + made.Text("batch_id") + "/items"
	long := []byte(`{"name":"` + strings.Repeat("a", 17<<20) + `"}`)
	keys := 0
	for _, key := range []string{"", "k"} { // without one and with
		with := func() []string {
			if keys++; key == "" {
				return nil
			}
			return []string{"Idempotency-Key", key + strconv.Itoa(keys)}
		}
		want(t, g.Do("POST", "/v1/transactions", "application/json", long, with()...), 413, "too_large")
		want(t, g.Do("POST", "/v1/batches", "application/json", long[:2<<20], with()...), 413, "too_large")
		refused := g.Do("POST", items, "application/x-ndjson", long, with()...) // a row of it is
		if want(t, refused, 200, ""); refused.Body["accepted"] != 0.0 || refused.Body["refused_count"] != 1.0 {
			t.Errorf("a line of 17 MiB: %s", refused.Raw)
		}
		want(t, g.Do("POST", "/v1/documents", "application/pdf", long[:1<<20], with()...), 422, "pdf_invalid")
	}
}
