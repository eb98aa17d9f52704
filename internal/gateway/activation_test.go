package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

// withRedis is a gateway whose batches can be resumed.
func withRedis(t *testing.T) (*gatewaytest.Gateway, *redistest.Server) {
	t.Helper()
	srv := redistest.Start(t)
	g := gatewaytest.New(t)
	g.Stop()
	path := filepath.Join(g.Dir, "mohor.yaml")
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(conf), `address: ""`, fmt.Sprintf("address: %q", srv.Address), 1)
	if edited == string(conf) {
		t.Fatal("mohor.yaml has no redis.address")
	}
	if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Start()
	return g, srv
}

// confirmed is a batch of n digests whose officer gave PIN and code to a
// gateway that ended before its first signature.
func confirmed(t *testing.T, g *gatewaytest.Gateway, n int) (id string, in signer.Intent) {
	t.Helper()
	var lines bytes.Buffer
	for k := range n {
		if err := json.NewEncoder(&lines).Encode(digestRef(fmt.Sprint("dokumen ", k))); err != nil {
			t.Fatal(err)
		}
	}
	id = g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "digest"}).Text("batch_id")
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", lines.Bytes()), 200, "")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": id})
	want(t, tx, 201, "")
	r, err := g.Server.Signer.Records.Request(t.Context(), tx.Text("transaction_id"))
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := base64.StdEncoding.DecodeString(tx.Text("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := g.Server.Signer.Authorize(t.Context(), signer.Confirmation{App: r.App, Transaction: r.ID, Nonce: [otp.NonceSize]byte(nonce), PIN: g.PIN(), Code: secret.New(code)})
	if err != nil || a.Unresumable != nil {
		t.Fatal(err, a.Unresumable)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return id, a.Intent
}

// Whoever has the database, or Redis, or the database and the token, has
// nothing that signs: one half of an activation opens only with the other, at
// the gateway, until the batch ends.
func TestOneHalfOfAnActivationIsWorthNothing(t *testing.T) {
	g, srv := withRedis(t)
	ctx := t.Context()
	share := func(in signer.Intent) (name string, value []byte) {
		t.Helper()
		names, err := srv.Client.Keys(ctx, "*:share:"+in.ID).Result()
		if err != nil || len(names) != 1 {
			t.Fatalf("shares of %s: %q, %v", in.ID, names, err)
		}
		if value, err = srv.Client.Get(ctx, names[0]).Bytes(); err != nil || len(value) != 32 {
			t.Fatalf("a share of %d bytes, %v", len(value), err)
		}
		return names[0], value
	}
	for what, c := range map[string]struct {
		status string
		do     func(in signer.Intent)
	}{
		"both halves": {"SIGNED", func(in signer.Intent) {
			name, half := share(in)
			ttl, err := srv.Client.PTTL(ctx, name).Result()
			if left := in.Deadline.Sub(g.Clock.Now()); err != nil || ttl <= 0 || ttl > left {
				t.Errorf("Redis keeps a share for %v, %v are left: %v", ttl, left, err)
			}
			// Neither place holds the other's half, in any form; the log has none.
			if where := holding(t, g.Dir, half); where != "" {
				t.Errorf("the share is in %s", where)
			}
			if where := holding(t, g.Dir, in.Activation[:64]); where == "" {
				t.Error("control: the sealed half is not in the database")
			}
			if strings.Contains(g.Log.String(), hex.EncodeToString(half)) || strings.Contains(g.Log.String(), base64.StdEncoding.EncodeToString(half)) {
				t.Error("the share is in the log")
			}
			if err := srv.Client.Save(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			dump := filepath.Dir(srv.Address)
			if where := holding(t, dump, half); where == "" {
				t.Error("control: the share is not in Redis's dump")
			}
			if where := holding(t, dump, in.Activation[:64]); where != "" {
				t.Errorf("the sealed half is in %s", where)
			}
		}},
		"the database alone": {"NEEDS_AUTHORISATION", func(signer.Intent) {
			if err := srv.Client.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		"the database and a guess": {"NEEDS_AUTHORISATION", func(in signer.Intent) {
			name, half := share(in)
			half[31] ^= 1
			if err := srv.Client.Set(ctx, name, half, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		"Redis alone": {"NEEDS_AUTHORISATION", func(in signer.Intent) {
			query(t, g, "UPDATE intents SET activation = NULL WHERE id = ?", in.ID)
		}},
		"another intent's sealed half": {"NEEDS_AUTHORISATION", func(in signer.Intent) {
			// With its own share under this intent's name.
			_, other := confirmed(t, g, 3)
			name, _ := share(in)
			_, half := share(other)
			if err := srv.Client.Set(ctx, name, half, 0).Err(); err != nil {
				t.Fatal(err)
			}
			query(t, g, "UPDATE intents SET activation = (SELECT o.activation FROM intents o WHERE o.id = ?) WHERE id = ?", other.ID, in.ID)
			query(t, g, "UPDATE intents SET activation = NULL WHERE id = ?", other.ID)
		}},
		"a later deadline": {"NEEDS_AUTHORISATION", func(in signer.Intent) {
			query(t, g, "UPDATE intents SET deadline = deadline + 3600000000 WHERE id = ?", in.ID)
		}},
		"after the deadline": {"NEEDS_AUTHORISATION", func(in signer.Intent) {
			g.Clock.Advance(in.Deadline.Sub(g.Clock.Now()))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			id, in := confirmed(t, g, 20)
			c.do(in)
			g.Stop()
			g.Start()
			done := finish(t, g, id)
			signed, _ := done.Body["signed"].(float64)
			if done.Text("status") != c.status || (signed == 20) != (c.status == "SIGNED") || signed != 0 && signed != 20 {
				t.Errorf("%s", done.Raw)
			}
			if n := shares(t, srv, in); n != 0 {
				t.Errorf("%d shares are left", n)
			}
		})
	}
}

func shares(t *testing.T, srv *redistest.Server, in signer.Intent) int {
	t.Helper()
	names, err := srv.Client.Keys(t.Context(), "*"+in.ID+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// holding names a file below dir that has p in it: as it is, in hexadecimal or
// in base64.
func holding(t *testing.T, dir string, p []byte) (where string) {
	t.Helper()
	forms := [][]byte{p, []byte(hex.EncodeToString(p)), []byte(base64.StdEncoding.EncodeToString(p)), []byte(base64.RawURLEncoding.EncodeToString(p))}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := os.ReadFile(path)
		for _, f := range forms {
			if bytes.Contains(file, f) {
				where = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}
