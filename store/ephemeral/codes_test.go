package ephemeral_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/store/ephemeral"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest"
)

func connect(t testing.TB, s *redistest.Server, installation string) *ephemeral.Redis {
	t.Helper()
	r := ephemeral.Open(ephemeral.Config{Address: s.Address, Installation: installation})
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

func codes(r *ephemeral.Redis) ephemeral.Codes {
	return ephemeral.Codes{Redis: r, Alone: otp.NewMemoryCodes(time.Now)}
}

func TestCodes(t *testing.T) {
	s := redistest.Start(t)
	storetest.RunCodes(t, codes(connect(t, s, "abcd")), func(d time.Duration) {
		// By the server's clock: it ends a key of its own that lives as long.
		must(t, s.Client.Set(ctx, "hourglass", 1, d).Err())
		for s.Client.Exists(ctx, "hourglass").Val() == 1 {
		}
	})
}

// Installations that share a server do not see each other's codes; nothing is
// kept without an end.
func TestCodesAreApart(t *testing.T) {
	s := redistest.Start(t)
	a, b := codes(connect(t, s, "aaaa")), codes(connect(t, s, "bbbb"))
	must(t, a.Put(ctx, "k", bytes.Repeat([]byte{1}, 32), time.Hour))
	if _, err := b.Try(ctx, "k", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("another installation: %v", err)
	}
	keys := s.Client.Keys(ctx, "*").Val()
	if len(keys) != 1 || !strings.HasPrefix(keys[0], "mohor:aaaa:code:") || s.Client.PTTL(ctx, keys[0]).Val() <= 0 {
		t.Errorf("kept %q for %v", keys, s.Client.PTTL(ctx, keys[0]).Val())
	}
}

// A server that is away, stopped, emptied or started anew: what it had is gone or
// cannot be had, and errors say so; what is new is kept by the gateway itself,
// with a count of its own, and another gateway does not know it.
func TestCodesUnderFaults(t *testing.T) {
	s := redistest.Start(t)
	c, other := codes(connect(t, s, "abcd")), codes(connect(t, s, "abcd"))
	mac := bytes.Repeat([]byte{7}, 32)
	away := func(what string) {
		t.Helper()
		if _, err := c.Try(ctx, "k", 3); !errors.Is(err, otp.ErrCodesUnavailable) || strings.Contains(err.Error(), string(mac)) {
			t.Errorf("%s: reading: %v", what, err)
		}
		if err := c.Find(ctx, "k"); !errors.Is(err, otp.ErrCodesUnavailable) {
			t.Errorf("%s: looking: %v", what, err)
		}
		if err := c.Drop(ctx, "k"); !errors.Is(err, otp.ErrCodesUnavailable) {
			t.Errorf("%s: dropping: %v", what, err)
		}
		must(t, c.Put(ctx, what, mac, time.Hour))
		must(t, c.Find(ctx, what))
		for _, want := range []error{nil, nil, nil, otp.ErrAttempts} {
			if got, err := c.Try(ctx, what, 3); !errors.Is(err, want) || (err == nil) != bytes.Equal(got, mac) {
				t.Errorf("%s: of its own: %x, %v, want %v", what, got, err, want)
			}
		}
		if _, err := other.Try(ctx, what, 3); !errors.Is(err, otp.ErrCodesUnavailable) {
			t.Errorf("%s: elsewhere: %v", what, err)
		}
	}
	must(t, c.Put(ctx, "k", mac, time.Hour))
	if got, err := other.Try(ctx, "k", 3); err != nil || !bytes.Equal(got, mac) {
		t.Errorf("control: elsewhere: %x, %v", got, err)
	}
	must(t, s.Client.FlushAll(ctx).Err())
	if _, err := c.Try(ctx, "k", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("emptied: %v", err)
	}
	must(t, c.Put(ctx, "k", mac, time.Hour))
	must(t, s.Process().Signal(syscall.SIGSTOP))
	away("stopped")
	must(t, s.Process().Signal(syscall.SIGCONT))
	must(t, s.Kill())
	away("killed")
	must(t, s.Run())
	if _, err := c.Try(ctx, "k", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("started anew: %v", err)
	}
	if _, err := c.Try(ctx, "killed", 3); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("started anew: of its own: %v", err)
	}
	if _, err := other.Try(ctx, "killed", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("started anew: elsewhere: %v", err)
	}
	must(t, c.Drop(ctx, "killed"))
	if _, err := c.Try(ctx, "killed", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("dropped: %v", err)
	}
	for { // Redis is asked again when its rest is over
		must(t, c.Put(ctx, "k", mac, time.Hour))
		if got, err := other.Try(ctx, "k", 1); err == nil && bytes.Equal(got, mac) {
			break
		}
	}
	// What Redis takes is nowhere else: what was of its own is replaced.
	if got, err := c.Try(ctx, "k", 2); err != nil || !bytes.Equal(got, mac) {
		t.Errorf("in Redis: %x, %v", got, err)
	}
	if _, err := c.Try(ctx, "k", 2); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("counted by another gateway: %v", err)
	}
}

// A rate that was not counted in time, or a client that went away, does not keep
// codes from other gateways.
func TestCodesAfterARateWasNotCounted(t *testing.T) {
	s := redistest.Start(t)
	a, b := connect(t, s, "abcd"), connect(t, s, "abcd")
	taken := func() bool {
		must(t, s.Process().Signal(syscall.SIGSTOP))
		if _, _, err := ephemeral.NewLimits(a).Take(ctx, "igfmas", 50); err == nil {
			t.Error("control: a stopped server counted")
		}
		must(t, s.Process().Signal(syscall.SIGCONT))
		must(t, b.Ping(ctx))
		must(t, codes(a).Put(ctx, "k", bytes.Repeat([]byte{7}, 32), time.Hour))
		_, err := codes(b).Try(ctx, "k", 1)
		return err == nil
	}
	for k := 0; !taken(); k++ { // a busy machine may be late
		if k == 10 {
			t.Fatal("another gateway knows nothing of a code")
		}
	}
	gone, leave := context.WithCancel(ctx)
	leave()
	must(t, codes(b).Put(gone, "own", bytes.Repeat([]byte{7}, 32), time.Hour))
	if _, _, err := ephemeral.NewLimits(b).Take(gone, "igfmas", 50); err == nil {
		t.Error("control: somebody who went away was counted")
	}
	if _, ok, err := ephemeral.NewLimits(b).Take(ctx, "igfmas", 50); !ok || err != nil {
		t.Errorf("the next one: %v, %v", ok, err)
	}
}

// All nodes together get what an app may have; without Redis each is told so,
// and does not wait for it again at once.
func TestLimits(t *testing.T) {
	s := redistest.Start(t)
	nodes := []*ephemeral.Limits{ephemeral.NewLimits(connect(t, s, "abcd")), ephemeral.NewLimits(connect(t, s, "abcd"))}
	granted := 0
	var wait time.Duration
	for k := range 40 {
		w, ok, err := nodes[k%2].Take(ctx, "igfmas", 0.5)
		must(t, err)
		if ok {
			granted++
		} else {
			wait = w
		}
	}
	if granted != 1 || wait <= 0 || wait > 2*time.Second {
		t.Errorf("%d granted, the next in %v", granted, wait)
	}
	if _, ok, err := nodes[0].Take(ctx, "another", 0.5); !ok || err != nil {
		t.Errorf("another app: %v, %v", ok, err)
	}
	burst := 0
	for range 300 {
		if _, ok, err := nodes[0].Take(ctx, "burst", 50); ok && err == nil {
			burst++
		}
	}
	if burst < 100 || burst > 200 {
		t.Errorf("%d of 300 at once at 50 a second", burst)
	}
	must(t, s.Process().Signal(syscall.SIGSTOP))
	for k := range 100 { // the first waits, the others do not ask
		if _, ok, err := nodes[0].Take(ctx, "igfmas", 50); ok || err == nil {
			t.Errorf("request %d, stopped: %v, %v", k, ok, err)
		}
	}
	must(t, s.Process().Signal(syscall.SIGCONT))
	for {
		if _, _, err := nodes[0].Take(ctx, "igfmas", 50); err == nil {
			return
		}
	}
}

// What docs/operating.md gives the gateway's user in Redis is enough.
func TestLeastPrivilege(t *testing.T) {
	s := redistest.Start(t)
	rules := strings.Fields("ACL SETUSER gateway on >rahsia-22 resetkeys ~mohor:* ~rate:mohor:* -@all +get +set +del +ping +hset +hget +hincrby +pexpire +time +eval +evalsha")
	args := make([]any, len(rules))
	for k, r := range rules {
		args[k] = r
	}
	must(t, s.Client.Do(ctx, args...).Err())
	r := ephemeral.Open(ephemeral.Config{Address: s.Address, Installation: "abcd", Username: "gateway", Password: secret.New("rahsia-22")})
	t.Cleanup(func() { must(t, r.Close()) })
	must(t, r.Ping(ctx))
	c := codes(r)
	must(t, c.Put(ctx, "k", bytes.Repeat([]byte{1}, 32), time.Hour))
	if _, err := c.Try(ctx, "k", 1); err != nil {
		t.Error(err)
	}
	must(t, c.Drop(ctx, "k"))
	if _, ok, err := ephemeral.NewLimits(r).Take(ctx, "igfmas", 50); !ok || err != nil {
		t.Errorf("rate: %v, %v", ok, err)
	}
	shares := ephemeral.Shares{Redis: r}
	must(t, shares.Put(ctx, "in_1", share(1), time.Hour))
	holds(t, shares, "in_1", 1)
	must(t, shares.Drop(ctx, "in_1"))
	// Controls.
	other := ephemeral.Open(ephemeral.Config{Address: s.Address, Installation: "abcd", Username: "gateway", Password: secret.New("rahsia-23")})
	t.Cleanup(func() { must(t, other.Close()) })
	if err := other.Ping(ctx); err == nil {
		t.Error("a wrong password is taken")
	}
	if got := s.Client.Do(ctx, "ACL", "DRYRUN", "gateway", "FLUSHALL").Val(); got == "OK" {
		t.Error("more than was given is allowed")
	}
}

// A server that can be read and not written (a replica, a full memory, a disk that
// takes no snapshot) cannot count a comparison: it is away, and says so before a
// try is reserved.
func TestCodesThatCannotBeCounted(t *testing.T) {
	for what, become := range map[string]func(*redistest.Server) error{
		"replica": func(s *redistest.Server) error { return s.Client.ReplicaOf(ctx, "127.0.0.1", "1").Err() },
		"full":    func(s *redistest.Server) error { return s.Client.ConfigSet(ctx, "maxmemory", "1").Err() },
	} {
		s := redistest.Start(t)
		c := codes(connect(t, s, "abcd"))
		must(t, c.Put(ctx, "k", bytes.Repeat([]byte{7}, 32), time.Hour))
		must(t, c.Find(ctx, "k"))
		must(t, become(s))
		if _, err := c.Try(ctx, "k", 3); !errors.Is(err, otp.ErrCodesUnavailable) {
			t.Errorf("control: %s: reading: %v", what, err)
		}
		if err := c.Find(ctx, "k"); !errors.Is(err, otp.ErrCodesUnavailable) {
			t.Errorf("%s: looking: %v", what, err)
		}
	}
}
