package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store"
)

// HelpDesk runs f with desk and accounts as Administrators does: for what needs no key.
func HelpDesk(ctx context.Context, dir string, now func() time.Time, f func(*enrol.Desk, *enrol.Accounts) error) error {
	return Administrators(ctx, dir, now, func(a *enrol.Accounts) error {
		db := a.Records.(*store.DB) //nolint:forcetypeassert // Administrators made it
		return f(&enrol.Desk{Registrar: &enrol.Registrar{Records: db, Now: now}, Records: db}, a)
	})
}

// Administrators runs f with the accounts of the installation in dir. It needs the
// database alone, so that it works when nobody can log in, without the token and
// beside a running gateway; what needs the HSM is not to be had.
func Administrators(ctx context.Context, dir string, now func() time.Time, f func(*enrol.Accounts) error) (err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	i := &Installation{Dir: dir, Config: c, db: db, now: now}
	return f(i.accounts(nil))
}
