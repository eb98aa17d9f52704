//go:build !race

package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gateway"
)

func TestTokenPINComesFromItsSource(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("MOHOR_TEST_PIN", "pin 4711 ")
	t.Setenv("MOHOR_TEST_EMPTY", "")
	file("credential", "pin 4711 \n", 0o440)
	for _, c := range []struct {
		token gateway.TokenConfig
		fault string
	}{
		{gateway.TokenConfig{PINFile: file("file", "pin 4711 \r\n", 0o600)}, ""},
		{gateway.TokenConfig{PINFile: file("open", "pin 4711", 0o644)}, "make it 0600"},
		{gateway.TokenConfig{PINFile: file("empty", "\n", 0o600)}, "it is empty; put it into"},
		{gateway.TokenConfig{PINFile: filepath.Join(dir, "none")}, "no such file"},
		{gateway.TokenConfig{PINEnv: "MOHOR_TEST_PIN"}, ""},
		{gateway.TokenConfig{PINEnv: "MOHOR_TEST_PIN"}, "it is not set; set MOHOR_TEST_PIN in the environment"}, // taken out by the one above
		{gateway.TokenConfig{PINEnv: "MOHOR_TEST_EMPTY"}, "it is empty"},
		{gateway.TokenConfig{PINCredential: "credential"}, ""},
		{gateway.TokenConfig{PINCredential: "other"}, "no such credential; LoadCredentialEncrypted=other:"},
	} {
		pin, err := gateway.TokenPIN(&gateway.Config{Token: c.token})
		if c.fault == "" {
			if err != nil || string(pin.Reveal()) != "pin 4711 " {
				t.Errorf("%+v: %q, %v", c.token, pin.Reveal(), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%+v: %v, want %q", c.token, err, c.fault)
		}
	}
	if _, ok := os.LookupEnv("MOHOR_TEST_PIN"); ok {
		t.Error("the PIN stays in the environment")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := gateway.TokenPIN(&gateway.Config{Token: gateway.TokenConfig{PINCredential: "credential"}}); err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("without systemd: %v", err)
	}
}
