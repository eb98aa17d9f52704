//go:build !race

package journeys_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
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
	clerkIC       = "820303109903"
	clerkPassword = "payung biru di stesen"
)

// office is who decides, over HTTP.
type office struct {
	g        *gatewaytest.Gateway
	password string
	seeds    map[string]string // by IC
}

func newOffice(t *testing.T, g *gatewaytest.Gateway) *office {
	t.Helper()
	o := &office{g, "tujuh belas kerusi rotan", map[string]string{}}
	for ic, x := range map[string]enrol.Appointment{"700101105551": {Role: enrol.JDN}, "700101105552": {Role: enrol.SAP, System: g.Dev.System}, "700101105554": {Role: enrol.AP, Agency: "JANM"}} {
		o.seat(t, ic, "PENTADBIR "+ic[11:], x)
	}
	for _, x := range []struct {
		path string
		body any
	}{
		{"/v1/admin/agencies/JANM", map[string]any{"name": "Jabatan Akauntan Negara Malaysia"}},
		{"/v1/admin/systems/" + g.Dev.System, map[string]any{"title": "iGFMAS", "agency": "JANM"}},
		{"/v1/admin/systems/EPEROLEHAN", map[string]any{"title": "ePerolehan", "agency": "JANM"}},
	} {
		if _, err := o.as("700101105551", http.MethodPut, x.path, x.body, http.StatusOK); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// seat makes an administrator who can log in.
func (o *office) seat(t *testing.T, ic, name string, x enrol.Appointment) {
	t.Helper()
	x.From = o.g.Clock.Now()
	_, code, err := o.g.Server.Accounts.CreateAdministrator(t.Context(), enrol.Actor{Name: "cli:test"}, enrol.Officer{IC: ic, Name: name, Email: "p" + ic + "@jdn.gov.my"}, x)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"code": string(code.Reveal()), "password": o.password}
	o.seeds[ic] = o.g.Do(http.MethodPost, "/v1/setup", "", map[string]string{"code": set["code"]}, "X-API-Key", "").Text("secret")
	if set["totp"], err = o.totp(ic); err != nil {
		t.Fatal(err)
	}
	if r := o.g.Do(http.MethodPost, "/v1/setup/complete", "", set, "X-API-Key", ""); r.Status != http.StatusNoContent {
		t.Fatalf("%s", r.Raw)
	}
}

// who is how an administrator logs in, for a script.
func (o *office) who(ic string) map[string]string {
	return map[string]string{"ic": ic, "password": o.password}
}

// totp is a code that was not used before.
func (o *office) totp(ic string) (string, error) {
	o.g.Clock.Advance(30 * time.Second)
	return hotp.GenerateCodeCustom(o.seeds[ic], uint64(o.g.Clock.Now().Unix()/30), hotp.ValidateOpts{Digits: pquerna.DigitsSix})
}

// as does something as an administrator who has just logged in.
func (o *office) as(ic, method, path string, body any, status int) (*gatewaytest.Reply, error) {
	begun := o.g.Do(http.MethodPost, "/v1/sessions", "", map[string]string{"ic": ic, "password": o.password}, "X-API-Key", "")
	code, err := o.totp(ic)
	if err != nil {
		return nil, err
	}
	in := o.g.Do(http.MethodPost, "/v1/sessions/"+begun.Text("session_id")+"/code", "", map[string]string{"code": code, "token": "bearer"}, "X-API-Key", "")
	r := o.g.Do(method, path, "", body, "X-API-Key", "", "Authorization", "Bearer "+in.Text("token"))
	if r.Status != status {
		return nil, fmt.Errorf("%s %s: %s%s%s", method, path, begun.Raw, in.Raw, r.Raw)
	}
	return r, nil
}

// What officers do with their log-in, certificate and profile.
func TestJourneyAccount(t *testing.T) {
	g := gatewaytest.New(t)
	o := newOffice(t, g)
	// Passkeys are for names: a browser has none for an address of figures.
	base := strings.Replace(g.URL, "127.0.0.1", "localhost", 1)
	g.Server.Accounts.BaseURL = base
	machine := enrol.Actor{Name: "cli:test"}
	if err := g.Server.Accounts.SetPassword(t.Context(), machine, enrol.Officer{IC: clerkIC, Name: "WONG MEI LING", Email: "wong@janm.gov.my"}, secret.New(clerkPassword)); err != nil {
		t.Fatal(err)
	}
	if _, err := o.as("700101105552", http.MethodPost, "/v1/admin/enrolments", map[string]any{"ic": clerkIC, "name": "WONG MEI LING", "email": "wong@janm.gov.my", "agency": "JANM", "system": g.Dev.System}, 201); err != nil {
		t.Fatal(err)
	}
	acts := acts{
		// rekeyed is the agency's word for a new key.
		"rekeyed": func(argument json.RawMessage) (any, error) {
			list, err := o.as("700101105554", http.MethodGet, "/v1/admin/enrolments?state=APPLIED&agency=JANM", nil, 200)
			if err != nil {
				return nil, err
			}
			all, _ := list.Body["enrolments"].([]any)
			if len(all) != 1 {
				return nil, fmt.Errorf("%d wait: %s", len(all), list.Raw)
			}
			id, _ := all[0].(map[string]any)["enrolment_id"].(string)
			_, err = o.as("700101105554", http.MethodPost, "/v1/admin/enrolments/"+id+"/rekey/confirm", map[string]string{"how": "Dipanggil balik, suara dikenali"}, 200)
			return true, err
		},
		// totp is an administrator's.
		"totp": func(json.RawMessage) (any, error) { return o.totp("700101105554") },
		// signs has the first officer sign for an app, with a PIN.
		"signs": func(argument json.RawMessage) (any, error) {
			var in struct{ Credential, PIN string }
			if err := json.Unmarshal(argument, &in); err != nil {
				return nil, err
			}
			tx, code := g.Ask(map[string]any{"credential_id": in.Credential, "format": "RAW", "documents": []any{map[string]any{"name": "Baucar 1", "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}}})
			if r := g.Confirm(tx, code, map[string]any{"pin": in.PIN}); r.Status != http.StatusOK {
				return nil, fmt.Errorf("signing: %s%s", tx.Raw, r.Raw)
			}
			return true, nil
		},
		// nearEnd goes to ten days before an officer's certificate ends.
		"nearEnd": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			r := g.Do(http.MethodGet, "/v1/officers/"+ic+"/medium", "", nil)
			var own struct {
				Media []struct {
					Certificate struct {
						NotAfter time.Time `json:"not_after"`
					} `json:"certificate"`
				} `json:"media"`
			}
			if err := json.Unmarshal(r.Raw, &own); err != nil || len(own.Media) == 0 {
				return nil, fmt.Errorf("%s: %w", r.Raw, err)
			}
			g.Clock.Advance(own.Media[0].Certificate.NotAfter.Add(-10 * 24 * time.Hour).Sub(g.Clock.Now()))
			return true, nil
		},
		// confirmed opens a link of a mail.
		"confirmed": func(argument json.RawMessage) (any, error) {
			var path string
			if err := json.Unmarshal(argument, &path); err != nil {
				return nil, err
			}
			r := g.Do(http.MethodPost, path, "application/x-www-form-urlencoded", []byte{}, "X-API-Key", "")
			if r.Status != http.StatusOK {
				return nil, fmt.Errorf("confirming: %d %s", r.Status, r.Raw)
			}
			return true, nil
		},
		// mailed has the desk send what is due.
		"mailed": func(json.RawMessage) (any, error) {
			for {
				if did, err := g.Server.Desk.Once(t.Context()); !did || err != nil {
					return true, err
				}
			}
		},
	}
	with := given{"base": base, "clerk": map[string]string{"ic": clerkIC, "email": "wong@janm.gov.my", "password": clerkPassword},
		"admin": map[string]string{"ic": "700101105554", "password": o.password}}
	if only := os.Getenv("JOURNEY"); only != "" {
		with["only"] = strings.Split(only, ",")
	}
	run(t, g, "account", with, acts)
	if log := g.Log.String(); strings.Contains(log, "Rusa-Sambar") || strings.Contains(log, clerkPassword) {
		t.Error("a secret is in the log")
	}
}
