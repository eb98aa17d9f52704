//go:build !race

package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// holder is the newcomer with a certificate, logged in.
func (m *ministry) holder(t *testing.T) *browser {
	t.Helper()
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	m.decided(t, id)
	return b
}

// decided has an application validated and approved.
func (m *ministry) decided(t *testing.T, id string) {
	t.Helper()
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 200, "")
}

// coded asks for something that is confirmed by a mailed code, and gives both.
func (m *ministry) coded(t *testing.T, b *browser, path string, body any) (r *gatewaytest.Reply, code string) {
	t.Helper()
	mark := m.Server.Mailbox.Mark()
	r = b.do(http.MethodPost, path, body)
	want(t, r, 202, "")
	return r, m.Code(newcomerMail, mark)
}

func (m *ministry) waiting(t *testing.T) (tx *gatewaytest.Reply, otp string) {
	t.Helper()
	mark := m.Server.Mailbox.Mark()
	tx = m.Do(http.MethodPost, "/v1/transactions", "", but(but(raw("Arahan"), "ic", newcomerIC), "system", m.Dev.System))
	want(t, tx, 201, "")
	return tx, m.Code(newcomerMail, mark)
}

func TestOfficerDeletesAccount(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	signed := m.signsAt(t, newcomerPIN, "B-T")
	tx, otp := m.waiting(t)
	proof := map[string]any{"pin": newcomerPIN}

	// Who may: a fresh session, the PIN and not the password, no administrator, no stranger.
	want(t, newBrowser(t, m.Gateway).do(http.MethodPost, "/v1/me/deletion", proof), 401, "unauthenticated")
	want(t, m.ap.do(http.MethodPost, "/v1/me/deletion", map[string]any{"password": "tujuh belas kerusi rotan"}), 409, "appointed")
	want(t, b.do(http.MethodPost, "/v1/me/deletion", map[string]any{"password": newcomerPassword}), 422, "pin_missing")
	m.Clock.Advance(enrol.FreshFor + time.Second)
	want(t, b.do(http.MethodPost, "/v1/me/deletion", proof), 403, "session_not_fresh")
	m.login(t, b)
	old := b.cookies["mohor-session"].Value
	asked, code := m.coded(t, b, "/v1/me/deletion", proof)
	if !strings.Contains(string(asked.Raw), `"ends":[{"system":"IGFMAS","medium":"ROAMING_OTP","serial_number":"`) {
		t.Errorf("%s", asked.Raw)
	}
	at := "/v1/me/deletion/" + asked.Text("confirmation_id") + "/confirm"
	// Codes of other purposes and other people's sessions end nothing.
	mark := m.Server.Mailbox.Mark()
	login := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": newcomerPassword})
	loginCode := m.Code(newcomerMail, mark)
	if loginCode != code {
		want(t, b.do(http.MethodPost, at, map[string]string{"code": loginCode}), 403, "otp_wrong")
	}
	want(t, b.do(http.MethodPost, "/v1/me/deletion/"+login.Text("session_id")+"/confirm", map[string]string{"code": loginCode}), 410, "otp_expired")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+asked.Text("confirmation_id")+"/code", map[string]string{"code": code}), 410, "otp_expired")
	want(t, m.ap.do(http.MethodPost, at, map[string]string{"code": code}), 409, "appointed")
	thief := otherOfficer(t, m)
	want(t, thief.do(http.MethodPost, at, map[string]string{"code": code}), 410, "otp_expired")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 200, "")

	want(t, b.do(http.MethodPost, at, map[string]string{"code": code}), 204, "")
	b.cookies["mohor-session"] = &http.Cookie{Name: "mohor-session", Value: old}
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+login.Text("session_id")+"/code", map[string]string{"code": loginCode}), 403, "otp_wrong")
	// What waited is refused, nothing new is begun, what was signed stays.
	if r := m.Confirm(tx, otp, map[string]any{"pin": newcomerPIN}); r.Status < 400 {
		t.Errorf("signed after the end: %s", r.Raw)
	}
	again := m.Do(http.MethodPost, "/v1/transactions", "", but(but(raw("Arahan"), "ic", newcomerIC), "system", m.Dev.System))
	want(t, again, 404, "not_found")
	if v := m.verdict(signed); v.Text("verdict") != "VALID" {
		t.Errorf("what was signed before: %s", v.Raw)
	}
	// Who comes back is enrolled anew and opens the account again.
	m.Clock.Advance(time.Minute)
	_, code = m.confirmed(t)
	if b = m.officer(t, code); b.do(http.MethodGet, "/v1/me", nil).Text("ic") != newcomerIC {
		t.Error("nobody comes back")
	}
}

// otherOfficer is the sandbox's first officer, logged in.
func otherOfficer(t *testing.T, m *ministry) *browser {
	t.Helper()
	o := m.Dev.Officers[0]
	setPassword(t, m.Gateway, officerPassword)
	b := newBrowser(t, m.Gateway)
	id, code := b.begin(o.IC, officerPassword, true)
	want(t, b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code}), 200, "")
	return b
}

// Who has left is deleted by two administrators, neither of them the officer.
func TestAdministratorsDeleteAccount(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	why := map[string]string{"reason": "bersara 1 Jun, surat 12/2026"}
	path := "/v1/admin/officers/" + newcomerIC + "/deletion"
	want(t, b.do(http.MethodPost, path, why), 403, "forbidden")
	want(t, m.other.do(http.MethodPost, path, why), 403, "forbidden")
	want(t, m.sap.do(http.MethodPost, path, why), 403, "forbidden")
	asked := m.ap.do(http.MethodPost, path, why)
	want(t, asked, 202, "")
	want(t, m.jdn.do(http.MethodPost, path, why), 409, "request_pending")
	first := "/v1/admin/officer-requests/" + asked.Text("request_id")
	want(t, m.other.do(http.MethodDelete, first, nil), 403, "forbidden")
	want(t, m.ap.do(http.MethodDelete, first, nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, first+"/confirm", map[string]string{"how": "surat persaraan dilihat"}), 409, "enrolment_changed")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 200, "")
	asked = m.ap.do(http.MethodPost, path, why)
	want(t, asked, 202, "")
	list := m.jdn.do(http.MethodGet, "/v1/admin/officers/"+newcomerIC+"/requests", nil)
	if want(t, list, 200, ""); !strings.Contains(string(list.Raw), `"kind":"DELETE","state":"PENDING"`) {
		t.Errorf("%s", list.Raw)
	}
	at, how := "/v1/admin/officer-requests/"+asked.Text("request_id")+"/confirm", map[string]string{"how": "surat persaraan dilihat"}
	want(t, m.ap.do(http.MethodPost, at, how), 403, "same_person")
	want(t, m.other.do(http.MethodPost, at, how), 403, "forbidden")
	want(t, b.do(http.MethodPost, at, how), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPost, at, map[string]string{"how": "x"}), 422, "reason_missing")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/officer-requests/rq_none/confirm", how), 404, "not_found")
	want(t, m.jdn.do(http.MethodPost, at, how), 204, "")
	want(t, m.jdn.do(http.MethodPost, at, how), 409, "enrolment_changed")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	want(t, m.Do(http.MethodGet, "/v1/officers/"+newcomerIC+"/medium", "", nil), 404, "not_found")
}

func TestChangeOfPhone(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	if r := b.do(http.MethodGet, "/v1/me/phone", nil); r.Text("mobile") != "+60 12-345 6789" {
		t.Errorf("%s", r.Raw)
	}
	next := map[string]string{"mobile": "019-876 5432"}
	want(t, b.do(http.MethodPost, "/v1/me/phone", map[string]string{"mobile": "03-8882 1000"}), 422, "mobile_invalid")
	want(t, newBrowser(t, m.Gateway).do(http.MethodPost, "/v1/me/phone", next), 401, "unauthenticated")
	asked, code := m.coded(t, b, "/v1/me/phone", next)
	at := "/v1/me/phone/" + asked.Text("confirmation_id") + "/confirm"
	want(t, b.do(http.MethodPost, at, map[string]string{"code": flip(code), "mobile": next["mobile"]}), 403, "otp_wrong")
	want(t, b.do(http.MethodPost, at, map[string]string{"code": code, "mobile": "019-000 0000"}), 422, "phone_other")
	want(t, b.do(http.MethodPost, "/v1/me/deletion/"+asked.Text("confirmation_id")+"/confirm", map[string]string{"code": code}), 410, "otp_expired")
	want(t, b.do(http.MethodPost, at, map[string]string{"code": code, "mobile": next["mobile"]}), 204, "")
	want(t, b.do(http.MethodPost, at, map[string]string{"code": code, "mobile": next["mobile"]}), 409, "otp_already_used")
	if r := b.do(http.MethodGet, "/v1/me/phone", nil); r.Text("mobile") != next["mobile"] {
		t.Errorf("%s", r.Raw)
	}
	// Mails to the officer's own mailbox slow down.
	last := 0
	for range 8 {
		last = b.do(http.MethodPost, "/v1/me/phone", map[string]string{"mobile": "019-876 5433"}).Status
	}
	if last != 429 {
		t.Errorf("mails without end: %d", last)
	}
}

// Another system: what is proved is not asked again, what is decided is decided again; one
// system less leaves the other.
func TestAddAndRemoveSystem(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/systems/EP", map[string]any{"title": "ePerolehan", "agency": "JANM"}), 200, "")
	const newPIN = "Enggang-Hitam-42"
	body := map[string]any{"system": "EP", "from": m.Dev.System, "pin": newcomerPIN, "new_pin": newPIN, "new_pin_again": newPIN, "declaration": enrol.DeclarationVersion}
	for _, c := range []struct {
		field, value string
		status       int
		code         string
	}{{"system", "NONE", 422, "system_unknown"}, {"system", m.Dev.System, 422, "registered"}, {"from", "EP", 404, "not_found"}, {"pin", "bukan-pin-ini-3", 403, "pin_wrong"},
		{"new_pin_again", "lain", 422, "pins_differ"}, {"declaration", "", 422, "declaration_missing"}} {
		if r := b.do(http.MethodPost, "/v1/me/systems", but(body, c.field, c.value)); r.Status != c.status || r.Code() != c.code {
			t.Errorf("%s=%s: %d %s", c.field, c.value, r.Status, r.Raw)
		}
	}
	want(t, otherOfficer(t, m).do(http.MethodPost, "/v1/me/systems", body), 404, "not_found")
	asked := b.do(http.MethodPost, "/v1/me/systems", body)
	if want(t, asked, 202, ""); asked.Text("state") != "APPLIED" {
		t.Fatalf("%s", asked.Raw)
	}
	want(t, b.do(http.MethodPost, "/v1/me/systems", body), 409, "enrolment_open")
	id := asked.Text("enrolment_id")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 409, "enrolment_state")
	m.decided(t, id)
	mine := b.do(http.MethodGet, "/v1/me/systems", nil)
	if want(t, mine, 200, ""); strings.Count(string(mine.Raw), `"status":"ACTIVE"`) != 2 {
		t.Errorf("%s", mine.Raw)
	}
	// Each key has its own PIN.
	want(t, b.do(http.MethodPost, "/v1/me/systems/EP/remove", map[string]any{"pin": newcomerPIN}), 403, "pin_wrong")
	want(t, b.do(http.MethodPost, "/v1/me/systems/NONE/remove", map[string]any{"pin": newPIN}), 404, "not_found")
	m.Clock.Advance(enrol.FreshFor + time.Second)
	want(t, b.do(http.MethodPost, "/v1/me/systems/EP/remove", map[string]any{"pin": newPIN}), 403, "session_not_fresh")
	m.login(t, b)
	want(t, b.do(http.MethodPost, "/v1/me/systems/EP/remove", map[string]any{"pin": newPIN}), 204, "")
	m.login(t, b)
	if mine := b.do(http.MethodGet, "/v1/me/systems", nil); strings.Count(string(mine.Raw), `"status":"ACTIVE"`) != 1 || strings.Count(string(mine.Raw), `"medium"`) != 1 {
		t.Errorf("%s", mine.Raw)
	}
	if v := m.verdict(m.signs(t, newcomerPIN)); v.Text("verdict") != "VALID" {
		t.Errorf("the other system: %s", v.Raw)
	}
	// The removed one may be asked for again.
	want(t, b.do(http.MethodPost, "/v1/me/systems", body), 202, "")
	if log := m.Log.String(); strings.Contains(log, newPIN) || strings.Contains(log, newcomerPIN) {
		t.Error("a PIN is in the log")
	}
}

func TestForgottenPassword(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	visitor := newBrowser(t, m.Gateway)
	const next = "sembilan gajah menari"

	// The first step says the same of everybody, and so does a wrong code.
	var first string
	for what, ic := range map[string]string{"known": newcomerIC, "unknown": "820101145678", "an administrator": "700101105551", "without account": m.Dev.Officers[1].IC} {
		r := visitor.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": ic})
		want(t, r, 202, "")
		id := r.Text("reset_id")
		said := strings.Replace(string(r.Raw), id, "ID", 1)
		said = said[:strings.Index(said, "expires_at")] + said[strings.Index(said, "Z\""):]
		for k := range 4 {
			r := visitor.do(http.MethodPost, "/v1/password/"+id+"/reset", map[string]any{"code": "00000" + string(rune('0'+k)), "password": next, "pin": newcomerPIN})
			said += "\n" + strings.Replace(string(r.Raw), r.Text("instance"), "R", 1)
		}
		if first == "" {
			first = said
		} else if said != first {
			t.Errorf("%s says\n%s\nothers\n%s", what, said, first)
		}
	}
	if !strings.Contains(first, "otp_attempts_exhausted") {
		t.Errorf("tries have no end:\n%s", first)
	}
	want(t, visitor.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": "12"}), 400, "invalid_request")

	// With the PIN: at once. A code is for this alone, a wrong PIN counts.
	r, code := m.coded(t, visitor, "/v1/password/forgotten", map[string]string{"ic": newcomerIC})
	at := "/v1/password/" + r.Text("reset_id") + "/reset"
	body := map[string]any{"code": code, "password": next, "pin": newcomerPIN}
	want(t, visitor.do(http.MethodPost, "/v1/sessions/"+r.Text("reset_id")+"/code", map[string]string{"code": code}), 410, "otp_expired")
	want(t, visitor.do(http.MethodPost, at, but(body, "password", "kata")), 400, "password_refused")
	want(t, visitor.do(http.MethodPost, at, but(body, "pin", "bukan-pin-ini-3")), 403, "pin_wrong")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 200, "")
	if r := visitor.do(http.MethodPost, at, body); r.Status != 200 || r.Text("state") != "DONE" {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	want(t, visitor.do(http.MethodPost, at, body), 409, "otp_already_used")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated") // every session ended
	m.enters(t, next)

	// Without the PIN the agency confirms, and not its neighbour nor the officer.
	const third = "empat payung merah jambu"
	r, code = m.coded(t, visitor, "/v1/password/forgotten", map[string]string{"ic": newcomerIC})
	waits := visitor.do(http.MethodPost, "/v1/password/"+r.Text("reset_id")+"/reset", map[string]any{"code": code, "password": third})
	if waits.Status != 202 || waits.Text("state") != "PENDING" {
		t.Fatalf("%d %s", waits.Status, waits.Raw)
	}
	list := m.ap.do(http.MethodGet, "/v1/admin/officers/"+newcomerIC+"/requests", nil)
	want(t, list, 200, "")
	id := list.Body["requests"].([]any)[0].(map[string]any)["request_id"].(string)
	how := map[string]string{"how": "dipanggil balik, suara dikenali"}
	want(t, m.other.do(http.MethodPost, "/v1/admin/officer-requests/"+id+"/confirm", how), 403, "forbidden")
	b = m.enters(t, next) // the old one holds until then
	want(t, b.do(http.MethodPost, "/v1/admin/officer-requests/"+id+"/confirm", how), 403, "forbidden")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/officer-requests/"+id+"/confirm", how), 204, "")
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	m.enters(t, third)

	// Requests slow down, by person and in the end by address, and say nothing of it.
	mark := m.Server.Mailbox.Mark()
	for range 12 {
		want(t, visitor.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": newcomerIC}), 202, "")
	}
	if n := m.Server.Mailbox.Mark() - mark; n > 6 {
		t.Errorf("%d mails to one mailbox", n)
	}
	limited := false
	for k := 0; k < 80 && !limited; k++ {
		limited = visitor.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": "820101145679"}).Status == 429
	}
	if !limited {
		t.Error("an address may ask for ever")
	}
	if log := m.Log.String(); strings.Contains(log, next) || strings.Contains(log, third) || strings.Contains(log, code) {
		t.Error("a secret is in the log")
	}
}

// enters logs the newcomer in with a password.
func (m *ministry) enters(t *testing.T, password string) *browser {
	t.Helper()
	b, mark := newBrowser(t, m.Gateway), m.Server.Mailbox.Mark()
	r := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": password})
	want(t, r, 202, "")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+r.Text("session_id")+"/code", map[string]string{"code": m.Code(newcomerMail, mark)}), 200, "")
	return b
}

// From a day on a system's tokens are offered to nobody.
func TestTokenEnds(t *testing.T) {
	m := newMinistry(t)
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments", map[string]any{"ic": newcomerIC, "name": "NORAINI BINTI OTHMAN", "email": newcomerMail, "agency": "JANM", "system": m.Dev.System, "medium": "TOKEN"}), 201, "")
	offered := func() bool {
		r := m.Do(http.MethodGet, "/v1/officers/"+newcomerIC+"/medium", "", nil)
		want(t, r, 200, "")
		return strings.Contains(string(r.Raw), "TOKEN")
	}
	ask := but(but(raw("Arahan"), "ic", newcomerIC), "system", m.Dev.System)
	path := "/v1/admin/systems/" + m.Dev.System + "/token-ends"
	day := m.Clock.Now().Add(time.Hour).UTC()
	want(t, m.ap.do(http.MethodPut, path, map[string]any{"from": day}), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/systems/NONE/token-ends", map[string]any{"from": day}), 404, "not_found")
	want(t, m.jdn.do(http.MethodPut, path, map[string]any{"from": day}), 204, "")
	if !offered() {
		t.Error("not offered before the day")
	}
	if r := m.Do(http.MethodPost, "/v1/transactions", "", ask); r.Status != 409 || r.Code() != "medium_not_roaming_otp" || r.Text("medium") != "TOKEN" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	m.Clock.Advance(time.Hour)
	if offered() {
		t.Error("offered after its end")
	}
	want(t, m.Do(http.MethodPost, "/v1/transactions", "", ask), 409, "token_ended")
	jdn := appointed(t, m.Gateway, "700101105561", enrol.JDN, "", "") // the session before has ended
	want(t, jdn.do(http.MethodPut, path, map[string]any{"from": nil}), 204, "")
	if !offered() {
		t.Error("not offered again")
	}
}

// The limits of sessions hold over HTTP, and a revocation ends them at once.
func TestSessionLimits(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	c := m.Server.Config.Sessions
	m.Clock.Advance(c.OfficerIdle - time.Second)
	want(t, b.do(http.MethodGet, "/v1/me", nil), 200, "")
	m.Clock.Advance(c.OfficerIdle)
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	m.login(t, b)
	for used := time.Duration(0); used+c.OfficerIdle/2 < c.Absolute; used += c.OfficerIdle / 2 {
		want(t, b.do(http.MethodGet, "/v1/me", nil), 200, "")
		m.Clock.Advance(c.OfficerIdle / 2)
	}
	m.Clock.Advance(c.OfficerIdle / 2)
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")

	m.login(t, b)
	second := m.enters(t, newcomerPassword)
	list := b.do(http.MethodGet, "/v1/me/sessions", nil)
	if want(t, list, 200, ""); len(list.Body["sessions"].([]any)) != 2 {
		t.Errorf("%s", list.Raw)
	}
	other := second.do(http.MethodGet, "/v1/me", nil).Body["session"].(map[string]any)["session_id"].(string)
	want(t, otherOfficer(t, m).do(http.MethodDelete, "/v1/me/sessions/"+other, nil), 404, "not_found")
	want(t, b.do(http.MethodDelete, "/v1/me/sessions/"+other, nil), 204, "")
	want(t, second.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")

	device := m.enters(t, newcomerPassword)
	jdn := appointed(t, m.Gateway, "700101105562", enrol.JDN, "", "")
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/certificate/replace", map[string]any{"system": m.Dev.System, "reason": "keyCompromise", "why": "telefon dicuri"}), 202, "")
	for _, x := range []*browser{b, device} {
		want(t, x.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	}
}

// A change of address over HTTP: both mailboxes, in their own order, and nobody else.
func TestChangeOfAddressOverHTTP(t *testing.T) {
	m := newMinistry(t)
	b := m.holder(t)
	const next = "noraini@jpk.gov.my"
	stranger := newBrowser(t, m.Gateway)
	want(t, stranger.do(http.MethodPost, "/v1/me/email", map[string]string{"email": next}), 401, "unauthenticated")
	for email, code := range map[string]string{newcomerMail: "email_same", "noraini@jpk.gov.mu": "email_typo", "noraini@gmail.com": "personal_mail", "bukan": "email_invalid"} {
		want(t, b.do(http.MethodPost, "/v1/me/email", map[string]string{"email": email}), 422, code)
	}
	asked := b.do(http.MethodPost, "/v1/me/email", map[string]string{"email": next})
	if want(t, asked, 202, ""); asked.Text("state") != "PENDING" || asked.Text("old_email") != newcomerMail {
		t.Errorf("%s", asked.Raw)
	}
	admin := "/v1/admin/officers/" + newcomerIC + "/email"
	want(t, m.ap.do(http.MethodPost, admin, map[string]string{"email": "pencuri@janm.gov.my"}), 409, "change_pending")
	want(t, m.other.do(http.MethodPost, admin, map[string]string{"email": "pencuri@jpk.gov.my"}), 403, "forbidden")
	want(t, m.other.do(http.MethodGet, admin, nil), 403, "forbidden")
	vouch := "/v1/admin/address-changes/" + asked.Text("change_id") + "/vouch"
	want(t, m.other.do(http.MethodPost, vouch, map[string]string{"reason": "peti surat lama ditutup"}), 403, "forbidden")
	want(t, b.do(http.MethodPost, vouch, map[string]string{"reason": "peti surat lama ditutup"}), 403, "forbidden")
	want(t, otherOfficer(t, m).do(http.MethodDelete, "/v1/me/email/"+asked.Text("change_id"), nil), 403, "forbidden")

	link := m.mailed(t, next, `(/e/[A-Za-z0-9_-]{22})`) // one turn mails both
	press := func(link string) int {
		resp, err := http.Post(m.URL+link, "application/x-www-form-urlencoded", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if status := press(link); status != 200 {
		t.Errorf("the new mailbox: %d", status)
	}
	if status := press(link); status == 200 {
		t.Error("a link was good twice")
	}
	if me := b.do(http.MethodGet, "/v1/me", nil); me.Text("email") != newcomerMail {
		t.Errorf("the new mailbox alone moved codes: %s", me.Raw)
	}
	want(t, m.ap.do(http.MethodPost, vouch, map[string]string{"reason": "peti surat lama ditutup"}), 204, "")
	want(t, m.ap.do(http.MethodPost, vouch, map[string]string{"reason": "peti surat lama ditutup"}), 409, "enrolment_changed")
	list := b.do(http.MethodGet, "/v1/me/email", nil)
	if want(t, list, 200, ""); !strings.Contains(string(list.Raw), `"state":"DONE"`) {
		t.Errorf("%s", list.Raw)
	}
	mark := m.Server.Mailbox.Mark()
	want(t, b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": newcomerPassword}), 202, "")
	if m.Code(next, mark) == "" {
		t.Error("codes do not go to the new address")
	}

	// Who asked for it does not vouch; what is cancelled moves nothing.
	asked = m.ap.do(http.MethodPost, admin, map[string]string{"email": newcomerMail})
	want(t, asked, 202, "")
	at := "/v1/admin/address-changes/" + asked.Text("change_id")
	want(t, m.ap.do(http.MethodPost, at+"/vouch", map[string]string{"reason": "peti surat lama ditutup"}), 403, "same_person")
	want(t, m.ap.do(http.MethodDelete, at, nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, at+"/vouch", map[string]string{"reason": "peti surat lama ditutup"}), 409, "enrolment_changed")
	want(t, m.jdn.do(http.MethodDelete, "/v1/admin/address-changes/ad_none", nil), 404, "not_found")
}
