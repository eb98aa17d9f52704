//go:build !race

package journeys_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// certify brings the nth of the list from listing to a certificate.
func (o *recruits) certify(n int) error {
	r := o.row(n)
	added, err := o.as("700101105552", http.MethodPost, "/v1/admin/enrolments", map[string]string{"ic": r[0], "name": r[1], "email": r[2], "agency": r[3], "system": r[4], "office": r[5], "phase": r[6], "ticket": r[7]}, 201)
	if err != nil {
		return err
	}
	id := added.Text("enrolment_id")
	if added.Text("state") == "LISTED" {
		if _, err := o.as("700101105551", http.MethodPost, "/v1/admin/enrolments/"+id+"/admit", nil, 204); err != nil {
			return err
		}
	}
	for _, f := range []func() error{o.mailed, func() error { return o.confirm(r[2]) }, o.mailed, func() error { return o.apply(r[0], r[2], false) }} {
		if err := f(); err != nil {
			return err
		}
	}
	if _, err := o.as("700101105554", http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil, 204); err != nil {
		return err
	}
	_, err = o.as("700101105551", http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil, 200)
	return err
}

// An officer calls: found by IC, name and certificate, what is wrong and what to do, what two
// administrators decide, and nothing for another agency.
func TestJourneyConsolePeople(t *testing.T) {
	g := gatewaytest.New(t)
	o := &recruits{newOffice(t, g), "", t.Context, nil}
	o.seat(t, "700101105556", "PENTADBIR AGENSI LAIN", enrol.Appointment{Role: enrol.AP, Agency: "JPK"})
	if _, err := o.as("700101105551", http.MethodPut, "/v1/admin/agencies/JPK", map[string]any{"name": "Jabatan Pembangunan Kemahiran"}, 200); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := o.certify(n); err != nil {
			t.Fatal(err)
		}
	}
	var people []map[string]string
	for n := range 3 {
		r := o.row(n)
		_, media, err := g.Server.Accounts.Records.Officer(t.Context(), r[0])
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, map[string]string{"ic": r[0], "name": r[1], "email": r[2], "serial": media[0].Serial, "credential": media[0].Credential})
	}
	run(t, g, "console_people", given{"people": people, "jdn": o.who("700101105551"), "sap": o.who("700101105552"), "ap": o.who("700101105554"), "other": o.who("700101105556")}, acts{
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return o.totp(ic)
		},
		// asks has the officer with a credential asked to sign, who signs nothing.
		"asks": func(argument json.RawMessage) (any, error) {
			var of struct{ IC, Credential string }
			if err := json.Unmarshal(argument, &of); err != nil {
				return nil, err
			}
			tx := g.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": of.IC, "system": g.Dev.System, "credential_id": of.Credential, "format": "RAW", "documents": []any{map[string]any{"name": "Baucar 1", "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}}})
			if tx.Status != http.StatusCreated {
				return nil, fmt.Errorf("asking: %s", tx.Raw)
			}
			return true, nil
		},
	})
}
