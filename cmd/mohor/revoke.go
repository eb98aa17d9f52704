package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/myt"
)

type caRevokeCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Serial string `arg:"" help:"Serial number, decimal."`
	Reason string `required:"" enum:"unspecified,keyCompromise,cACompromise,affiliationChanged,superseded,cessationOfOperation,privilegeWithdrawn" help:"CRLReason (RFC 5280, Section 5.3.1): ${enum}; cACompromise for a CA's certificate alone."`
	At     string `placeholder:"TIME" help:"When the running gateway is to do it: a date, which begins at 00:00 in Malaysia, or a time (RFC 3339)."`
}

func (c *caRevokeCmd) Run(e *env) error {
	at, err := effective(c.At)
	if err != nil {
		return err
	}
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	if c.At != "" {
		if err := i.Schedule(e.ctx, operator(), c.Serial, ca.ReasonCode(c.Reason), at); err != nil {
			return statusError(c.Serial, err)
		}
		fmt.Fprintf(e.stdout, "%s will be revoked (%s) at %s\n", c.Serial, c.Reason, at.UTC().Format(time.RFC3339))
		return nil
	}
	switch err := i.Revoke(e.ctx, operator(), c.Serial, ca.ReasonCode(c.Reason)); {
	case errors.Is(err, ca.ErrRevoked) && !errors.Is(err, ca.ErrNotPublished):
		return fmt.Errorf("certificate %s was revoked before; the CRL is current", c.Serial)
	case err != nil:
		return statusError(c.Serial, err)
	}
	what := "its key is destroyed and the CRL is published"
	if i.OfAuthority(e.ctx, c.Serial) {
		what = "the CRL is published; the key stays in the token"
	}
	fmt.Fprintf(e.stdout, "revoked %s (%s); %s\n", c.Serial, c.Reason, what)
	return nil
}

// effective reads a date or a time; the zero time for "".
func effective(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, myt.Zone); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, hinted{fmt.Errorf("reading the time %q", text), "2027-01-31, or 2027-01-31T17:00:00+08:00"}
	}
	return t, nil
}

// day is a day of Malaysia, from midnight there, or a time with its offset.
type day time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *day) UnmarshalText(text []byte) error {
	t, err := effective(string(text))
	*d = day(t)
	return err
}

// statusError says in an operator's words why a status was not changed, or not told.
func statusError(serial string, err error) error {
	switch {
	case errors.Is(err, ca.ErrNotPublished):
		return hinted{err, "the status is changed; the running gateway tries again every minute, or: mohor ca crl --publish"}
	case errors.Is(err, ca.ErrUnavailable):
		return hinted{fmt.Errorf("certificate %s is revoked here and its key destroyed; the CA that issued it is still to be told: %w", serial, err), "a gateway that serves tells it as soon as it answers"}
	case errors.Is(err, ca.ErrUnknown):
		return hinted{fmt.Errorf("there is no certificate %s", serial), "the serial number in decimal, as `mohor verify` shows it"}
	case errors.Is(err, ca.ErrReason):
		return hinted{err, "cACompromise is for the certificates of CAs"}
	case errors.Is(err, ca.ErrRevoked):
		return fmt.Errorf("certificate %s is revoked, for good", serial)
	case errors.Is(err, ca.ErrSuspended):
		return fmt.Errorf("certificate %s was suspended before; the CRL is current", serial)
	case errors.Is(err, ca.ErrActive):
		return fmt.Errorf("certificate %s is not suspended; the CRL is current", serial)
	}
	return err
}

type caSuspendCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Serial string `arg:"" help:"Serial number, decimal."`
	Why    string `required:"" help:"For the audit: 1 to 200 characters."`
}

func (c *caSuspendCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	if err := i.Suspend(e.ctx, operator(), c.Serial, c.Why); err != nil {
		return statusError(c.Serial, err)
	}
	fmt.Fprintf(e.stdout, "suspended %s; its key is kept and the CRL is published\n", c.Serial)
	return nil
}

type caReleaseCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Serial string `arg:"" help:"Serial number, decimal."`
	Why    string `required:"" help:"For the audit: 1 to 200 characters."`
}

func (c *caReleaseCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	if err := i.Release(e.ctx, operator(), c.Serial, c.Why); err != nil {
		return statusError(c.Serial, err)
	}
	fmt.Fprintf(e.stdout, "released %s; the CRL without it is published\n", c.Serial)
	return nil
}

type caScheduledCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Cancel string `placeholder:"SERIAL" help:"Cancel the revocation of this certificate."`
	JSON   bool   `help:"Print JSON, one revocation a line."`
}

// scheduledMost is how many are listed.
const scheduledMost = 10_000

func (c *caScheduledCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	if c.Cancel != "" {
		err := i.Unschedule(e.ctx, operator(), c.Cancel)
		if errors.Is(err, ca.ErrUnknown) {
			return hinted{fmt.Errorf("nothing is scheduled for certificate %s", c.Cancel), "mohor ca scheduled lists what is"}
		}
		if err == nil {
			fmt.Fprintf(e.stdout, "%s will not be revoked\n", c.Cancel)
		}
		return err
	}
	list, err := i.Scheduled(e.ctx, scheduledMost)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.stdout)
		for _, s := range list {
			err := enc.Encode(struct {
				Serial string    `json:"serial_number"`
				At     time.Time `json:"at"`
				Reason string    `json:"reason"`
				By     string    `json:"by"`
				Since  time.Time `json:"since"`
			}{s.Serial, s.At, ca.ReasonName(s.Reason), s.Actor, s.CreatedAt})
			if err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERIAL NUMBER\tAT\tREASON\tBY")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Serial, s.At.Format(time.RFC3339), ca.ReasonName(s.Reason), s.Actor)
	}
	return t.Flush()
}
