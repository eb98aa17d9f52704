package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/otp"
)

// A code that was mailed is told as sent, to whom (masked), and never itself.
func TestCodesSentAreTold(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	o := g.Dev.Officers[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var sends []gateway.CodeSend
	for len(sends) == 0 || sends[0].State == "" { // the row follows the mail
		var err error
		if sends, err = gateway.CodeSends(ctx, g.Dir, "cli:test", o.IC, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	s := sends[0]
	if len(sends) != 1 || s.Transaction != tx.Text("transaction_id") || s.State != "sent" || s.Channel != "email" || s.Reply != "" || s.Used || s.StateAt == nil ||
		!strings.Contains(s.SentTo, "•••@") || strings.Contains(g.Log.String(), code) {
		t.Errorf("%+v", sends)
	}
	want(t, g.Confirm(tx, code, nil), http.StatusOK, "")
	if sends, err := gateway.CodeSends(t.Context(), g.Dir, "cli:test", o.IC, time.Now); err != nil || !sends[0].Used {
		t.Errorf("after it was used: %+v, %v", sends, err)
	}
}

// A delivery report turns the code it names into a bounced one, once, with its
// event; forged and early ones change nothing.
func TestBouncesAreRecorded(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	id := tx.Text("transaction_id")
	nonce, err := base64.StdEncoding.DecodeString(tx.Text("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	ours := otp.Envelope(id, [otp.NonceSize]byte(nonce))
	now := time.Now
	bounce := func(envelope string) (string, string, error) {
		return gateway.Bounce(t.Context(), g.Dir, "cli:test", strings.NewReader("Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"+
			"--b\nContent-Type: message/delivery-status\n\nOriginal-Envelope-Id: "+envelope+"\n\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 rahsia "+code+"\n\n--b--\n"), now)
	}
	state := func() gateway.CodeSend {
		t.Helper()
		sends, err := gateway.CodeSends(t.Context(), g.Dir, "cli:test", g.Dev.Officers[0].IC, time.Now)
		if err != nil || len(sends) != 1 {
			t.Fatalf("%+v, %v", sends, err)
		}
		return sends[0]
	}
	for deadline := time.Now().Add(20 * time.Second); state().State != "sent"; { // the row follows the mail
		if time.Now().After(deadline) {
			t.Fatal("not sent")
		}
	}
	for _, forged := range []string{id + ".0123456789abcdef", id, "tx_abcdefghijklmnopqrstuvwxyz" + ours[len(id):]} {
		if _, _, err := bounce(forged); !errors.Is(err, gateway.ErrNoBounce) {
			t.Errorf("forged: %v", err)
		}
	}
	// The report may be faster than the row; what is never known is not waited for.
	query(t, g, "UPDATE code_sends SET delivery = ''")
	if _, _, err := bounce(ours); err == nil || errors.Is(err, gateway.ErrNoBounce) {
		t.Errorf("not known yet: %v", err)
	}
	now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, _, err := bounce(ours); !errors.Is(err, gateway.ErrNoBounce) {
		t.Errorf("never known: %v", err)
	}
	now = time.Now
	query(t, g, "UPDATE code_sends SET delivery = 'sent'")
	if got, status, err := bounce(ours); err != nil || got != id || status != "5.1.1" {
		t.Errorf("%s, %s, %v", got, status, err)
	}
	if s := state(); s.State != "bounced" || s.Reply != "5.1.1" {
		t.Errorf("%+v", s)
	}
	if _, _, err := bounce(ours); !errors.Is(err, gateway.ErrNoBounce) {
		t.Errorf("again: %v", err)
	}
	all := events(t, g, "otp.bounce")
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	if e := all[0]; e.object != id || e.actor != "cli:test" || !strings.Contains(e.detail, `"reply":"5.1.1"`) {
		t.Errorf("the event says %+v", e)
	}
	if strings.Contains(all[0].detail, "rahsia") {
		t.Error("the server's words are in the audit")
	}
	// The state is for the help desk; the code itself stays as it is.
	want(t, g.Confirm(tx, code, nil), http.StatusOK, "")
}

func TestDKIMKeyFileIsChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dkim.pem")
	for want, c := range map[string]struct {
		conf gateway.DKIMConfig
		text string
		mode os.FileMode
	}{
		"must be set together": {gateway.DKIMConfig{Domain: "gov.my"}, "", 0o600},
		"make it 0600":         {gateway.DKIMConfig{Domain: "gov.my", Selector: "m1", KeyFile: path}, "x", 0o644},
		"it is not PEM":        {gateway.DKIMConfig{Domain: "gov.my", Selector: "m1", KeyFile: path}, "rahsia", 0o600},
		"no such file":         {gateway.DKIMConfig{Domain: "gov.my", Selector: "m1", KeyFile: path + "x"}, "", 0o600},
	} {
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := gateway.OpenDKIM(c.conf); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "rahsia") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := gateway.OpenDKIM(gateway.DKIMConfig{}); err != nil {
		t.Errorf("none: %v", err)
	}
}
