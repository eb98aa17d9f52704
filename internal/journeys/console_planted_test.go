//go:build !race

package journeys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

type m = map[string]any

// number is the IC of the nth who is made up here.
func number(n int) string { return fmt.Sprintf("81%02d%02d14%04d", 1+n/28%12, 1+n%28, n) }

// registry: agencies, their offices, systems.
func (c *sower) registry() {
	for k, text := range c.all {
		at := fmt.Sprintf("/v1/admin/agencies/AG%02d", k)
		if _, ok := c.put("putAgency name", text, adminJDN, http.MethodPut, at, m{"name": text}); ok {
			c.at("putAgency name", text, fmt.Sprintf("/admin/agencies/AG%02d", k), "/admin/appointments/new")
		}
		if _, ok := c.put("putOffice name", text, adminJDN, http.MethodPut, fmt.Sprintf("/v1/admin/agencies/JANM/offices/N%02d", k), m{"name": text}); ok {
			c.at("putOffice name", text, fmt.Sprintf("/admin/agencies/JANM?office=N%02d", k))
		}
		if _, ok := c.put("putOffice phase", text, adminJDN, http.MethodPut, fmt.Sprintf("/v1/admin/agencies/JANM/offices/F%02d", k), m{"name": "Pejabat", "phase": text}); ok {
			c.at("putOffice phase", text, fmt.Sprintf("/admin/agencies/JANM?office=F%02d", k))
		}
		system := fmt.Sprintf("SY%02d", k)
		c.put("putSystem agency", text, adminJDN, http.MethodPut, "/v1/admin/systems/"+system, m{"title": "Sistem", "agency": text})
		if _, ok := c.put("putSystem title", text, adminJDN, http.MethodPut, "/v1/admin/systems/"+system, m{"title": text, "agency": "JANM"}); ok {
			c.at("putSystem title", text, "/admin/systems/"+system, "/admin/systems/"+system+"/change")
			c.at("", "", "/admin/systems/"+system+"/tokens", "/admin/systems/"+system+"/logo")
		}
		system = fmt.Sprintf("SZ%02d", k)
		c.must(adminJDN, http.MethodPut, "/v1/admin/systems/"+system, m{"title": "Sistem", "agency": "JANM"})
		if _, ok := c.put("showSystem title", text, adminJDN, http.MethodPatch, "/v1/admin/systems/"+system, m{"title": text}); ok {
			c.at("showSystem title", text, "/admin/systems/"+system)
		}
		if _, ok := c.put("showSystem header_template", text, adminJDN, http.MethodPatch, "/v1/admin/systems/"+system, m{"header_template": text}); ok {
			c.at("showSystem header_template", text, "/admin/systems/"+system, "/admin/systems/"+system+"/change")
		}
		c.put("tryHeader header_template", text, adminJDN, http.MethodPost, "/v1/admin/systems/"+system+"/header", m{"header_template": text, "data_header": "x"})
		c.put("tryHeader data_header", text, adminJDN, http.MethodPost, "/v1/admin/systems/"+system+"/header", m{"header_template": "{amount}", "data_header": text})
	}
	c.at("", "", "/admin/agencies", "/admin/agencies/new", "/admin/systems", "/admin/systems/new")
}

// appointments of administrators, and log-ins that are lost.
func (c *sower) appointments() {
	n := 0
	appoint := func(field, text string, change m) (id string) {
		n++
		body := m{"ic": number(n), "name": "NORMAH BINTI ALI", "email": fmt.Sprintf("p%d@janm.gov.my", n), "role": "SAP", "system": c.g.Dev.System, "document": "JDN.100-1/1 (7)"}
		for name, v := range change {
			body[name] = v
		}
		r, ok := c.put(field, text, adminJDN, http.MethodPost, "/v1/admin/appointments", body)
		if !ok {
			return ""
		}
		made, _ := r.Body["appointment"].(m)
		id, _ = made["appointment_id"].(string)
		c.at(field, text, "/admin/appointments/"+id)
		return id
	}
	for k, text := range c.all {
		id := appoint("appoint name", text, m{"name": text})
		if id != "" {
			c.at("appoint name", text, "/admin/appointments/"+id+"/end")
		}
		ended := appoint("appoint document", text, m{"document": text})
		if ended == "" {
			ended = appoint("appoint name", "NORMAH BINTI ALI", nil)
		}
		if _, ok := c.put("endAppointment document", text, adminOther, http.MethodDelete, "/v1/admin/appointments/"+ended+"?document="+url.QueryEscape(text), nil); ok {
			c.at("endAppointment document", text, "/admin/appointments/"+ended)
		}
		appoint("appoint email", text, m{"email": text})
		appoint("appoint email", text+"@janm.gov.my", m{"email": text + "@janm.gov.my"})
		appoint("appoint system", text, m{"system": text})
		appoint("appoint agency", text, m{"role": "SA", "system": "", "agency": text})
		if sent(text) && k%5 == 0 {
			c.enter(adminJDN, text)
			c.at("user agent", text, "/portal/profile")
		}
	}
	for k, text := range c.few() {
		ic := number(900 + k)
		c.o.seat(c.t, ic, "NORMAH BINTI ALI", enrol.Appointment{Role: enrol.Auditor})
		list, _ := c.must(adminJDN, http.MethodGet, "/v1/admin/appointments?ic="+ic, nil).Body["appointments"].([]any)
		account, _ := list[0].(m)["account_id"].(string)
		if _, ok := c.put("askReset reason", text, adminJDN, http.MethodPost, "/v1/admin/accounts/"+account+"/reset", m{"reason": text}); ok {
			c.at("askReset reason", text, "/admin/accounts", "/admin/accounts/"+account)
		}
	}
	c.at("", "", "/admin/appointments?state=ENDED", "/admin/appointments?state=ANY", "/admin/accounts/new?ic="+adminSAP)
}

// kid is a JWK set with a key of such an id.
func (c *sower) kid(text string) m {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := key.PublicKey.ECDH()
	if err != nil {
		c.t.Fatal(err)
	}
	b := public.Bytes()
	return m{"keys": []any{m{"kty": "EC", "crv": "P-256", "kid": text, "use": "sig", "alg": "ES256", "x": base64.RawURLEncoding.EncodeToString(b[1:33]), "y": base64.RawURLEncoding.EncodeToString(b[33:])}}}
}

// apps, their credentials and addresses.
func (c *sower) apps() {
	const path, back = "/v1/admin/apps", "https://igfmas.example/kembali"
	n := 0
	app := func(field, text string, change m) string {
		n++
		body := m{"app_id": fmt.Sprintf("serang%d", n), "name": "iGFMAS", "systems": []string{c.g.Dev.System}, "grants": []string{enrol.GrantRAW, enrol.GrantSign}, "pin_entry": "hosted", "redirect_uris": []string{back}}
		for name, v := range change {
			body[name] = v
		}
		r, ok := c.put(field, text, adminJDN, http.MethodPost, path, body)
		if !ok {
			return ""
		}
		c.at(field, text, "/admin/apps/"+r.Text("app_id"))
		return r.Text("app_id")
	}
	for _, text := range c.all {
		id := app("registerApp name", text, m{"name": text})
		app("registerApp app_id", text, m{"app_id": text})
		app("registerApp systems[]", text, m{"systems": []string{text}})
		app("registerApp grants[]", text, m{"grants": []string{text}})
		app("registerApp redirect_uris[]", text, m{"redirect_uris": []string{text}})
		app("registerApp redirect_uris[]", back+"?"+text, m{"redirect_uris": []string{back + "?" + text}})
		app("registerApp redirect_uris[]", back+"?x="+url.QueryEscape(text), m{"redirect_uris": []string{back + "?x=" + url.QueryEscape(text)}})
		app("registerApp webhook", text, m{"webhook": text})
		app("registerApp webhook", back+"?"+text, m{"webhook": back + "?" + text})
		if id == "" {
			id = app("registerApp name", "iGFMAS", nil)
		}
		at := path + "/" + id
		change := func(field, text string, body m) {
			if _, ok := c.put("changeApp "+field, text, adminJDN, http.MethodPatch, at, body); ok {
				c.at("changeApp "+field, text, "/admin/apps/"+id)
			}
		}
		change("systems[]", text, m{"systems": []string{text}})
		change("grants[]", text, m{"grants": []string{text}})
		change("webhook", text, m{"webhook": text})
		change("redirect_uris[]", back+"?"+text, m{"redirect_uris": []string{back + "?" + text}})
		for _, body := range []m{{"kind": "certificate", "subject": text}, {"kind": "certificate", "subject": "CN=" + text}} {
			if _, ok := c.put("addAppCredential subject", body["subject"].(string), adminJDN, http.MethodPost, at+"/credentials", body); ok {
				c.at("addAppCredential subject", body["subject"].(string), "/admin/apps/"+id)
			}
		}
		r, ok := c.put("addAppCredential jwks", text, adminJDN, http.MethodPost, at+"/credentials", m{"kind": "private_key_jwt", "jwks": c.kid(text)})
		if ok {
			made, _ := r.Body["credential"].(m)
			c.at("", "", "/admin/apps/"+id, "/admin/apps/"+id+"/confirm", "/admin/apps/"+id+"/credentials/new", fmt.Sprintf("/admin/apps/%s/credentials/%s/revoke", id, made["credential_id"]), fmt.Sprintf("/admin/apps/%s/credentials/%s/confirm", id, made["credential_id"]))
		}
		c.put("setWebhook url", text, adminJDN, http.MethodPost, at+"/webhook", m{"url": text})
		if _, ok := c.put("setWebhook url", back+"?"+text, adminJDN, http.MethodPost, at+"/webhook", m{"url": back + "?" + text}); ok {
			c.at("setWebhook url", back+"?"+text, "/admin/apps/"+id+"/webhook")
			c.at("", "", "/admin/apps/"+id+"/webhook/secret", "/admin/apps/"+id+"/webhook/end")
		}
	}
	for k, text := range c.all {
		id := app("registerApp name", "iGFMAS", m{"grants": []string{"lookup"}})
		at := "/admin/apps/" + id
		if _, ok := c.put("changeApp name", text, adminJDN, http.MethodPatch, path+"/"+id, m{"name": text}); ok {
			c.at("changeApp name", text, at, at+"/change", at+"/suspend", at+"/end")
		}
		c.put("suspendApp reason", text, adminJDN, http.MethodPost, path+"/"+id+"/suspend", m{"reason": text})
		if k%3 == 0 {
			c.at("", "", at+"/resume")
			continue
		}
		c.put("resumeApp reason", text, adminJDN, http.MethodPost, path+"/"+id+"/resume", m{"reason": text})
		if k%3 == 1 {
			c.put("endApp reason", text, adminJDN, http.MethodPost, path+"/"+id+"/end", m{"reason": text})
		}
	}
}

// works: batches, letters, and how eCertificates look.
func (c *sower) works() {
	for _, text := range c.all {
		r := c.g.Do(http.MethodPost, "/v1/batches", "", m{"name": text, "kind": "ecert"})
		if !c.did("createBatch name", text, r) {
			r = c.g.Do(http.MethodPost, "/v1/batches", "", m{"name": "Sijil", "kind": "ecert"})
		} else {
			c.at("createBatch name", text, "/admin/batches/"+r.Text("batch_id"), "/admin/batches/"+r.Text("batch_id")+"/cancel")
		}
		c.g.Clock.Advance(2 * time.Second)
		c.put("cancelAnyBatch reason", text, adminJDN, http.MethodPost, "/v1/admin/batches/"+r.Text("batch_id")+"/cancel", m{"reason": text})
	}
	for k, path := range hostile(c.t, c.t.TempDir()) {
		list, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		id := c.g.Do(http.MethodPost, "/v1/batches", "", m{"name": filepath.Base(path), "kind": "ecert"}).Text("batch_id")
		c.did("rows of a batch", columnsOf[k][0], c.g.Do(http.MethodPost, "/v1/batches/"+id+"/items", "text/csv", list))
		c.at("", "", "/admin/batches/"+id)
	}
	c.paused()
	c.letters()
	c.looks()
}

// paused lets a batch go on, and stops it.
func (c *sower) paused() {
	var lines bytes.Buffer
	for k := range 4000 {
		if err := json.NewEncoder(&lines).Encode(m{"name": fmt.Sprintf("Baucar %d", k), "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}); err != nil {
			c.t.Fatal(err)
		}
	}
	id := openedBatch(c.t, c.g, "Gaji", "digest", "application/x-ndjson", lines.Bytes())
	if r := c.g.Do(http.MethodPost, "/v1/batches/"+id+"/seal", "", nil); r.Status != http.StatusOK {
		c.t.Fatalf("%s", r.Raw)
	}
	c.open[adminJDN] = bearer{} // quick, when it has begun
	c.must(adminJDN, http.MethodGet, "/v1/admin/work", nil)
	tx, code := c.g.Ask(m{"format": "RAW", "batch_id": id, "credential_id": c.g.Dev.Officers[0].Credentials[1].CredentialID})
	if r := c.g.Confirm(tx, code, nil); r.Status != http.StatusAccepted {
		c.t.Fatalf("%s%s", tx.Raw, r.Raw)
	}
	c.at("", "", "/admin/batches/"+id+"/progress")
	for _, text := range c.few() {
		c.put("pauseAnyBatch reason", text, adminJDN, http.MethodPost, "/v1/admin/batches/"+id+"/pause", m{"reason": text})
		c.put("resumeAnyBatch reason", text, adminJDN, http.MethodPost, "/v1/admin/batches/"+id+"/resume", m{"reason": text})
	}
	c.ask(adminJDN, http.MethodPost, "/v1/admin/batches/"+id+"/pause", m{"reason": "Cukup"}) // or it has ended
}

// letters are those that were given up.
func (c *sower) letters() {
	c.write("UPDATE notices SET attempts = 5, due_at = 9223372036854775807, failed_at = created_at")
	var list struct {
		Letters []struct {
			ID string `json:"letter_id"`
		} `json:"letters"`
	}
	if err := json.Unmarshal(c.must(adminJDN, http.MethodGet, "/v1/admin/outbox?limit=100", nil).Raw, &list); err != nil || len(list.Letters) < 2 {
		c.t.Fatalf("%d letters: %v", len(list.Letters), err)
	}
	for k, text := range c.few() {
		id := list.Letters[k%len(list.Letters)].ID
		c.put("retryLetter reason", text, adminJDN, http.MethodPost, "/v1/admin/outbox/"+id+"/retry", m{"reason": text})
	}
	c.write("UPDATE notices SET attempts = 5, due_at = 9223372036854775807, failed_at = created_at")
	for k, text := range c.few()[:min(len(c.few()), len(list.Letters)-1)] {
		c.put("dropLetter reason", text, adminJDN, http.MethodPost, "/v1/admin/outbox/"+list.Letters[k].ID+"/drop", m{"reason": text})
	}
	last := list.Letters[len(list.Letters)-1].ID
	c.at("", "", "/admin/outbox", "/admin/outbox/"+last+"/retry", "/admin/outbox/"+last+"/drop")
}

// looks of eCertificates: the words of a template, and why.
func (c *sower) looks() {
	var umum struct {
		Texts []struct{ Key, MS, EN string }
	}
	const path = "/v1/admin/ecert-templates/umum"
	if err := json.Unmarshal(c.must(adminJDN, http.MethodGet, path, nil).Raw, &umum); err != nil || len(umum.Texts) == 0 {
		c.t.Fatal(err)
	}
	key, good := umum.Texts[0].Key, umum.Texts[0]
	propose := func(field, text string, change m) {
		body := m{"version": 0, "reason": "Cuba sahaja", "texts": []any{m{"key": key, "ms": good.MS + " baharu", "en": good.EN}}}
		for name, v := range change {
			body[name] = v
		}
		r, ok := c.put("proposeEcertTemplate "+field, text, adminJDN, http.MethodPost, path+"/proposals", body)
		if !ok {
			return
		}
		version := fmt.Sprint(r.Body["version"])
		c.at("proposeEcertTemplate "+field, text, "/admin/templates/versions/"+version)
		if _, ok := c.put("rejectEcertVersion reason", text, adminOther, http.MethodPost, "/v1/admin/ecert-versions/"+version+"/reject", m{"reason": text}); !ok {
			c.must(adminOther, http.MethodPost, "/v1/admin/ecert-versions/"+version+"/reject", m{"reason": "Tidak perlu"})
		}
	}
	for k, text := range c.all {
		propose("reason", text, m{"reason": text})
		propose("texts[].ms", text, m{"texts": []any{m{"key": key, "ms": text, "en": good.EN}}})
		propose("texts[].en", text, m{"texts": []any{m{"key": key, "ms": good.MS, "en": text}}})
		propose("texts[].key", text, m{"texts": []any{m{"key": text, "ms": "x", "en": "x"}}})
		propose("places[].layout", text, m{"texts": []any{}, "places": []any{m{"layout": text, "element": "seal", "x": 1, "y": 1}}})
		if k >= len(c.all)-1 {
			c.put("previewEcertTemplate texts[].ms", text, adminJDN, http.MethodPost, path+"/preview", m{"texts": []any{m{"key": key, "ms": text, "en": good.EN}}})
			c.put("previewEcertTemplate texts[].key", text, adminJDN, http.MethodPost, path+"/preview", m{"texts": []any{m{"key": text, "ms": "x", "en": "x"}}})
			c.put("previewEcertTemplate places[].layout", text, adminJDN, http.MethodPost, path+"/preview", m{"texts": []any{}, "places": []any{m{"layout": text, "element": "seal", "x": 1, "y": 1}}})
		}
	}
	c.at("", "", "/admin/templates", "/admin/templates/umum", "/admin/templates/umum/sample.png")
}

// kept: what is not to be disposed of, and alarms.
func (c *sower) kept() {
	for k, text := range c.all {
		hold := func(field string, body m) {
			r, ok := c.put(field, text, adminJDN, http.MethodPost, "/v1/admin/holds", body)
			if !ok {
				return
			}
			if k%2 == 0 { // the others last
				c.put("liftHold reason", text, adminOther, http.MethodPost, "/v1/admin/holds/"+r.Text("hold_id")+"/lift", m{"reason": text})
				return
			}
			c.at(field, text, "/admin/retention", "/admin/retention/holds/"+r.Text("hold_id"))
		}
		hold("placeHold reason", m{"ic": c.p().IC, "reason": text})
		hold("placeHold reference", m{"reference": text, "reason": "Kes mahkamah"})
		hold("placeHold ic", m{"ic": text, "reason": "Kes mahkamah"})
	}
	for k, text := range append(c.few(), "x") {
		id := fmt.Sprintf("al_%022d", k)
		c.write(`INSERT INTO alarms (id, kind, node, object, code, args, raised_at, seen_at) VALUES (?, 'clock', '', ?, 'clock', '{}', ?, ?)`, id, fmt.Sprint(k), c.g.Clock.Now().UnixMicro(), c.g.Clock.Now().UnixMicro())
		if _, ok := c.put("acknowledgeAlarm note", text, adminJDN, http.MethodPost, "/v1/admin/alarms/"+id+"/acknowledge", m{"note": text}); ok {
			c.at("acknowledgeAlarm note", text, "/admin/health/alarms")
		} else {
			c.at("", "", "/admin/health/alarms/"+id)
		}
	}
	c.at("", "", "/admin/health", "/admin/health/alarms")
}

// lines is a list of officers with a text in a column of each row.
func (c *sower) lines(column int, from int) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(strings.Split("no_kp,nama,emel,agensi,sistem,pejabat_perakaunan,fasa,tiket", ","))
	for k, text := range c.all {
		row := []string{number(from + k), "NORMAH BINTI ALI", fmt.Sprintf("n%d@janm.gov.my", from+k), "JANM", c.g.Dev.System, "Ibu Pejabat", "Fasa 1", "HD-1"}
		row[column] = text
		_ = w.Write(row) // into memory
	}
	w.Flush()
	return b.String()
}

// p is the first officer of the sandbox.
func (c *sower) p() enrol.Officer { return enrol.Officer{IC: c.planter.o.IC, Email: c.planter.o.Email} }
