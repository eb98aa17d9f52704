package ephemeral_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/store/ephemeral"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

// until asks until it is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("not in a minute: %s", what)
		}
	}
}

// gateway is what one gateway has of a cluster.
type gateway struct {
	*ephemeral.Redis
	codes  ephemeral.Codes
	shares ephemeral.Shares
	limits *ephemeral.Limits
}

func through(t *testing.T, c *redistest.Cluster, config ephemeral.Config) *gateway {
	t.Helper()
	config.Sentinels, config.Master, config.Installation = c.Addresses, c.Name, "abcd"
	r := ephemeral.Open(config)
	t.Cleanup(func() { must(t, r.Close()) })
	return &gateway{r, codes(r), ephemeral.Shares{Redis: r}, ephemeral.NewLimits(r)}
}

// works waits until a code that one has issued can be checked by the other, a
// share is kept and a request counted.
func works(t *testing.T, when string, a, b *gateway) {
	t.Helper()
	asked := 0
	until(t, when+": codes", func() bool {
		asked++
		key := fmt.Sprint(when, asked)
		must(t, a.codes.Put(ctx, key, mac(9), time.Hour))
		got, err := b.codes.Try(ctx, key, 1)
		return err == nil && bytes.Equal(got, mac(9))
	})
	until(t, when+": shares", func() bool { return a.shares.Put(ctx, "in_9", share(9), time.Hour) == nil })
	holds(t, b.shares, "in_9", 9)
	until(t, when+": rates", func() bool {
		_, ok, err := b.limits.Take(ctx, "igfmas", 50)
		return ok && err == nil
	})
	t.Logf("%s: codes hold after %d", when, asked)
}

func mac(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

// A master is killed and a Sentinel promotes a replica: the same connections go
// on. What the replica had is there, with the count that it had; what it had not
// is gone.
func TestSentinelsFailOver(t *testing.T) {
	cert, key, believing := certificate(t)
	for _, v := range []struct {
		name   string
		setup  redistest.Setup
		config ephemeral.Config
	}{
		{"plain", redistest.Setup{Replicas: 2, Sentinels: 3}, ephemeral.Config{}},
		{"passwords and TLS", redistest.Setup{Replicas: 1, Sentinels: 1, Password: "rahsia-22", SentinelPassword: "rahsia-23", CertFile: cert, KeyFile: key},
			ephemeral.Config{Password: secret.New("rahsia-22"), SentinelPassword: secret.New("rahsia-23"), TLS: believing}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			failOver(t, redistest.StartCluster(t, v.setup), v.config)
		})
	}
}

func failOver(t *testing.T, cluster *redistest.Cluster, config ephemeral.Config) {
	a, b := through(t, cluster, config), through(t, cluster, config)
	works(t, "before", a, b)
	master := cluster.Servers[0]
	must(t, a.codes.Put(ctx, "kept", mac(1), time.Hour))
	must(t, a.shares.Put(ctx, "in_1", share(1), time.Hour))
	if _, err := b.codes.Try(ctx, "kept", 3); err != nil {
		t.Fatal(err)
	}
	for _, s := range cluster.Servers[1:] {
		until(t, "a replica has all", func() bool {
			return s.Client.HGet(ctx, "mohor:abcd:code:kept", "tries").Val() == "1" && s.Client.Exists(ctx, "mohor:abcd:share:in_1").Val() == 1
		})
	}
	must(t, cluster.Cut(ctx))
	must(t, a.codes.Put(ctx, "lost", mac(2), time.Hour))
	if got, err := b.codes.Try(ctx, "kept", 3); err != nil || !bytes.Equal(got, mac(1)) {
		t.Errorf("the second comparison: %x, %v", got, err)
	}
	if n := master.Client.Exists(ctx, "mohor:abcd:code:lost").Val(); n != 1 {
		t.Error("control: the master does not have what will be lost")
	}
	for _, s := range cluster.Servers[1:] {
		if s.Client.Exists(ctx, "mohor:abcd:code:lost").Val() != 0 || s.Client.HGet(ctx, "mohor:abcd:code:kept", "tries").Val() != "1" {
			t.Fatal("control: a replica was not cut off")
		}
	}
	must(t, master.Kill())
	// Until there is another master a gateway keeps what it issues.
	must(t, a.codes.Put(ctx, "meanwhile", mac(3), time.Hour))
	if got, err := a.codes.Try(ctx, "meanwhile", 1); err != nil || !bytes.Equal(got, mac(3)) {
		t.Errorf("meanwhile: %x, %v", got, err)
	}
	until(t, "a replica is promoted", func() bool {
		m, err := cluster.Master(ctx)
		return err == nil && m != master
	})
	works(t, "after", a, b)
	holds(t, b.shares, "in_1", 1)
	if _, err := b.codes.Try(ctx, "lost", 3); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("not replicated: %v", err)
	}
	// One comparison was not replicated; the others are not forgotten.
	for k, want := range []error{nil, nil, otp.ErrAttempts, otp.ErrAttempts} {
		if _, err := b.codes.Try(ctx, "kept", 3); !errors.Is(err, want) {
			t.Errorf("comparison %d after: %v, want %v", k+1, err, want)
		}
	}
	must(t, master.Run()) // as a master, empty
	until(t, "the old master follows the new one", func() bool {
		return strings.Contains(master.Client.Info(ctx, "replication").Val(), "role:slave")
	})
	works(t, "with the old master", a, b)
	if _, err := b.codes.Try(ctx, "kept", 3); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("with the old master: %v", err)
	}
}

// Each Sentinel in turn takes connections and says nothing: the others are asked.
func TestSilentSentinel(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.Setup{Sentinels: 3})
	a, b := through(t, cluster, ephemeral.Config{}), through(t, cluster, ephemeral.Config{})
	works(t, "before", a, b)
	for k := range cluster.Addresses {
		must(t, cluster.Sentinel(k).Signal(syscall.SIGSTOP))
		must(t, cluster.Servers[0].Client.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err())
		works(t, fmt.Sprintf("without Sentinel %d", k+1), a, b)
		must(t, cluster.Sentinel(k).Signal(syscall.SIGCONT))
	}
}

// Sentinels that ask for a password say nothing without it, and servers are asked
// with their own.
func TestSentinelPasswords(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.Setup{Sentinels: 1, Password: "rahsia-22", SentinelPassword: "rahsia-23"})
	right := ephemeral.Config{Password: secret.New("rahsia-22"), SentinelPassword: secret.New("rahsia-23")}
	must(t, through(t, cluster, right).Ping(ctx))
	// What docs/operating.md gives the gateway's user at the Sentinels is enough.
	sentinel := redis.NewClient(&redis.Options{Addr: cluster.Addresses[0], Password: "rahsia-23"})
	t.Cleanup(func() { must(t, sentinel.Close()) })
	must(t, sentinel.Do(ctx, "ACL", "SETUSER", "gateway", "on", ">rahsia-24", "-@all", "&*", "+ping", "+subscribe", "+sentinel|get-master-addr-by-name", "+sentinel|sentinels").Err())
	must(t, through(t, cluster, ephemeral.Config{Password: right.Password, SentinelUsername: "gateway", SentinelPassword: secret.New("rahsia-24")}).Ping(ctx))
	for what, c := range map[string]ephemeral.Config{
		"no password for the Sentinels":    {Password: right.Password},
		"the servers' for the Sentinels":   {Password: right.Password, SentinelPassword: right.Password},
		"no password for the servers":      {SentinelPassword: right.SentinelPassword},
		"TLS, which nobody speaks there":   {Password: right.Password, SentinelPassword: right.SentinelPassword, TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		"a user whom no Sentinel has made": {Password: right.Password, SentinelUsername: "other", SentinelPassword: right.SentinelPassword},
	} {
		if err := through(t, cluster, c).Ping(ctx); err == nil || strings.Contains(err.Error(), "rahsia") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
