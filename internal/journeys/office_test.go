//go:build !race

package journeys_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// Administrators are appointed, set up, reset and ended; agencies and offices; what is kept.
func TestJourneyConsoleOffice(t *testing.T) {
	g := gatewaytest.New(t)
	o := newOffice(t, g)
	base := strings.Replace(g.URL, "127.0.0.1", "localhost", 1)
	g.Server.Accounts.BaseURL = base
	o.seat(t, "700101105558", "LIM MEI HUA", enrol.Appointment{Role: enrol.JDN})
	o.seat(t, "700101105560", "RAVI A/L SUBRAMANIAM", enrol.Appointment{Role: enrol.SA, Agency: "JANM"})
	o.seat(t, "700101105561", "SITI HAJAR BINTI YUSOF", enrol.Appointment{Role: enrol.Auditor})
	if _, err := o.as("700101105551", http.MethodPut, "/v1/admin/agencies/JPK", map[string]any{"name": "Jabatan Pembangunan Kemahiran"}, http.StatusOK); err != nil {
		t.Fatal(err)
	}
	for ic, place := range map[string]string{"820303109903": "Pej. Perakaunan Putrajaya", "820303109905": "PERAK"} {
		body := map[string]any{"ic": ic, "name": "WONG MEI LING", "email": "w" + ic + "@janm.gov.my", "agency": "JANM", "system": g.Dev.System, "office": place}
		if _, err := o.as("700101105552", http.MethodPost, "/v1/admin/enrolments", body, http.StatusCreated); err != nil {
			t.Fatal(err)
		}
	}
	run(t, g, "console_office", given{"base": base, "second": o.who("700101105558"), "first": o.who("700101105551"), "sa": o.who("700101105560"), "auditor": o.who("700101105561")}, acts{
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return o.totp(ic)
		},
		// shown is what an app with a seed shows next.
		"shown": func(argument json.RawMessage) (any, error) {
			var seed string
			if err := json.Unmarshal(argument, &seed); err != nil {
				return nil, err
			}
			g.Clock.Advance(30 * time.Second)
			return hotp.GenerateCodeCustom(seed, uint64(g.Clock.Now().Unix()/30), hotp.ValidateOpts{Digits: pquerna.DigitsSix})
		},
		"mailed": func(json.RawMessage) (any, error) {
			for {
				if did, err := g.Server.Desk.Once(t.Context()); !did || err != nil {
					return true, err
				}
			}
		},
	})
	for _, secret := range []string{"setup_", "lembing perak", "otpauth"} {
		if strings.Contains(g.Log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}
