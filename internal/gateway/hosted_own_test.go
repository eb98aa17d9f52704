package gateway_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
)

// The security image stands beside the PIN of its officer, in a browser in which that officer was
// the last to log in; no other browser is shown it, and neither is another officer.
func TestSigningPageShowsTheOfficersPicture(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	for _, k := range []int{0, 1} {
		o := g.Dev.Officers[k]
		check(t, g.Server.Accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, secret.New(officerPassword)))
	}
	if _, err := opened(t, g).Exec("UPDATE credentials SET image = 'wau'"); err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(g.URL)
	check(t, err)
	own, others := deviceAfter(t, g, 0), deviceAfter(t, g, 1)
	for what, c := range map[string]struct {
		device string
		shown  bool
	}{
		"the officer's browser":        {own, true},
		"another officer's":            {others, false},
		"a stranger's":                 {"", false},
		"a device of its own making":   {strings.Repeat("A", len(own)), false},
		"the officer's with a changed": {own[:len(own)-4] + "AAAA", false},
	} {
		tx, _ := asked(t, g, key, raw("satu"))
		s := newSurfer(t, g)
		s.enter(tx.Text("signing_url"))
		cookie := "mohor-device=" + c.device
		for _, k := range s.c.Jar.Cookies(base) {
			cookie += "; " + k.Name + "=" + k.Value
		}
		s.c.Jar = nil
		page := s.send("GET", tx.Text("signing_url"), nil, "Cookie", cookie)
		got(t, page, 200, "Cap jari")
		if has := strings.Contains(string(page.Raw), "/assets/images/"); has != c.shown {
			t.Errorf("%s: shown %v", what, has)
		}
		g.Clock.Advance(61 * time.Second)
	}
}

// Who asks for a signature at the portal opens its page from the same place: that is no app that
// could show officers a copy.
func TestOwnPagesAreNotWarnedOf(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	configure(t, g, "\n  trusted: []\n", "\n  trusted: [127.0.0.1/32]\n")
	g.Start()
	m := memberOf(t, g, g.Dev.Officers[0], false)
	tx, _ := m.ask(pades(m.upload("surat.pdf")), "X-Forwarded-For", "203.0.113.9")
	want(t, tx, 201, "")
	s, address := newSurfer(t, g), tx.Text("signing_url")
	if r := s.send("POST", address, formOf(s.send("GET", address, nil), ""), "X-Forwarded-For", "203.0.113.9"); r.Status != 303 {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	list := events(t, g, "page.open")
	if len(list) != 1 || strings.Contains(list[0].detail, "same_address_as") || strings.Contains(g.Log.String(), "the address of the app") {
		t.Errorf("%+v", list)
	}
}
