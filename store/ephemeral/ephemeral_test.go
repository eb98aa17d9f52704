package ephemeral_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/ephemeral"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, c ephemeral.Config) ephemeral.Shares {
	t.Helper()
	if c.Installation == "" {
		c.Installation = "abcd"
	}
	r := ephemeral.Open(c)
	t.Cleanup(func() { must(t, r.Close()) })
	return ephemeral.Shares{Redis: r}
}

func share(fill byte) secret.Text { return secret.NewBytes(bytes.Repeat([]byte{fill}, 32)) }

// holds fails unless the share is there and is fill.
func holds(t testing.TB, s ephemeral.Shares, intent string, fill byte) {
	t.Helper()
	got, err := s.Load(ctx, intent)
	if err != nil || !bytes.Equal(got.Reveal(), share(fill).Reveal()) {
		t.Errorf("%s: %d bytes, %v", intent, got.Len(), err)
	}
}

func gone(t testing.TB, s ephemeral.Shares, intent string) {
	t.Helper()
	if got, err := s.Load(ctx, intent); !errors.Is(err, signer.ErrNoShare) || got.Len() != 0 {
		t.Errorf("%s: %d bytes, %v, want %v", intent, got.Len(), err, signer.ErrNoShare)
	}
}

func TestShares(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, ephemeral.Config{Address: srv.Address})
	storetest.RunShares(t, s)
	storetest.RunShares(t, storetest.NewShares(time.Now))
	holds(t, s, "in_2", 2)
	// Another installation on the same server sees nothing of it.
	gone(t, open(t, ephemeral.Config{Address: srv.Address, Installation: "ef01"}), "in_2")
	keys, err := srv.Client.Keys(ctx, "*").Result()
	if err != nil || len(keys) != 1 || keys[0] != "mohor:abcd:share:in_2" {
		t.Errorf("names in Redis: %q, %v", keys, err)
	}
	must(t, srv.Client.FlushAll(ctx).Err())
	gone(t, s, "in_2")
}

// Redis ends a share by itself: it is asked how long it will keep it, and what
// it does when that time is over.
func TestSharesEndByThemselves(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, ephemeral.Config{Address: srv.Address})
	for _, ttl := range []time.Duration{90 * time.Second, 1500 * time.Millisecond, 24 * time.Hour} {
		must(t, s.Put(ctx, "in_1", share(1), ttl))
		if left, err := srv.Client.PTTL(ctx, "mohor:abcd:share:in_1").Result(); err != nil || left > ttl || left < ttl-30*time.Second && ttl > time.Minute {
			t.Errorf("kept for %v of %v, %v", left, ttl, err)
		}
	}
	// Nothing is kept for ever, and nothing that is over.
	for _, ttl := range []time.Duration{0, -time.Second, time.Microsecond} {
		must(t, s.Drop(ctx, "in_1"))
		if err := s.Put(ctx, "in_1", share(1), ttl); !errors.Is(err, signer.ErrDeadline) {
			t.Errorf("keeping a share for %v: %v", ttl, err)
		}
		gone(t, s, "in_1")
	}
	must(t, s.Put(ctx, "in_1", share(1), time.Hour))
	must(t, srv.Client.PExpireAt(ctx, "mohor:abcd:share:in_1", time.Now().Add(-time.Second)).Err())
	gone(t, s, "in_1")
}

func TestRedisComesAndGoes(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, ephemeral.Config{Address: srv.Address})
	must(t, s.Ping(ctx))
	must(t, s.Put(ctx, "in_1", share(1), time.Hour))
	must(t, srv.Kill())
	if err := s.Ping(ctx); err == nil || !strings.Contains(err.Error(), srv.Address) {
		t.Errorf("asking nobody: %v", err)
	}
	if err := s.Put(ctx, "in_1", share(1), time.Hour); err == nil {
		t.Error("nobody kept a share")
	}
	if err := s.Drop(ctx, "in_1"); err == nil {
		t.Error("nobody dropped a share")
	}
	gone(t, s, "in_1")
	must(t, srv.Run())
	must(t, s.Ping(ctx))
	gone(t, s, "in_1")
	must(t, s.Put(ctx, "in_1", share(2), time.Hour))
	holds(t, s, "in_1", 2)
}

// A server that takes connections and never answers costs a bounded wait.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	s := open(t, ephemeral.Config{Address: l.Addr().String()})
	before := time.Now()
	if err := s.Put(ctx, "in_1", share(1), time.Hour); err == nil {
		t.Error("a silent server kept a share")
	}
	gone(t, s, "in_1")
	if took := time.Since(before); took > 20*time.Second {
		t.Errorf("two calls took %v", took)
	}
}

func TestUserAndPassword(t *testing.T) {
	const password = "made-up-redis-password"
	srv := redistest.Start(t, "--user", "mohor", "on", ">"+password, "~mohor:*", "+get", "+set", "+del", "+ping", "--user", "default", "off")
	s := open(t, ephemeral.Config{Address: srv.Address, Username: "mohor", Password: secret.New(password)})
	must(t, s.Ping(ctx))
	must(t, s.Put(ctx, "in_1", share(1), time.Hour))
	holds(t, s, "in_1", 1)
	must(t, s.Drop(ctx, "in_1"))
	for _, c := range []ephemeral.Config{{}, {Username: "mohor", Password: secret.New("wrong-" + password)}, {Username: "other", Password: secret.New(password)}} {
		c.Address = srv.Address
		err := open(t, c).Ping(ctx)
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%q: %v", c.Username, err)
		}
	}
}

// Redis quotes the arguments of commands it does not know or take.
func TestErrorsHoldNoShare(t *testing.T) {
	srv := redistest.Start(t, "--rename-command", "SET", "", "--rename-command", "DEL", "")
	s := open(t, ephemeral.Config{Address: srv.Address})
	value := secret.New("SHARESHARESHARESHARESHARESHARE32")
	raw := srv.Client.Set(ctx, "x", value.Reveal(), 0).Err()
	if raw == nil || !strings.Contains(raw.Error(), "SHARESHARE") {
		t.Fatalf("control: this Redis does not quote: %v", raw)
	}
	err := s.Put(ctx, "in_1", value, time.Hour)
	if err == nil || strings.Contains(fmt.Sprintf("%+v", err), "SHARE") || strings.Contains(fmt.Sprintf("%x", err.Error()), hex.EncodeToString([]byte("SHARE"))) {
		t.Errorf("the error is %v", err)
	}
	if err := s.Drop(ctx, "in_1"); err == nil {
		t.Error("DEL is away and nobody said so")
	}
	// Of another type.
	must(t, srv.Client.LPush(ctx, "mohor:abcd:share:in_2", "x").Err())
	gone(t, s, "in_2")
}

// A full Redis refuses; nothing that is there is thrown out for it.
func TestFullRedis(t *testing.T) {
	srv := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	s := open(t, ephemeral.Config{Address: srv.Address})
	if err := s.Put(ctx, "in_1", share(1), time.Hour); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("a full Redis: %v", err)
	}
}

// certificate makes one for 127.0.0.1, its own CA, and gives its files and the
// configuration that believes it.
func certificate(t *testing.T) (cert, keyFile string, believing *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return cert, keyFile, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

func TestTLS(t *testing.T) {
	cert, keyFile, believing := certificate(t)
	port := freePort(t)
	address := "127.0.0.1:" + port
	redistest.Start(t, "--tls-port", port, "--bind", "127.0.0.1", "--tls-cert-file", cert, "--tls-key-file", keyFile, "--tls-auth-clients", "no")

	believing.ServerName = "127.0.0.1"
	s := open(t, ephemeral.Config{Address: address, TLS: believing})
	must(t, s.Put(ctx, "in_1", share(1), time.Hour))
	holds(t, s, "in_1", 1)
	stranger := open(t, ephemeral.Config{Address: address, TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}})
	if err := stranger.Ping(ctx); err == nil {
		t.Error("a certificate of nobody's was believed")
	}
	if err := open(t, ephemeral.Config{Address: address}).Ping(ctx); err == nil {
		t.Error("a plain connection was taken")
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, errors.Join(err, l.Close()))
	return port
}
