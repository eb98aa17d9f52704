package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type backupCmd struct {
	Mark backupMarkCmd `cmd:"" help:"Note that a backup was made, and that it was verified; the gateway raises an alarm when the last one is too old."`
}

type backupMarkCmd struct {
	Data     string    `default:"var/mohor" help:"Data folder." type:"path"`
	Copy     string    `xor:"how" type:"path" help:"Verify this copy of mohor.db (SQLite): that it is whole, and how far its audit chain reaches." placeholder:"FILE"`
	Verified bool      `xor:"how" help:"The backup was verified by other means, such as pg_verifybackup or by putting it back elsewhere."`
	Made     time.Time `help:"When the backup was begun, if not now (RFC 3339)."`
}

func (c *backupMarkCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	b, err := i.MarkBackup(e.ctx, operator(), gateway.Backup{Made: c.Made, Verified: c.Verified}, c.Copy)
	switch {
	case errors.Is(err, gateway.ErrBackupCopy):
		return hinted{err, "make another copy: sqlite3 mohor.db \".backup COPY\""}
	case errors.Is(err, gateway.ErrBackupTime):
		return hinted{err, "nothing was noted; --made says when the backup was begun"}
	case err != nil:
		return err
	}
	how := "not verified"
	if b.Verified {
		how = "verified"
	}
	_, err = fmt.Fprintf(e.stdout, "backup      of %s, %s\n", b.Made.Format(time.RFC3339), how)
	return err
}
