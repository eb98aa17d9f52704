package gateway_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/stepcatest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// external writes ca.external into the text of a mohor.yaml.
func external(t *testing.T, text, url, roots, provisioner, key, crl string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "  external:\n")
	_, after, ended := strings.Cut(rest, "    timeout: 20s\n")
	if !ok || !ended {
		t.Fatal("mohor.yaml has no ca.external")
	}
	return before + fmt.Sprintf("  external:\n    url: %q\n    roots_file: %q\n    provisioner: %q\n    key_file: %q\n    crl_url: %q\n    timeout: 20s\n", url, roots, provisioner, key, crl) + after
}

// configure replaces a part of a stopped gateway's mohor.yaml.
func configure(t testing.TB, g *gatewaytest.Gateway, old, now string) {
	t.Helper()
	path := filepath.Join(g.Dir, "mohor.yaml")
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(conf), old); n != 1 {
		t.Fatalf("%q is %d times in mohor.yaml", old, n)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(conf), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reconfigure restarts the gateway with another mohor.yaml.
func reconfigure(t *testing.T, g *gatewaytest.Gateway, edit func(text string) string) {
	t.Helper()
	path := filepath.Join(g.Dir, gateway.ConfigFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g.Stop()
	if err := os.WriteFile(path, []byte(edit(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Start()
}

// withStepCA has a real step-ca issue for a gateway.
func withStepCA(t *testing.T) (*gatewaytest.Gateway, *stepcatest.Server) {
	t.Helper()
	s := stepcatest.New(t)
	g := gatewaytest.New(t)
	reconfigure(t, g, func(text string) string {
		if !strings.Contains(text, "\n  hosts: []") {
			t.Fatal("mohor.yaml has no outbound.hosts")
		}
		return external(t, strings.Replace(text, "\n  hosts: []", "\n  hosts: [127.0.0.1]", 1), s.URL, s.RootsFile, "mohor", s.KeyFile, s.CRL)
	})
	p, err := gateway.ExternalProvisioner(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t, p)
	return g, s
}

// offline judges as `mohor verify` does without asking anybody, by the folder and by the CA's
// root alone: a B-LT file holds all that is needed.
func offline(t *testing.T, g *gatewaytest.Gateway, s *stepcatest.Server, level string, signed []byte) {
	t.Helper()
	own, err := gateway.OfflineTrust(t.Context(), g.Dir, "", g.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]verify.Verdict{"B-B": verify.Indeterminate, "B-LT": verify.Valid}[level]
	if r, err := verify.Verify(t.Context(), bytes.NewReader(signed), int64(len(signed)), own); err != nil || r.Verdict != want {
		t.Errorf("%s offline: %+v, %v", level, r, err)
	}
	own.Roots = x509.NewCertPool() // nobody
	if r, err := verify.Verify(t.Context(), bytes.NewReader(signed), int64(len(signed)), own); err != nil || r.Verdict == verify.Valid {
		t.Errorf("%s without the root: %+v, %v", level, r, err)
	}
	other, err := gateway.OfflineTrust(t.Context(), g.Dir, s.RootsFile, g.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	other.RequireRevocation = false
	if r, err := verify.Verify(t.Context(), bytes.NewReader(signed), int64(len(signed)), other); err != nil || r.Verdict != verify.Valid {
		t.Errorf("%s by the CA's root alone: %+v, %v", level, r, err)
	}
}

func personOf(t *testing.T, g *gatewaytest.Gateway) (enrol.Officer, []enrol.Medium, error) {
	t.Helper()
	return g.Server.Registrar.Records.Officer(t.Context(), g.Dev.Officers[0].IC)
}

func listed(t *testing.T, s *stepcatest.Server, serial string) bool {
	t.Helper()
	resp, err := http.Get(s.CRL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.String() == serial {
			return true
		}
	}
	return false
}
