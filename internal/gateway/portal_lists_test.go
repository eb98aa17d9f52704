package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

func ids(r *gatewaytest.Reply, list, member string) (out []string) {
	all, _ := r.Body[list].([]any)
	for _, x := range all {
		s, _ := x.(map[string]any)[member].(string)
		out = append(out, s)
	}
	return out
}

// What an officer was asked to sign, by whomever, is listed for that officer alone, with evidence.
func TestOwnTransactions(t *testing.T) {
	g := gatewaytest.New(t)
	one, two := memberOf(t, g, g.Dev.Officers[0], false), memberOf(t, g, g.Dev.Officers[1], true)
	var want3 []string
	app, code := g.Ask(raw("a"))
	want(t, app, 201, "")
	want(t, g.Confirm(app, code, nil), 200, "")
	want3 = append(want3, app.Text("transaction_id"))
	g.Clock.Advance(time.Second)
	ba, btx := one.signedBatch("Kelompok saya", 1, 2, 3)
	want3 = append(want3, btx)
	g.Clock.Advance(time.Minute)
	id := one.upload("surat.pdf")
	open, _ := one.ask(pades(id))
	want(t, open, 201, "")
	want3 = append(want3, open.Text("transaction_id"))

	// Page by page, the newest first.
	var seen []string
	for after := ""; ; {
		r := one.do("GET", "/v1/me/transactions?limit=1&after="+after, "", nil)
		want(t, r, 200, "")
		seen = append(seen, ids(r, "transactions", "transaction_id")...)
		if after = r.Text("next"); after == "" {
			break
		}
	}
	if fmt.Sprint(seen) != fmt.Sprint([]string{want3[2], want3[1], want3[0]}) {
		t.Errorf("listed %v, want the newest first of %v", seen, want3)
	}
	if r := one.do("GET", "/v1/me/transactions?status=SIGNED", "", nil); len(ids(r, "transactions", "status")) != 2 {
		t.Errorf("signed ones: %s", r.Raw)
	}
	want(t, one.do("GET", "/v1/me/transactions?after=x", "", nil), 400, "invalid_request")
	all := one.do("GET", "/v1/me/transactions", "", nil)
	list := all.Body["transactions"].([]any)
	newest, batch, byApp := list[0].(map[string]any), list[1].(map[string]any), list[2].(map[string]any)
	if newest["own"] != true || newest["hosted"] != true || newest["status"] != "WAITING" || newest["app"] != "Portal Mohor" || byApp["own"] != false || byApp["format"] != "RAW" ||
		batch["batch_name"] != "Kelompok saya" || batch["batch_id"] != ba || batch["count"] != 3.0 || batch["finished_at"] == nil {
		t.Errorf("%s", all.Raw)
	}
	for _, secret := range []string{"nonce", "security_image", "signing_url", "/sign/", "token"} {
		if strings.Contains(string(all.Raw), secret) {
			t.Errorf("the list has %s", secret)
		}
	}
	if n := len(ids(two.do("GET", "/v1/me/transactions", "", nil), "transactions", "transaction_id")); n != 0 {
		t.Errorf("another officer sees %d", n)
	}

	// The evidence.
	r := one.do("GET", "/v1/me/transactions/"+btx, "", nil)
	want(t, r, 200, "")
	info, _ := r.Body["signature_information"].(map[string]any)
	docs, _ := r.Body["documents"].([]any)
	sent, _ := r.Body["code_sent"].(map[string]any)
	if info["ic"] != one.who.IC || info["serial_number"] != serialOf(t, one) || r.Text("intended_at") == "" || len(docs) != 3 || sent["channel"] != "email" || !strings.Contains(fmt.Sprint(sent["sent_to"]), "•••@") ||
		r.Body["signed"] != 3.0 || docs[0].(map[string]any)["state"] != "signed" || strings.Contains(string(r.Raw), "nonce") {
		t.Errorf("evidence: %s", r.Raw)
	}
	trail := fmt.Sprint(ids(r, "audit", "action"))
	if number, _ := r.Body["audit"].([]any)[0].(map[string]any)["number"].(float64); number < 1 || !strings.Contains(trail, "transaction.create") || !strings.Contains(trail, "signer.authorize") {
		t.Errorf("audit: %v", r.Body["audit"])
	}
	r = one.do("GET", "/v1/me/transactions/"+want3[2], "", nil)
	if want(t, r, 200, ""); r.Text("intended_at") != "" || strings.Contains(string(r.Raw), "nonce") || strings.Contains(string(r.Raw), "security_image") {
		t.Errorf("evidence of one that waits: %s", r.Raw)
	}
	for _, x := range want3 {
		want(t, two.do("GET", "/v1/me/transactions/"+x, "", nil), 404, "not_found")
	}
	want(t, one.do("GET", "/v1/me/transactions/tx_none", "", nil), 404, "not_found")
	want(t, g.Do("GET", "/v1/me/transactions", "", nil), 401, "unauthenticated")

	// One whose time is over is told as that, though nobody has looked at it since.
	g.Clock.Advance(31 * time.Minute)
	one = entered(t, g, one.who, false)
	if r := one.do("GET", "/v1/me/transactions?limit=1", "", nil); ids(r, "transactions", "status")[0] != "EXPIRED" {
		t.Errorf("%s", r.Raw)
	}
}

// An officer of 100,000 transactions reads a page of them by the index.
func TestOwnListsUseTheirIndex(t *testing.T) {
	g := gatewaytest.New(t)
	plan := func(q string, args ...any) (out string) {
		rows, err := opened(t, g).Query("EXPLAIN QUERY PLAN "+q, args...)
		check(t, err)
		defer rows.Close()
		for rows.Next() {
			var id, parent, x int
			var detail string
			check(t, rows.Scan(&id, &parent, &x, &detail))
			out += detail + "\n"
		}
		check(t, rows.Err())
		return out
	}
	for _, x := range []struct{ query, index string }{
		{"SELECT t.id, t.options FROM transactions t JOIN batches b ON b.id = t.batch_id WHERE t.ic = ?1 AND t.created_at <= ?2 AND (t.created_at < ?2 OR t.id < ?3) AND (CAST(?4 AS TEXT) = '' OR t.status = ?4) ORDER BY t.created_at DESC, t.id DESC LIMIT 50",
			"SEARCH t USING INDEX transactions_officer (ic=? AND created_at<?)"},
		{"SELECT b.id FROM batches b LEFT JOIN batch_outcomes o ON o.batch_id = b.id WHERE b.app_id = ?1 AND b.implicit = 0 AND b.created_at <= ?2 AND (b.created_at < ?2 OR b.id < ?3) AND (CAST(?4 AS BIGINT) = 0 OR b.status IN ('SEALED', 'NEEDS_AUTHORISATION')) ORDER BY b.created_at DESC, b.id DESC LIMIT 20",
			"SEARCH b USING INDEX batches_app (app_id=? AND created_at<?)"},
	} {
		if got := plan(x.query, "a", 1, "b", ""); !strings.Contains(got, x.index) || strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP B-TREE") {
			t.Errorf("%s", got)
		}
	}
}

// What waits for an officer: the signing page, batches, references of others; nothing that is done,
// another's, classified, or signed by the same person before.
func TestWhatWaitsForAnOfficer(t *testing.T) {
	g := gatewaytest.New(t)
	two := memberOf(t, g, g.Dev.Officers[1], false)
	key := string(g.Dev.APIKey.Reveal())
	first := &role{g, g.Dev.Officers[0], key}
	second := &role{g, g.Dev.Officers[1], key}
	for reference, x := range map[string]struct {
		by    *role
		class string
	}{"RUJ-1": {first, "terbuka"}, "RUJ-SULIT": {first, "sulit"}, "RUJ-SENDIRI": {second, "terbuka"}} {
		tx, code := x.by.ask(map[string]any{"role": "Perakuan 1", "classification": x.class, "documents": []any{map[string]string{"document_id": upload(t, g, storetest.PDF(reference)), "reference": reference}}})
		want(t, tx, 201, "")
		want(t, x.by.sign(tx, code), 200, "")
	}
	hosted := hostedApp(t, g)
	up := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("x"), "X-API-Key", hosted)
	page := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": two.who.IC, "system": g.Dev.System, "format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id")}}}, "X-API-Key", hosted)
	want(t, page, 201, "")
	inApp := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": two.who.IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("b")}})
	want(t, inApp, 201, "")
	b := two.do("POST", "/v1/batches", "", map[string]string{"name": "Menunggu", "kind": "ecert"})
	open := two.do("POST", "/v1/batches", "", map[string]string{"name": "Terbuka", "kind": "pdf"})
	want(t, open, 201, "")
	want(t, two.do("POST", "/v1/batches/"+b.Text("batch_id")+"/items", "text/csv", []byte(header+line(1, "ALI"))), 200, "")
	want(t, two.do("POST", "/v1/batches/"+b.Text("batch_id")+"/seal", "", nil), 200, "")
	g.Clock.Advance(time.Second)
	two.signedBatch("Siap", 2)

	r := two.do("GET", "/v1/me/waiting", "", nil)
	want(t, r, 200, "")
	if got := fmt.Sprint(ids(r, "transactions", "transaction_id"), ids(r, "batches", "name"), ids(r, "references", "reference"), ids(r, "references", "role")); got != fmt.Sprintf("[%s] [Menunggu] [RUJ-1] [Perakuan 2]", page.Text("transaction_id")) {
		t.Errorf("waiting: %s\n%s", got, r.Raw)
	}
	if strings.Contains(string(r.Raw), page.Text("signing_url")[len(g.URL+"/sign/"):]) || strings.Contains(string(r.Raw), "SULIT") {
		t.Errorf("it tells too much: %s", r.Raw)
	}
	// Once it is asked for, the transaction stands in the batch's place.
	tx, _ := two.ask(map[string]any{"batch_id": b.Text("batch_id")})
	want(t, tx, 201, "")
	r = two.do("GET", "/v1/me/waiting", "", nil)
	if got := ids(r, "batches", "name"); len(got) != 0 || len(ids(r, "transactions", "status")) != 2 {
		t.Errorf("asked for: %s", r.Raw)
	}
	mine := two.do("GET", "/v1/me/batches?limit=2", "", nil)
	if got := fmt.Sprint(ids(mine, "batches", "name"), ids(mine, "batches", "status")); got != "[Siap Terbuka] [SIGNED OPEN]" && got != "[Siap Menunggu] [SIGNED SEALED]" {
		t.Errorf("batches: %s", mine.Raw)
	}
	rest := two.do("GET", "/v1/me/batches?limit=2&after="+mine.Text("next"), "", nil)
	if len(ids(rest, "batches", "name")) != 1 || rest.Text("next") != "" {
		t.Errorf("the rest: %s", rest.Raw)
	}
	signed := mine.Body["batches"].([]any)[0].(map[string]any)
	if signed["signed"] != 1.0 || signed["pending"] != 0.0 {
		t.Errorf("counts: %s", mine.Raw)
	}
	other := memberOf(t, g, g.Dev.Officers[0], true)
	if r := other.do("GET", "/v1/me/batches", "", nil); len(ids(r, "batches", "name")) != 0 {
		t.Errorf("another officer sees %s", r.Raw)
	}
	// Each reading stands in the audit, which one person cannot fill.
	read := 0
	for read < 60 {
		if r = other.do("GET", "/v1/me/waiting", "", nil); r.Status != 200 {
			break
		}
		read++
	}
	if r.Status != 429 || r.Code() != "rate_limited" || read == 0 {
		t.Errorf("after %d readings: %d %s", read, r.Status, r.Raw)
	}
}

// The own certificate, and another PIN for it: the old one counts as on the signing page.
func TestOwnCertificateAndPIN(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	r := m.do("GET", "/v1/me/certificate", "", nil, "Accept-Language", "en")
	want(t, r, 200, "")
	media := r.Body["media"].([]any)
	if r.Text("status") != "ISSUED" || r.Body["can_sign"] != true || r.Body["pin"].(map[string]any)["state"] != "OPEN" || r.Text("ask") == "" || r.Text("next_step") == "" || len(media) == 0 ||
		media[0].(map[string]any)["certificate"].(map[string]any)["issuer"] == "" || !strings.Contains(fmt.Sprint(r.Body["ways"]), "•••@") {
		t.Errorf("%s", r.Raw)
	}
	credential := media[0].(map[string]any)["credential_id"].(string)
	change := func(old, next, again string) *gatewaytest.Reply {
		return m.do("POST", "/v1/me/pin", "", map[string]string{"credential_id": credential, "old_pin": old, "new_pin": next, "new_pin_again": again})
	}
	old, next := pin(g), "Rusa-Sambar-71"
	want(t, change(old, next, next+"x"), 400, "invalid_request")
	want(t, change("", next, next), 400, "invalid_request")
	if r := change(old, "12345678", "12345678"); r.Status != 422 || r.Code() != "pin_sequence" || r.Text("field") != "new_pin" {
		t.Errorf("%s", r.Raw)
	}
	want(t, change(old, old, old), 422, "pin_same")
	if r := change("Salah-Benar-9", next, next); r.Status != 403 || r.Code() != "pin_wrong" || r.Body["attempts_left"] == nil || r.Text("field") != "old_pin" {
		t.Errorf("%s", r.Raw)
	}
	if r := m.do("GET", "/v1/me/certificate", "", nil); r.Body["pin"].(map[string]any)["wrong"] != 1.0 {
		t.Errorf("%s", r.Raw)
	}
	done := change(old, next, next)
	if want(t, done, 200, ""); done.Text("credential_id") != credential || strings.Contains(string(done.Raw), next) {
		t.Errorf("%s", done.Raw)
	}
	want(t, change(old, next+"2", next+"2"), 403, "pin_wrong")
	// The new one signs.
	id := m.upload("surat.pdf")
	tx, code := m.ask(map[string]any{"documents": pades(id)["documents"], "credential_id": credential})
	want(t, tx, 201, "")
	s, address := newSurfer(t, g), tx.Text("signing_url")
	s.confirm(s.enter(address), address, next, code)
	if r := m.do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil); r.Text("status") != "SIGNED" {
		t.Errorf("with the new PIN: %s", r.Raw)
	}
	for range 6 {
		r = change("Salah-Benar-9", next+"2", next+"2")
	}
	if want(t, r, 423, "pin_locked"); m.do("GET", "/v1/me/certificate", "", nil).Body["pin"].(map[string]any)["state"] != "LOCKED" {
		t.Errorf("%s", r.Raw)
	}
	// Another's key is none of theirs.
	two := memberOf(t, g, g.Dev.Officers[1], true)
	want(t, two.do("POST", "/v1/me/pin", "", map[string]string{"credential_id": credential, "old_pin": next, "new_pin": next + "3", "new_pin_again": next + "3"}), 409, "no_active_certificate")
	for _, p := range []string{old, next} {
		if hasWord([]byte(g.Log.String()), p) {
			t.Error("a PIN is in the log")
		}
	}
}
