package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// login is another session of the newcomer: the clock has ended the one before.
func (m *ministry) login(t *testing.T, b *browser) {
	t.Helper()
	mark := m.Server.Mailbox.Mark()
	r := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": newcomerPassword})
	want(t, r, 202, "")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+r.Text("session_id")+"/code", map[string]string{"code": m.Code(newcomerMail, mark)}), 200, "")
}

// signs signs the voucher as the newcomer and returns the signed file.
func (m *ministry) signs(t *testing.T, pin string) []byte { return m.signsAt(t, pin, "B-B") }

func (m *ministry) signsAt(t *testing.T, pin, level string) []byte {
	t.Helper()
	id := upload(t, m.Gateway, voucher(t))
	mark := m.Server.Mailbox.Mark()
	tx := m.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": newcomerIC, "system": m.Dev.System, "format": "PADES", "pades": map[string]any{"level": level}, "documents": []any{map[string]any{"document_id": id}}})
	want(t, tx, 201, "")
	want(t, m.Confirm(tx, m.Code(newcomerMail, mark), map[string]any{"pin": pin}), 200, "")
	return m.Do(http.MethodGet, "/v1/documents/"+id+"/content", "", nil).Raw
}

func (m *ministry) verdict(file []byte) *gatewaytest.Reply {
	return m.Do(http.MethodPost, "/v1/verify", "application/pdf", file)
}

// The life of a certificate over HTTP: issued, signs, the officer is told that it ends,
// renews, signs with the new key; forgets the PIN, and has another with the agency's word.
// What was signed before stays valid.
func TestRenewalOverHTTP(t *testing.T) {
	m := newMinistry(t)
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	issued := m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil)
	want(t, issued, 200, "")
	first := m.signs(t, newcomerPIN)
	end, err := time.Parse(time.RFC3339, issued.Text("not_after"))
	if err != nil {
		t.Fatal(err)
	}

	m.Clock.Advance(end.Add(-30 * 24 * time.Hour).Sub(m.Clock.Now()))
	reminded := 0 // the sandbox's own officers, too
	for did := true; did; reminded++ {
		if did, err = m.Server.Desk.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reminded < 2 {
		t.Error("nobody was told that the certificate ends")
	}
	body := map[string]any{"system": m.Dev.System, "pin": newcomerPIN}
	want(t, b.do(http.MethodPost, "/v1/me/certificate/renew", body), 401, "unauthenticated")
	m.login(t, b)
	want(t, b.do(http.MethodPost, "/v1/me/certificate/renew", but(body, "pin", "bukan-pin-ini-3")), 403, "pin_wrong")
	want(t, b.do(http.MethodPost, "/v1/me/certificate/renew", but(body, "system", "EP")), 404, "not_found")
	renewed := b.do(http.MethodPost, "/v1/me/certificate/renew", body)
	if want(t, renewed, 200, ""); renewed.Text("state") != "ISSUED" || renewed.Text("serial_number") == issued.Text("serial_number") {
		t.Fatalf("%s", renewed.Raw)
	}
	second := m.signs(t, newcomerPIN)
	for what, file := range map[string][]byte{"before the renewal": first, "after it": second} {
		if v := m.verdict(file); v.Text("verdict") != "VALID" {
			t.Errorf("signed %s: %s", what, v.Raw)
		}
	}

	const newPIN = "Enggang-Hitam-42"
	asked := b.do(http.MethodPost, "/v1/me/pin/forgotten", map[string]any{"system": m.Dev.System})
	if want(t, asked, 202, ""); asked.Text("state") != "CONFIRMED" {
		t.Fatalf("%s", asked.Raw)
	}
	if r := b.do(http.MethodGet, "/v1/me/application", nil); !strings.Contains(string(r.Raw), `"REKEY"`) || !strings.Contains(string(r.Raw), "kunci baharu dengan PIN baharu") {
		t.Errorf("the next step after a forgotten PIN: %s", r.Raw)
	}
	key := map[string]any{"code": m.mailed(t, newcomerMail, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`), "pin": newPIN, "pin_again": newPIN}
	want(t, b.do(http.MethodPost, "/v1/me/pin/rekey", but(key, "pin_again", "Enggang-Hitam-43")), 422, "pins_differ")
	want(t, b.do(http.MethodPost, "/v1/me/pin/rekey", key), 202, "")
	at := "/v1/admin/enrolments/" + asked.Text("enrolment_id") + "/rekey/confirm"
	how := map[string]string{"how": "Dipanggil balik, suara dikenali"}
	ap := appointed(t, m.Gateway, "700101105559", enrol.AP, "JANM", "")
	other := appointed(t, m.Gateway, "700101105560", enrol.AP, "JPK", "")
	want(t, b.do(http.MethodPost, at, how), 403, "forbidden")
	want(t, other.do(http.MethodPost, at, how), 403, "forbidden")
	want(t, ap.do(http.MethodPost, at, map[string]string{"how": "ok"}), 422, "reason_missing")
	confirmed := ap.do(http.MethodPost, at, how)
	if want(t, confirmed, 200, ""); confirmed.Text("not_after") != renewed.Text("not_after") {
		t.Errorf("%s, was until %s", confirmed.Raw, renewed.Text("not_after"))
	}
	third := m.signs(t, newPIN)
	if v := m.verdict(third); v.Text("verdict") != "VALID" {
		t.Errorf("signed with the new key: %s", v.Raw)
	}

	why := map[string]string{"system": m.Dev.System, "reason": "keyCompromise", "why": "telefon dan kata laluan dicuri"}
	want(t, other.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/certificate/replace", why), 403, "forbidden")
	replaced := ap.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/certificate/replace", why)
	if want(t, replaced, 202, ""); replaced.Text("state") != "CONFIRMING" {
		t.Errorf("%s", replaced.Raw)
	}
	tx := m.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": newcomerIC, "system": m.Dev.System, "format": "PADES", "documents": []any{map[string]any{"document_id": upload(t, m.Gateway, voucher(t))}}})
	if tx.Status != 409 {
		t.Errorf("a revoked certificate: %d %s", tx.Status, tx.Raw)
	}
	if log := m.Log.String(); strings.Contains(log, newPIN) || strings.Contains(log, newcomerPIN) {
		t.Error("a PIN is in the log")
	}
}
