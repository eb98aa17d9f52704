//go:build !race

package journeys_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

var applicants = flag.Int("journey.officers", 6, "how many of the 500 listed officers confirm, apply and are given a certificate")

// The office in one story, in each language: see js/console.mjs.
func TestJourneyConsole(t *testing.T) {
	for _, lang := range []string{"ms", "en"} {
		t.Run(lang, func(t *testing.T) {
			g := gatewaytest.New(t)
			o := &recruits{newOffice(t, g), "", t.Context, nil}
			o.seat(t, "700101105558", "LIM MEI HUA", enrol.Appointment{Role: enrol.JDN})
			o.seat(t, "700101105561", "SITI HAJAR BINTI YUSOF", enrol.Appointment{Role: enrol.Auditor})
			person := o.row(1)
			r := run(t, g, "console", given{"lang": lang, "password": o.password, "jdn": "700101105551", "second": "700101105558", "ap": "700101105554", "auditor": "700101105561",
				"list": o.list(rows), "officers": *applicants, "person": map[string]string{"ic": person[0]}, "looked": []string{"PENTADBIR 1", "PENTADBIR 4"}}, o.story())
			t.Logf("%d listed, %d with certificates: %v", rows, *applicants, r["office"])
		})
	}
}

// story is what the office does beside its pages, and what is asked about it.
func (o *recruits) story() acts {
	text := func(argument json.RawMessage) (s string) {
		_ = json.Unmarshal(argument, &s)
		return s
	}
	return acts{
		"totp": func(argument json.RawMessage) (any, error) { return o.totp(text(argument)) },
		"shown": func(argument json.RawMessage) (any, error) {
			o.g.Clock.Advance(30 * time.Second)
			return hotp.GenerateCodeCustom(text(argument), uint64(o.g.Clock.Now().Unix()/30), hotp.ValidateOpts{Digits: pquerna.DigitsSix})
		},
		"mailed": func(json.RawMessage) (any, error) { return true, o.mailed() },
		"joins":  o.joins,
		"call": func(argument json.RawMessage) (any, error) {
			return o.g.Do(http.MethodGet, "/v1/officers/"+o.g.Dev.Officers[0].IC+"/medium", "", nil, "X-API-Key", text(argument)).Status, nil
		},
		// issued is how many certificates officers of the list have.
		"issued": func(json.RawMessage) (any, error) {
			r, err := o.as("700101105551", http.MethodGet, "/v1/admin/enrolments?state=ISSUED&limit=1&count=true", nil, http.StatusOK)
			if err != nil {
				return nil, err
			}
			return r.Body["count"], nil
		},
		// state is that of an officer's only certificate.
		"state": func(argument json.RawMessage) (any, error) {
			_, media, err := o.g.Server.Accounts.Records.Officer(o.ctx(), text(argument))
			if err != nil || len(media) != 1 {
				return nil, fmt.Errorf("%d media: %w", len(media), err)
			}
			return media[0].KeyStatus, nil
		},
	}
}
