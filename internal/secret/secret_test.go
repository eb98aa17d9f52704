package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/secret"
)

func TestTextNeverPrints(t *testing.T) {
	const canary = "Kucing-7731"
	s := secret.New(canary)
	box := struct {
		PIN    secret.Text
		hidden secret.Text
		deep   map[string]*[]secret.Text
	}{s, s, map[string]*[]secret.Text{"k": {s}}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", s, &s, box)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "pin", s, "box", box)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "pin", s, "box", box)
	if j, err := json.Marshal(box); err != nil {
		t.Fatal(err)
	} else {
		out.Write(j)
	}
	plain := strings.Trim(fmt.Sprint([]byte(canary)), "[]")
	if got := out.String(); strings.Contains(got, canary) || strings.Contains(got, fmt.Sprintf("%x", canary)) || strings.Contains(got, plain) {
		t.Fatalf("the secret was printed:\n%s", got)
	} else if !strings.Contains(got, "[redacted]") {
		t.Fatal("nothing was printed at all")
	}
}

func TestTextFromJSON(t *testing.T) {
	var v struct{ PIN secret.Text }
	if err := json.Unmarshal([]byte(`{"PIN":"p\u0131n"}`), &v); err != nil || string(v.PIN.Reveal()) != "pın" {
		t.Fatalf("got %q, %v", v.PIN.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`{"PIN":12345678}`), &v); err == nil {
		t.Fatal("a number was taken for a secret")
	}
	v.PIN.Wipe()
	if bytes.ContainsAny(v.PIN.Reveal(), "pn") {
		t.Fatal("Wipe left bytes")
	}
}
