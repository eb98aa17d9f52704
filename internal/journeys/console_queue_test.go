//go:build !race

package journeys_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// recruits are officers who are listed, confirm their address and apply, over HTTP.
type recruits struct {
	*office
	card string
	ctx  func() context.Context
	// links are those that were mailed to the listed, by address; the mailbox keeps the newest mails only.
	links map[string]string
}

const rows = 500 // of the list

// row is the nth of a list of officers of several offices in two phases.
func (o *recruits) row(n int) []string {
	names := []string{"AMINAH BINTI HASSAN", "TAN WEI MING", "MUTHU A/L SUBRAMANIAM", "SITI NURHALIZA BINTI ABDUL RAHMAN", "JOSEPH ANAK JUGAH"}
	offices := []string{"Pejabat Perakaunan Negeri Selangor", "Pejabat Perakaunan Negeri Johor", "Pejabat Perakaunan Cawangan Kota Kinabalu", "Ibu Pejabat JANM"}
	return []string{fmt.Sprintf("80%02d%02d14%04d", 1+n/28%12, 1+n%28, n), names[n%len(names)], fmt.Sprintf("pegawai%d@janm.gov.my", n), "JANM", o.g.Dev.System, offices[n%len(offices)], fmt.Sprintf("Fasa %d", 1+n%2), "HD-2026-0412"}
}

// list has n officers, three of whom are entered wrongly: an IC of 11 digits, an agency that
// there is not, an address that is none.
func (o *recruits) list(n int) string {
	out := []string{"no_kp,nama,emel,agensi,sistem,pejabat_perakaunan,fasa,tiket"}
	for k := range n {
		r := o.row(k)
		switch k {
		case 118:
			r[0] = r[0][:11]
		case 249:
			r[3] = "JANN"
		case 400:
			r[2] = "pegawai400(at)janm.gov.my"
		}
		out = append(out, strings.Join(r, ","))
	}
	return strings.Join(out, "\n") + "\n"
}

// newest finds something in the newest mail to an address.
func (o *recruits) newest(to, pattern string) (string, error) {
	var mails []struct {
		Text string `json:"text"`
	}
	r := o.g.Do(http.MethodGet, "/dev/mailbox.json?to="+to, "", nil)
	if err := json.Unmarshal(r.Raw, &mails); err != nil || len(mails) == 0 {
		return "", fmt.Errorf("no mail to %s: %w", to, err)
	}
	found := regexp.MustCompile(pattern).FindStringSubmatch(mails[0].Text)
	if found == nil {
		return "", fmt.Errorf("no %s in %q", pattern, mails[0].Text)
	}
	return found[1], nil
}

func (o *recruits) mailed() error {
	for {
		if did, err := o.g.Server.Desk.Once(o.ctx()); err != nil || !did {
			return err
		}
	}
}

// invitation is the link in the mail to a listed officer.
var invitation = regexp.MustCompile(`(/e/[A-Za-z0-9_-]{22})`)

// invited keeps the links of the mails there are.
func (o *recruits) invited() error {
	var mails []struct{ To, Text string }
	if err := json.Unmarshal(o.g.Do(http.MethodGet, "/dev/mailbox.json", "", nil).Raw, &mails); err != nil {
		return fmt.Errorf("reading the mailbox: %w", err)
	}
	o.links = map[string]string{}
	for _, m := range mails { // the newest first
		if found := invitation.FindStringSubmatch(m.Text); found != nil && o.links[m.To] == "" {
			o.links[m.To] = found[1]
		}
	}
	return nil
}

// confirm opens the link that the officer was mailed.
func (o *recruits) confirm(email string) error {
	link, ok := o.links[email]
	if !ok {
		var err error
		if link, err = o.newest(email, invitation.String()); err != nil {
			return err
		}
	}
	if r := o.g.Do(http.MethodPost, link, "application/x-www-form-urlencoded", []byte{}, "X-API-Key", ""); r.Status != http.StatusOK {
		return fmt.Errorf("confirming: %d %s", r.Status, r.Raw)
	}
	return nil
}

// apply opens the officer's account, logs in and applies.
func (o *recruits) apply(ic, email string, withCard bool) error {
	code, token, err := o.join(ic, email)
	if err != nil {
		return err
	}
	form := o.form(code)
	if withCard {
		form["mykad"] = o.card
	}
	if r := o.g.Do(http.MethodPost, "/v1/me/application", "", form, "X-API-Key", "", "Authorization", "Bearer "+token); r.Status != http.StatusCreated {
		return fmt.Errorf("applying: %s", r.Raw)
	}
	return nil
}

// join opens the officer's account with the mailed code, and logs in.
func (o *recruits) join(ic, email string) (code, token string, err error) {
	if code, err = o.newest(email, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`); err != nil {
		return "", "", err
	}
	const password = "payung biru di stesen"
	if r := o.g.Do(http.MethodPost, "/v1/account", "", map[string]string{"code": code, "password": password}, "X-API-Key", ""); r.Status != http.StatusOK {
		return "", "", fmt.Errorf("opening the account: %s", r.Raw)
	}
	mark := o.g.Server.Mailbox.Mark()
	begun := o.g.Do(http.MethodPost, "/v1/sessions", "", map[string]string{"ic": ic, "password": password}, "X-API-Key", "")
	in := o.g.Do(http.MethodPost, "/v1/sessions/"+begun.Text("session_id")+"/code", "", map[string]string{"code": o.g.Code(email, mark), "token": "bearer"}, "X-API-Key", "")
	if in.Text("token") == "" {
		return "", "", fmt.Errorf("logging in: %s%s", begun.Raw, in.Raw)
	}
	return code, in.Text("token"), nil
}

// form is a good one for the code.
func (o *recruits) form(code string) map[string]any {
	return map[string]any{"code": code, "pin": "Rusa-Sambar-7", "pin_again": "Rusa-Sambar-7", "algorithm": "ECDSA-P256", "address": "Aras 1, Kompleks Kementerian Kewangan", "postcode": "62594",
		"state": "W.P. Putrajaya", "phone": "03-8882 1000", "mobile": "+60 12-345 6789", "mail_kind": "official", "image": "wau", "declaration": enrol.DeclarationVersion}
}

// joins has officers of the list confirm their address, and some of them apply.
func (o *recruits) joins(argument json.RawMessage) (any, error) {
	var in struct{ From, Confirm, Apply int }
	if err := json.Unmarshal(argument, &in); err != nil {
		return nil, err
	}
	if err := o.mailed(); err != nil {
		return nil, err
	}
	if o.links == nil {
		if err := o.invited(); err != nil {
			return nil, err
		}
	}
	for k := range in.Confirm {
		if err := o.confirm(o.row(in.From + k)[2]); err != nil {
			return nil, err
		}
	}
	if err := o.mailed(); err != nil {
		return nil, err
	}
	for k := range in.Apply {
		r := o.row(in.From + k)
		o.g.Clock.Advance(5 * time.Second) // they are not all of one network, whose limit they would reach
		if err := o.apply(r[0], r[2], k == 0 && o.card != ""); err != nil {
			return nil, err
		}
	}
	return true, nil
}

// A list of 500 officers with three wrong rows, mended on the page, admitted at once; some of them
// confirm and apply, are validated by keyboard and approved at once.
func TestJourneyConsoleQueue(t *testing.T) {
	g := gatewaytest.New(t)
	o := &recruits{newOffice(t, g), card(t, 900, 570, false), t.Context, nil}
	r := run(t, g, "console_queue", given{"list": o.list(rows), "jdn": o.who("700101105551"), "sap": o.who("700101105552"), "ap": o.who("700101105554")}, acts{
		"joins": o.joins,
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return o.totp(ic)
		},
	})
	if r["issued"] != 11.0 { // of twelve, one was given back
		t.Errorf("%v certificates were issued", r["issued"])
	}
	t.Logf("500 officers from the empty form to the list: %v", r["upload"])
}
