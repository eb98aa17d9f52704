package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/health"
	"github.com/mohor-sign/mohor/store"
)

// BackupConfig says how old the last backup may be; MaxAge 0: nobody watches.
type BackupConfig struct {
	MaxAge time.Duration `yaml:"max_age"`
}

// defaultBackup is a day, and the time that a backup takes.
func defaultBackup() BackupConfig { return BackupConfig{MaxAge: 26 * time.Hour} }

func (c *BackupConfig) check() (field, want string) {
	if c.MaxAge != 0 && (c.MaxAge < time.Hour || c.MaxAge > 90*24*time.Hour) {
		return "backup.max_age", "1h to 2160h, or 0s"
	}
	return "", ""
}

// Errors of MarkBackup.
var (
	ErrBackupTime = errors.New("time of the backup")
	// ErrBackupCopy: it could not be put back, or not here.
	ErrBackupCopy = errors.New("no copy of this installation's database that could be put back")
)

// Backup is what is on record of the last one. Made is when at the latest it was begun.
type Backup struct {
	Made     time.Time
	Verified bool
}

// The mark of a backup is its event in the audit chain, which nobody forges or sets back unseen.
const (
	backupObject = "backup"
	backupAction = "backup.mark"
)

// MarkBackup notes that a backup was made; b.Made zero: now. With the path of a copy of SQLite's
// database it is the time up to which the copy has all records, and b is verified if the copy is
// whole and its audit chain ours. A mark that is older than the last is refused.
func (i *Installation) MarkBackup(ctx context.Context, actor string, b Backup, copied string) (Backup, error) {
	now := i.now()
	if b.Made.IsZero() {
		b.Made = now
	}
	last, marked, err := i.lastBackup(ctx)
	if err == nil && copied != "" {
		var lacks time.Time
		if lacks, err = i.compareCopy(ctx, copied); err == nil {
			b.Verified = true
			if !lacks.IsZero() && lacks.Before(b.Made) {
				b.Made = lacks
			}
		}
	}
	b.Made = b.Made.UTC().Truncate(time.Second)
	switch {
	case err != nil:
		return b, err
	case b.Made.After(now):
		return b, fmt.Errorf("%w: %s is to come", ErrBackupTime, b.Made.Format(time.RFC3339))
	case marked && b.Made.Before(last.Made):
		return b, fmt.Errorf("%w: it was made %s, and one of %s is on record", ErrBackupTime, b.Made.Format(time.RFC3339), last.Made.Format(time.RFC3339))
	}
	ev := audit.Event{At: now, Actor: actor, Action: backupAction, Object: backupObject, Verdict: audit.Noted, Detail: map[string]string{"made": b.Made.Format(time.RFC3339), "verified": "no"}}
	if b.Verified {
		ev.Detail["verified"] = "yes"
	}
	if err := i.db.Audit(ctx, ev); err != nil {
		return b, fmt.Errorf("marking the backup: %w", err)
	}
	return b, nil
}

// lastBackup is the mark there is.
func (i *Installation) lastBackup(ctx context.Context) (b Backup, marked bool, err error) {
	ev, err := i.db.NewestEvent(ctx, backupObject, backupAction)
	if errors.Is(err, ca.ErrUnknown) {
		return b, false, nil
	}
	if err != nil {
		return b, false, err
	}
	b.Verified = ev.Detail["verified"] == "yes"
	if b.Made, err = time.Parse(time.RFC3339, ev.Detail["made"]); err != nil {
		return b, false, fmt.Errorf("reading the mark of the last backup: %w", err)
	}
	return b, true, nil
}

// compareCopy gives the time of the first record that a copy of the database lacks, zero for none.
func (i *Installation) compareCopy(ctx context.Context, path string) (lacks time.Time, err error) {
	if i.Config.postgres() {
		return lacks, fmt.Errorf("%w: the database is PostgreSQL's, whose own tools verify", ErrBackupCopy)
	}
	if a, aerr := os.Stat(path); aerr == nil {
		if b, berr := os.Stat(i.Config.Database); berr == nil && os.SameFile(a, b) {
			return lacks, fmt.Errorf("%w: it is the database itself", ErrBackupCopy)
		}
	}
	h, seq, hash, err := store.InspectCopy(ctx, path)
	switch {
	case err != nil:
		return lacks, fmt.Errorf("%w: %w", ErrBackupCopy, err)
	case len(h.Damage) > 0:
		return lacks, fmt.Errorf("%w: it is damaged: %s", ErrBackupCopy, h.Damage[0])
	}
	ours, err := i.db.NextRecord(ctx, seq-1)
	if err != nil {
		return lacks, err
	}
	if ours.Seq != seq || !bytes.Equal(ours.Hash[:], hash) {
		return lacks, fmt.Errorf("%w: its last audit record, %d, is not one of the chain here", ErrBackupCopy, seq)
	}
	next, err := i.db.NextRecord(ctx, seq)
	return next.At, err
}

// backup: one was made that is not too old, and verified.
func (v *vitals) backup(ctx context.Context) health.Finding {
	limit := v.Config.Backup.MaxAge
	b, marked, err := v.lastBackup(ctx)
	if err != nil {
		return v.unasked("backup", err)
	}
	since := b.Made
	f := health.Finding{State: health.OK, Code: "backup.ok"}
	if marked {
		f.Values = []health.Value{health.At("backup_made", b.Made), health.Number("backup_age", v.now().Sub(b.Made).Hours(), "h")}
	} else if !v.Sandbox && limit > 0 {
		first, err := v.db.NextRecord(ctx, 0) // of the installation's making
		if err != nil {
			return v.unasked("backup", err)
		}
		since = first.At
	}
	how := "--verified"
	if !v.Config.postgres() {
		how = "--copy mohor-backup.db"
	}
	a := args{"made": at(b.Made), "limit": fmt.Sprintf("%.0f", limit.Hours()), "data": v.Dir, "how": how}
	late := v.now().Sub(since) > limit
	switch {
	case v.Sandbox:
		f.Code = "backup.sandbox"
	case limit == 0:
		f.Code = "backup.off"
	case !marked && late:
		f.State, f.Code, f.Args = health.Fail, "backup.none", a
	case !marked:
		f.State, f.Code, f.Args = health.Warn, "backup.none", a
	case late:
		f.State, f.Code, f.Args = health.Fail, "backup.old", a
	case !b.Verified:
		f.State, f.Code, f.Args = health.Warn, "backup.unverified", a
	}
	return f
}
