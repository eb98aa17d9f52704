package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

// countedKeys counts the checks of a PIN that reach the HSM.
type countedKeys struct {
	signer.Keys
	opens atomic.Int64
}

func (k *countedKeys) Open(ctx context.Context, c signer.Credential, pin secret.Text, u signer.KeyUse) (signer.Key, error) {
	k.opens.Add(1)
	return k.Keys.Open(ctx, c, pin, u)
}

// Threats, row 1, with the HSM and over HTTP: 200 wrong PINs at once, each with
// a right code, are checked five times; then the right PIN is refused, too. A
// code has three tries, so they take 67 transactions.
func TestParallelWrongPINsReachTheHSMFiveTimes(t *testing.T) {
	g := gatewaytest.New(t)
	keys := &countedKeys{Keys: g.Server.Signer.Keys}
	g.Server.Signer.Keys = keys
	type confirmation struct {
		tx   *gatewaytest.Reply
		code string
	}
	var all []confirmation
	for len(all) < 200 {
		tx, code := askFor(g, 0, fmt.Sprint("baucar-", len(all)))
		all = append(all, confirmation{tx, code}, confirmation{tx, code}, confirmation{tx, code})
	}
	all = all[:200]
	tx, code := askFor(g, 0, "yang betul")
	var wg sync.WaitGroup
	start := make(chan struct{})
	wrong, locked := atomic.Int64{}, atomic.Int64{}
	for _, c := range all {
		wg.Go(func() {
			<-start
			switch r := g.Confirm(c.tx, c.code, map[string]any{"pin": "bukan-pin-itu"}); r.Code() {
			case "pin_wrong":
				wrong.Add(1)
			case "pin_locked":
				locked.Add(1)
			default:
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := keys.opens.Load(); n != 5 || wrong.Load() != 5 || locked.Load() != 195 {
		t.Errorf("%d of 200 wrong PINs reached the HSM; %d wrong, %d locked", n, wrong.Load(), locked.Load())
	}
	want(t, g.Confirm(tx, code, nil), http.StatusLocked, "pin_locked")
	if n := keys.opens.Load(); n != 5 {
		t.Errorf("the right PIN reached the HSM during the lock: %d checks", n)
	}
	t.Logf("checks that reached the HSM: %d of 201", keys.opens.Load())
	// The administrator unlocks; the key and its PIN are what they were.
	was, err := gateway.UnlockPIN(t.Context(), g.Dir, "cli:test", g.Dev.Officers[0].IC, "MyKad dilihat", g.Clock.Now)
	if err != nil || was.Total != 5 || !was.LockedUntil.Equal(g.Clock.Now().Add(15*time.Minute)) {
		t.Errorf("it was %+v, %v", was, err)
	}
	want(t, g.Confirm(tx, code, nil), http.StatusOK, "")
}

// A configuration from before there was a policy gets the default one.
func TestPINPolicyOfAnEarlierConfiguration(t *testing.T) {
	g := gatewaytest.New(t)
	text, err := os.ReadFile(filepath.Join(g.Dir, gateway.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for line := range strings.Lines(string(text)) {
		if k := strings.TrimSpace(line); !strings.HasPrefix(k, "min_length:") && !strings.HasPrefix(k, "max_length:") && !strings.HasPrefix(k, "refuse_common:") {
			old = append(old, line)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, gateway.ConfigFile), []byte(strings.Join(old, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := gateway.LoadConfig(dir)
	want := gateway.PINConfig{MinLength: 8, MaxLength: 64, RefuseCommon: true, LockAfter: 5, LockFor: 15 * time.Minute, BlockAfter: 10}
	if err != nil || c.PIN != want {
		t.Errorf("%+v, %v", c.PIN, err)
	}
}

// Change of PIN in the HSM, beside the running gateway: the same key and
// certificate, sealed anew; the old PIN opens nothing, the other key keeps its
// own.
func TestChangePINInTheHSM(t *testing.T) {
	g := gatewaytest.New(t)
	o := g.Dev.Officers[0]
	confirm := func(k int, pin string) *gatewaytest.Reply {
		t.Helper()
		ask := raw("baucar")
		ask["credential_id"] = o.Credentials[k].CredentialID
		tx, code := g.Ask(ask)
		return g.Confirm(tx, code, map[string]any{"pin": pin})
	}
	const next = "rusa-hijau-88"
	for k := range o.Credentials {
		changed, others, err := g.Server.ChangePIN(t.Context(), o.IC, g.Dev.System, o.Credentials[k].CredentialID, o.PIN, secret.New(next))
		if err != nil || changed.Credential != o.Credentials[k].CredentialID || changed.Version != 2 || len(others) != 1 || others[0] != o.Credentials[1-k].CredentialID {
			t.Fatalf("%+v %v, %v", changed, others, err)
		}
		want(t, confirm(k, string(o.PIN.Reveal())), http.StatusForbidden, "pin_wrong")
		want(t, confirm(k, next), http.StatusOK, "")
		if k == 0 {
			want(t, confirm(1, string(o.PIN.Reveal())), http.StatusOK, "")
		}
	}
	for pin, says := range map[string]string{"bukan-pin-itu": "wrong PIN (4 tries left)", next: "the new PIN is the old one"} {
		if _, _, err := g.Server.ChangePIN(t.Context(), o.IC, g.Dev.System, "", secret.New(pin), secret.New(next)); err == nil || err.Error() != says {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, _, err := g.Server.ChangePIN(t.Context(), o.IC, g.Dev.System, "", secret.New(next), secret.New("9"+o.IC)); err == nil || !strings.Contains(err.Error(), " / the PIN holds your IC number") {
		t.Errorf("a weak PIN: %v", err)
	}
}

// A row rolled back to the key under the old PIN is an alarm: the officer hears
// it, the audit and the log have it, the HSM is not asked. A revoked key is
// gone.
func TestRolledBackKeyIsAnAlarm(t *testing.T) {
	g := gatewaytest.New(t)
	o := g.Dev.Officers[0]
	id := o.Credentials[1].CredentialID
	query(t, g, "CREATE TABLE stolen AS SELECT id, version, sealed FROM credentials")
	if _, _, err := g.Server.ChangePIN(t.Context(), o.IC, g.Dev.System, id, o.PIN, secret.New("rusa-hijau-88")); err != nil {
		t.Fatal(err)
	}
	ask := raw("baucar")
	ask["credential_id"] = id
	tx, code := g.Ask(ask)
	query(t, g, "UPDATE credentials SET (version, sealed) = (SELECT version, sealed FROM stolen s WHERE s.id = credentials.id) WHERE id = ?", id)
	want(t, g.Confirm(tx, code, nil), http.StatusConflict, "no_active_certificate")
	if n := count(t, g, "SELECT count(*) FROM audit_events WHERE action = 'signer.alarm' AND verdict = 'refused'"); n != 1 {
		t.Errorf("%d alarms in the audit", n)
	}
	if !strings.Contains(g.Log.String(), "the stored key is not the one last recorded") {
		t.Error("no alarm in the log")
	}
	cert := certificate(t, g, id)
	if err := g.Server.Revoke(t.Context(), "test", cert.SerialNumber.String(), 1); err != nil {
		t.Fatal(err)
	}
	if n := count(t, g, "SELECT length(sealed) FROM credentials WHERE id = ?", id); n != 0 {
		t.Errorf("%d bytes of a revoked key are stored", n)
	}
	want(t, g.Confirm(tx, code, nil), http.StatusConflict, "certificate_revoked")
}
