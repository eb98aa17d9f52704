package gateway_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// visitor asks without an app or a log-in.
func visitor(g *gatewaytest.Gateway, path, contentType string, body any, header ...string) *gatewaytest.Reply {
	return g.Do("POST", path, contentType, body, append([]string{"X-API-Key", ""}, header...)...)
}

// Anybody has a PDF checked: as an app's is, with the name of our officer; bounded, and nothing stays.
func TestPublicVerification(t *testing.T) {
	g := gatewaytest.New(t)
	id := upload(t, g, voucher(t))
	tx, code := g.Ask(pades(id))
	want(t, g.Confirm(tx, code, nil), 200, "")
	signed := g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw
	before := count(t, g, "SELECT COUNT(*) FROM documents") + count(t, g, "SELECT COUNT(*) FROM audit_events")
	app := g.Do("POST", "/v1/verify", "application/pdf", signed)
	want(t, app, 200, "")
	before++ // that request of an app
	r := visitor(g, "/v1/public/verify", "application/pdf", signed)
	want(t, r, 200, "")
	officers := r.Body["officers"].([]any)
	if r.Text("verdict") != "VALID" || len(officers) != 1 || officers[0].(map[string]any)["name"] != g.Dev.Officers[0].Name || fmt.Sprint(r.Body["signatures"]) != fmt.Sprint(app.Body["signatures"]) {
		t.Errorf("%s", r.Raw)
	}
	broken := bytes.Replace(signed, []byte("BAUCAR"), []byte("BAUCAX"), 1)
	if bytes.Equal(broken, signed) {
		broken[len(broken)/3] ^= 1
	}
	if r := visitor(g, "/v1/public/verify", "application/pdf", broken); r.Status == 200 && r.Text("verdict") == "VALID" {
		t.Errorf("a changed PDF: %s", r.Raw)
	}
	unsigned := visitor(g, "/v1/public/verify", "application/pdf", storetest.PDF("x"))
	if want(t, unsigned, 200, ""); len(unsigned.Body["officers"].([]any)) != 0 {
		t.Errorf("%s", unsigned.Raw)
	}
	want(t, visitor(g, "/v1/public/verify", "text/plain", []byte("x")), 400, "invalid_request")
	want(t, visitor(g, "/v1/public/verify", "application/json", []byte("{}")), 400, "invalid_request")
	want(t, visitor(g, "/v1/public/verify", "application/pdf", make([]byte, 25<<20+1)), 413, "too_large")
	want(t, visitor(g, "/v1/public/verify", "application/pdf", signed, "Sec-Fetch-Site", "cross-site"), 403, "forbidden")
	if after := count(t, g, "SELECT COUNT(*) FROM documents") + count(t, g, "SELECT COUNT(*) FROM audit_events"); after != before {
		t.Errorf("something was kept: %d rows, %d before", after, before)
	}
	taken := 0
	for range 30 {
		if r := visitor(g, "/v1/public/verify", "text/plain", []byte("x")); r.Status == 429 {
			break
		}
		taken++
	}
	if taken > 14 { // six were asked before
		t.Errorf("%d more in the same minute", taken)
	}
	if r := visitor(g, "/v1/public/verify", "text/plain", []byte("x")); r.Status != 429 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	g.Clock.Advance(time.Minute)
	want(t, visitor(g, "/v1/public/verify", "application/pdf", signed), 200, "")
}

// A candidate learns how far the certificate is with both numbers; with one of them nobody learns
// whether there is such a person, and the PDF wants what is in the QR code.
func TestPublicCandidate(t *testing.T) {
	g := gatewaytest.New(t)
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU")+line(2, "SITI BINTI ALI"))
	want(t, r, 200, "")
	ask := func(ic, number string) *gatewaytest.Reply {
		t.Helper()
		g.Clock.Advance(time.Minute)
		return visitor(g, "/v1/public/candidate", "", map[string]string{"ic": ic, "certificate_number": number})
	}
	one := func(r *gatewaytest.Reply) map[string]any {
		t.Helper()
		want(t, r, 200, "")
		return r.Body["certificates"].([]any)[0].(map[string]any)
	}
	c := one(ask("800101149001", " s102200001 "))
	if c["status"] != "IN_BATCH" || c["certificate_number"] != "S102200001" || c["name"] != "A••• B••• A•••" || c["kind"] != "SKM 3" || c["programme_code"] != "TP-021-3:2013" || c["signed_at"] != nil {
		t.Errorf("%v", c)
	}
	recordID := c["record_id"].(string)
	content := func(id, secret string) *gatewaytest.Reply {
		t.Helper()
		g.Clock.Advance(time.Minute)
		return visitor(g, "/v1/public/certificates/"+id+"/content", "", map[string]string{"secret": secret})
	}
	items := g.Do("GET", "/v1/batches/"+id+"/items", "", nil).Body["items"].([]any)
	_, secret, _ := strings.Cut(items[0].(map[string]any)["record_url"].(string), "#")
	_, others, _ := strings.Cut(items[1].(map[string]any)["record_url"].(string), "#")
	want(t, content(recordID, secret), 409, "not_signed")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, g.Confirm(tx, code, nil), 202, "")
	finish(t, g, id)
	c = one(ask("800101149001", "S102200001"))
	if c["status"] != "ISSUED" || c["signed_at"] == nil || c["record_id"] != recordID {
		t.Errorf("%v", c)
	}
	// Nothing of it opens the certificate.
	text := fmt.Sprint(c)
	if strings.Contains(text, secret) || strings.Contains(text, "ABU") || strings.Contains(text, "800101149001") {
		t.Errorf("it tells too much: %s", text)
	}
	// Whatever is wrong, the answer is the same.
	var answers []string
	for _, x := range [][2]string{{"800101149009", "S102200001"}, {"800101149002", "S102200001"}, {"800101149001", "S102200002"}, {"800101149001", "S999999999"}, {"900101149009", "S999999999"}} {
		r := ask(x[0], x[1])
		want(t, r, 404, "not_found")
		answers = append(answers, strings.Replace(string(r.Raw), r.Text("instance"), "", 1))
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("different answers: %q", answers)
	}
	want(t, ask("1", "S102200001"), 400, "invalid_request")
	want(t, ask("800101149001", "%"), 400, "invalid_request")

	pdf := content(recordID, secret)
	if want(t, pdf, 200, ""); !bytes.HasPrefix(pdf.Raw, []byte("%PDF")) || pdf.Header.Get("Cache-Control") != "no-store" || !strings.Contains(pdf.Header.Get("Content-Disposition"), "S102200001.pdf") ||
		!bytes.Equal(pdf.Raw, g.Do("GET", "/v1/batches/"+id+"/items/0/content", "", nil).Raw) {
		t.Errorf("%v %d bytes", pdf.Header, len(pdf.Raw))
	}
	for name, x := range map[string][2]string{"no secret": {recordID, ""}, "another's": {recordID, others}, "no base64": {recordID, "§"}, "no record": {"AAAAAAAAAAAAAAAAAAAAAA", secret}} {
		if r := content(x[0], x[1]); r.Status != 404 || r.Code() != "not_found" {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
	}
	// What an earlier release shows to all has no PDF here, and one that was edited none either.
	query(t, g, `UPDATE items SET signed_blob = (SELECT signed_blob FROM items i WHERE i.batch_id = ? AND i.idx = 1) WHERE batch_id = ? AND idx = 0`, id, id)
	want(t, content(recordID, secret), 409, "not_signed")
	query(t, g, `UPDATE items SET sealed_record = NULL WHERE batch_id = ? AND idx = 0`, id)
	want(t, content(recordID, secret), 404, "not_found")
}

// A network asks five times a minute, and about the same person twenty times an hour; it keeps nobody
// elsewhere from asking about that person.
func TestPublicCandidateIsBounded(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	configure(t, g, "\n  trusted: []\n", "\n  trusted: [127.0.0.1/32]\n")
	g.Start()
	from := "203.0.113.9"
	ask := func(ic string) int {
		return visitor(g, "/v1/public/candidate", "", map[string]string{"ic": ic, "certificate_number": "S102200001"}, "X-Forwarded-For", from).Status
	}
	var got []int
	for range 7 {
		got = append(got, ask("800101149001"))
	}
	if fmt.Sprint(got) != "[404 404 404 404 404 429 429]" {
		t.Errorf("in one minute: %v", got)
	}
	found := 0
	for range 60 {
		g.Clock.Advance(30 * time.Second)
		if ask("800101149001") == 404 {
			found++
		}
	}
	if found > 30 { // 15 left of the first hour's, and those that half an hour gives
		t.Errorf("%d about one person in half an hour", found)
	}
	if ask("900101149009") != 404 {
		t.Error("another person waits, too")
	}
	if ask("800101149001") != 429 {
		t.Error("the network may go on about that person")
	}
	if from = "198.51.100.9"; ask("800101149001") != 404 {
		t.Error("another network waits, too")
	}
}
