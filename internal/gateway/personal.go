package gateway

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/personal"
)

// metaPersonal is the key of the personal fields, sealed: base64 of a nonce and AES-256-GCM.
const metaPersonal = "personal_key"

// personalUse keeps what the HSM's key says here apart from what it says elsewhere.
const personalUse = "mohor personal fields key v1"

// ErrPersonal: what the database holds of people cannot be opened with what is at hand.
var ErrPersonal = errors.New("it does not open")

// macs is what unlocking needs of a token.
type macs interface {
	MAC(ctx context.Context, key hsm.MACKey, data []byte) ([]byte, error)
}

// unlock opens what the database holds of people with the token, and makes a key for a
// database that has none: new, or of an earlier release. Errors: ErrPersonal,
// store.ErrPersonalKey, hsm.ErrNoKey in a token without keys.
func unlock(ctx context.Context, db *store.DB, t macs) error {
	key, err := personalKey(ctx, db, t)
	if err != nil {
		return fmt.Errorf("opening the key of the personal fields: %w", err)
	}
	defer clear(key)
	return db.Unlock(ctx, key)
}

func personalKey(ctx context.Context, db *store.DB, t macs) ([]byte, error) {
	// The KEK cannot do this: what it unwraps are keys that sign and never leave the token.
	sealer, err := t.MAC(ctx, hsm.IntentKey, []byte(personalUse))
	if err != nil {
		return nil, err
	}
	defer clear(sealer)
	block, err := aes.NewCipher(sealer)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	box, err := db.Meta(ctx, metaPersonal)
	if err == nil && box == "" {
		box, err = makePersonalKey(ctx, db, aead)
	}
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(box)
	if err != nil {
		return nil, fmt.Errorf("%w: it was edited; put the database back from the last backup", ErrPersonal)
	}
	key, err := aead.Open(nil, nil, raw, []byte(personalUse))
	if err != nil {
		return nil, fmt.Errorf("%w: this is not the token of this database, or the key was edited; put the token and the database of one time back", ErrPersonal)
	}
	return key, nil
}

// makePersonalKey makes and stores the key of a database that has none.
func makePersonalKey(ctx context.Context, db *store.DB, aead cipher.AEAD) (box string, err error) {
	if had, err := db.HasPersonalKey(ctx); err != nil || had {
		if err == nil {
			err = fmt.Errorf("%w: it is missing, and what is in the database was sealed under it; put the database back from the last backup", ErrPersonal)
		}
		return "", err
	}
	key := make([]byte, personal.KeySize)
	_, _ = rand.Read(key) // crypto/rand never fails (it ends the process)
	defer clear(key)
	box = base64.StdEncoding.EncodeToString(aead.Seal(nil, nil, key, []byte(personalUse)))
	if err := db.PutMeta(ctx, metaPersonal, box); err != nil {
		return "", err
	}
	return db.Meta(ctx, metaPersonal) // another process may have been first
}

// openUnlocked opens the database and what it holds of people, with the token, which is then
// closed again. The token PIN is tried once.
func (c *Config) openUnlocked(ctx context.Context) (*store.DB, error) {
	if err := shield(); err != nil {
		return nil, err
	}
	db, err := c.openDatabase(ctx)
	if err != nil {
		return nil, err
	}
	t, err := openToken(ctx, c, serving{log: slog.New(slog.DiscardHandler), noRecovery: true})
	if err == nil {
		err = errors.Join(unlock(ctx, db, t), t.Close())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// AuditRecord is a record of the audit chain.
type AuditRecord = audit.Record

// AuditExportReport is what [VerifyExport] found.
type AuditExportReport = audit.ExportReport

// ReadAudit calls f for every audit record of dir whose action begins with action, in order, also
// beside a running gateway. It needs the token; that it was asked, and by whom, is audited.
// Whether the records are believed is for f to judge (audit.Verifier).
func ReadAudit(ctx context.Context, dir, actor, action string, now func() time.Time, f func(audit.Record) error) (err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ev := audit.Event{At: now(), Actor: actor, Action: "audit.show", Object: "audit", Verdict: audit.Noted, Detail: map[string]string{"action": action}}
	if err := db.Audit(ctx, ev); err != nil {
		return err
	}
	return db.AuditRecords(ctx, 0, func(r audit.Record) error {
		if !strings.HasPrefix(r.Action, action) {
			return nil
		}
		return f(r)
	})
}
