//go:build !race

package gateway_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

// all has the gateway mail what is due.
func (m *ministry) all(t *testing.T) {
	t.Helper()
	for did := true; did; {
		var err error
		if did, err = m.Server.Desk.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever proposed somebody cannot become her by the register: an administrator, or whoever
// is to be one, is listed with the own name and address alone, and no set-up code follows
// another.
func TestTheRegisterMovesNoAppointedPerson(t *testing.T) {
	m := newMinistry(t)
	second := appointed(t, m.Gateway, "700101105558", enrol.JDN, "", "")
	m.jdn = appointed(t, m.Gateway, "700101105560", enrol.JDN, "", "")
	const ic, name, honest, own, admin = "850505105551", "SITI BINTI ALI", "siti@janm.gov.my", "lain@janm.gov.my", "700101105554"
	list := func(ic, name, email string) map[string]any {
		return map[string]any{"ic": ic, "name": name, "email": email, "agency": "JANM", "system": m.Dev.System}
	}
	const enrolments, appointments = "/v1/admin/enrolments", "/v1/admin/appointments/"
	made := m.jdn.do(http.MethodPost, "/v1/admin/appointments", proposal(ic, name, honest, "SA", "JANM"))
	want(t, made, 201, "")
	// While it awaits the second person, and when it was confirmed.
	want(t, m.jdn.do(http.MethodPost, enrolments, list(ic, name, own)), 422, "conflict")
	token := list(ic, name, own)
	token["medium"] = "TOKEN"
	want(t, m.jdn.do(http.MethodPost, enrolments, token), 422, "conflict")
	want(t, m.jdn.do(http.MethodPost, enrolments, list(ic, "SITI BINTI ABU", honest)), 422, "conflict")
	want(t, second.do(http.MethodPost, appointments+appointmentID(made)+"/confirm", nil), 204, "")
	code := m.mailed(t, honest, `(setup_[a-z2-7]{26})`)
	want(t, m.jdn.do(http.MethodPost, enrolments, list(ic, name, own)), 422, "conflict")
	// An active administrator who is no officer.
	want(t, m.jdn.do(http.MethodPost, enrolments, list(admin, "PENTADBIR 4", own)), 422, "conflict")

	// With the address that was confirmed she can be listed; it is not corrected.
	listed := m.jdn.do(http.MethodPost, enrolments, list(ic, name, honest))
	want(t, listed, 201, "")
	want(t, m.jdn.do(http.MethodPost, enrolments+"/"+listed.Text("enrolment_id")+"/correct", map[string]string{"email": own}), 409, "enrolment_changed")
	m.all(t)
	m.Clock.Advance(5 * time.Minute)
	want(t, m.jdn.do(http.MethodPost, appointments+appointmentID(made)+"/resend", nil), 403, "same_person")
	want(t, second.do(http.MethodPost, appointments+appointmentID(made)+"/resend", nil), 204, "")
	if again := m.mailed(t, honest, `(setup_[a-z2-7]{26})`); again == code {
		t.Error("the code was not made anew")
	} else {
		administrator(t, m.Gateway, ic, again)
	}
}

// Whoever chose the mailbox does not give the agency's word for a password that was asked for
// from there, nor does anybody of that hand; a deletion takes two hands as well.
func TestOneHandConfirmsNoRequest(t *testing.T) {
	m := newMinistry(t)
	m.signing(t)
	const moved, requests = "nora@janm.gov.my", "/v1/admin/officer-requests/"
	r := m.ap.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/email", map[string]string{"email": moved})
	want(t, r, 202, "")
	m.all(t)
	m.press(t, moved)
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/address-changes/"+r.Text("change_id")+"/vouch", map[string]string{"reason": "peti surat lama ditutup"}), 204, "")
	v := newBrowser(t, m.Gateway)
	mark := m.Server.Mailbox.Mark()
	f := v.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": newcomerIC})
	want(t, v.do(http.MethodPost, "/v1/password/"+f.Text("reset_id")+"/reset", map[string]any{"code": m.Code(moved, mark), "password": "sembilan gajah menari"}), 202, "")
	l := m.ap.do(http.MethodGet, "/v1/admin/officers/"+newcomerIC+"/requests", nil)
	id := l.Body["requests"].([]any)[0].(map[string]any)["request_id"].(string)
	word := map[string]string{"how": "saya kenal dia"}
	want(t, m.ap.do(http.MethodPost, requests+id+"/confirm", word), 403, "same_person")
	want(t, m.jdn.do(http.MethodPost, requests+id+"/confirm", word), 403, "same_person")
	third := appointed(t, m.Gateway, "700101105558", enrol.JDN, "", "")
	want(t, third.do(http.MethodPost, requests+id+"/confirm", word), 204, "")

	// An SA and the AP whom it appointed do not delete an account together.
	sa := appointed(t, m.Gateway, "700101105570", enrol.SA, "JANM", "")
	made := sa.do(http.MethodPost, "/v1/admin/appointments", proposal("700202105480", "AHMAD BIN ALI", "ahmad@janm.gov.my", "AP", "JANM"))
	want(t, made, 201, "")
	ap := inForce(t, m.Gateway, third, made, "700202105480")
	r = sa.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/deletion", map[string]string{"reason": "sudah bersara"})
	want(t, r, 202, "")
	want(t, ap.do(http.MethodPost, requests+r.Text("request_id")+"/confirm", word), 403, "same_person")
	want(t, sa.do(http.MethodPost, requests+r.Text("request_id")+"/confirm", word), 403, "same_person")
	want(t, third.do(http.MethodPost, requests+r.Text("request_id")+"/confirm", word), 204, "")
}

// press uses the newest link that went to an address.
func (m *ministry) press(t *testing.T, to string) {
	t.Helper()
	link := regexp.MustCompile(`/e/[A-Za-z0-9_-]{22}`).Find(m.Do(http.MethodGet, "/dev/mailbox.json?to="+to, "", nil).Raw)
	resp, err := http.Post(m.URL+string(link), "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if link == nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%q: %s", link, resp.Status)
	}
}

// Who was deleted and is listed anew comes back as an officer: an appointment that had no
// effect yet has ended.
func TestWhoComesBackIsNoAdministrator(t *testing.T) {
	m := newMinistry(t)
	m.signing(t)
	second := appointed(t, m.Gateway, "700101105558", enrol.JDN, "", "")
	m.jdn = appointed(t, m.Gateway, "700101105560", enrol.JDN, "", "")
	made := m.jdn.do(http.MethodPost, "/v1/admin/appointments", proposal(newcomerIC, "NORAINI BINTI OTHMAN", newcomerMail, "SA", "JANM"))
	want(t, made, 201, "")
	want(t, second.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/confirm", nil), 204, "")
	r := m.ap.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/deletion", map[string]string{"reason": "sudah bersara"})
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/officer-requests/"+r.Text("request_id")+"/confirm", map[string]string{"how": "surat bersara"}), 204, "")
	m.all(t)
	_, code := m.confirmed(t)
	want(t, m.officer(t, code).do(http.MethodPost, "/v1/me/second-factor", nil), 403, "not_appointed")
}

// A stranger who asks for somebody's password without end delays it by a quarter of an hour at
// most, and whoever helps the officer opens that door, too.
func TestNobodyIsKeptFromAForgottenPassword(t *testing.T) {
	m := newMinistry(t)
	m.signing(t)
	v := newBrowser(t, m.Gateway)
	ask := func() {
		t.Helper()
		want(t, v.do(http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": newcomerIC}), 202, "")
	}
	mailed := func(before func()) {
		t.Helper()
		before()
		mark := m.Server.Mailbox.Mark()
		ask()
		if m.Code(newcomerMail, mark) == "" {
			t.Error("no code")
		}
	}
	for range 16 {
		ask()
		m.Clock.Advance(16 * time.Minute)
	}
	mailed(func() {})
	mailed(func() { m.Clock.Advance(15 * time.Minute) })
	mailed(func() {
		ask() // held up
		m.ap = appointed(t, m.Gateway, "700101105570", enrol.AP, "JANM", "")
		r := m.ap.do(http.MethodPost, "/v1/admin/officers/"+newcomerIC+"/unlock-login", map[string]string{"reason": "MyKad seen at the counter"})
		if want(t, r, 200, ""); r.Body["cleared"] != true {
			t.Errorf("%s", r.Raw)
		}
	})
}
