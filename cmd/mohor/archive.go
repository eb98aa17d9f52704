package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/pdf/verify"
)

type archiveCmd struct {
	Run    archiveRunCmd    `cmd:"" help:"Move what was signed longer ago than retention.active_years into archives."`
	List   archiveListCmd   `cmd:"" help:"List the archives."`
	Verify archiveVerifyCmd `cmd:"" help:"Check an archive, and verify every signature in it anew."`
	Show   archiveShowCmd   `cmd:"" help:"Tell what is in an archive, or take it out."`
}

type archiveRunCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one archive a line."`
}

func (c *archiveRunCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	n := 0
	err = i.RunArchive(e.ctx, operator(), func(in archive.Info) error {
		n++
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(in)
		}
		_, err := fmt.Fprintf(e.stdout, "archived    %s: %d transactions, %d signatures, %d bytes\n", archive.Path(i.Config.Retention.Archives, in.ID), in.Transactions, in.Signatures, in.Size)
		return err
	})
	if errors.Is(err, gateway.ErrInUse) {
		return hinted{err, "another run is at work; wait for its end"}
	}
	if left := (*archive.LeftError)(nil); errors.As(err, &left) {
		return hinted{err, "all else that is due was archived; see docs/operating.md, Retention"}
	}
	if err != nil {
		return hinted{err, "what was not told of is still in the database; run it again"}
	}
	if n == 0 && !c.JSON {
		fmt.Fprintln(e.stdout, "nothing is old enough")
	}
	return nil
}

type archiveListCmd struct {
	acting
	JSON bool `help:"Print JSON, one archive a line."`
}

func (c *archiveListCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	list, err := i.Archives(e.ctx, by)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, in := range list {
		if c.JSON {
			err = json.NewEncoder(e.stdout).Encode(in)
		} else {
			_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", in.ID, in.State, in.Newest.Format(time.DateOnly), in.Signatures, in.ManifestHex)
		}
		if err != nil {
			return err
		}
	}
	return t.Flush()
}

type archiveVerifyCmd struct {
	acting
	File string `arg:"" help:"The archive." type:"existingfile"`
	JSON bool   `help:"Print JSON, one signature a line."`
}

func (c *archiveVerifyCmd) Help() string {
	return "Exit status: 0 when the archive is what was written and all signatures are VALID, 1 when one is INVALID or the archive is broken, else 3."
}

func (c *archiveVerifyCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	a, end, err := i.OpenArchive(e.ctx, by, c.File)
	if err != nil {
		return err
	}
	defer end() //nolint:errcheck // it was only read
	var worst exitStatus
	n, bad := 0, 0
	err = i.VerifyArchive(e.ctx, a, func(s gateway.ArchivedSignature) error {
		n++
		switch {
		case s.Verdict == verify.Invalid:
			worst, bad = statusInvalid, bad+1
		case s.Verdict != verify.Valid:
			bad++
			if worst == 0 {
				worst = statusIndeterminate
			}
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(s)
		}
		if s.Verdict == verify.Valid {
			return nil
		}
		_, err := fmt.Fprintf(e.stdout, "%s  %s %d %s %v\n", s.Verdict, s.Batch, s.Index, s.Name, s.Reasons)
		return err
	})
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(e.stdout, "archive %s is what was written: %d entries, %d of %d signatures are VALID\n", a.Manifest.ID, len(a.Manifest.Entries), n-bad, n)
	}
	if worst != 0 {
		return worst
	}
	return nil
}

type archiveShowCmd struct {
	acting
	File    string `arg:"" help:"The archive." type:"existingfile"`
	Extract string `help:"New folder to write everything to, in the clear." type:"path"`
	JSON    bool   `help:"Print the manifest."`
}

func (c *archiveShowCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	a, end, err := i.OpenArchive(e.ctx, by, c.File)
	if err != nil {
		return err
	}
	defer end() //nolint:errcheck // it was only read
	if c.Extract != "" {
		return c.extract(e, a)
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(a.Manifest)
	}
	m := &a.Manifest
	fmt.Fprintf(e.stdout, "archive     %s\nmade        %s\nnewest      %s\nbatches     %d\ntransactions %d\nsignatures  %d\n", m.ID, m.CreatedAt.Format(time.RFC3339), m.Newest.Format(time.RFC3339), m.Batches, m.Transactions, m.Signatures)
	return a.Cases(func(x *archive.Case) error {
		for _, t := range x.Transactions {
			if _, err := fmt.Fprintf(e.stdout, "%s  %s  %s  %s  %s\n", t.ID, t.CreatedAt.Format(time.RFC3339), t.Status, t.System, x.Batch.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// extract writes every entry; names come from a signed manifest, and still lead nowhere
// outside the folder.
func (c *archiveShowCmd) extract(e *env, a *archive.Archive) error {
	if err := os.Mkdir(c.Extract, 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	root, err := os.OpenRoot(c.Extract)
	if err != nil {
		return fmt.Errorf("opening the folder: %w", err)
	}
	defer root.Close()
	for _, entry := range a.Manifest.Entries {
		name := filepath.FromSlash(entry.Name)
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("extracting %s: %w", entry.Name, err)
		}
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("extracting %s: %w", entry.Name, err)
		}
		if err := errors.Join(a.Copy(f, entry), f.Close()); err != nil {
			return fmt.Errorf("extracting %s: %w", entry.Name, err)
		}
	}
	fmt.Fprintf(e.stdout, "extracted   %d files to %s\n", len(a.Manifest.Entries), c.Extract)
	fmt.Fprintln(e.stderr, "mohor: hint: they are in the clear; remove them when they were looked at")
	return nil
}
