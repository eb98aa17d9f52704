package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
)

const (
	newcomerIC       = "790308109903"
	newcomerMail     = "noraini@janm.gov.my"
	newcomerPIN      = "Rusa-Sambar-7"
	newcomerPassword = "payung biru di stesen"
)

// appointed makes an administrator, who sets up and logs in over HTTP.
func appointed(t *testing.T, g *gatewaytest.Gateway, ic string, role enrol.Role, agency, system string, more ...enrol.Appointment) *browser {
	t.Helper()
	password := "tujuh belas kerusi rotan"
	machine, person := enrol.Actor{Name: "cli:test"}, enrol.Officer{IC: ic, Name: "PENTADBIR " + ic[11:], Email: "p" + ic + "@jdn.gov.my"}
	_, code, err := g.Server.Accounts.CreateAdministrator(t.Context(), machine, person,
		enrol.Appointment{Role: role, Agency: agency, System: system, From: g.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range more {
		x.Document = "JDN.100-1/1"
		if _, _, err := g.Server.Accounts.Appoint(t.Context(), machine, person, x); err != nil {
			t.Fatal(err)
		}
	}
	b := newBrowser(t, g)
	seed := b.do(http.MethodPost, "/v1/setup", map[string]string{"code": string(code.Reveal())})
	want(t, seed, 200, "")
	totp := func() string {
		s, err := hotp.GenerateCodeCustom(seed.Text("secret"), uint64(g.Clock.Now().Unix()/30), hotp.ValidateOpts{Digits: pquerna.DigitsSix})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want(t, b.do(http.MethodPost, "/v1/setup/complete", map[string]string{"code": string(code.Reveal()), "password": password, "totp": totp()}), 204, "")
	g.Clock.Advance(30 * time.Second) // a TOTP is good once
	login := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": password})
	want(t, login, 202, "")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+login.Text("session_id")+"/code", map[string]string{"code": totp()}), 200, "")
	return b
}

// post sends a body that is not JSON.
func (b *browser) post(path, contentType string, body []byte) *gatewaytest.Reply {
	b.t.Helper()
	return b.send(http.MethodPost, path, contentType, body)
}

func (b *browser) send(method, path, contentType string, body []byte) *gatewaytest.Reply {
	b.t.Helper()
	h := []string{"X-API-Key", "", "Accept-Language", b.header["Accept-Language"]}
	for _, c := range b.cookies {
		h = append(h, "Cookie", c.Name+"="+c.Value)
	}
	if c := b.cookies["mohor-session"]; c != nil {
		h = append(h, "Cookie", c.Name+"="+c.Value)
	}
	return b.g.Do(method, path, contentType, body, h...)
}

// ministry is a gateway with a registry and those who decide.
type ministry struct {
	*gatewaytest.Gateway
	jdn, sap, ap, other *browser // other: AP of another agency
}

func newMinistry(t *testing.T) *ministry { return ministryOn(t, gatewaytest.New(t)) }

func ministryOn(t *testing.T, g *gatewaytest.Gateway) *ministry {
	m := &ministry{Gateway: g, jdn: appointed(t, g, "700101105551", enrol.JDN, "", ""), sap: appointed(t, g, "700101105552", enrol.SAP, "", g.Dev.System),
		ap: appointed(t, g, "700101105554", enrol.AP, "JANM", ""), other: appointed(t, g, "700101105556", enrol.AP, "JPK", "")}
	for code, name := range map[string]string{"JANM": "Jabatan Akauntan Negara Malaysia", "JPK": "Jabatan Pembangunan Kemahiran"} {
		want(t, m.jdn.do(http.MethodPut, "/v1/admin/agencies/"+code, map[string]any{"name": name}), 200, "")
	}
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/systems/"+g.Dev.System, map[string]any{"title": "iGFMAS", "agency": "JANM"}), 200, "")
	return m
}

// mailed lets the desk send what is due and returns what the pattern finds in it.
func (m *ministry) mailed(t *testing.T, to, pattern string) string {
	t.Helper()
	if did, err := m.Server.Desk.Once(t.Context()); err != nil || !did {
		t.Fatal(did, err)
	}
	var mails []struct {
		Text string `json:"text"`
	}
	r := m.Do(http.MethodGet, "/dev/mailbox.json?to="+to, "", nil)
	if err := json.Unmarshal(r.Raw, &mails); err != nil || len(mails) == 0 {
		t.Fatalf("%v: %s", err, r.Raw)
	}
	found := regexp.MustCompile(pattern).FindStringSubmatch(mails[0].Text) // the newest
	if found == nil {
		t.Fatalf("no %s in\n%s", pattern, mails[0].Text)
	}
	return found[1]
}

func list(rows ...string) []byte {
	return []byte("no_kp,nama,emel,agensi,sistem\n" + strings.Join(rows, "\n") + "\n")
}

const newcomerRow = newcomerIC + ",NORAINI BINTI OTHMAN," + newcomerMail + ",JANM,IGFMAS"

// confirmed brings the newcomer to CONFIRMED and gives enrolment and verification code.
func (m *ministry) confirmed(t *testing.T) (id, code string) {
	t.Helper()
	r := m.sap.post("/v1/admin/enrolments/list", "text/csv", list(newcomerRow))
	if want(t, r, 200, ""); r.Body["accepted"] != 1.0 {
		t.Fatalf("%s", r.Raw)
	}
	r = m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED", nil)
	want(t, r, 200, "")
	id = r.Body["enrolments"].([]any)[0].(map[string]any)["enrolment_id"].(string)
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/admit", nil), 204, "")
	link := m.mailed(t, newcomerMail, `(/e/[A-Za-z0-9_-]{22})`)
	resp, err := http.Post(m.URL+link, "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	return id, m.mailed(t, newcomerMail, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
}

// officer opens the account and logs in.
func (m *ministry) officer(t *testing.T, code string) *browser {
	t.Helper()
	b := newBrowser(t, m.Gateway)
	want(t, b.do(http.MethodPost, "/v1/account", map[string]string{"code": code, "password": newcomerPassword}), 200, "")
	mark := m.Server.Mailbox.Mark()
	r := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": newcomerIC, "password": newcomerPassword})
	want(t, r, 202, "")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+r.Text("session_id")+"/code", map[string]string{"code": m.Code(newcomerMail, mark)}), 200, "")
	return b
}

func application(code string) map[string]any {
	return map[string]any{"code": code, "pin": newcomerPIN, "pin_again": newcomerPIN, "algorithm": "ECDSA-P256", "address": "Aras 1, Kompleks Kementerian Kewangan", "postcode": "62594",
		"state": "W.P. Putrajaya", "phone": "03-8882 1000", "mobile": "+60 12-345 6789", "mail_kind": "official", "image": "wau", "declaration": enrol.DeclarationVersion}
}

func but(body map[string]any, field string, value any) map[string]any {
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	out[field] = value
	return out
}

func picture(t *testing.T) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 400))
	img.Set(3, 3, color.RGBA{R: 200, A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func (m *ministry) status(t *testing.T) (status, next string) {
	t.Helper()
	r := m.Do(http.MethodGet, "/v1/officers/"+newcomerIC+"/medium", "", nil, "Accept-Language", "en")
	want(t, r, 200, "")
	return r.Text("status"), r.Text("next_step")
}

// From a list to a signature over HTTP alone, with three administrators and the officer.
func TestEnrolmentOverHTTP(t *testing.T) {
	m := newMinistry(t)
	checked := m.sap.post("/v1/admin/enrolments/list?check=true", "text/csv", list(newcomerRow, "79030810990,SALAH,x@janm.gov.my,JANM,IGFMAS"))
	if want(t, checked, 200, ""); checked.Body["good"] != 1.0 || checked.Body["accepted"] != 0.0 || !strings.Contains(string(checked.Raw), `{"row":3,"column":"no_kp","code":"row_ic_invalid","detail":"`) {
		t.Fatalf("%s", checked.Raw)
	}
	id, code := m.confirmed(t)
	if status, next := m.status(t); status != "NEW" || !strings.Contains(next, "verification code") {
		t.Errorf("%s: %s", status, next)
	}
	b := m.officer(t, code)
	mine := b.do(http.MethodGet, "/v1/me/application", nil)
	if want(t, mine, 200, ""); !strings.Contains(string(mine.Raw), `"state":"CONFIRMED"`) || !strings.Contains(string(mine.Raw), "(SA atau AP) JANM") {
		t.Errorf("%s", mine.Raw)
	}
	b.header["Idempotency-Key"] = "mohon-1"
	applied := b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", picture(t)))
	if want(t, applied, 201, ""); applied.Text("status") != "WAITING_FOR_VERIFICATION" {
		t.Fatalf("%s", applied.Raw)
	}
	if again := b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", picture(t))); again.Status != 201 || !bytes.Equal(again.Raw, applied.Raw) {
		t.Errorf("repeated: %d %s", again.Status, again.Raw)
	}
	delete(b.header, "Idempotency-Key")
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 409, "already_applied")
	if status, _ := m.status(t); status != "WAITING_FOR_VERIFICATION" {
		t.Error(status)
	}

	open := m.ap.do(http.MethodGet, "/v1/admin/enrolments/"+id, nil)
	if want(t, open, 200, ""); open.Body["mykad"] != true || open.Body["form"].(map[string]any)["mobile"] != "+60 12-345 6789" {
		t.Errorf("%s", open.Raw)
	}
	photo := m.ap.do(http.MethodGet, "/v1/admin/enrolments/"+id+"/mykad", nil)
	if _, _, err := image.DecodeConfig(bytes.NewReader(photo.Raw)); photo.Status != 200 || photo.Header.Get("Content-Type") != "image/jpeg" || photo.Header.Get("Cache-Control") != "no-store" || err != nil {
		t.Errorf("%d %v %v", photo.Status, photo.Header, err)
	}
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 409, "enrolment_state")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 403, "forbidden")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil), 403, "forbidden")
	m.jdn.header["Idempotency-Key"] = "lulus-1"
	approved := m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil)
	if want(t, approved, 200, ""); approved.Text("state") != "ISSUED" || approved.Text("serial_number") == "" {
		t.Fatalf("%s", approved.Raw)
	}
	if again := m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil); !bytes.Equal(again.Raw, approved.Raw) {
		t.Errorf("repeated: %s", again.Raw)
	}
	delete(m.jdn.header, "Idempotency-Key")
	want(t, m.ap.do(http.MethodGet, "/v1/admin/enrolments/"+id+"/mykad", nil), 404, "not_found") // it went with the decision
	found := m.ap.do(http.MethodGet, "/v1/admin/officers/"+newcomerIC, nil)
	if want(t, found, 200, ""); !strings.Contains(string(found.Raw), approved.Text("serial_number")) {
		t.Errorf("%s", found.Raw)
	}

	if status, _ := m.status(t); status != "ISSUED" {
		t.Error(status)
	}
	mark := m.Server.Mailbox.Mark()
	tx := m.Do(http.MethodPost, "/v1/transactions", "", but(but(raw("Arahan"), "ic", newcomerIC), "system", m.Dev.System))
	if want(t, tx, 201, ""); tx.Text("security_image") != "wau" {
		t.Errorf("the officer's picture is not shown: %s", tx.Raw)
	}
	if again := m.Do(http.MethodGet, "/v1/transactions/"+tx.Text("transaction_id"), "", nil); again.Text("security_image") != "wau" {
		t.Errorf("the officer's picture is not shown again: %s", again.Raw)
	}
	signed := m.Confirm(tx, m.Code(newcomerMail, mark), map[string]any{"pin": newcomerPIN})
	if want(t, signed, 200, ""); signed.Text("security_image") != "" {
		t.Errorf("%s", signed.Raw)
	}

	if log := m.Log.String(); strings.Contains(log, newcomerPIN) || strings.Contains(log, newcomerPassword) || strings.Contains(log, code) || strings.Contains(log, newcomerIC) {
		t.Error("a secret or an IC is in the log")
	}
}

// Nobody gets further than the own appointment, session and code.
func TestEnrolmentMisuse(t *testing.T) {
	m := newMinistry(t)
	id, code := m.confirmed(t)
	at := "/v1/admin/enrolments/" + id
	stranger := newBrowser(t, m.Gateway)

	// The verification code: wrong and unknown ones are alike, it opens nothing but the
	// account, and it is no key for another person's session.
	first := ""
	for _, c := range []string{"0000-0000-0000-0000", "x", strings.Repeat("Z", 60)} {
		r := stranger.do(http.MethodPost, "/v1/account", map[string]string{"code": c, "password": newcomerPassword})
		want(t, r, 410, "link_invalid")
		said := strings.Replace(string(r.Raw), r.Text("instance"), "R", 1)
		if first == "" {
			first = said
		} else if said != first {
			t.Errorf("%s\n%s", said, first)
		}
	}
	want(t, stranger.do(http.MethodPost, "/v1/account", map[string]string{"code": code, "password": "790308109903x"}), 400, "password_refused")
	want(t, stranger.do(http.MethodPost, "/v1/me/application", application(code)), 401, "unauthenticated")
	want(t, stranger.do(http.MethodGet, "/v1/me/application", nil), 401, "unauthenticated")
	want(t, m.other.do(http.MethodPost, "/v1/me/application", application(code)), 403, "forbidden")
	b := m.officer(t, code)

	// The form: each field's fault, all of them at once, and nothing is taken.
	for field, c := range map[string]struct {
		value any
		code  string
	}{"pin_again": {"Rusa-Sambar-8", "pins_differ"}, "pin": {"123456", "pins_differ"}, "postcode": {"6259", "postcode_invalid"}, "state": {"Singapura", "state_invalid"}, "mobile": {"03-8882 1000", "mobile_invalid"},
		"image": {"kucing", "image_invalid"}, "declaration": {"", "declaration_missing"}, "mykad": {base64.StdEncoding.EncodeToString([]byte("%PDF-1.7")), "mykad_invalid"}} {
		r := b.do(http.MethodPost, "/v1/me/application", but(application(code), field, c.value))
		if r.Status != 422 || field != "mykad" && r.Code() != c.code || r.Text("detail") == "" {
			t.Errorf("%s: %d %s", field, r.Status, r.Raw)
		}
	}
	several := b.do(http.MethodPost, "/v1/me/application", but(but(application(code), "postcode", "1"), "image", ""))
	if want(t, several, 422, "postcode_invalid"); len(several.Body["errors"].([]any)) != 2 {
		t.Errorf("%s", several.Raw)
	}
	want(t, b.do(http.MethodPost, "/v1/me/application", but(application(code), "role", "JDN")), 400, "invalid_request")
	want(t, b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", "***")), 400, "invalid_request")
	want(t, b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", strings.Repeat("A", 3<<20))), 413, "too_large")
	want(t, b.post("/v1/me/application", "text/plain", []byte(`{"code":"x"}`)), 400, "invalid_request")
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	// The code of one who has applied sets no password any more.
	want(t, stranger.do(http.MethodPost, "/v1/account", map[string]string{"code": code, "password": newcomerPassword}), 409, "enrolment_state")

	// Who decides: session, role, agency, the own case.
	for _, c := range []struct {
		who    *browser
		what   string
		status int
		code   string
	}{
		{stranger, "no session", 401, "unauthenticated"}, {b, "an officer", 403, "forbidden"}, {m.other, "another agency", 403, "forbidden"},
	} {
		for _, step := range []string{"validate", "approve", "resend", "admit"} {
			if r := c.who.do(http.MethodPost, at+"/"+step, nil); r.Status != c.status || r.Code() != c.code {
				t.Errorf("%s, %s: %d %s", c.what, step, r.Status, r.Raw)
			}
		}
		for _, step := range []string{"return", "reject", "withdraw"} {
			if r := c.who.do(http.MethodPost, at+"/"+step, map[string]string{"reason": "tidak lengkap"}); r.Status != c.status || r.Code() != c.code {
				t.Errorf("%s, %s: %d %s", c.what, step, r.Status, r.Raw)
			}
		}
		for _, path := range []string{at, at + "/mykad", "/v1/admin/officers/" + newcomerIC, "/v1/admin/officers/790308109911", "/v1/admin/enrolments?state=APPLIED&agency=JANM"} {
			if r := c.who.do(http.MethodGet, path, nil); r.Status != c.status || r.Code() != c.code {
				t.Errorf("%s, %s: %d %s", c.what, path, r.Status, r.Raw)
			}
		}
	}
	// Whoever looks after one agency alone, and names none, sees that one.
	if r := m.other.do(http.MethodGet, "/v1/admin/enrolments?state=APPLIED", nil); r.Status != 200 || len(r.Body["enrolments"].([]any)) != 0 {
		t.Errorf("another agency's queue: %d %s", r.Status, r.Raw)
	}
	app := newBrowser(t, m.Gateway)
	app.header["X-API-Key"] = string(m.Dev.APIKey.Reveal())
	want(t, app.do(http.MethodPost, at+"/validate", nil), 401, "unauthenticated")
	m.ap.header["Sec-Fetch-Site"] = "cross-site"
	want(t, m.ap.do(http.MethodPost, at+"/validate", nil), 403, "forbidden")
	delete(m.ap.header, "Sec-Fetch-Site")
	want(t, m.sap.do(http.MethodPut, "/v1/admin/agencies/X", map[string]any{"name": "X"}), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/agencies/"+strings.Repeat("X", 33), map[string]any{"name": "X"}), 400, "invalid_request")
	want(t, m.ap.do(http.MethodPost, at+"/return", map[string]string{"reason": "  "}), 422, "reason_missing")
	want(t, m.ap.do(http.MethodPost, at+"/return", map[string]string{"reason": "tidak lengkap", "by": "JDN"}), 400, "invalid_request")
	want(t, m.jdn.do(http.MethodGet, "/v1/admin/enrolments/en_x", nil), 404, "not_found")
	want(t, m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=NONE", nil), 400, "invalid_request")
	want(t, m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=APPLIED&after=x", nil), 400, "invalid_request")

	// One person in two roles.
	own := appointed(t, m.Gateway, "700101105557", enrol.JDN, "", "", enrol.Appointment{Role: enrol.AP, Agency: "JANM", From: m.Clock.Now()})
	want(t, own.do(http.MethodPost, at+"/validate", nil), 204, "")
	want(t, own.do(http.MethodPost, at+"/approve", nil), 403, "same_person")
	want(t, own.do(http.MethodPost, at+"/validate", nil), 409, "enrolment_state")

	// The officer withdraws, once; another code of hers opens nothing.
	want(t, m.other.do(http.MethodPost, "/v1/me/application/withdraw", map[string]string{"enrolment_id": id, "reason": "tidak perlu"}), 403, "forbidden")
	want(t, b.do(http.MethodPost, "/v1/me/application/withdraw", map[string]string{"enrolment_id": id, "reason": "tidak perlu"}), 204, "")
	want(t, b.do(http.MethodPost, "/v1/me/application/withdraw", map[string]string{"enrolment_id": id, "reason": "tidak perlu"}), 409, "enrolment_state")
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 410, "link_invalid")
	want(t, m.jdn.do(http.MethodPost, at+"/approve", nil), 409, "enrolment_state")
	if status, _ := m.status(t); status != "NO_CERTIFICATE" {
		t.Error(status)
	}
}

// Lists: what is wrong is told by row and column, and nothing is half added.
func TestListOverHTTP(t *testing.T) {
	m := newMinistry(t)
	url := "/v1/admin/enrolments/list"
	bad := list(newcomerRow, "790308109911,ALI,ali@gov.mu,JANM,IGFMAS", "790308109913,ABU,abu@janm.gov.my,TIADA,IGFMAS", "790308109915,SITI,siti@janm.gov.my,JANM,IGFMAS")
	r := m.sap.post(url, "text/csv", bad)
	if want(t, r, 422, "list_has_refused_rows"); len(r.Body["errors"].([]any)) != 2 || !strings.Contains(string(r.Raw), `{"row":3,"column":"emel","code":"row_email_typo"`) || !strings.Contains(string(r.Raw), `{"row":4,"column":"agensi"`) {
		t.Fatalf("%s", r.Raw)
	}
	r = m.sap.post(url+"?rows=5-9", "text/csv; charset=utf-8", bad)
	if want(t, r, 200, ""); r.Body["accepted"] != 1.0 || r.Body["refused_count"] != 2.0 {
		t.Errorf("%s", r.Raw)
	}
	r = m.sap.post(url+"?good_only=true", "text/csv", bad)
	if want(t, r, 200, ""); r.Body["accepted"] != 1.0 || r.Body["already"] != 1.0 {
		t.Errorf("%s", r.Raw)
	}
	m.sap.header["Accept-Language"] = "en"
	for what, c := range map[string]struct {
		url, contentType string
		body             []byte
		status           int
		code             string
	}{
		"not a list":     {url, "application/json", []byte("{}"), 400, "invalid_request"},
		"a form":         {url, "multipart/form-data; boundary=x", []byte("--x--"), 400, "invalid_request"},
		"rows":           {url + "?rows=5-2", "text/csv", bad, 400, "invalid_request"},
		"too many rows":  {url + "?rows=1-999999999", "text/csv", bad, 400, "invalid_request"},
		"rows twice":     {url + "?rows=1-99999,1-99999", "text/csv", bad, 400, "invalid_request"},
		"empty":          {url, "text/csv", []byte{}, 422, "list_invalid"},
		"another column": {url, "text/csv", []byte("no_kp,nama,emel,agensi,sistem,gaji\n"), 422, "list_invalid"},
		"no UTF-8":       {url, "text/csv", append(list(), 0xff, 0xfe, '\n'), 422, "list_invalid"},
		"no workbook":    {url, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", []byte("PK\x03\x04not a workbook"), 422, "list_invalid"},
	} {
		if r := m.sap.post(c.url, c.contentType, c.body); r.Status != c.status || r.Code() != c.code || r.Text("detail") == "" {
			t.Errorf("%s: %d %s", what, r.Status, r.Raw)
		}
	}
	if r := m.ap.post(url, "text/csv", bad); r.Status != 403 || r.Code() != "forbidden" {
		t.Errorf("an AP: %d %s", r.Status, r.Raw)
	}
	foreign := appointed(t, m.Gateway, "700101105558", enrol.SAP, "", "EP")
	if r := foreign.post(url, "text/csv", list(newcomerRow)); r.Status != 422 || !strings.Contains(string(r.Raw), "row_forbidden") {
		t.Errorf("another system's SAP: %d %s", r.Status, r.Raw)
	}
	// One officer, and pages of what waits.
	one := map[string]any{"ic": "790308109917", "name": "AZMI BIN ALI", "email": "azmi@janm.gov.my", "agency": "JANM", "system": m.Dev.System}
	for field, c := range map[string][2]string{"ic": {"791308109917", "ic_invalid"}, "email": {"azmi@", "email_invalid"}, "agency": {"TIADA", "agency_unknown"}, "name": {"=AZMI", "field_invalid"}} {
		r := m.jdn.do(http.MethodPost, "/v1/admin/enrolments", but(one, field, c[0]))
		if want(t, r, 422, c[1]); r.Text("field") != field {
			t.Errorf("%s", r.Raw)
		}
	}
	added := m.jdn.do(http.MethodPost, "/v1/admin/enrolments", one)
	if want(t, added, 201, ""); added.Text("state") != "CONFIRMING" {
		t.Errorf("%s", added.Raw)
	}
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments", one), 422, "registered")
	id := added.Text("enrolment_id")
	if did, err := m.Server.Desk.Once(t.Context()); err != nil || !did {
		t.Fatal(did, err)
	}
	if r := m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/resend", nil); r.Status != 429 || r.Code() != "resend_too_soon" || r.Header.Get("Retry-After") != "300" {
		t.Errorf("%d %s %s", r.Status, r.Header.Get("Retry-After"), r.Raw)
	}
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/correct", map[string]string{"email": "azmi@gamil.com"}), 422, "email_typo")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/correct", map[string]string{"email": "azmi.ali@janm.gov.my"}), 204, "")
	seen := map[string]bool{}
	for next, k := "", 0; k == 0 || next != ""; k++ {
		r := m.jdn.do(http.MethodGet, fmt.Sprintf("/v1/admin/enrolments?state=LISTED&limit=1&after=%s", next), nil)
		want(t, r, 200, "")
		for _, e := range r.Body["enrolments"].([]any) {
			seen[e.(map[string]any)["ic"].(string)] = true
		}
		next = r.Text("next")
	}
	if len(seen) != 2 {
		t.Errorf("pages: %v", seen)
	}
	if r := m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&days=1", nil); len(r.Body["enrolments"].([]any)) != 0 {
		t.Errorf("%s", r.Raw)
	}
}

// Once there is a credential, a mailbox alone changes no password.
func TestCodeOpensNoAccountInUse(t *testing.T) {
	m := newMinistry(t)
	o := m.Dev.Officers[0]
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/systems/EP", map[string]any{"title": "ePerolehan", "agency": "JANM"}), 200, "")
	if err := m.Server.Accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, secret.New(officerPassword)); err != nil {
		t.Fatal(err)
	}
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/agencies/JANM", map[string]any{"name": "JANM", "personal_mail": true}), 200, "")
	r := m.jdn.do(http.MethodPost, "/v1/admin/enrolments", map[string]any{"ic": o.IC, "name": o.Name, "email": o.Email, "agency": "JANM", "system": "EP"})
	want(t, r, 201, "")
	resp, err := http.Post(m.URL+m.mailed(t, o.Email, `(/e/[A-Za-z0-9_-]{22})`), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	code := m.mailed(t, o.Email, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
	want(t, newBrowser(t, m.Gateway).do(http.MethodPost, "/v1/account", map[string]string{"code": code, "password": newcomerPassword}), 409, "account_exists")
}
