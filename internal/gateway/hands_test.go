package gateway_test

import (
	"net/http"
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
