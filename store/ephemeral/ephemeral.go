// Package ephemeral keeps in Redis what lives for minutes and may be lost at
// any time: losing it costs somebody another PIN and code, never a wrong
// signature. Nothing here is the arbiter of anything; that is the database.
//
// Every name starts with the installation's own prefix, so that installations
// can share a server. What is stored may stand in no error and no log: Redis
// repeats arguments in some of its answers, so only their first word is kept.
package ephemeral

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Config says where Redis is (version 6 or later).
type Config struct {
	// Address is host:port, or the path of a Unix socket. Empty with Sentinels.
	Address string
	// Sentinels are the addresses that know the server called Master.
	Sentinels []string
	Master    string
	// Username and Password as in Redis's ACL; both may be empty.
	Username string
	Password secret.Text
	// SentinelUsername and SentinelPassword are those of the Sentinels, which know
	// nothing of the servers'; both may be empty.
	SentinelUsername string
	SentinelPassword secret.Text
	// TLS is nil for a plain connection.
	TLS *tls.Config
	// Installation keeps installations apart: 1 or more letters and digits.
	Installation string
}

// Redis is a server that may come and go. Its methods may be called from
// several goroutines.
type Redis struct {
	client *redis.Client
	prefix string
	rest   atomic.Int64 // Unix nanoseconds before which only what must be asked is
}

// rest is how long Redis is left alone after it gave no answer, by those that
// can do without.
const rest = time.Second

func (r *Redis) resting() bool { return time.Now().UnixNano() < r.rest.Load() }

func (r *Redis) leave() { r.rest.Store(time.Now().Add(rest).UnixNano()) }

// wait bounds each call, dialling included: nobody waits long for what may be
// absent.
const wait = 2 * time.Second

// quiet silences the driver, once for the process: it writes to stderr in its
// own form what its callers are told anyway.
var quiet sync.Once

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open prepares connections and makes none.
func Open(c Config) *Redis {
	quiet.Do(func() { redis.SetLogger(silence{}) })
	password := string(c.Password.Reveal())
	r := &Redis{prefix: "mohor:" + c.Installation + ":"}
	if len(c.Sentinels) > 0 {
		// The driver turns from a silent Sentinel to another only within its own
		// time for an answer, which must end before the caller's does. Servers get
		// all of that: what they may have done is not asked again.
		r.client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: c.Master, SentinelAddrs: c.Sentinels, Username: c.Username, Password: password,
			SentinelUsername: c.SentinelUsername, SentinelPassword: string(c.SentinelPassword.Reveal()),
			TLSConfig: c.TLS, DialTimeout: wait, ReadTimeout: wait / 8, MaxRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true}).WithTimeout(2 * wait)
		return r
	}
	network := "tcp"
	if strings.HasPrefix(c.Address, "/") {
		network = "unix"
	}
	r.client = redis.NewClient(&redis.Options{Network: network, Addr: c.Address, Username: c.Username, Password: password,
		TLSConfig: c.TLS, DialTimeout: wait, MaxRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		// A protocol of the driver's makers that few servers know.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	return r
}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Ping asks for a sign of life, logging in if need be.
func (r *Redis) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := r.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("reaching Redis: %w", discreet(err))
	}
	return nil
}

// errResting: Redis gave no answer a moment ago.
var errResting = errors.New("Redis did not answer a moment ago")

// discreet keeps the first word of what Redis answered (WRONGPASS, NOPERM,
// OOM …): the rest may quote a command with its values.
func discreet(err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err // of the connection; it holds no more than the address
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	return fmt.Errorf("it answered %s", word)
}
