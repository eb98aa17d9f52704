package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// alarmTo sets mail.alarm_to in the configuration of a folder.
func alarmTo(t *testing.T, dir, list string) {
	t.Helper()
	path := filepath.Join(dir, gateway.ConfigFile)
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(conf), "\n  alarm_to: []\n") != 1 {
		t.Fatal("mohor.yaml has no mail.alarm_to")
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(conf), "alarm_to: []", "alarm_to: "+list, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

var administrators = [2]string{"sap@jpk.mohor.example", "sa@jpk.mohor.example"}

// The administrators of mail.alarm_to are told once of each "this was not me",
// however often and from wherever the button is pressed.
func TestAdministratorsAreTold(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	alarmTo(t, g.Dir, "["+strings.Join(administrators[:], ", ")+"]")
	g.Start()
	deliver := func() (mails uint64) {
		t.Helper()
		mark := g.Server.Mailbox.Mark()
		if err := gateway.Deliver(t.Context(), g.Server); err != nil {
			t.Fatal(err)
		}
		return g.Server.Mailbox.Mark() - mark
	}
	deliver() // what the sandbox told its officers
	ask := amounting(raw("Surat rahsia Ahmad", "dua"), ringgit("29911.35"))
	tx, code := g.Ask(ask)
	want(t, tx, 201, "")
	path := leads(t, g)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { visit(g, "POST", path) })
	}
	wg.Wait()
	for range 3 {
		visit(g, "POST", path)
		visit(g, "GET", path)
	}
	if n := deliver(); n != 2 {
		t.Errorf("%d mails for 13 reports of one transaction to 2 administrators", n)
	}
	told(t, g, tx.Text("transaction_id"), "The request was cancelled; nothing was signed.", code)
	// Signed before somebody denies it.
	tx, code = g.Ask(ask)
	want(t, g.Confirm(tx, code, nil), 200, "")
	visit(g, "POST", leads(t, g))
	if n := deliver(); n != 2 {
		t.Errorf("%d mails", n)
	}
	told(t, g, tx.Text("transaction_id"), "The right PIN and code had been given", code)
	if n := deliver(); n != 0 {
		t.Errorf("%d more mails", n)
	}
}

// told looks at the newest mail to each administrator.
func told(t *testing.T, g *gatewaytest.Gateway, transaction, says, code string) {
	t.Helper()
	for _, to := range administrators {
		m, ok := g.Server.Mailbox.Latest(to)
		if !ok {
			t.Fatalf("%s has no mail", to)
		}
		for _, want := range []string{"\nTransaksi / Transaction: " + transaction + "\n", says, "Sistem / System: “iGFMAS (kotak pasir)”\n", "Pegawai / Officer: S••• A••••", "Dokumen / Documents: 2\n"} {
			if !strings.Contains(m.Text, want) {
				t.Errorf("%s is not told %q:\n%s", to, want, m.Text)
			}
		}
		o := g.Dev.Officers[0]
		for _, no := range []string{code, o.IC, o.Name, o.Email, "Surat", "rahsia", "911.35", "://", "/r/", "href"} {
			if strings.Contains(m.Subject+m.Text+m.HTML, no) {
				t.Errorf("%s is told %q:\n%s", to, no, m.Text)
			}
		}
		if m.Code != "" {
			t.Errorf("the alarm holds a code: %s", m.Text)
		}
	}
}

func TestAlarmAddresses(t *testing.T) {
	many := func(n int) string {
		var out []string
		for k := range n {
			out = append(out, fmt.Sprintf("a%d@jpk.example", k))
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	for list, wrong := range map[string]string{
		"[]":                                  "",
		"[sap@jpk.gov.my, sa@x.my]":           "",
		many(10):                              "",
		many(11):                              "mail.alarm_to must be at most 10 addresses",
		"[sap]":                               "mail.alarm_to[0] must be an e-mail address",
		`["SAP <sap@jpk.gov.my>"]`:            "mail.alarm_to[0] must be an e-mail address",
		`["a@b.my", "c@d.my\r\nBcc: x@y.my"]`: "mail.alarm_to[1] must be an e-mail address",
		`["a@b.my", ""]`:                      "mail.alarm_to[1] must be an e-mail address",
		"[a@b.my, A@b.my]":                    "mail.alarm_to[1] must be an e-mail address",
		"sap@jpk.gov.my":                      "cannot unmarshal",
	} {
		raw, err := gateway.RenderConfig(gateway.InitOptions{Listen: "127.0.0.1:0", BaseURL: "http://localhost", PublicURL: "http://localhost", Database: "mohor.db",
			TokenLabel: "t", Organization: "O", CAKey: "ECDSA-P256", PolicyOID: "2.25.1", ResendAfter: "1m", PerHour: 10, PerDay: 30})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, gateway.ConfigFile), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		alarmTo(t, dir, list)
		_, err = gateway.LoadConfig(dir)
		if wrong == "" && err != nil || wrong != "" && (!errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %v; want %q", list, err, wrong)
		}
	}
}
