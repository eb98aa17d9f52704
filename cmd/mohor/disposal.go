package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

type disposalCmd struct {
	Propose disposalProposeCmd `cmd:"" help:"Propose to destroy all whose time is over (sandbox only: else by session)."`
	List    disposalListCmd    `cmd:"" help:"List disposals, proposed and done."`
	Show    disposalShowCmd    `cmd:"" help:"What would go, or the report of what went."`
	Confirm disposalConfirmCmd `cmd:"" help:"Destroy what somebody else has proposed (sandbox only: else by session)."`
	Cancel  disposalCancelCmd  `cmd:"" help:"Cancel a proposal (sandbox only: else by session)."`
}

// kept runs f as whoever the command acts as.
func (a *acting) kept(e *env, f func(k *enrol.Kept, by enrol.Actor) error) error {
	i, by, err := a.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	return f(i.Kept(), by)
}

// asked is how a disposal is printed.
type asked struct {
	JSON bool `name:"json" xor:"format" help:"Print JSON."`
	CSV  bool `name:"csv" xor:"format" help:"Print CSV."`
}

func (a asked) print(w io.Writer, d *enrol.Disposal) error {
	switch {
	case a.JSON:
		return json.NewEncoder(w).Encode(d)
	case a.CSV:
		return d.WriteCSV(w)
	}
	id := d.ID
	if id == "" {
		id = "(dry run)"
	}
	c := d.Counts
	_, err := fmt.Fprintf(w, "disposal    %s %s\nbefore      %s\narchives    %d with %d transactions, %d signatures\npeople      %d with %d keys, %d certificates, %d applications\nkept        %d of these, and %d archives that are held\n",
		id, d.State, d.Before.Format(time.DateOnly), c.Archives, c.Transactions, c.Signatures, c.People, c.Credentials, c.Certificates, c.Enrolments, c.Kept, c.Held)
	if err == nil && d.State == enrol.DisposalProposed && d.ID != "" {
		_, err = fmt.Fprintf(w, "confirm     by another JDN administrator until %s\n", d.Until.Format(time.RFC3339))
	}
	return err
}

type disposalProposeCmd struct {
	acting
	asked
	DryRun bool `help:"Tell what would go, propose nothing."`
}

func (c *disposalProposeCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		d, err := k.Propose(e.ctx, by, c.DryRun)
		if err != nil {
			return bySession(err)
		}
		return c.print(e.stdout, &d)
	})
}

// bySession tells the operator of the machine who may.
func bySession(err error) error {
	if errors.Is(err, enrol.ErrForbidden) {
		return hinted{err, "two JDN administrators do this in sessions of theirs: POST /v1/admin/disposals and …/confirm"}
	}
	return err
}

type disposalListCmd struct {
	acting
	JSON bool `name:"json" help:"Print JSON, one disposal a line."`
}

func (c *disposalListCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		list, err := k.Disposals(e.ctx, by)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		for _, d := range list {
			if c.JSON {
				err = json.NewEncoder(e.stdout).Encode(d)
			} else {
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%d archives\t%d people\n", d.ID, d.State, d.ProposedAt.Format(time.RFC3339), d.Counts.Archives, d.Counts.People)
			}
			if err != nil {
				return err
			}
		}
		return t.Flush()
	})
}

type disposalShowCmd struct {
	acting
	asked
	ID string `arg:"" help:"The disposal."`
}

func (c *disposalShowCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		d, err := k.Disposal(e.ctx, by, c.ID)
		if err != nil {
			return err
		}
		return c.print(e.stdout, &d)
	})
}

type disposalConfirmCmd struct {
	acting
	asked
	ID string `arg:"" help:"The disposal."`
}

func (c *disposalConfirmCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		// Only a sandbox lets somebody act here, and --as is as good as a log-in there.
		d, err := k.Confirm(e.ctx, by, c.ID, true)
		if err != nil {
			return bySession(err)
		}
		return c.print(e.stdout, &d)
	})
}

type disposalCancelCmd struct {
	acting
	ID string `arg:"" help:"The disposal."`
}

func (c *disposalCancelCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		if err := k.Cancel(e.ctx, by, c.ID); err != nil {
			return bySession(err)
		}
		_, err := fmt.Fprintln(e.stdout, "cancelled  ", c.ID)
		return err
	})
}

type holdCmd struct {
	Add  holdAddCmd  `cmd:"" help:"Keep all about a person or a document from disposal."`
	List holdListCmd `cmd:"" help:"List the legal holds."`
	Lift holdLiftCmd `cmd:"" help:"End a legal hold (sandbox only: else by session)."`
}

type holdAddCmd struct {
	acting
	IC        string `xor:"what" required:"" help:"No. Kad Pengenalan of the person, 12 digits."`
	Reference string `xor:"what" required:"" help:"Reference of the document, as requests give it."`
	Reason    string `required:"" help:"Why; it stands in the audit."`
}

func (c *holdAddCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		h, err := k.Hold(e.ctx, by, c.IC, c.Reference, c.Reason)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, "hold       ", h.ID)
		return err
	})
}

type holdListCmd struct {
	acting
	JSON bool `help:"Print JSON, one hold a line."`
}

func (c *holdListCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		list, err := k.Holds(e.ctx, by)
		if err != nil {
			return err
		}
		for _, h := range list {
			if c.JSON {
				err = json.NewEncoder(e.stdout).Encode(h)
			} else {
				_, err = fmt.Fprintf(e.stdout, "%s  %s  %s%s  %s\n", h.ID, h.At.Format(time.DateOnly), h.IC, h.Reference, h.Reason)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type holdLiftCmd struct {
	acting
	ID     string `arg:"" help:"The hold."`
	Reason string `required:"" help:"Why; it stands in the audit."`
}

func (c *holdLiftCmd) Run(e *env) error {
	return c.kept(e, func(k *enrol.Kept, by enrol.Actor) error {
		if err := k.Lift(e.ctx, by, c.ID, c.Reason); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "lifted     ", c.ID)
		return err
	})
}

type officerExportCmd struct {
	acting
	IC     string `required:"" help:"No. Kad Pengenalan, 12 digits."`
	Reason string `required:"" help:"The request in writing; it stands in the audit."`
	Out    string `required:"" short:"o" help:"New ZIP file." type:"path"`
}

func (c *officerExportCmd) Run(e *env) (err error) {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating the file: %w", err)
	}
	if err := errors.Join(i.ExportSubject(e.ctx, by, c.IC, c.Reason, f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Out))
	}
	_, err = fmt.Fprintln(e.stdout, "exported   ", c.Out)
	return err
}
