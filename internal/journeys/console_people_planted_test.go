//go:build !race

package journeys_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// write changes what no operation does.
func (c *sower) write(query string, args ...any) {
	c.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		c.t.Fatal(err)
	}
}

// listedFields are the columns of an enrolment, and of a list of them.
var listedFields = []string{"ic", "name", "email", "agency", "system", "office", "phase", "ticket"}

// enrolments of officers, one by one and by lists.
func (c *sower) enrolments() {
	n := 1000
	for _, text := range c.all {
		for _, field := range listedFields {
			n++
			body := m{"ic": number(n), "name": "NORMAH BINTI ALI", "email": fmt.Sprintf("n%d@janm.gov.my", n), "agency": "JANM", "system": c.g.Dev.System}
			body[field] = text
			r, ok := c.put("addEnrolment "+field, text, adminSAP, http.MethodPost, "/v1/admin/enrolments", body)
			if !ok {
				continue
			}
			id := r.Text("enrolment_id")
			c.at("addEnrolment "+field, text, "/admin/enrolments/"+id)
			switch field {
			case "name":
				c.at("addEnrolment name", text, "/admin/officers/"+number(n), "/admin/officers/"+number(n)+"/export")
			case "office":
				c.at("addEnrolment office", text, "/admin/officers/"+number(n))
				c.admitted("office", text)
			case "phase":
				c.admitted("phase", text)
				if _, ok := c.put("withdrawEnrolment reason", text, adminSAP, http.MethodPost, "/v1/admin/enrolments/"+id+"/withdraw", m{"reason": text}); ok {
					c.at("withdrawEnrolment reason", text, "/admin/enrolments/"+id)
				}
			case "ticket":
				for _, to := range []string{text, text + "@janm.gov.my"} {
					if _, ok := c.put("correctEnrolment email", to, adminSAP, http.MethodPost, "/v1/admin/enrolments/"+id+"/correct", m{"email": to}); ok {
						c.at("correctEnrolment email", to, "/admin/enrolments/"+id)
					}
				}
			}
		}
		c.put("addList rows", text, adminSAP, http.MethodPost, "/v1/admin/enrolments/list?check=true&rows="+url.QueryEscape(text), c.lines(1, 3000))
		for _, f := range []string{"agency", "system"} {
			c.put("bulk filter."+f, text, adminJDN, http.MethodPost, "/v1/admin/enrolments/bulk", m{"step": "admit", "filter": m{f: text, "count": 1, "until": c.g.Clock.Now()}})
		}
	}
	for k := range listedFields {
		c.did("rows of a list", listedFields[k], c.ask(adminSAP, http.MethodPost, "/v1/admin/enrolments/list?good_only=true", c.lines(k, 4000+100*k)))
	}
	c.at("", "", "/admin/queue", "/admin/queue?tab=admit", "/admin/rollout", "/admin/rollout?by=office", "/admin/agencies/JANM", "/admin/list", "/admin/list/one", "/admin/list/template.csv")
}

// admitted are those whose field has the text, of many at once.
func (c *sower) admitted(field, text string) {
	c.put("bulk filter."+field, text, adminJDN, http.MethodPost, "/v1/admin/enrolments/bulk", m{"step": "admit", "filter": m{field: text, "count": 1, "until": c.g.Clock.Now()}})
}

// applications of officers, who have no say in what an administrator's page does, and what is said to them.
func (c *sower) applications() {
	texts := c.few()
	ids, tokens, codes := make([]string, len(texts)), make([]string, len(texts)), make([]string, len(texts))
	for k := range texts {
		body := m{"ic": number(8000 + k), "name": "NORMAH BINTI ALI", "email": fmt.Sprintf("n%d@janm.gov.my", 8000+k), "agency": "JANM", "system": c.g.Dev.System}
		ids[k] = c.must(adminSAP, http.MethodPost, "/v1/admin/enrolments", body).Text("enrolment_id")
		c.must(adminJDN, http.MethodPost, "/v1/admin/enrolments/"+ids[k]+"/admit", nil)
	}
	c.good(c.o.mailed())
	for k := range texts {
		c.good(c.o.confirm(fmt.Sprintf("n%d@janm.gov.my", 8000+k)))
	}
	c.good(c.o.mailed())
	for k, text := range texts {
		var err error
		codes[k], tokens[k], err = c.o.join(number(8000+k), fmt.Sprintf("n%d@janm.gov.my", 8000+k))
		c.good(err)
		at := "/admin/enrolments/" + ids[k]
		for _, field := range []string{"postcode", "state", "phone", "mobile", "fax", "address"} {
			form := c.o.form(codes[k])
			form[field] = text
			if c.did("apply "+field, text, c.g.Do(http.MethodPost, "/v1/me/application", "", form, "X-API-Key", "", "Authorization", "Bearer "+tokens[k])) {
				c.at("apply "+field, text, at)
			}
		}
		for _, step := range []string{"return", "reject", "withdraw", "rekey"} {
			c.at("", "", at+"/"+step)
		}
		c.at("", "", at)
		switch step := "/v1/admin/enrolments/" + ids[k]; k % 4 {
		case 0:
			if _, ok := c.put("returnEnrolment reason", text, adminAP, http.MethodPost, step+"/return", m{"reason": text}); ok {
				c.at("returnEnrolment reason", text, at)
			}
			own := c.g.Do(http.MethodPost, "/v1/me/application/withdraw", "", m{"enrolment_id": ids[k], "reason": text}, "X-API-Key", "", "Authorization", "Bearer "+tokens[k])
			if c.did("withdraw reason", text, own) {
				c.at("withdraw reason", text, at)
			}
		case 1:
			if _, ok := c.put("rejectEnrolment reason", text, adminAP, http.MethodPost, step+"/reject", m{"reason": text}); ok {
				c.at("rejectEnrolment reason", text, at)
			}
		case 2:
			if r, ok := c.put("bulk reason", text, adminAP, http.MethodPost, "/v1/admin/enrolments/bulk", m{"step": "return", "enrolment_ids": []string{ids[k]}, "reason": text}); ok && r.Body["done"] == 1.0 {
				c.at("bulk reason", text, at, "/admin/officers/"+number(8000+k))
			}
		}
	}
}

func (c *sower) good(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// orders about certificates, with why.
func (c *sower) orders() {
	who, system := c.g.Dev.Officers[0].IC, c.g.Dev.System
	at, page := "/v1/admin/officers/"+who+"/certificate/", "/admin/officers/"+who
	for _, text := range c.all {
		c.put("suspendCertificate system", text, adminJDN, http.MethodPost, at+"suspend", m{"system": text, "why": "Cuti panjang"})
		if _, ok := c.put("suspendCertificate why", text, adminJDN, http.MethodPost, at+"suspend", m{"system": system, "why": text}); !ok {
			c.must(adminJDN, http.MethodPost, at+"suspend", m{"system": system, "why": "Cuti panjang"})
		}
		if _, ok := c.put("releaseCertificate why", text, adminOther, http.MethodPost, at+"release", m{"system": system, "why": text}); !ok {
			c.must(adminOther, http.MethodPost, at+"release", m{"system": system, "why": "Kembali bertugas"})
		}
	}
	day := func() time.Time { return c.g.Clock.Now().Add(72 * time.Hour) }
	// leaving takes back what is to come.
	leaving := func(why string) {
		list, _ := c.must(adminJDN, http.MethodGet, "/v1/admin/revocations", nil).Body["revocations"].([]any)
		for _, x := range list {
			serial, _ := x.(m)["serial_number"].(string)
			c.at("", "", "/admin/revocations/"+serial)
			if _, ok := c.put("cancelRevocation why", why, adminOther, http.MethodDelete, "/v1/admin/revocations/"+serial+"?why="+url.QueryEscape(why), nil); !ok {
				c.must(adminOther, http.MethodDelete, "/v1/admin/revocations/"+serial+"?why="+url.QueryEscape("Tidak jadi"), nil)
			}
		}
	}
	texts := c.few()
	for _, text := range texts {
		c.put("revokeCertificate why", text, adminJDN, http.MethodPost, at+"revoke", m{"system": system, "reason": "superseded", "why": text, "at": day()})
		leaving(text)
		c.put("retireOfficer why", text, adminJDN, http.MethodPost, "/v1/admin/officers/"+who+"/retire", m{"system": system, "why": text, "at": day()})
		leaving(text)
		c.put("transferOfficer agency", text, adminJDN, http.MethodPost, "/v1/admin/officers/"+who+"/transfer", m{"system": system, "agency": text, "why": "Bertukar", "at": day()})
	}
	c.first(texts, func(text string) bool { // stays
		_, ok := c.put("transferOfficer why", text, adminJDN, http.MethodPost, "/v1/admin/officers/"+who+"/transfer", m{"system": system, "agency": "AG00", "why": text, "at": day()})
		if ok {
			c.at("transferOfficer why", text, "/admin/revocations")
		}
		return ok
	})
	for _, deed := range strings.Fields("email unlock unlock_login retire delete suspend release revoke replace transfer request request_cancel vouch email_cancel") {
		c.at("", "", page+"/"+deed, page+"/"+deed+"?system="+system)
	}
	c.requested()
}

// requested are revocations of the other officer that wait for a second word, and what follows.
func (c *sower) requested() {
	who, system := c.g.Dev.Officers[1].IC, c.g.Dev.System
	api, page := "/v1/admin/officers/"+who, "/admin/officers/"+who
	texts := c.few()
	asked := func(text string) (string, bool) {
		r, ok := c.put("revokeCertificate why", text, adminJDN, http.MethodPost, api+"/certificate/revoke", m{"system": system, "reason": "superseded", "why": text})
		return r.Text("request_id"), ok
	}
	for _, text := range texts {
		if id, ok := asked(text); ok {
			c.must(adminJDN, http.MethodDelete, "/v1/admin/officer-requests/"+id, nil)
			c.must(adminOther, http.MethodPost, api+"/certificate/release", m{"system": system, "why": "Tidak jadi"})
		}
		if r, ok := c.put("askDeletion reason", text, adminJDN, http.MethodPost, api+"/deletion", m{"reason": text}); ok {
			c.must(adminJDN, http.MethodDelete, "/v1/admin/officer-requests/"+r.Text("request_id"), nil)
		}
	}
	c.first(texts, func(text string) bool {
		id, ok := asked(text)
		if !ok {
			return false
		}
		c.at("revokeCertificate why", text, page, page+"/request?id="+id)
		c.at("", "", "/admin/officers/requests")
		return true
	})
}

// desk: what the help desk does, and the words that go with it.
func (c *sower) desk() {
	o := c.g.Dev.Officers[0]
	api, page := "/v1/admin/officers/"+o.IC, "/admin/officers/"+o.IC
	for _, text := range c.few() {
		c.put("unlockPIN reason", text, adminJDN, http.MethodPost, api+"/unlock", m{"reason": text})
		c.put("unlockLogin reason", text, adminJDN, http.MethodPost, api+"/unlock-login", m{"reason": text})
		c.put("exportOfficer reason", text, adminJDN, http.MethodPost, api+"/export", m{"reason": text})
		for _, to := range []string{text, text + "@janm.gov.my"} {
			if r, ok := c.put("changeAddress email", to, adminJDN, http.MethodPost, api+"/email", m{"email": to}); ok {
				c.must(adminJDN, http.MethodDelete, "/v1/admin/address-changes/"+r.Text("change_id"), nil)
			}
		}
		id := c.must(adminJDN, http.MethodPost, api+"/email", m{"email": "baharu@janm.gov.my"}).Text("change_id")
		c.put("vouchAddress reason", text, adminOther, http.MethodPost, "/v1/admin/address-changes/"+id+"/vouch", m{"reason": text})
		c.at("", "", page+"/vouch?id="+id)
		c.must(adminJDN, http.MethodDelete, "/v1/admin/address-changes/"+id, nil)
	}
	c.rekeyed()
}

// rekeyed: an officer has forgotten the PIN; and a certificate is replaced, the account ended.
func (c *sower) rekeyed() {
	const n = 40
	c.good(c.o.certify(n))
	ic, email, texts := c.o.row(n)[0], c.o.row(n)[2], c.few()
	mark := c.g.Server.Mailbox.Mark()
	begun := c.g.Do(http.MethodPost, "/v1/sessions", "", m{"ic": ic, "password": "payung biru di stesen"}, "X-API-Key", "")
	in := c.g.Do(http.MethodPost, "/v1/sessions/"+begun.Text("session_id")+"/code", "", m{"code": c.g.Code(email, mark), "token": "bearer"}, "X-API-Key", "")
	own := func(path string, body any) *gatewaytest.Reply {
		c.t.Helper()
		r := c.g.Do(http.MethodPost, path, "", body, "X-API-Key", "", "Authorization", "Bearer "+in.Text("token"))
		if r.Status >= 300 {
			c.t.Fatalf("%s: %s%s", path, in.Raw, r.Raw)
		}
		return r
	}
	own("/v1/me/pin/forgotten", m{"system": c.g.Dev.System})
	c.good(c.o.mailed())
	code, err := c.o.newest(email, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
	c.good(err)
	id := own("/v1/me/pin/rekey", m{"code": code, "pin": "Rusa-Sambar-8", "pin_again": "Rusa-Sambar-8", "algorithm": "ECDSA-P256"}).Text("enrolment_id")
	c.first(texts, func(text string) bool {
		_, ok := c.put("confirmRekey how", text, adminAP, http.MethodPost, "/v1/admin/enrolments/"+id+"/rekey/confirm", m{"how": text})
		if ok {
			c.at("confirmRekey how", text, "/admin/enrolments/"+id)
		}
		return ok
	})
	api := "/v1/admin/officers/" + ic
	c.first(texts, func(text string) bool {
		r, ok := c.put("replaceCertificate why", text, adminJDN, http.MethodPost, api+"/certificate/replace", m{"system": c.g.Dev.System, "reason": "keyCompromise", "why": text})
		c.at("", "", "/admin/enrolments/"+r.Text("enrolment_id"))
		return ok
	})
	asked := c.must(adminJDN, http.MethodPost, api+"/deletion", m{"reason": "Telah bersara"}).Text("request_id")
	c.first(texts, func(text string) bool {
		_, ok := c.put("confirmOfficerRequest how", text, adminOther, http.MethodPost, "/v1/admin/officer-requests/"+asked+"/confirm", m{"how": text})
		return ok
	})
}
