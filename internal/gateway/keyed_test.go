package gateway_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/otp"
)

// cutOff leaves in the database what a gateway leaves there that is killed between what a request
// did and the keeping of its answer.
func cutOff(t *testing.T, g *gatewaytest.Gateway, key string, more ...string) {
	t.Helper()
	g.Stop()
	if n := query(t, g, "UPDATE idempotency SET status = 0, headers = '', body = NULL WHERE key = ?", key); n != 1 {
		t.Fatalf("%d claims of %s", n, key)
	}
	for _, m := range more {
		query(t, g, m)
	}
	g.Start()
}

// accepted counts what was done.
func accepted(t *testing.T, g *gatewaytest.Gateway, action string) (n int) {
	t.Helper()
	for _, e := range events(t, g, action) {
		if e.verdict == audit.Accepted {
			n++
		}
	}
	return n
}

// A request that was killed after its deed and before its answer was kept is answered the same,
// and nothing is done twice.
func TestKeyedRequestsOutliveACrash(t *testing.T) {
	g := gatewaytest.New(t)
	post := func(path, contentType string, body any, key string) *gatewaytest.Reply {
		return g.Do("POST", path, contentType, body, "Idempotency-Key", key)
	}
	same := func(what string, first, again *gatewaytest.Reply) {
		t.Helper()
		if first.Status != again.Status || !bytes.Equal(first.Raw, again.Raw) || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Errorf("%s: %d %s, then %d %s", what, first.Status, first.Raw, again.Status, again.Raw)
		}
	}
	// without is an answer without what is counted on.
	without := func(r *gatewaytest.Reply, members ...string) string {
		m := maps.Clone(r.Body)
		for _, x := range members {
			delete(m, x)
		}
		p, _ := json.Marshal(m)
		return string(p)
	}
	ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}

	tx := post("/v1/transactions", "", ask, "tx")
	want(t, tx, 201, "")
	cutOff(t, g, "tx")
	again := post("/v1/transactions", "", ask, "tx")
	same("transaction", tx, again)
	same("transaction, kept again", tx, post("/v1/transactions", "", ask, "tx"))
	if n := accepted(t, g, "transaction.create"); n != 1 {
		t.Errorf("%d transactions", n)
	}
	other := maps.Clone(ask)
	other["data_header"] = "lain"
	cutOff(t, g, "tx")
	want(t, post("/v1/transactions", "", other, "tx"), 409, "idempotency_conflict")

	// The first code did not survive: codes live in the memory of the gateway that was killed.
	g.Clock.Advance(2 * time.Minute)
	mark := g.Server.Mailbox.Mark()
	sent := post("/v1/transactions/"+tx.Text("transaction_id")+"/otp", "", map[string]any{}, "otp")
	want(t, sent, 200, "")
	code := g.Code(g.Dev.Officers[0].Email, mark)
	body := map[string]any{"nonce": sent.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": code}
	signed := post("/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", body, "sign")
	want(t, signed, 200, "")
	cutOff(t, g, "sign")
	same("sign", signed, post("/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", body, "sign"))
	if n := accepted(t, g, "signer.authorize"); n != 1 {
		t.Errorf("%d authorisations", n)
	}
	// Resent: the live nonce, if it is live.
	second := post("/v1/transactions", "", ask, "tx-2")
	want(t, second, 201, "")
	g.Clock.Advance(2 * time.Minute)
	sent = post("/v1/transactions/"+second.Text("transaction_id")+"/otp", "", map[string]any{}, "otp-2")
	want(t, sent, 200, "")
	cutOff(t, g, "otp-2")
	again = post("/v1/transactions/"+second.Text("transaction_id")+"/otp", "", map[string]any{}, "otp-2")
	if again.Status != 200 || without(again, "documents") != without(sent, "documents") {
		t.Errorf("resent: %s, then %d %s", sent.Raw, again.Status, again.Raw)
	}

	// Killed before the code was made: the same transaction gets its code.
	third := post("/v1/transactions", "", ask, "tx-3")
	want(t, third, 201, "")
	id := third.Text("transaction_id")
	cutOff(t, g, "tx-3", "DELETE FROM challenges WHERE transaction_id = '"+id+"'", "DELETE FROM code_sends WHERE transaction_id = '"+id+"'")
	mark = g.Server.Mailbox.Mark()
	again = post("/v1/transactions", "", ask, "tx-3")
	if again.Status != 201 || without(again, "nonce", "otp") != without(third, "nonce", "otp") || again.Text("nonce") == "" || again.Text("nonce") == third.Text("nonce") {
		t.Fatalf("made without a code: %s, then %d %s", third.Raw, again.Status, again.Raw)
	}
	want(t, g.Confirm(again, g.Code(g.Dev.Officers[0].Email, mark), nil), 200, "")

	batch := post("/v1/batches", "", map[string]any{"name": "Mac", "kind": "digest"}, "batch")
	want(t, batch, 201, "")
	cutOff(t, g, "batch")
	same("batch", batch, post("/v1/batches", "", map[string]any{"name": "Mac", "kind": "digest"}, "batch"))
	line := []byte(`{"name":"a","digest":{"alg":"SHA-256","value":"` + strings.Repeat("A", 43) + `="}}` + "\n")
	items := "/v1/batches/" + batch.Text("batch_id") + "/items"
	want(t, post(items, "application/x-ndjson", line, "items"), 200, "")
	cutOff(t, g, "items")
	lost := post(items, "application/x-ndjson", line, "items")
	want(t, lost, 409, "request_done")
	if lost.Text("object") != batch.Text("batch_id") {
		t.Errorf("where to look: %s", lost.Raw)
	}
	sealed := post("/v1/batches/"+batch.Text("batch_id")+"/seal", "", map[string]any{}, "seal")
	want(t, sealed, 200, "")
	if n, _ := sealed.Body["count"].(float64); n != 1 {
		t.Errorf("items came twice: %s", sealed.Raw)
	}
	cutOff(t, g, "seal")
	same("seal", sealed, post("/v1/batches/"+batch.Text("batch_id")+"/seal", "", map[string]any{}, "seal"))

	file := voucher(t)
	up := post("/v1/documents?name=surat.pdf", "application/pdf", file, "document")
	want(t, up, 201, "")
	cutOff(t, g, "document")
	same("document", up, post("/v1/documents?name=surat.pdf", "application/pdf", file, "document"))
	if n := accepted(t, g, "document.upload"); n != 1 {
		t.Errorf("%d uploads", n)
	}
}

// A transaction whose code could not be sent was cancelled; the same key asks again.
func TestAKeyWhoseRequestFailedAsksAgain(t *testing.T) {
	g := gatewaytest.New(t)
	ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}
	first := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", "k")
	want(t, first, 201, "")
	cutOff(t, g, "k", "UPDATE transactions SET status = 'CANCELLED', ended = '"+otp.ErrNotSent.Error()+"' WHERE id = '"+first.Text("transaction_id")+"'")
	again := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", "k")
	if want(t, again, 201, ""); again.Text("transaction_id") == first.Text("transaction_id") {
		t.Error("a cancelled transaction was answered")
	}
}

// What the app cancelled, or the officer disowned, is not asked for again because an answer was lost:
// the same key is told that it ended.
func TestAKeyWhoseTransactionWasEndedAsksNobody(t *testing.T) {
	g := gatewaytest.New(t)
	for what, end := range map[string]func(id string){
		"cancelled": func(id string) { want(t, g.Do("DELETE", "/v1/transactions/"+id, "", nil), 204, "") },
		"disowned":  func(string) { want(t, visit(g, "POST", leads(t, g)), 200, "") },
	} {
		ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef(what)}}
		first := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", what)
		want(t, first, 201, "")
		end(first.Text("transaction_id"))
		cutOff(t, g, what)
		mark := g.Server.Mailbox.Mark()
		again := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", what)
		if want(t, again, 201, ""); again.Text("transaction_id") != first.Text("transaction_id") || again.Text("status") != "CANCELLED" || g.Server.Mailbox.Mark() != mark {
			t.Errorf("%s: then %s", what, again.Raw)
		}
	}
}

// A transaction that was cut off before its code was made gets one by the channel that was asked for,
// and by no other.
func TestAKeyKeepsTheChannel(t *testing.T) {
	g := gatewaytest.New(t)
	ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "channel": "email", "format": "RAW", "documents": []any{digestRef("x")}}
	first := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", "k")
	want(t, first, 201, "")
	id := first.Text("transaction_id")
	cutOff(t, g, "k", "DELETE FROM challenges WHERE transaction_id = '"+id+"'", "DELETE FROM code_sends WHERE transaction_id = '"+id+"'")
	replaceInConfig(t, g, "  email: allow", "  email: deny")
	again := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", "k")
	want(t, again, 409, "channel_unavailable")
	if d := again.Text("detail"); !strings.Contains(d, "kod melalui e-mel") { // of any channel it would speak otherwise
		t.Errorf("which channel: %s", again.Raw)
	}
}

// Many at once with one key: one runs, the others have its answer.
func TestOneKeyAtOnce(t *testing.T) {
	g := gatewaytest.New(t)
	answers := make([]*gatewaytest.Reply, 30)
	var wg sync.WaitGroup
	for k := range answers {
		wg.Go(func() {
			answers[k] = g.Do("POST", "/v1/batches", "", map[string]any{"name": "Serentak", "kind": "digest"}, "Idempotency-Key", "k")
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a.Status != 201 || !bytes.Equal(a.Raw, answers[0].Raw) {
			t.Errorf("%d %s", a.Status, a.Raw)
		}
	}
	if n := accepted(t, g, "batch.create"); n != 1 {
		t.Errorf("%d batches", n)
	}
}

// Keys are an app's own, for one route and body.
func TestKeysAreTheApps(t *testing.T) {
	g := gatewaytest.New(t)
	key := rand.Text()
	first := g.Do("POST", "/v1/batches", "", map[string]any{"name": "A", "kind": "digest"}, "Idempotency-Key", key)
	want(t, first, 201, "")
	_, _, app, err := g.Server.Apps.Register(t.Context(), "test", otherApp())
	check(t, err)
	other := g.Do("POST", "/v1/batches", "", map[string]any{"name": "A", "kind": "digest"}, "Idempotency-Key", key, "X-API-Key", string(app.Reveal()))
	if want(t, other, 201, ""); other.Text("batch_id") == first.Text("batch_id") {
		t.Error("another app was given the answer")
	}
	for _, c := range []struct{ path, contentType, body string }{
		{"/v1/batches", "application/json", `{"name":"B","kind":"digest"}`},
		{"/v1/batches?x=1", "application/json", `{"name":"A","kind":"digest"}`},
		{"/v1/documents", "application/pdf", `{"name":"A","kind":"digest"}`},
	} {
		want(t, g.Do("POST", c.path, c.contentType, []byte(c.body), "Idempotency-Key", key), 409, "idempotency_conflict")
	}
	for _, bad := range []string{strings.Repeat("k", 129), "dua kunci", "k\u00e9"} {
		want(t, g.Do("POST", "/v1/batches", "application/json", []byte(`{}`), "Idempotency-Key", bad), 400, "invalid_request")
	}
	// An upload is larger than what is kept in memory.
	big := append(voucher(t), []byte("\n%"+fmt.Sprintf("%0*d\n", 1<<20, 7))...)
	up := g.Do("POST", "/v1/documents", "application/pdf", big, "Idempotency-Key", "up")
	want(t, up, 201, "")
	if again := g.Do("POST", "/v1/documents", "application/pdf", big, "Idempotency-Key", "up"); !bytes.Equal(up.Raw, again.Raw) {
		t.Errorf("%s, then %s", up.Raw, again.Raw)
	}
	big[len(big)-2] = '8'
	want(t, g.Do("POST", "/v1/documents", "application/pdf", big, "Idempotency-Key", "up"), 409, "idempotency_conflict")
}

// Nobody was told the address of a page whose gateway was killed before it answered: that
// transaction ends, and the officer is asked again, once.
func TestLostPageIsMadeAnew(t *testing.T) {
	g := gatewaytest.New(t)
	app := hostedApp(t, g)
	ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}
	post := func() *gatewaytest.Reply {
		return g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", app, "Idempotency-Key", "laman")
	}
	lost := post()
	want(t, lost, 201, "")
	cutOff(t, g, "laman")
	g.Clock.Advance(2 * time.Minute)
	mark := g.Server.Mailbox.Mark()
	again := post()
	want(t, again, 201, "")
	if again.Text("transaction_id") == lost.Text("transaction_id") || again.Text("signing_url") == "" || again.Text("signing_url") == lost.Text("signing_url") {
		t.Fatalf("%s, then %s", lost.Raw, again.Raw)
	}
	g.Code(g.Dev.Officers[0].Email, mark)
	old := g.Do("GET", "/v1/transactions/"+lost.Text("transaction_id"), "", nil, "X-API-Key", app)
	if old.Text("status") != "CANCELLED" {
		t.Errorf("the lost one is %s", old.Raw)
	}
	if kept := post(); !bytes.Equal(kept.Raw, again.Raw) {
		t.Errorf("%s, then %s", again.Raw, kept.Raw)
	}

	// One that was opened is known to its browser, and goes on.
	newSurfer(t, g).enter(again.Text("signing_url"))
	cutOff(t, g, "laman")
	if open := post(); open.Status != 201 || open.Text("transaction_id") != again.Text("transaction_id") {
		t.Errorf("opened: %s, then %d %s", again.Raw, open.Status, open.Raw)
	}
	if n := accepted(t, g, "transaction.create"); n != 2 {
		t.Errorf("%d transactions", n)
	}
}
