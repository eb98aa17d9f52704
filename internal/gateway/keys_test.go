package gateway_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
)

// keyring opens the keys of a gateway beside it, as a command does.
func keyring(t *testing.T, g *gatewaytest.Gateway) *gateway.Keyring {
	t.Helper()
	r, err := gateway.OpenKeyring(t.Context(), g.Dir, g.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func keyList(t *testing.T, r *gateway.Keyring) map[string]gateway.Key {
	t.Helper()
	all, err := r.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]gateway.Key)
	for _, k := range all {
		by[k.Label] = k
	}
	return by
}

// insider has the log-in of the token and the database.
func insider(t testing.TB, g *gatewaytest.Gateway) (*hsm.Module, *store.DB) {
	t.Helper()
	c, err := gateway.LoadConfig(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	module, err := hsm.DefaultModule()
	if err != nil {
		t.Fatal(err)
	}
	pin, err := os.ReadFile(c.Token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := hsm.Open(t.Context(), hsm.Config{Module: module, TokenLabel: c.Token.Label, PIN: secret.New(strings.TrimSpace(string(pin)))})
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return m, db
}

func issue(g *gatewaytest.Gateway, n int) (enrol.Credential, error) {
	o := g.Dev.Officers[n]
	c, _, err := g.Server.Registrar.IssueCredential(context.Background(), "sandbox", enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, g.Dev.System, "ECDSA-P256", o.PIN)
	return c, err
}

// The KEK is changed while officers sign and new keys are made: no request fails, keys of before
// and after sign, and the old KEK is retired when no live credential names it.
func TestRotationWhileServing(t *testing.T) {
	g := gatewaytest.New(t)
	r := keyring(t, g)
	var wg sync.WaitGroup
	var requests, failed atomic.Int64
	done, rotated, before, after := make(chan struct{}), make(chan struct{}), make(chan struct{}, 3), make(chan struct{}, 3)
	const each = 5 // requests of each kind before the rotation, and after it
	load := func(f func(k int) string) {
		wg.Go(func() {
			earlier, later := 0, 0
			for k := 0; ; k++ {
				select {
				case <-done:
					return
				default:
				}
				begun := false
				select {
				case <-rotated:
					begun = true
				default:
				}
				requests.Add(1)
				if wrong := f(k); wrong != "" {
					failed.Add(1)
					t.Error(wrong)
				}
				if !begun {
					if earlier++; earlier == each {
						before <- struct{}{}
					}
				} else if later++; later == each {
					after <- struct{}{}
				}
			}
		})
	}
	for n := range g.Dev.Officers {
		load(func(k int) string {
			tx, code := askFor(g, n, fmt.Sprint("arahan ", k))
			if a := g.Confirm(tx, code, map[string]any{"pin": string(g.Dev.Officers[n].PIN.Reveal())}); a.Status != http.StatusOK {
				return fmt.Sprintf("signing: %d %s", a.Status, a.Raw)
			}
			return ""
		})
	}
	load(func(int) string {
		if _, err := issue(g, 0); err != nil {
			return fmt.Sprint("issuing: ", err)
		}
		return ""
	})
	for range 3 {
		<-before
	}
	k, err := r.RotateKEK(t.Context(), "test", nil, false)
	if err != nil {
		t.Error(err)
	}
	close(rotated)
	for range 3 {
		<-after
	}
	close(done)
	wg.Wait()
	if k.Label != "mohor-kek-2" || k.State != store.KEKCurrent || !k.Local || k.By != "rotation" || failed.Load() != 0 {
		t.Errorf("%+v; %d of %d requests failed", k, failed.Load(), requests.Load())
	}
	t.Logf("%d requests during the rotation, %d failed", requests.Load(), failed.Load())

	newer, err := issue(g, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(newer.Sealed, []byte(`"kek":"mohor-kek-2"`)) {
		t.Error("a key made after the rotation is not wrapped by the new KEK")
	}
	for _, credential := range []string{g.Dev.Officers[0].Credentials[0].CredentialID, newer.ID} {
		ask := raw("selepas putaran")
		ask["credential_id"] = credential
		tx, code := g.Ask(ask)
		want(t, g.Confirm(tx, code, nil), 200, "")
	}

	live := keyList(t, r)
	if live["mohor-kek-1"].Live < 4 || live["mohor-kek-2"].Live < 1 || live["mohor-kek-1"].State != store.KEKOld {
		t.Errorf("%+v", live)
	}
	for _, label := range []string{"mohor-kek-1", "mohor-kek-2"} {
		if err := r.RetireKEK(t.Context(), "test", label); !errors.Is(err, store.ErrKEK) {
			t.Errorf("retiring %s in use: %v", label, err)
		}
	}
	revokeUnder(t, g, "mohor-kek-1")
	if err := r.RetireKEK(t.Context(), "test", "mohor-kek-1"); err != nil {
		t.Fatal(err)
	}
	if err := r.RetireKEK(t.Context(), "test", "mohor-kek-1"); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("retiring it again: %v", err)
	}
	if _, there := keyList(t, r)["mohor-kek-1"]; there {
		t.Error("the retired KEK is listed")
	}
	// The running gateway, and one started anew, are well.
	for range 2 {
		ask := raw("dengan kunci baharu")
		ask["credential_id"] = newer.ID
		tx, code := g.Ask(ask)
		want(t, g.Confirm(tx, code, nil), 200, "")
		want(t, g.Do("GET", "/readyz", "", nil), 200, "")
		g.Stop()
		g.Start()
	}
}

// Who writes the database cannot have a KEK retired, and with it every key it wraps destroyed, by
// making rows say that nobody uses it.
func TestRowsAloneRetireNoKEK(t *testing.T) {
	for what, statement := range map[string]string{
		"keys cleared":       "UPDATE credentials SET status = 'REVOKED', sealed = x''",
		"keys moved":         "UPDATE credentials SET sealed = CAST(replace(CAST(sealed AS TEXT), 'mohor-kek-1', 'mohor-kek-2') AS BLOB)",
		"credentials gone":   "PRAGMA foreign_keys = OFF; DELETE FROM credentials",
		"events written off": "UPDATE audit_events SET action = 'key.destroy' WHERE action = 'key.version'",
	} {
		t.Run(what, func(t *testing.T) {
			g := gatewaytest.New(t)
			r := keyring(t, g)
			if _, err := r.RotateKEK(t.Context(), "test", nil, true); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if what == "events written off" {
				if _, err := db.ExecContext(t.Context(), "UPDATE credentials SET status = 'REVOKED', sealed = x''"); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.RetireKEK(t.Context(), "test", "mohor-kek-1"); !errors.Is(err, store.ErrUnaccounted) && !errors.Is(err, audit.ErrBroken) {
				t.Errorf("%v", err)
			}
			if _, there := keyList(t, r)["mohor-kek-1"]; !there {
				t.Error("the KEK was destroyed")
			}
		})
	}
}

// revokeUnder revokes every credential whose key a KEK wraps.
func revokeUnder(t *testing.T, g *gatewaytest.Gateway, kek string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT serial FROM credentials WHERE kek = ?", kek)
	if err != nil {
		t.Fatal(err)
	}
	var serials []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		serials = append(serials, s)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	for _, s := range serials {
		if err := g.Server.Revoke(t.Context(), "test", s, 4); err != nil {
			t.Fatal(err)
		}
	}
}

// A KEK that somebody put into the token is named at the start, is not adopted by a rotation, and
// can be destroyed.
func TestPlantedKEK(t *testing.T) {
	g := gatewaytest.New(t)
	m, _ := insider(t, g)
	if err := m.Import(t.Context(), "mohor-kek-2", make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	g.Start()
	if !strings.Contains(g.Log.String(), "mohor-kek-2 is not on record") {
		t.Errorf("the start says nothing:\n%s", g.Log)
	}
	r := keyring(t, g)
	if _, err := r.RotateKEK(t.Context(), "test", nil, false); !errors.Is(err, hsm.ErrKeyExists) {
		t.Errorf("rotation: %v", err)
	}
	if k := keyList(t, r)["mohor-kek-1"]; k.State != store.KEKCurrent {
		t.Errorf("%+v", k)
	}
	if err := r.RetireKEK(t.Context(), "test", "mohor-kek-2"); err != nil {
		t.Fatal(err)
	}
	k, err := r.RotateKEK(t.Context(), "test", nil, false)
	if err != nil || k.Label != "mohor-kek-3" || !k.Local {
		t.Errorf("%+v, %v", k, err)
	}
}

// Whatever point a rotation was interrupted at, the next one completes it with a key of its own:
// what lies under the new label may be a planted one.
func TestInterruptedRotation(t *testing.T) {
	for name, planted := range map[string]bool{"before the key": false, "after a key": true} {
		t.Run(name, func(t *testing.T) {
			g := gatewaytest.New(t)
			m, db := insider(t, g)
			if err := db.BeginKEK(t.Context(), "mohor-kek-2", audit.Event{At: g.Clock.Now(), Action: "hsm.kek.make"}); err != nil {
				t.Fatal(err)
			}
			r := keyring(t, g)
			before := gateway.Key{}
			if planted {
				if err := m.Import(t.Context(), "mohor-kek-2", make([]byte, 32)); err != nil {
					t.Fatal(err)
				}
				if before = keyList(t, r)["mohor-kek-2"]; !strings.Contains(before.Problem, "rotate-kek") || before.Grave {
					t.Errorf("%+v", before)
				}
			}
			k, err := r.RotateKEK(t.Context(), "test", nil, false)
			if err != nil || k.Label != "mohor-kek-2" || !k.Local || k.Check == before.Check || k.Problem != "" {
				t.Errorf("%+v, %v", k, err)
			}
			g.Stop()
			g.Start()
		})
	}
}

func TestInterruptedRetirement(t *testing.T) {
	for name, gone := range map[string]bool{"before the destruction": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			g := gatewaytest.New(t)
			m, db := insider(t, g)
			r := keyring(t, g)
			if _, err := r.RotateKEK(t.Context(), "test", nil, false); err != nil {
				t.Fatal(err)
			}
			revokeUnder(t, g, "mohor-kek-1")
			if err := db.BeginRetirement(t.Context(), "mohor-kek-1", audit.Event{At: g.Clock.Now(), Action: "hsm.kek.retire"}); err != nil {
				t.Fatal(err)
			}
			if gone {
				if err := m.DestroyKEK(t.Context(), "mohor-kek-1"); err != nil {
					t.Fatal(err)
				}
			}
			g.Stop()
			g.Start() // says so, and starts
			if err := r.RetireKEK(t.Context(), "test", "mohor-kek-1"); err != nil {
				t.Error(err)
			}
			keks, err := db.KEKs(t.Context())
			if err != nil || keks[0].State != store.KEKRetired {
				t.Errorf("%+v, %v", keks, err)
			}
		})
	}
}

// An old KEK that is lost takes its officers' keys along, not the gateway.
func TestLostOldKEK(t *testing.T) {
	g := gatewaytest.New(t)
	m, _ := insider(t, g)
	r := keyring(t, g)
	if _, err := r.RotateKEK(t.Context(), "test", nil, false); err != nil {
		t.Fatal(err)
	}
	if err := m.DestroyKEK(t.Context(), "mohor-kek-1"); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	g.Start()
	if k := keyList(t, r)["mohor-kek-1"]; !k.Lost || k.Grave || k.Live != 4 || !strings.Contains(g.Log.String(), "mohor-kek-1 is on record and not in the token") {
		t.Errorf("%+v\n%s", k, g.Log)
	}
	if _, err := issue(g, 0); err != nil {
		t.Error(err)
	}
	revokeUnder(t, g, "mohor-kek-1")
	if err := r.RetireKEK(t.Context(), "test", "mohor-kek-1"); err != nil { // gives it up
		t.Error(err)
	}
	if k, there := keyList(t, r)["mohor-kek-1"]; there {
		t.Errorf("%+v", k)
	}
}

// A key that was replaced, lost, or is there twice stops the start, which names it.
func TestReplacedKeyStopsTheStart(t *testing.T) {
	g := gatewaytest.New(t)
	m, _ := insider(t, g)
	g.Stop()
	start := func() error {
		i, err := gateway.Open(t.Context(), g.Dir, g.Clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		box, err := sandbox.StartMailbox(g.Clock.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s, err := gateway.Prove(t.Context(), i, box, slog.New(slog.NewTextHandler(g.Log, nil)))
		if err != nil {
			return errors.Join(err, box.Close(), i.Close())
		}
		return s.CloseAll()
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	if err := m.DestroyKEK(t.Context(), "mohor-kek-1"); err != nil {
		t.Fatal(err)
	}
	if err := start(); !errors.Is(err, gateway.ErrKeys) || !strings.Contains(err.Error(), "mohor-kek-1 is on record and not in the token") {
		t.Errorf("lost: %v", err)
	}
	// init does not make another in its place.
	conf := os.Getenv("SOFTHSM2_CONF")
	err := gateway.Init(t.Context(), gateway.InitOptions{Dir: g.Dir, Sandbox: true, SoftHSMConf: conf, AdminName: "x", AdminEmail: "x@mohor.example", Now: g.Clock.Now})
	if !errors.Is(err, gateway.ErrKeys) {
		t.Errorf("init: %v", err)
	}
	if err := m.MakeKEK(t.Context(), "mohor-kek-1"); err != nil {
		t.Fatal(err)
	}
	if err := start(); !errors.Is(err, gateway.ErrKeys) || !strings.Contains(err.Error(), "mohor-kek-1 was REPLACED") {
		t.Errorf("replaced: %v", err)
	}
	// And from before keys were on record: they are recorded as found, and it is said.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM audit_events"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(g.Dir, "audit-heads.jsonl")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := start(); err != nil {
			t.Errorf("without records: %v", err)
		}
	}
	if n := strings.Count(g.Log.String(), "no check values of keys were on record"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if n := count(t, g, "SELECT COUNT(*) FROM audit_events WHERE action = 'hsm.key'"); n != 10 {
		t.Errorf("%d keys are on record, want 10", n)
	}
	// A record that was edited is not believed.
	if _, err := db.Exec(`UPDATE audit_events SET detail = replace(detail, '"local":"yes"', '"local":"no"') WHERE action = 'hsm.key'`); err != nil {
		t.Fatal(err)
	}
	if err := start(); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("edited records: %v", err)
	}
}
