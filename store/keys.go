package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// What happens to a sealed key is told by events of its own in the audit chain,
// with the credential as their object, so that one who changes the key's row
// must rewrite the chain as well. An index holds these events alone.
const (
	actionKeyVersion = "key.version" // the key was sealed: version, SHA-256 of its text form
	actionKeyDestroy = "key.destroy" // it was overwritten
	actionKeyHold    = "key.hold"    // its certificate was suspended
	actionKeyRelease = "key.release" // and is not any more
)

// keyVersion is the event of a key sealed in the transaction that ev tells of.
func keyVersion(ev audit.Event, credential string, version int64, sealed []byte) audit.Event {
	sum := sha256.Sum256(sealed)
	return audit.Event{At: ev.At, Actor: ev.Actor, Action: actionKeyVersion, Object: credential, Verdict: audit.Accepted, RequestID: ev.RequestID,
		Detail: map[string]string{"version": strconv.FormatInt(version, 10), "sha256": hex.EncodeToString(sum[:])}}
}

// keyDestroyed is the event of a key overwritten in the transaction of ev.
func keyDestroyed(ev audit.Event, credential string, version int64) audit.Event {
	return audit.Event{At: ev.At, Actor: ev.Actor, Action: actionKeyDestroy, Object: credential, Verdict: audit.Accepted, RequestID: ev.RequestID,
		Detail: map[string]string{"version": strconv.FormatInt(version, 10), "because": ev.Action}}
}

// keyHeld is the event of a key that is not to be used, or is again.
func keyHeld(ev audit.Event, action, credential string, version int64) audit.Event {
	return audit.Event{At: ev.At, Actor: ev.Actor, Action: action, Object: credential, Verdict: audit.Accepted, RequestID: ev.RequestID,
		Detail: map[string]string{"version": strconv.FormatInt(version, 10)}}
}

// version reads such an event. One that was not written here, or was edited,
// comes back as zeros, which no key has.
func version(e sqlc.AuditEvent) signer.KeyVersion {
	r, err := record(e)
	if err != nil || !r.Intact() {
		return signer.KeyVersion{}
	}
	n, err := strconv.ParseUint(r.Detail["version"], 10, 32)
	if err != nil {
		return signer.KeyVersion{}
	}
	v := signer.KeyVersion{Version: uint32(n), Destroyed: r.Action == actionKeyDestroy, Held: r.Action == actionKeyHold, Released: r.Action == actionKeyRelease}
	if r.Action == actionKeyVersion {
		sum, err := hex.DecodeString(r.Detail["sha256"])
		if err != nil || len(sum) != sha256.Size {
			return signer.KeyVersion{}
		}
		v.Hash = [32]byte(sum)
	}
	return v
}

// Reseal implements signer.Records.
func (d *DB) Reseal(ctx context.Context, credential string, from uint32, sealed []byte, ev audit.Event) error {
	err := d.do(ctx, ev, func(q *sqlc.Queries) error {
		row, err := q.Reseal(ctx, sqlc.ResealParams{Sealed: sealed, ID: credential, Version: int64(from)})
		if errors.Is(err, sql.ErrNoRows) {
			return notResealed(ctx, q, credential)
		}
		if err != nil {
			return err
		}
		if err := q.SetPIN(ctx, sqlc.SetPINParams{Ic: row.Ic}); err != nil {
			return err
		}
		if err := addNotice(ctx, q, string(row.Ic), notify.PINChanged, ev.At, map[string]string{"system": row.System}); err != nil {
			return err
		}
		return appendEvent(ctx, q, keyVersion(ev, credential, row.Version, sealed))
	})
	if err == nil {
		d.scrub(ctx)
	}
	return err
}

// notResealed says why no row fitted.
func notResealed(ctx context.Context, q *sqlc.Queries, credential string) error {
	status, err := q.CredentialStatus(ctx, credential)
	switch {
	case err != nil:
		return absent(err, signer.ErrNoCredential)
	case status == "SUSPENDED":
		return signer.ErrCertificateOnHold
	case status != "ACTIVE":
		return signer.ErrCertificateRevoked
	}
	return signer.ErrPINChanged
}

// UnlockPIN implements signer.Records.
func (d *DB) UnlockPIN(ctx context.Context, ic string, ev audit.Event) (was signer.PINState, err error) {
	err = d.do(ctx, ev, func(q *sqlc.Queries) error {
		o, err := q.Officer(ctx, personal.IC(ic))
		if err != nil {
			return absent(err, signer.ErrUnknownOfficer)
		}
		was = pinState(o)
		return q.SetPIN(ctx, sqlc.SetPINParams{Ic: personal.IC(ic)})
	})
	return was, err
}

// scrub empties the write-ahead log, whose old pages still hold a key that was
// just overwritten in the database file (secure_delete does that). The deed is
// done and committed: when a reader holds the log, the next checkpoint does it.
// PostgreSQL keeps old rows until VACUUM, and its log for longer (docs/operating.md).
func (d *DB) scrub(ctx context.Context) {
	if d.postgres {
		_, _ = d.long.ExecContext(context.WithoutCancel(ctx), "VACUUM credentials, applications")
		return
	}
	_, _ = d.write.ExecContext(context.WithoutCancel(ctx), "PRAGMA wal_checkpoint(TRUNCATE)")
}

// keyVersions is migration 2: the index of the events above, and such an event
// for each key that was sealed before there were any. Keys of revoked
// certificates are destroyed. It is in Go because SQLite cannot hash.
func keyVersions() *goose.Migration {
	return goose.NewGoMigration(2, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		const index = `CREATE INDEX audit_key_events ON audit_events (object, seq) WHERE action IN ('key.version', 'key.destroy')`
		if _, err := tx.ExecContext(ctx, index); err != nil {
			return fmt.Errorf("indexing key versions: %w", err)
		}
		q, after := sqlc.New(tx), ""
		ev := audit.Event{At: time.Now(), Actor: "gateway", Action: "store.migrate"}
		for {
			rows, err := q.CredentialsAfter(ctx, sqlc.CredentialsAfterParams{After: after, Lim: 500})
			if err != nil {
				return fmt.Errorf("reading credentials: %w", err)
			}
			for _, c := range rows {
				after = c.ID
				told := keyVersion(ev, c.ID, c.Version, c.Sealed)
				if c.Status == "REVOKED" {
					told = keyDestroyed(ev, c.ID, c.Version)
					if err := q.DestroyKey(ctx, c.ID); err != nil {
						return fmt.Errorf("destroying key of %s: %w", c.ID, err)
					}
				}
				if err := appendClear(ctx, tx, told); err != nil {
					return err
				}
			}
			if len(rows) == 0 {
				return nil
			}
		}
	}}, nil)
}

// appendClear is appendEvent at a time when nothing was encrypted; [DB.Unlock] follows.
func appendClear(ctx context.Context, tx *sql.Tx, ev audit.Event) error {
	var seq int64
	hash := make([]byte, 32)
	err := tx.QueryRowContext(ctx, "SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) || len(hash) != 32 {
		return fmt.Errorf("reading audit head: %w", err)
	}
	r := audit.Next(seq, [32]byte(hash), nil, ev)
	detail, err := detailOf(&r)
	if err == nil {
		_, err = tx.ExecContext(ctx, "INSERT INTO audit_events (seq, at, actor, action, object, verdict, request_id, detail, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
			r.Seq, micros(r.At), r.Actor, r.Action, r.Object, r.Verdict, r.RequestID, detail, r.Prev[:], r.Hash[:])
	}
	if err != nil {
		return fmt.Errorf("appending audit event: %w", err)
	}
	return nil
}
