package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

// ordering is what orders about an officer's certificates share.
type ordering struct {
	acting
	IC  string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Why string `help:"Why, 5 to 200 characters; it is kept, and stands in the audit." required:""`
}

func (c *ordering) run(e *env, at string, do func(*gateway.Installation, enrol.Actor, enrol.StatusOrder) (enrol.StatusOutcome, error)) error {
	when, err := effective(at)
	if err != nil {
		return err
	}
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	done, err := do(i, by, enrol.StatusOrder{IC: c.IC, Why: c.Why, At: when})
	later := errors.Is(err, ca.ErrNotPublished) || errors.Is(err, ca.ErrUnavailable)
	if err != nil && (done.Serials == nil || !later) {
		return err
	}
	fmt.Fprintf(e.stdout, "certificate %s\n", strings.Join(done.Serials, " "))
	if !done.At.IsZero() {
		fmt.Fprintf(e.stdout, "at          %s, by the running gateway\n", done.At.UTC().Format(time.RFC3339))
	}
	if done.Enrolment != "" {
		fmt.Fprintf(e.stdout, "enrolment   %s\n", done.Enrolment)
	}
	if done.LocalOnly {
		fmt.Fprintln(e.stderr, "mohor: another CA issued this certificate and cannot suspend it: nobody signs with it here, and its CRL goes on calling it good")
	}
	if err != nil {
		fmt.Fprintln(e.stderr, "mohor:", err)
		fmt.Fprintln(e.stderr, "mohor: hint: it is in force here; the running gateway tells CRL or the other CA")
	}
	return nil
}

type officerRevokeCmd struct {
	ordering
	System string `default:"IGFMAS" help:"ICT system."`
	Reason string `required:"" enum:"unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation,privilegeWithdrawn" help:"CRLReason (RFC 5280, Section 5.3.1): ${enum}."`
	At     string `placeholder:"TIME" help:"When it takes effect: a date, which begins at 00:00 in Malaysia, or a time (RFC 3339); left out, at once."`
}

func (c *officerRevokeCmd) Run(e *env) error {
	return c.run(e, c.At, func(i *gateway.Installation, by enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
		r.System, r.Reason = c.System, c.Reason
		return i.Desk.Revoke(e.ctx, by, r)
	})
}

type officerSuspendCmd struct {
	ordering
	System string `default:"IGFMAS" help:"ICT system."`
}

func (c *officerSuspendCmd) Run(e *env) error {
	return c.run(e, "", func(i *gateway.Installation, by enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
		r.System = c.System
		return i.Desk.Suspend(e.ctx, by, r)
	})
}

type officerReleaseCmd struct {
	ordering
	System string `default:"IGFMAS" help:"ICT system."`
}

func (c *officerReleaseCmd) Run(e *env) error {
	return c.run(e, "", func(i *gateway.Installation, by enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
		r.System = c.System
		return i.Desk.Release(e.ctx, by, r)
	})
}

type officerRetireCmd struct {
	ordering
	System string `help:"One ICT system (default: all)."`
	At     string `placeholder:"TIME" help:"Last moment: as of revoke --at."`
}

func (c *officerRetireCmd) Run(e *env) error {
	return c.run(e, c.At, func(i *gateway.Installation, by enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
		r.System = c.System
		return i.Desk.Retire(e.ctx, by, r)
	})
}

type officerTransferCmd struct {
	ordering
	System string `default:"IGFMAS" help:"ICT system."`
	Agency string `required:"" help:"Code of the new agency."`
	At     string `placeholder:"TIME" help:"When the certificate of the old agency ends: as of revoke --at."`
}

func (c *officerTransferCmd) Run(e *env) error {
	return c.run(e, c.At, func(i *gateway.Installation, by enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
		r.System = c.System
		return i.Desk.Transfer(e.ctx, by, r, c.Agency)
	})
}

type enrolBulkCmd struct {
	acting
	Step   string   `arg:"" enum:"validate,return,reject,approve" help:"validate, return, reject or approve (sandbox only: else by session)."`
	IDs    []string `arg:"" optional:"" help:"The enrolments; else those of --agency or --system."`
	Reason string   `required:"" help:"Each one's, 5 to 500 characters."`
	System string   `help:"Of one ICT system."`
	Agency string   `help:"Of one agency."`
	Count  int      `help:"How many that are, as a confirmation."`
}

func (c *enrolBulkCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	act := map[string]enrol.Action{"validate": enrol.Validate, "return": enrol.Return, "reject": enrol.Reject, "approve": enrol.Approve}[c.Step]
	done, refused := 0, 0
	tell := func(list []enrol.Verdict) {
		for _, v := range list {
			if v.Err == nil {
				done++
				continue
			}
			refused++
			fmt.Fprintf(e.stdout, "%s  %s  %v\n", v.ID, v.State, v.Err)
		}
	}
	if len(c.IDs) > 0 {
		list, err := i.Desk.Bulk(e.ctx, by, act, c.IDs, c.Reason)
		if err != nil {
			return err
		}
		tell(list)
	} else {
		f := enrol.BulkFilter{System: c.System, Agency: c.Agency, Until: e.now(), Count: c.Count}
		for {
			out, err := i.Desk.BulkAll(e.ctx, by, act, f, c.Reason)
			if err != nil {
				return err
			}
			tell(out.Verdicts)
			if out.Next == nil || len(out.Verdicts) < enrol.MaxBulk {
				break
			}
			f.Count, f.AfterSince, f.AfterID = out.Remaining, out.Next.Since, out.Next.ID
		}
	}
	fmt.Fprintf(e.stdout, "done %d  refused %d\n", done, refused)
	if refused > 0 {
		return errSilent
	}
	return nil
}
