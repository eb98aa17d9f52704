package gateway

import "github.com/mohor-sign/mohor/internal/secret"

// TokenPIN reads the token PIN from where c says.
func TokenPIN(c *Config) (secret.Text, error) { return c.Token.pin() }
