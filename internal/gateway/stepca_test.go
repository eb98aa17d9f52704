//go:build !race

package gateway_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/stepcatest"
)

// An officer's certificate from a real step-ca: the key is in the HSM, the request was signed
// there, and what it signs is judged by others with step-ca's root alone.
func TestStepCACertificateSigns(t *testing.T) {
	g, s := withStepCA(t)
	o := g.Dev.Officers[0]
	person, _, err := personOf(t, g)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"ECDSA-P256", "RSA-2048"} {
		credential, cert, err := g.Server.Registrar.IssueCredential(t.Context(), "test", person, g.Dev.System, algorithm, o.PIN)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Issuer.CommonName != "Other Issuing CA" || cert.Subject.SerialNumber != o.IC {
			t.Fatalf("%s issued by %s", cert.Subject, cert.Issuer)
		}
		for _, level := range []string{"B-B", "B-LT"} {
			id := upload(t, g, voucher(t))
			ask := pades(id)
			ask["credential_id"], ask["pades"] = credential.ID, map[string]any{"level": level}
			tx, code := g.Ask(ask)
			want(t, tx, 201, "")
			done := g.Confirm(tx, code, nil)
			want(t, done, 200, "")
			signed := g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw
			verdict := judgeBy(t, s.RootsFile, signed)
			for _, line := range []string{"Signature is Valid.", "Certificate is Trusted."} {
				if !strings.Contains(verdict, line) {
					t.Errorf("%s %s: pdfsig does not say %q:\n%s", algorithm, level, line, verdict)
				}
			}
			if v := g.Do("POST", "/v1/verify", "application/pdf", signed); v.Text("verdict") != "VALID" {
				t.Errorf("%s %s: our verdict: %s", algorithm, level, v.Raw)
			}
			offline(t, g, s, level, signed)
		}
		// What an application is told of the officer has the chain, too.
		if r := g.Do("GET", "/v1/certificates/"+cert.SerialNumber.String(), "", nil); r.Status != 200 || len(r.Body["chain"].([]any)) != 2 {
			t.Errorf("certificate: %s", r.Raw)
		}
	}
}

// Revoked here, on step-ca's own list at once, and no signature after that. While the CA is
// down it is revoked here; a gateway without ca.external revokes it, too, and says who is
// still to be told.
func TestStepCACertificateIsRevoked(t *testing.T) {
	g, s := withStepCA(t)
	person, _, err := personOf(t, g)
	if err != nil {
		t.Fatal(err)
	}
	issue := func() (string, string) {
		credential, cert, err := g.Server.Registrar.IssueCredential(t.Context(), "test", person, g.Dev.System, "ECDSA-P256", g.PIN())
		if err != nil {
			t.Fatal(err)
		}
		return credential.ID, cert.SerialNumber.String()
	}
	first, serial := issue()
	ask := raw("Arahan Bayaran")
	ask["credential_id"] = first
	tx, code := g.Ask(ask)
	want(t, tx, 201, "")
	if err := g.Server.Revoke(t.Context(), "test", serial, 1); err != nil {
		t.Fatal(err)
	}
	if done := g.Confirm(tx, code, map[string]any{"root": tx.Text("root")}); done.Status == 200 {
		t.Errorf("a revoked certificate signed: %s", done.Raw)
	}
	if !listed(t, s, serial) {
		t.Error("step-ca's list leaves the certificate out")
	}
	_, second := issue()
	_, third := issue()
	s.Stop()
	if err := g.Server.Revoke(t.Context(), "test", second, 4); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("revoked while the CA is down: %v", err)
	}
	if _, _, err := g.Server.Registrar.IssueCredential(t.Context(), "test", person, g.Dev.System, "ECDSA-P256", g.PIN()); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("issued while the CA is down: %v", err)
	}
	reconfigure(t, g, func(text string) string { return external(t, text, "", s.RootsFile, "", "", "") })
	if err := g.Server.Revoke(t.Context(), "test", third, 4); !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(err.Error(), "ca.external") {
		t.Errorf("revoked without ca.external: %v", err)
	}
	for _, serial := range []string{second, third} {
		if n := count(t, g, "SELECT COUNT(*) FROM certificates WHERE status = 'REVOKED' AND serial = '"+serial+"'"); n != 1 {
			t.Errorf("%s is not revoked here", serial)
		}
	}
	if n := count(t, g, "SELECT COUNT(*) FROM external_revocations WHERE told_at = 0"); n != 2 {
		t.Errorf("%d are to be told, want 2", n)
	}
}

// A ca.external that cannot be right is named before anything starts, and the doctor says
// whether the CA answers.
func TestExternalCAConfiguration(t *testing.T) {
	s := stepcatest.New(t)
	g := gatewaytest.New(t)
	path := filepath.Join(g.Dir, gateway.ConfigFile)
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.ExternalProvisioner(g.Dir); !errors.Is(err, gateway.ErrConfig) {
		t.Errorf("a provisioner for no CA: %v", err)
	}
	notPEM := filepath.Join(g.Dir, "not.pem")
	open := filepath.Join(g.Dir, "open.key")
	key, err := os.ReadFile(s.KeyFile)
	if err == nil {
		err = errors.Join(os.WriteFile(notPEM, []byte("x"), 0o600), os.WriteFile(open, key, 0o644), os.Chmod(open, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	g.Stop()
	set := func(url, roots, provisioner, key, crl string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(external(t, string(plain), url, roots, provisioner, key, crl)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string][5]string{
		"url":              {"http://127.0.0.1:1", s.RootsFile, "mohor", s.KeyFile, ""},
		"url ":             {"https://127.0.0.1:1/", s.RootsFile, "mohor", s.KeyFile, ""},
		"complete":         {s.URL, "", "mohor", s.KeyFile, ""},
		"crl_url":          {s.URL, s.RootsFile, "mohor", s.KeyFile, "https://x.example/crl"},
		"roots_file":       {s.URL, notPEM, "mohor", s.KeyFile, ""},
		"roots_file must":  {s.URL, filepath.Join(filepath.Dir(s.RootsFile), "issuing.crt"), "mohor", s.KeyFile, ""},
		"key_file must be": {s.URL, s.RootsFile, "mohor", open, ""},
		"key_file must":    {s.URL, s.RootsFile, "mohor", notPEM, ""},
	} {
		set(c[0], c[1], c[2], c[3], c[4])
		i, err := gateway.Open(t.Context(), g.Dir, g.Clock.Now)
		if err == nil {
			_ = i.Close() // it is the failure
		}
		if !errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), strings.TrimSpace(what)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	set(s.URL, s.RootsFile, "mohor", s.KeyFile, s.CRL)
	nothing := func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "false") }
	said := func() (out string) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		gateway.Diagnose(ctx, gateway.DoctorOptions{Dir: g.Dir, Now: g.Clock.Now, Part: nothing, Report: func(f gateway.Finding) {
			if f.Area == "other CA" {
				out += f.Level + " " + f.What + "\n"
			}
		}})
		return out
	}
	if out := said(); !strings.Contains(out, "FAULT the CA "+s.URL+" does not answer") {
		t.Errorf("the doctor of a CA that is down: %s", out)
	}
	p, err := gateway.ExternalProvisioner(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t, p)
	if out := said(); !strings.Contains(out, "OK the CA "+s.URL+" answers") || strings.Contains(out, "FAULT") {
		t.Errorf("the doctor: %s", out)
	}
}
