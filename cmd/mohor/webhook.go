package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

type webhookCmd struct {
	Set        webhookSetCmd        `cmd:"" help:"Make another secret, shown once, and have events sent to an address."`
	Show       webhookShowCmd       `cmd:"" help:"Where an app's events go."`
	Test       webhookTestCmd       `cmd:"" help:"Have the running gateway send a webhook.ping."`
	Deliveries webhookDeliveriesCmd `cmd:"" help:"List an app's events and what became of them, the newest first."`
	Redeliver  webhookRedeliverCmd  `cmd:"" help:"Have an event sent once more, with the same id."`
	Drop       webhookDropCmd       `cmd:"" help:"End an app's events; those that wait are dropped."`
}

// hooked names the app.
type hooked struct {
	acting
	App string `arg:"" help:"The app's id."`
}

// webhooks runs f as whoever the command acts as.
func (a *hooked) webhooks(e *env, f func(w *enrol.Webhooks, by enrol.Actor) error) error {
	i, by, err := a.open(e)
	if err != nil {
		return err
	}
	err = f(i.Webhooks(), by)
	if errors.Is(err, enrol.ErrUnknown) {
		err = hinted{err, "there is no such app, or nothing of that kind of it: mohor webhook show " + a.App}
	}
	return errors.Join(err, i.Close())
}

type webhookSetCmd struct {
	hooked
	URL     string        `name:"url" help:"https://host/path; without it, where events go already."`
	Overlap time.Duration `default:"24h" help:"How long the secret before stays good, 0 to 168h."`
}

func (c *webhookSetCmd) Run(e *env) error {
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error {
		url, secret, err := w.Set(e.ctx, by, c.App, c.URL, c.Overlap)
		if err != nil {
			return err
		}
		defer secret.Wipe()
		_, err = fmt.Fprintf(e.stdout, "url         %s\nsecret      %s\n", url, secret.Reveal())
		fmt.Fprintln(e.stderr, "mohor: the secret is shown this once; nobody can read it again")
		return err
	})
}

type webhookShowCmd struct{ hooked }

func (c *webhookShowCmd) Run(e *env) error {
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error {
		h, err := w.Webhook(e.ctx, by, c.App)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "url         %s\nsecret of   %s\n", h.URL, h.SetAt.Format(time.RFC3339))
		if err == nil && h.OldUntil != nil {
			_, err = fmt.Fprintf(e.stdout, "before      good until %s\n", h.OldUntil.Format(time.RFC3339))
		}
		return err
	})
}

type webhookTestCmd struct{ hooked }

func (c *webhookTestCmd) Run(e *env) error {
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error {
		event, err := w.Test(e.ctx, by, c.App)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, event)
		return err
	})
}

type webhookDeliveriesCmd struct {
	hooked
	State string `enum:",PENDING,DELIVERED,DEAD,DROPPED" default:"" help:"Of one state: PENDING, DELIVERED, DEAD or DROPPED."`
	Limit int    `default:"50" help:"How many, at most 500."`
	JSON  bool   `name:"json" help:"Print JSON, one event a line."`
}

func (c *webhookDeliveriesCmd) Run(e *env) error {
	if c.Limit < 1 || c.Limit > 500 {
		return errors.New("--limit must be 1 to 500")
	}
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error {
		list, err := w.Deliveries(e.ctx, by, c.App, c.State, "", c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, d := range list {
				if err := json.NewEncoder(e.stdout).Encode(d); err != nil {
					return err
				}
			}
			return nil
		}
		t := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "EVENT\tCREATED\tTYPE\tOBJECT\tSTATE\tTRIES\tLAST")
		for _, d := range list {
			last := d.Why
			if d.Status != 0 {
				last = fmt.Sprint(d.Status)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", d.ID, d.CreatedAt.Format(time.RFC3339), d.Type, d.Object, d.State, d.Tries, last)
		}
		return t.Flush()
	})
}

type webhookRedeliverCmd struct {
	hooked
	Event string `arg:"" help:"The event's id."`
}

func (c *webhookRedeliverCmd) Run(e *env) error {
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error { return w.Redeliver(e.ctx, by, c.App, c.Event) })
}

type webhookDropCmd struct{ hooked }

func (c *webhookDropCmd) Run(e *env) error {
	return c.webhooks(e, func(w *enrol.Webhooks, by enrol.Actor) error { return w.Drop(e.ctx, by, c.App) })
}
