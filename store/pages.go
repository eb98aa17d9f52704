package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/sqlc"
)

func (d *DB) page(ctx context.Context, transaction string) (*signer.Page, error) {
	row, err := d.q.SigningPage(ctx, transaction)
	if err != nil {
		return nil, err
	}
	p := &signer.Page{RedirectURI: row.RedirectUri, State: string(row.State), OpenedAt: instant(row.OpenedAt)}
	if len(row.Token) != len(p.Token) || len(row.Session) != 0 && len(row.Session) != len(p.Session) {
		return nil, errors.New("hashes of another length")
	}
	copy(p.Token[:], row.Token)
	copy(p.Session[:], row.Session)
	return p, nil
}

// Paged implements signer.Records.
func (d *DB) Paged(ctx context.Context, token [32]byte) (signer.Request, error) {
	id, err := d.q.SigningPageByToken(ctx, token[:])
	if err != nil {
		return signer.Request{}, absent(err, signer.ErrUnknown)
	}
	return d.Request(ctx, id)
}

// OpenPage implements signer.Records.
func (d *DB) OpenPage(ctx context.Context, transaction string, session [32]byte, fromApp bool, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// Of two browsers at once the condition lets one in.
		n, err := q.OpenSigningPage(ctx, sqlc.OpenSigningPageParams{Session: session[:], Now: micros(ev.At), FromApp: flag(fromApp), TransactionID: transaction})
		if err == nil && n == 0 {
			err = signer.ErrElsewhere
		}
		return err
	})
}

// PagesOfApps counts for each app the pages that were opened since from where it had asked for
// them.
func (d *DB) PagesOfApps(ctx context.Context, since time.Time) (map[string]int64, error) {
	rows, err := d.q.PagesFromApps(ctx, micros(since))
	if err != nil {
		return nil, fmt.Errorf("counting signing pages: %w", err)
	}
	out := map[string]int64{}
	for _, r := range rows {
		out[r.AppID] = r.N
	}
	return out, nil
}
