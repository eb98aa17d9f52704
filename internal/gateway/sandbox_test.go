package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// A folder whose database cannot be asked whether it is a sandbox stays.
func TestRemoveSandboxAsksTheDatabase(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	path := filepath.Join(g.Dir, gateway.ConfigFile)
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(conf), `database: "mohor.db"`, `database: "postgres://mohor@127.0.0.1:1/mohor?sslmode=disable"`, 1)
	if edited == string(conf) {
		t.Fatal("mohor.yaml has no database")
	}
	if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gateway.RemoveSandbox(t.Context(), g.Dir); err == nil {
		t.Error("a folder was removed though nobody knows what it is")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the folder: %v", err)
	}
}
