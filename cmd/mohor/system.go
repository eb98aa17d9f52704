package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

type systemCmd struct {
	List systemListCmd `cmd:"" help:"List the registered ICT systems."`
	Set  systemSetCmd  `cmd:"" help:"Set what the signing page shows of a system, and what its data headers are made of."`
}

type systemListCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
}

func (c *systemListCmd) Run(e *env) error {
	return gateway.Apps(e.ctx, c.Data, e.now, func(_ *enrol.Apps, d *enrol.Desk) error {
		list, err := d.Records.Systems(e.ctx)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SYSTEM\tAGENCY\tNOTICE\tHEADER TEMPLATE\tTITLE")
		for _, x := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.Code, x.Agency, x.Notice, dash(x.HeaderTemplate), x.Title)
		}
		return t.Flush()
	})
}

type systemSetCmd struct {
	Data           string  `default:"var/mohor" help:"Data folder." type:"path"`
	System         string  `arg:"" help:"Code of the system."`
	Title          *string `help:"Title on the signing page."`
	Notice         *string `help:"Which word the legal notice uses: sijil or token."`
	HeaderTemplate *string `help:"Fixed text with {digits:N}, {letters:N}, {amount} and {ic}; empty: any header that does not end in another officer's number." placeholder:"TEMPLATE"`
	Logo           string  `help:"PNG or JPEG of at most 64 KiB." type:"path"`
}

func (c *systemSetCmd) Run(e *env) error {
	var logo []byte
	if c.Logo != "" {
		var err error
		if logo, err = os.ReadFile(c.Logo); err != nil {
			return fmt.Errorf("reading logo: %w", err)
		}
	}
	err := gateway.Apps(e.ctx, c.Data, e.now, func(_ *enrol.Apps, d *enrol.Desk) error {
		by := enrol.Actor{Name: operator()}
		_, err := d.ShowSystem(e.ctx, by, c.System, func(s *enrol.System) {
			for _, f := range []struct{ to, given *string }{{&s.Title, c.Title}, {&s.Notice, c.Notice}, {&s.HeaderTemplate, c.HeaderTemplate}} {
				if f.given != nil {
					*f.to = *f.given
				}
			}
		})
		if err == nil && c.Logo != "" {
			err = d.SetLogo(e.ctx, by, c.System, logo)
		}
		return err
	})
	if errors.Is(err, enrol.ErrUnknown) {
		return hinted{errors.New("no such system"), "mohor system list"}
	}
	if err == nil {
		_, err = fmt.Fprintln(e.stdout, "set         ", c.System)
	}
	return err
}
