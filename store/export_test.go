package store

import (
	"database/sql"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// OpenPool opens connections whose server may be silent for so long.
func OpenPool(address string, silence time.Duration) (*sql.DB, error) {
	cfg, err := postgresConfig(address, secret.Text{})
	if err != nil {
		return nil, err
	}
	return openPool(cfg, silence), nil
}
