package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/ephemeral"
)

// RedisConfig says where things that live for minutes are kept.
type RedisConfig struct {
	Address              string   `yaml:"address"`
	Sentinels            []string `yaml:"sentinels"`
	Master               string   `yaml:"master"`
	SentinelUsername     string   `yaml:"sentinel_username"`
	SentinelPasswordFile string   `yaml:"sentinel_password_file"`
	Username             string   `yaml:"username"`
	PasswordFile         string   `yaml:"password_file"`
	TLS                  bool     `yaml:"tls"`
	CAFile               string   `yaml:"ca_file"`
}

func (c *RedisConfig) configured() bool { return c.Address != "" || len(c.Sentinels) > 0 }

// check returns the field that cannot be right and what it must be.
func (c *RedisConfig) check() (field, want string) {
	addresses := c.Sentinels
	if c.Address != "" {
		addresses = append([]string{c.Address}, addresses...)
	}
	for _, a := range addresses {
		if strings.HasPrefix(a, "/") && a == c.Address {
			continue // a Unix socket
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			return "redis.address and redis.sentinels", "host:port, or the path of a Unix socket as the address"
		}
		if !c.TLS && !loopback(a) {
			return "redis.tls", "true, unless Redis is on a loopback address or a Unix socket: halves of keys travel there"
		}
	}
	switch {
	case c.Address != "" && len(c.Sentinels) > 0, (c.Master == "") != (len(c.Sentinels) == 0):
		return "redis", "address, or sentinels and master"
	case len(c.Sentinels) == 0 && (c.SentinelUsername != "" || c.SentinelPasswordFile != ""):
		return "redis.sentinel_username and redis.sentinel_password_file", "empty without redis.sentinels"
	case c.CAFile != "" && !c.TLS:
		return "redis.tls", "true for redis.ca_file"
	}
	return "", ""
}

// openRedis prepares the way to Redis; nothing is asked of it yet.
func (i *Installation) openRedis() error {
	c := &i.Config.Redis
	if !c.configured() {
		return nil
	}
	// Installations that share a server are told apart by their roots.
	id := sha256.Sum256(i.ca.Certificate(ca.Root).Raw)
	e := ephemeral.Config{Address: c.Address, Sentinels: c.Sentinels, Master: c.Master, Username: c.Username, SentinelUsername: c.SentinelUsername,
		Installation: hex.EncodeToString(id[:8])}
	var err error
	if c.PasswordFile != "" {
		if e.Password, err = readSecret(c.PasswordFile); err != nil {
			return err
		}
		defer e.Password.Wipe()
	}
	if c.SentinelPasswordFile != "" {
		if e.SentinelPassword, err = readSecret(c.SentinelPasswordFile); err != nil {
			return err
		}
		defer e.SentinelPassword.Wipe()
	}
	if c.TLS {
		e.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if e.TLS.RootCAs, err = certPool(c.CAFile); err != nil {
			return err
		}
		if c.Address != "" && !strings.HasPrefix(c.Address, "/") {
			e.TLS.ServerName, _, err = net.SplitHostPort(c.Address)
		}
	}
	i.redis = ephemeral.Open(e)
	return err
}

// certPool reads PEM certificates; nil, the system's own, when there is no
// file.
func certPool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%w: ca_file %s must be PEM certificates", ErrConfig, file)
	}
	return pool, nil
}

// shares is where halves of activations wait; nil without Redis.
func (i *Installation) shares() signer.Shares {
	if i.redis == nil {
		return nil
	}
	return ephemeral.Shares{Redis: i.redis}
}

// codes is where live codes are: in Redis, so that any node can check what
// another has issued, or in this process.
func (i *Installation) codes() otp.Codes {
	alone := otp.NewMemoryCodes(i.now)
	if i.redis == nil {
		return alone
	}
	return ephemeral.Codes{Redis: i.redis, Alone: alone}
}

// limits counts requests for all nodes; nil without Redis.
func (i *Installation) limits() api.Limits {
	if i.redis == nil {
		return nil
	}
	return ephemeral.NewLimits(i.redis)
}

// PingRedis asks Redis for a sign of life; nil when none is configured. The
// gateway signs without it, but cannot resume.
func (i *Installation) PingRedis(ctx context.Context) error {
	if i.redis == nil {
		return nil
	}
	return i.redis.Ping(ctx)
}
