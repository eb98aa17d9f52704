package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

// signing brings the newcomer to a certificate.
func (m *ministry) signing(t *testing.T) *browser {
	t.Helper()
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	want(t, m.sap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 403, "same_person") // it listed her
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 200, "")
	return b
}

func proposal(ic, name, email, role, agency string) map[string]string {
	return map[string]string{"ic": ic, "name": name, "email": email, "role": role, "agency": agency, "document": "JANM.1"}
}

// An SA who appoints an officer gets nothing of hers: no code, no session, no mailbox.
func TestOneSATakesOverNoOfficer(t *testing.T) {
	m := newMinistry(t)
	victim := m.signing(t)
	for _, agency := range []string{"JANM", "JPK"} {
		sa := appointed(t, m.Gateway, map[string]string{"JANM": "700101105570", "JPK": "700101105574"}[agency], enrol.SA, agency, "")
		for name, email := range map[string]string{"NORAINI BINTI OTHMAN": "evil@janm.gov.my", "X": newcomerMail} {
			want(t, sa.do(http.MethodPost, "/v1/admin/appointments", proposal(newcomerIC, name, email, "AP", agency)), 409, "person_conflict")
		}
		made := sa.do(http.MethodPost, "/v1/admin/appointments", proposal(newcomerIC, "NORAINI BINTI OTHMAN", newcomerMail, "AP", agency))
		if want(t, made, 201, ""); strings.Contains(string(made.Raw), "setup") {
			t.Errorf("%s", made.Raw)
		}
		want(t, sa.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/confirm", nil), 403, "same_person")
		want(t, sa.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/resend", nil), 403, "same_person")
	}
	want(t, victim.do(http.MethodGet, "/v1/me", nil), 200, "")
	if me := victim.do(http.MethodGet, "/v1/me", nil); me.Text("kind") != "officer" || me.Text("email") != newcomerMail {
		t.Errorf("%s", me.Raw)
	}
	want(t, victim.do(http.MethodPost, "/v1/me/second-factor", nil), 403, "not_appointed")
	want(t, victim.do(http.MethodGet, "/v1/admin/appointments", nil), 403, "forbidden")
}

// A JDN makes no second person out of nobody, and so no certificate for anybody.
func TestOneJDNMakesNoSecondPerson(t *testing.T) {
	m := newMinistry(t)
	const puppet, ic, mail = "700202105480", "850505105551", "evil@janm.gov.my"
	for _, role := range []string{"SA", "JDN", "AUDITOR"} {
		agency := ""
		if role == "SA" {
			agency = "JANM"
		}
		made := m.jdn.do(http.MethodPost, "/v1/admin/appointments", proposal(puppet, "TIADA ORANG", "evil@jdn.gov.my", role, agency))
		if want(t, made, 201, ""); made.Body["appointment"].(map[string]any)["awaits_confirmation"] != true {
			t.Errorf("%s", made.Raw)
		}
		want(t, m.jdn.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/confirm", nil), 403, "same_person")
		want(t, m.jdn.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/resend", nil), 403, "same_person")
	}
	if did, err := m.Server.Desk.Once(t.Context()); did || err != nil {
		t.Errorf("something was mailed to somebody whom one person proposed: %v", err)
	}
	m.Clock.Advance(enrol.FreshFor + time.Second)
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/appointments", proposal(puppet, "TIADA ORANG", "evil@jdn.gov.my", "SA", "JANM")), 403, "session_not_fresh")

	// What JDN lists by itself another JDN approves.
	r := m.jdn.do(http.MethodPost, "/v1/admin/enrolments", map[string]any{"ic": ic, "name": "KETUA AKAUNTAN NEGARA", "email": mail, "agency": "JANM", "system": m.Dev.System})
	want(t, r, 201, "")
	link := m.mailed(t, mail, `(/e/[A-Za-z0-9_-]{22})`)
	resp, err := http.Post(m.URL+link, "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	code := m.mailed(t, mail, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
	b := newBrowser(t, m.Gateway)
	want(t, b.do(http.MethodPost, "/v1/account", map[string]string{"code": code, "password": newcomerPassword}), 200, "")
	mark := m.Server.Mailbox.Mark()
	l := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": newcomerPassword})
	want(t, b.do(http.MethodPost, "/v1/sessions/"+l.Text("session_id")+"/code", map[string]string{"code": m.Code(mail, mark)}), 200, "")
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	id := r.Text("enrolment_id")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 409, "enrolment_state")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 403, "same_person")
}

// Even when a second person was deceived, the appointer and the appointed are not two.
func TestAppointerAndAppointedAreOneHand(t *testing.T) {
	m := newMinistry(t)
	second := appointed(t, m.Gateway, "700101105558", enrol.JDN, "", "")
	made := m.jdn.do(http.MethodPost, "/v1/admin/appointments", proposal("700202105480", "TIADA ORANG", "evil@jdn.gov.my", "SA", "JANM"))
	if made.Status != 201 { // the sessions of the ministry are some minutes old
		t.Fatalf("%s", made.Raw)
	}
	puppet := inForce(t, m.Gateway, second, made, "700202105480")
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	want(t, puppet.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 403, "same_person")
	want(t, second.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 200, "")
}

// The way of an officer who is appointed: confirmed by another, a second factor of her own,
// whose seed no stored answer keeps; and a reset by two.
func TestAnOfficerBecomesAnAdministrator(t *testing.T) {
	m := newMinistry(t)
	officer := m.signing(t)
	second := appointed(t, m.Gateway, "700101105558", enrol.JDN, "", "")
	made := second.do(http.MethodPost, "/v1/admin/appointments", proposal(newcomerIC, "NORAINI BINTI OTHMAN", newcomerMail, "SA", "JANM"))
	want(t, made, 201, "")
	m.jdn = appointed(t, m.Gateway, "700101105560", enrol.JDN, "", "")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/confirm", nil), 204, "")
	officer.header["Idempotency-Key"] = "k1"
	want(t, officer.do(http.MethodPost, "/v1/me/second-factor", nil), 400, "invalid_request")
	delete(officer.header, "Idempotency-Key")
	seed := officer.do(http.MethodPost, "/v1/me/second-factor", nil)
	want(t, seed, 200, "")
	want(t, officer.do(http.MethodPost, "/v1/me/second-factor/complete", map[string]string{"totp": digits(t, m.Gateway, seed)}), 204, "")
	want(t, officer.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	m.Clock.Advance(30 * time.Second)
	l := officer.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": newcomerPassword})
	want(t, officer.do(http.MethodPost, "/v1/sessions/"+l.Text("session_id")+"/code", map[string]string{"code": digits(t, m.Gateway, seed)}), 200, "")
	want(t, officer.do(http.MethodGet, "/v1/admin/appointments", nil), 200, "")

	reset := "/v1/admin/accounts/" + made.Body["appointment"].(map[string]any)["account_id"].(string) + "/reset"
	want(t, m.jdn.do(http.MethodPost, reset, map[string]string{"reason": "telephone lost"}), 204, "")
	want(t, m.jdn.do(http.MethodPost, reset+"/confirm", nil), 403, "same_person")
	want(t, officer.do(http.MethodGet, "/v1/me", nil), 200, "")
	third := appointed(t, m.Gateway, "700101105562", enrol.JDN, "", "")
	want(t, third.do(http.MethodPost, reset+"/confirm", nil), 204, "")
	want(t, officer.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	administrator(t, m.Gateway, newcomerIC, m.mailed(t, newcomerMail, `(setup_[a-z2-7]{26})`))
	gone := third.do(http.MethodDelete, "/v1/admin/appointments/"+appointmentID(made)+"?document=JANM.9", nil)
	want(t, gone, 204, "")
}
