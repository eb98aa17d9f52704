//go:build !race

package gateway_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// side is one agency with one system, and all that administrators look after there.
type side struct {
	agency, system string
	// one of each kind that a path, a query or a body names, by the kind
	things map[string]string
	// marks are what gives it away: names, IC numbers, addresses, ids
	marks []string
}

// realm is two sides that have nothing to do with each other, and whoever asks.
type realm struct {
	*ministry
	a, b, none *side
	shared     *side // the other's officer whom the first one has listed, too, as the other's
	people     map[string]*browser
	second     *browser // another JDN
}

// sideOf is what the two sides differ in.
type sideOf struct{ agency, title, system, domain, births string }

func newRealm(t *testing.T) *realm {
	t.Helper()
	g := gatewaytest.New(t)
	w := &realm{ministry: &ministry{Gateway: g}, people: map[string]*browser{}}
	w.jdn, w.second = appointed(t, g, "700101105551", enrol.JDN, "", ""), appointed(t, g, "700101105553", enrol.JDN, "", "")
	w.a = w.side(t, sideOf{"JANM", "Jabatan Akauntan Negara Malaysia", g.Dev.System, "anm.gov.my", "8103"})
	w.b = w.side(t, sideOf{"JPK", "Jabatan Pembangunan Kemahiran", "MYSPIKE", "jpk.gov.my", "8204"})
	// What concerns no agency is there once, and is everybody else's neither more nor less.
	hold := w.jdn.do("POST", "/v1/admin/holds", map[string]any{"ic": "700101105598", "reason": "siasatan dalaman 7/2026"})
	want(t, hold, 201, "")
	disposal := "di_n7hkz3xq6v2wdy5btcml4ajsrd"
	at := g.Clock.Now().UnixMicro()
	query(t, g, `INSERT INTO disposals (id, state, kept_before, proposed_by, proposed_ic, proposed_at, until_at) VALUES (?, 'PROPOSED', ?, 'cli:test', '', ?, ?)`, disposal, at, at, at+1e15)
	alarm := "al_n7hkz3xq6v2wdy5btcml4ajsrd"
	query(t, g, `INSERT INTO alarms (id, kind, node, object, code, args, raised_at, seen_at) VALUES (?, 'clock', '', '', 'clock', '{}', ?, ?)`, alarm, at, at)
	for _, s := range []*side{w.a, w.b} {
		s.things["hold"], s.things["disposal"], s.things["seq"], s.things["alarm"] = hold.Text("hold_id"), disposal, "1", alarm
	}
	w.none = &side{agency: "TIADA", system: "TIADA", things: map[string]string{
		"account": "ac_h6t2vq7nkz3wdy5bxcml4ajprd", "change": "ad_q3xw6vn7hkz2dy5btcml4ajsrd", "appointment": "ap_2xq6vn7hkz3wdy5btcml4ajsrd", "app": "tiada", "credential": "ck_x6vn7hkz3q2wdy5btcml4ajsrd",
		"event": "ev_t4wz6n2kq7hy3cx5vdlm2baojd", "proposal": "pr_x6vn7hkz3q2wdy5btcml4ajsrd", "enrolment": "en_v3dq6m2hbk7yz5ntwxac4pljsd", "listed": "en_v3dq6m2hbk7yz5ntwxac4pljsd",
		"request": "rq_7hkz3xq6vn2wdy5btcml4ajsrd", "officer": "830505105599", "serial": "274877906944001", "hold": "ho_z3xq6vn7hk2wdy5btcml4ajsrd", "disposal": "di_z3xq6vn7hk2wdy5btcml4ajsrd"}}
	for k, v := range map[string]string{"seq": "999999999", "office": "P00", "alarm": "al_z3xq6vn7hk2wdy5btcml4ajsrd", "batch": "ba_c3wz6n2kq7hy4tx5vdlm2baope"} {
		w.none.things[k] = v
	}
	for _, s := range []*side{w.a, w.b, w.none} {
		// Of letters and versions there is none on any side, and of templates one for all.
		for k, v := range map[string]string{"letter": "nt_c3wz6n2kq7hy4tx5vdlm2baope", "version": "7", "template": "umum"} {
			s.things[k] = v
		}
		s.things["agency"], s.things["system"] = s.agency, s.system
	}
	w.callers(t)
	both := person{"820405105881", "DUA AGENSI BIN SATU", "dua@jpk.gov.my"}
	id, serial := w.issued(t, w.b, w.people["AP "+w.b.agency], both)
	w.b.marks = append(w.b.marks, id, serial, both.email)
	w.shared = &side{agency: w.a.agency, system: w.b.system, things: map[string]string{"officer": both.ic, "listed": w.listed(t, w.people["SAP "+w.a.agency], w.a, both)}}
	w.shared.things["agency"], w.shared.things["system"] = w.shared.agency, w.shared.system
	return w
}

// side fills one through the API, as its administrators would.
func (w *realm) side(t *testing.T, o sideOf) *side {
	t.Helper()
	s := &side{agency: o.agency, system: o.system, things: map[string]string{}}
	ic := func(n int) string { return fmt.Sprintf("%s05105%d%d1", o.births, n, n) }
	want(t, w.jdn.do("PUT", "/v1/admin/agencies/"+o.agency, map[string]any{"name": o.title}), 200, "")
	want(t, w.jdn.do("PUT", "/v1/admin/systems/"+o.system, map[string]any{"title": "Sistem " + o.system, "agency": o.agency}), 200, "")
	sap, sa := appointed(t, w.Gateway, ic(1), enrol.SAP, "", o.system), appointed(t, w.Gateway, ic(2), enrol.SA, o.agency, "")
	ap := appointed(t, w.Gateway, ic(3), enrol.AP, o.agency, "")
	w.people["SAP "+o.agency], w.people["SA "+o.agency], w.people["AP "+o.agency] = sap, sa, ap

	// A holder of a certificate, with all that can wait for somebody; an applicant; one who is listed.
	holder := person{ic(4), "SITI " + o.agency + " BINTI ABDULLAH", "siti@" + o.domain}
	id, serial := w.issued(t, s, ap, holder)
	path := "/v1/admin/officers/" + holder.ic
	at := w.Clock.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)
	want(t, ap.do("POST", path+"/certificate/revoke", map[string]any{"system": o.system, "reason": "superseded", "why": "bertukar jawatan bulan depan", "at": at}), 200, "")
	change := ap.do("POST", path+"/email", map[string]any{"email": "siti.baharu@" + o.domain})
	want(t, change, 202, "")
	request := ap.do("POST", path+"/deletion", map[string]any{"reason": "bersara 1 Jun, surat 12/2026"})
	want(t, request, 202, "")
	applicant, listed := person{ic(5), "KUMAR " + o.agency + " A/L RAJU", "kumar@" + o.domain}, person{ic(6), "MEI " + o.agency + " LIM", "mei@" + o.domain}
	s.things["enrolment"] = w.apply(t, s, applicant)
	s.things["listed"] = w.listed(t, sap, s, listed)

	for _, x := range sa.do("GET", "/v1/admin/appointments", nil).Body["appointments"].([]any) {
		if x := x.(map[string]any); x["ic"] == ic(3) {
			s.things["account"] = x["account_id"].(string)
		}
	}
	// One who is to be appointed, and an app with a hook.
	candidate := person{ic(7), "CALON " + o.agency + " BIN ALI", "calon@" + o.domain}
	made := sa.do("POST", "/v1/admin/appointments", map[string]any{"ic": candidate.ic, "name": candidate.name, "email": candidate.email, "role": "AP", "agency": o.agency, "document": "SURAT " + o.agency + " 100-1/1"})
	want(t, made, 201, "")
	app := strings.ToLower(o.agency) + "-lejar"
	program := w.jdn.do("POST", "/v1/admin/apps", map[string]any{"app_id": app, "name": "Lejar " + o.agency, "systems": []string{o.system}, "grants": []string{"sign", "RAW"}, "redirect_uris": []string{"https://" + o.domain + "/balik"}})
	want(t, program, 201, "")
	want(t, w.second.do("POST", "/v1/admin/apps/"+app+"/confirm", map[string]any{"proposal_id": program.Body["proposal"].(map[string]any)["proposal_id"]}), 200, "")
	key := w.jdn.do("POST", "/v1/admin/apps/"+app+"/credentials", map[string]any{"kind": "api_key"})
	want(t, key, 201, "")
	second := w.jdn.do("POST", "/v1/admin/apps/"+app+"/credentials", map[string]any{"kind": "api_key"})
	want(t, second, 201, "")
	credential := second.Body["credential"].(map[string]any)["credential_id"].(string)
	if r := w.second.do("POST", "/v1/admin/apps/"+app+"/credentials/"+credential+"/confirm", nil); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	batch := w.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok " + o.agency, "kind": "digest"}, "X-API-Key", second.Text("secret"))
	want(t, batch, 201, "")
	want(t, w.jdn.do("PUT", "/v1/admin/agencies/"+o.agency+"/offices/P01", map[string]any{"name": "Pejabat Berdaftar"}), 200, "")
	want(t, w.jdn.do("POST", "/v1/admin/apps/"+app+"/webhook", map[string]string{"url": "http://127.0.0.1:1025/" + o.agency}), 200, "")
	ping := w.jdn.do("POST", "/v1/admin/apps/"+app+"/webhook/test", nil)
	want(t, ping, 202, "")
	changed := w.jdn.do("PATCH", "/v1/admin/apps/"+app, map[string]any{"pin_entry": "app"})
	want(t, changed, 200, "")

	for k, v := range map[string]string{"officer": holder.ic, "serial": serial, "change": change.Text("change_id"), "request": request.Text("request_id"), "appointment": appointmentID(made), "app": app, "batch": batch.Text("batch_id"), "office": "P01",
		"credential": key.Body["credential"].(map[string]any)["credential_id"].(string), "event": ping.Text("event_id"), "proposal": changed.Body["proposal"].(map[string]any)["proposal_id"].(string)} {
		if v == "" {
			t.Fatalf("%s has no %s", o.agency, k)
		}
		s.things[k] = v
	}
	for _, k := range []string{"account", "serial", "change", "request", "appointment", "app", "credential", "event", "proposal", "enrolment", "listed", "batch"} {
		s.marks = append(s.marks, s.things[k])
	}
	for _, p := range []person{holder, applicant, listed, candidate} {
		s.marks = append(s.marks, p.ic, p.name, p.email)
	}
	s.marks = append(s.marks, id, "siti.baharu@"+o.domain, "SURAT "+o.agency, "Lejar "+o.agency, ic(1), ic(2), ic(3), "TIKET-"+o.agency, "PEJABAT "+o.agency)
	return s
}

// person is who is enrolled.
type person struct{ ic, name, email string }

// listed has one submitted by a SAP.
func (w *realm) listed(t *testing.T, sap *browser, s *side, p person) string {
	t.Helper()
	r := sap.do("POST", "/v1/admin/enrolments", map[string]any{"ic": p.ic, "name": p.name, "email": p.email, "agency": s.agency, "system": s.system, "office": "PEJABAT " + s.agency, "ticket": "TIKET-" + s.agency})
	want(t, r, 201, "")
	return r.Text("enrolment_id")
}

// issued brings one to a certificate.
func (w *realm) issued(t *testing.T, s *side, ap *browser, p person) (id, serial string) {
	t.Helper()
	id = w.apply(t, s, p)
	want(t, ap.do("POST", "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	r := w.second.do("POST", "/v1/admin/enrolments/"+id+"/approve", nil)
	want(t, r, 200, "")
	return id, r.Text("serial_number")
}

// apply brings one to APPLIED.
func (w *realm) apply(t *testing.T, s *side, p person) (id string) {
	t.Helper()
	id = w.listed(t, w.jdn, s, p)
	link := w.mailed(t, p.email, `(/e/[A-Za-z0-9_-]{22})`)
	resp, err := http.Post(w.URL+link, "application/x-www-form-urlencoded", nil)
	must(t, err)
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	code := w.mailed(t, p.email, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
	b := newBrowser(t, w.Gateway)
	want(t, b.do("POST", "/v1/account", map[string]string{"code": code, "password": newcomerPassword}), 200, "")
	mark := w.Server.Mailbox.Mark()
	r := b.do("POST", "/v1/sessions", map[string]string{"ic": p.ic, "password": newcomerPassword})
	want(t, r, 202, "")
	want(t, b.do("POST", "/v1/sessions/"+r.Text("session_id")+"/code", map[string]string{"code": w.Code(p.email, mark)}), 200, "")
	want(t, b.do("POST", "/v1/me/application", but(application(code), "mykad", picture(t))), 201, "")
	w.people["officer"] = b // the last one
	return id
}

// callers are all who try: those of the first agency and of none, and who is not, or not yet, or
// not any more, what gives access.
func (w *realm) callers(t *testing.T) {
	t.Helper()
	w.people["JDN"], w.people["AUDITOR"] = w.jdn, appointed(t, w.Gateway, "700101105555", enrol.Auditor, "", "")
	w.people["nobody"] = newBrowser(t, w.Gateway)
	app := newBrowser(t, w.Gateway)
	app.header["X-API-Key"] = string(w.Dev.APIKey.Reveal())
	w.people["app"] = app
	want(t, w.jdn.do("PUT", "/v1/admin/agencies/KKM", map[string]any{"name": "Kementerian Kesihatan"}), 200, "")
	tomorrow := enrol.Appointment{Role: enrol.AP, Agency: w.a.agency, From: w.Clock.Now().Add(24 * time.Hour)}
	w.people["tomorrow"] = appointed(t, w.Gateway, "700101105557", enrol.AP, "KKM", "", tomorrow)
	ended := enrol.Appointment{Role: enrol.AP, Agency: w.a.agency, From: w.Clock.Now().Add(-48 * time.Hour), Until: w.Clock.Now().Add(10 * time.Second)} // before the log-in
	w.people["ended"] = appointed(t, w.Gateway, "700101105559", enrol.AP, "KKM", "", ended)
	w.people["awaits"] = appointed(t, w.Gateway, "700101105561", enrol.AP, "KKM", "")
	email := "p700101105561@jdn.gov.my"
	made := w.people["SA "+w.a.agency].do("POST", "/v1/admin/appointments", map[string]any{"ic": "700101105561", "name": "PENTADBIR 1", "email": email, "role": "AP", "agency": w.a.agency, "document": "SURAT JANM 100-1/2"})
	want(t, made, 201, "")
}

// logo is a picture for a system.
func logo(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4))))
	return b.Bytes()
}

// filled has the things of a side in the places of a text: {officer}, {system}.
func (s *side) filled(text string) string {
	for k, v := range s.things {
		text = strings.ReplaceAll(text, "{"+k+"}", v)
	}
	return text
}
