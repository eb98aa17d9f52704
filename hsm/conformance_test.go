package hsm_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// conform runs the program and gives the rows by name.
func conform(t *testing.T, p hsm.Probe) map[string]hsm.Conformance {
	t.Helper()
	rows := hsm.ConformanceRows()
	out := map[string]hsm.Conformance{}
	begun := -1
	err := hsm.Conform(t.Context(), p, 0, func(i int) { begun = i }, func(i int, c hsm.Conformance) {
		if i != begun || c.Row != rows[i].Row || c.Needed != rows[i].Needed {
			t.Errorf("row %d %q after the start of %d %q", i, c.Row, begun, rows[i].Row)
		}
		out[c.Row] = c
		t.Logf("%-10s %t %s: %s (%v)", c.Verdict, c.Needed, c.Row, c.Detail, c.Took.Round(1e5))
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(rows) {
		t.Errorf("%d rows of %d", len(out), len(rows))
	}
	return out
}

// library finds a module as Debian and Ubuntu place it.
func library(t *testing.T, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*/" + name, "/usr/lib/" + name} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	unavailable(t, name, fs.ErrNotExist)
	return ""
}

func TestConformanceOfSoftHSM(t *testing.T) {
	m := open(t) // makes the token
	a := newAttacker(t)
	count := func() int {
		return len(a.find(t, pkcs11.CKO_SECRET_KEY, "")) + len(a.find(t, pkcs11.CKO_PRIVATE_KEY, ""))
	}
	before := count()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	for name, c := range conform(t, hsm.Probe{Module: cfg.Module, TokenLabel: tokenName, PIN: cfg.PIN}) {
		want := hsm.Supported
		if strings.Contains(name, "0x210B") {
			want = hsm.Missing // SoftHSM 2.6 knows RFC 5649 by its other number only
		}
		if c.Verdict != want || !c.Good() {
			t.Errorf("%s: %s, %s", name, c.Verdict, c.Detail)
		}
	}
	open(t)
	a = newAttacker(t)
	if after := count(); after != before {
		t.Errorf("%d objects before, %d after", before, after)
	}
	if left := a.find(t, pkcs11.CKO_SECRET_KEY, "mohor-check-kek"); len(left) > 0 {
		t.Error("its KEK is left")
	}
}

// A second run continues where a process ended, and first removes what that one left.
func TestConformanceContinues(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	for _, label := range []string{"mohor-check-kek", "mohor-check-other"} {
		_, err := a.p11.GenerateKey(a.s, mechanism(pkcs11.CKM_AES_KEY_GEN, nil), []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), yes(pkcs11.CKA_TOKEN)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	rows := hsm.ConformanceRows()
	for _, from := range []int{len(rows) - 1, len(rows)} {
		var got []string
		err := hsm.Conform(t.Context(), hsm.Probe{Module: cfg.Module, TokenLabel: tokenName, PIN: cfg.PIN}, from,
			func(int) {}, func(_ int, c hsm.Conformance) { got = append(got, c.Row) })
		if want := rows[from:]; err != nil || len(got) != len(want) || len(got) == 1 && got[0] != want[0].Row {
			t.Errorf("from %d: %q, %v", from, got, err)
		}
	}
	open(t)
	a = newAttacker(t)
	if n := len(a.find(t, pkcs11.CKO_SECRET_KEY, "mohor-check-kek")); n != 0 {
		t.Errorf("%d of its objects are left", n)
	}
	other := a.find(t, pkcs11.CKO_SECRET_KEY, "mohor-check-other")
	if len(other) != 1 {
		t.Fatalf("an object of somebody else: %d", len(other))
	}
	a.p11.DestroyObject(a.s, other[0])
}

// The token PIN is offered once and a wrong one ends the program.
func TestConformanceWithWrongPIN(t *testing.T) {
	if err := open(t).Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	var got []hsm.Conformance
	err := hsm.Conform(t.Context(), hsm.Probe{Module: cfg.Module, TokenLabel: tokenName, PIN: secret.New("not-the-pin-77")}, 0,
		func(int) {}, func(_ int, c hsm.Conformance) { got = append(got, c) })
	if err != nil || len(got) != 3 || got[2].Good() || !strings.Contains(got[2].Detail, "PIN refused") || strings.Contains(got[2].Detail, "not-the-pin") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConformanceOfNSS(t *testing.T) {
	module := library(t, "libsoftokn3.so")
	requireTool(t, "certutil")
	dir := t.TempDir()
	pinFile := filepath.Join(dir, "pin")
	if err := os.WriteFile(pinFile, []byte("nss-pin-4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "certutil", "-N", "-d", "sql:"+dir, "-f", pinFile).CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v: %s", err, out)
	}
	p := hsm.Probe{Module: module, TokenLabel: "NSS Certificate DB", PIN: secret.New("nss-pin-4711"),
		Reserved: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", dir)}
	got := conform(t, p)
	// It can do everything with keys but keep them.
	for name, want := range map[string]string{
		"RSA-2048 pair and signature": hsm.Supported, "ECDSA-P256 pair and signature": hsm.Supported, "HMAC-SHA-256 with a guarded token key": hsm.Missing,
		"KEK made as Mohor makes it": hsm.Missing, "KEK cannot be changed or copied": hsm.Unsafe, "CKA_UNWRAP_TEMPLATE honoured": hsm.Unsafe,
		"unwrapped key stays inside": hsm.Unsafe,
	} {
		if c := got[name]; c.Verdict != want {
			t.Errorf("%s: %s, want %s (%s)", name, c.Verdict, want, c.Detail)
		}
	}
}
