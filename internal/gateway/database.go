package gateway

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
)

// postgres says whether the database is a PostgreSQL server's, not a file.
func (c *Config) postgres() bool {
	return strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://")
}

// databasePlace is where the database is, for people to read.
func (c *Config) databasePlace() string {
	if u, err := url.Parse(c.Database); err == nil && c.postgres() {
		return u.Redacted()
	}
	return c.Database
}

// checkDatabase returns the field that cannot be right and what it must be.
func (c *Config) checkDatabase() (field, want string) {
	if !c.postgres() {
		if c.DatabasePasswordFile != "" {
			return "database_password_file", "empty for a file of SQLite"
		}
		return "", ""
	}
	u, err := url.Parse(c.Database)
	if err != nil || u.User.Username() == "" || strings.Trim(u.Path, "/") == "" {
		return "database", "postgres://user@host:port/database?sslmode=verify-full, or the path of a file"
	}
	q := u.Query()
	_, inside := u.User.Password()
	if inside || q.Has("password") || q.Has("passfile") || q.Has("service") || q.Has("servicefile") {
		return "database", "without a password: it goes into database_password_file"
	}
	host := u.Hostname()
	if host == "" {
		host = q.Get("host")
	}
	if host == "" || strings.Contains(host, ",") || u.Hostname() != "" && q.Has("host") {
		return "database", "the address of one server"
	}
	local := strings.HasPrefix(host, "/") || loopback(net.JoinHostPort(host, "0"))
	if !local && q.Get("sslmode") != "verify-full" {
		return "database", "with sslmode=verify-full, unless the server is on a loopback address or a Unix socket"
	}
	return "", ""
}

// inspectDatabase looks at the database and changes nothing.
func (c *Config) inspectDatabase(ctx context.Context) (store.Health, error) {
	if !c.postgres() {
		return store.Inspect(ctx, c.Database)
	}
	password, err := c.databasePassword()
	if err != nil {
		return store.Health{}, err
	}
	defer password.Wipe()
	return store.InspectPostgres(ctx, c.Database, password)
}

func (c *Config) databasePassword() (secret.Text, error) {
	if c.DatabasePasswordFile == "" {
		return secret.Text{}, nil
	}
	password, err := readSecret(c.DatabasePasswordFile)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading database_password_file: %w", err)
	}
	return password, nil
}

// openDatabase opens the database of the configuration and migrates it.
func (c *Config) openDatabase(ctx context.Context) (*store.DB, error) {
	if !c.postgres() {
		return store.Open(ctx, c.Database)
	}
	password, err := c.databasePassword()
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	return store.OpenPostgres(ctx, c.Database, password)
}
