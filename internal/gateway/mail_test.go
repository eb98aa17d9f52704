package gateway_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
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
