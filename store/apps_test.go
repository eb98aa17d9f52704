package store_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/enrol"
)

// Migration 29 on data: secrets of before open what they did, and the tokens are asked for anew.
func TestAppsOfBeforeKeepTheirCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	old := raw(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, old, os.DirFS("migrations"))
	must(t, err)
	_, err = p.UpTo(t.Context(), 1)
	must(t, err)
	hash := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	const row = "INSERT INTO apps (id, name, systems, grants, pin_entry, rate, secret_hash, key_hash, created_at) VALUES (?, 'n', '[\"S\"]', ?, 'app', 50, ?, ?, 7)"
	exec(t, old, row, "plain", "null", hash("plain secret"), hash("plain key"))
	exec(t, old, row, "none", "[]", hash("none secret"), hash("none key"))
	exec(t, old, row, "raw", `["RAW"]`, hash("raw secret"), hash("raw key"))
	exec(t, old, "INSERT INTO tokens (hash, app_id, expires_at) VALUES (?, 'raw', ?)", hash("token"), time.Now().Add(time.Hour).UnixMicro())
	must(t, old.Close())

	db := open(t, path)
	apps := &enrol.Apps{Records: db, Now: time.Now, TokenFor: time.Hour}
	for id, grants := range map[string][]string{"plain": {"sign", "lookup", "verify"}, "none": {"sign", "lookup", "verify"}, "raw": {"sign", "lookup", "verify", "RAW"}} {
		a, err := apps.BySecret(t.Context(), id, id+" secret", nil)
		if err != nil || !slices.Equal(a.Grants, grants) || a.State != enrol.AppActive || a.PINEntry != enrol.PINInApp || len(a.RedirectURIs) != 0 {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if _, _, err := apps.Token(t.Context(), a); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if a, err := apps.ByKey(t.Context(), id+" key", nil); err != nil || a.ID != id {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if a, err := apps.ByBasic(t.Context(), id, id+" secret", nil); err != nil || a.ID != id {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if list, err := db.AppCredentials(t.Context(), id); err != nil || len(list) != 3 {
			t.Errorf("%s: %+v, %v", id, list, err)
		}
	}
	for what, try := range map[string]func() error{
		"another's secret":  func() error { _, err := apps.BySecret(t.Context(), "raw", "none secret", nil); return err },
		"the key as secret": func() error { _, err := apps.BySecret(t.Context(), "raw", "raw key", nil); return err },
		"no secret":         func() error { _, err := apps.BySecret(t.Context(), "raw", "", nil); return err },
		"no key":            func() error { _, err := apps.ByKey(t.Context(), "", nil); return err },
		"an old token":      func() error { _, err := apps.ByToken(t.Context(), "token", nil); return err },
	} {
		if err := try(); !errors.Is(err, enrol.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var left int
	must(t, raw(t, path).QueryRow("SELECT count(*) FROM apps WHERE length(secret_hash) > 0 OR length(key_hash) = 32").Scan(&left))
	if left != 0 {
		t.Errorf("%d apps keep a hash in the old columns", left)
	}
}
