package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// States of a KEK.
const (
	KEKMaking   = "MAKING"   // a rotation makes it; nothing is wrapped by it yet
	KEKCurrent  = "CURRENT"  // wraps new keys; there is always one
	KEKOld      = "OLD"      // only opens
	KEKRetiring = "RETIRING" // is being destroyed
	KEKRetired  = "RETIRED"  // is gone; its label is never used again
)

// tokenActions begins the actions of events about the token and its keys. They name nobody but
// whoever ran the program, and stand in clear: they are what is read when the token cannot give
// the key to all others.
const tokenActions = "hsm."

func aboutToken(action string) bool { return strings.HasPrefix(action, tokenActions) }

// ErrKEK: the KEK is not in a state for what was asked; the error says in which.
var ErrKEK = errors.New("KEK is not in a state for that")

// KEK is a key-encryption key as the database knows it.
type KEK struct {
	Label string
	State string
}

// KEKs gives every KEK there is or was, in order of label.
func (d *DB) KEKs(ctx context.Context) ([]KEK, error) {
	rows, err := d.q.KEKs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading KEKs: %w", err)
	}
	out := make([]KEK, len(rows))
	for k, r := range rows {
		out[k] = KEK{r.Label, r.State}
	}
	return out, nil
}

// LiveByKEK counts the ACTIVE and SUSPENDED credentials under each KEK that one of them names; ""
// counts those whose sealed key cannot be read. It takes about half a second for a million.
func (d *DB) LiveByKEK(ctx context.Context) (map[string]int64, error) {
	rows, err := d.q.LiveByKEK(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting credentials: %w", err)
	}
	live := make(map[string]int64)
	for _, r := range rows {
		live[r.Kek.String] = r.N
	}
	return live, nil
}

// CurrentKEK gives the label of the KEK that wraps new keys.
func (d *DB) CurrentKEK(ctx context.Context) (string, error) {
	label, err := d.q.CurrentKEK(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the current KEK: %w", err)
	}
	return label, nil
}

// BeginKEK records that a KEK of a label never used before is about to be made.
func (d *DB) BeginKEK(ctx context.Context, label string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.AddKEK(ctx, sqlc.AddKEKParams{Label: label, State: KEKMaking})
		if err == nil && n != 1 {
			err = fmt.Errorf("%w: %s was used before", ErrKEK, label)
		}
		return err
	})
}

// SwitchKEK makes a KEK that was being made the current one; the one that was is OLD.
func (d *DB) SwitchKEK(ctx context.Context, label string, evs ...audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if _, err := q.AgeKEK(ctx); err != nil {
			return err
		}
		n, err := q.SetKEK(ctx, sqlc.SetKEKParams{State: KEKCurrent, Label: label, Was: KEKMaking})
		if err == nil && n != 1 {
			err = fmt.Errorf("%w: %s is not being made", ErrKEK, label)
		}
		if err != nil {
			return err
		}
		return appendEvents(ctx, q, evs)
	})
}

// AuditAll appends events together, or none.
func (d *DB) AuditAll(ctx context.Context, evs ...audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error { return appendEvents(ctx, q, evs) })
}

func appendEvents(ctx context.Context, q *sqlc.Queries, evs []audit.Event) error {
	for _, ev := range evs {
		if err := appendEvent(ctx, q, ev); err != nil {
			return err
		}
	}
	return nil
}

// ErrUnaccounted: a sealed key that the audit chain calls live is not in its row.
var ErrUnaccounted = errors.New("the row of a key is not what the audit chain tells")

// Accounted compares the row of every key that was sealed and not destroyed, as the audit chain has
// it, with the key's last version there: [ErrUnaccounted], with the credential, for the first that
// differs, is missing, or was destroyed and is there. Rows alone must not decide that a KEK can go:
// who writes them could have every officer's key destroyed. The chain is believed; verify it first.
// It reads all of both.
func (d *DB) Accounted(ctx context.Context) error {
	live := make(map[string]string) // SHA-256 in hexadecimal by credential
	err := d.AuditRecords(ctx, 0, func(r audit.Record) error {
		switch r.Action {
		case actionKeyVersion:
			live[r.Object] = r.Detail["sha256"]
		case actionKeyDestroy:
			delete(live, r.Object)
		}
		return nil
	})
	if err != nil {
		return err
	}
	const page = 1000
	for after := ""; ; {
		rows, err := d.q.SealedKeys(ctx, sqlc.SealedKeysParams{After: after, Lim: page})
		if err != nil {
			return fmt.Errorf("reading sealed keys: %w", err)
		}
		for _, row := range rows {
			after = row.ID
			got := "" // destroyed
			if len(row.Sealed) > 0 {
				sum := sha256.Sum256(row.Sealed)
				got = hex.EncodeToString(sum[:])
			}
			if got != live[row.ID] {
				return fmt.Errorf("%w: credential %s", ErrUnaccounted, row.ID)
			}
			delete(live, row.ID)
		}
		if len(rows) < page {
			break
		}
	}
	for id := range live {
		return fmt.Errorf("%w: credential %s is missing", ErrUnaccounted, id)
	}
	return nil
}

// BeginRetirement records that a KEK is about to be destroyed, or was when an interruption came.
// From then on no credential can be stored under it. [ErrKEK] while it is current or being made,
// or while live credentials name it. A KEK that was never recorded may be retired, and one that was
// retired before: an old copy of the token may have brought it back.
func (d *DB) BeginRetirement(ctx context.Context, label string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		live, err := q.LiveUnderKEK(ctx, sql.NullString{String: label, Valid: true})
		if err != nil {
			return err
		}
		if live > 0 {
			return fmt.Errorf("%w: %d live credentials are wrapped by %s", ErrKEK, live, label)
		}
		if n, err := q.AddKEK(ctx, sqlc.AddKEKParams{Label: label, State: KEKRetiring}); err != nil || n == 1 {
			return err
		}
		state, err := q.KEKState(ctx, label)
		if err != nil {
			return err
		}
		if state == KEKCurrent || state == KEKMaking {
			return fmt.Errorf("%w: %s is %s", ErrKEK, label, state)
		}
		_, err = q.SetKEK(ctx, sqlc.SetKEKParams{State: KEKRetiring, Label: label, Was: state})
		return err
	})
}

// EndRetirement records that a KEK is destroyed.
func (d *DB) EndRetirement(ctx context.Context, label string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SetKEK(ctx, sqlc.SetKEKParams{State: KEKRetired, Label: label, Was: KEKRetiring})
		if err == nil && n != 1 {
			err = fmt.Errorf("%w: %s is not being retired", ErrKEK, label)
		}
		return err
	})
}

// livesUnder refuses a credential whose KEK was retired while its key was made.
func livesUnder(ctx context.Context, q *sqlc.Queries, credential string) error {
	state, err := q.KEKOfCredential(ctx, credential)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && (state == KEKRetiring || state == KEKRetired) {
		err = fmt.Errorf("%w: the key was wrapped by one that is %s", ErrKEK, state)
	}
	return err
}

// KeyRecords calls f for every record of the action "hsm.key", in order. Each record's content is
// checked against its own hash.
func (d *DB) KeyRecords(ctx context.Context, f func(audit.Record) error) error {
	rows, err := d.q.HSMKeyEvents(ctx)
	return eachRecord(rows, err, f)
}

// TokenRecords does so for another action that begins with "hsm.".
func (d *DB) TokenRecords(ctx context.Context, action string, f func(audit.Record) error) error {
	rows, err := d.q.TokenEvents(ctx, action)
	return eachRecord(rows, err, f)
}

func eachRecord(rows []sqlc.AuditEvent, err error, f func(audit.Record) error) error {
	if err != nil {
		if edited(err) {
			err = errors.Join(audit.ErrBroken, err)
		}
		return fmt.Errorf("reading records of keys: %w", err)
	}
	for _, e := range rows {
		r, err := record(e)
		if err != nil {
			return err
		}
		if err := audit.NewVerifierFrom(audit.Head{Seq: r.Seq - 1, Hash: r.Prev}).Add(r); err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}
