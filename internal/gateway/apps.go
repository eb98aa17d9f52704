package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
)

// Apps runs f with the applications of the installation in dir, and with the desk for their
// systems, as [HelpDesk] does: for what needs no key.
func Apps(ctx context.Context, dir string, now func() time.Time, f func(*enrol.Apps, *enrol.Desk) error) error {
	return HelpDesk(ctx, dir, now, func(d *enrol.Desk, _ *enrol.Accounts) error {
		c, err := LoadConfig(dir)
		if err != nil {
			return err
		}
		db := d.Records.(*store.DB) //nolint:forcetypeassert // HelpDesk made it
		is, err := db.Meta(ctx, metaSandbox)
		if err != nil {
			return fmt.Errorf("reading installation: %w", err)
		}
		a, err := c.apps(db, now, is == "yes")
		if err != nil {
			return err
		}
		return f(a, d)
	})
}

func (c *Config) apps(db *store.DB, now func() time.Time, sandbox bool) (*enrol.Apps, error) {
	roots, err := certPool(c.TLS.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls.client_ca: %w", err)
	}
	return &enrol.Apps{Records: db, Now: now, TokenFor: time.Hour, ClientCAs: roots, Audiences: []string{c.BaseURL + "/oauth2/token", c.BaseURL}, Sandbox: sandbox, Portal: c.portal()}, nil
}

// portal is where the signing page leads back to those who asked with a session.
func (c *Config) portal() string { return c.BaseURL + "/portal/return" }

// headers knows what the data headers of systems are made of.
func headers(db *store.DB) func(ctx context.Context, system string) (signer.HeaderFits, error) {
	return func(ctx context.Context, system string) (signer.HeaderFits, error) {
		s, err := db.System(ctx, system)
		if errors.Is(err, enrol.ErrUnknown) || err == nil && s.HeaderTemplate == "" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		h, err := enrol.ParseHeader(s.HeaderTemplate)
		if err != nil {
			return nil, err
		}
		return h.Fits, nil
	}
}

// headerName says whether s can be the name of a header of its own: letters, digits and -, and none
// that says something else.
func headerName(s string) bool {
	return len(s) <= 64 && !slices.Contains([]string{"Authorization", "Cookie", "Host", "X-Api-Key", "X-Forwarded-For", "Content-Type", "Content-Length"}, http.CanonicalHeaderKey(s)) &&
		!strings.ContainsFunc(s, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-')
		})
}
