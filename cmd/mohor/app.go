package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/secret"
)

type appCmd struct {
	Add     appAddCmd     `cmd:"" help:"Register an application, with its first credential; a secret is printed this once."`
	List    appListCmd    `cmd:"" help:"List applications."`
	Show    appShowCmd    `cmd:"" help:"Show an application with its credentials."`
	Rotate  appRotateCmd  `cmd:"" help:"Give an application another credential; the old one goes on for some days."`
	Revoke  appRevokeCmd  `cmd:"" help:"Revoke a credential at once, with its tokens."`
	Suspend appSuspendCmd `cmd:"" help:"Refuse all credentials and tokens of an application from now on."`
	Resume  appResumeCmd  `cmd:"" help:"Take them again."`
	End     appEndCmd     `cmd:"" help:"End an application for good."`
}

// ofApp names an application.
type ofApp struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	App  string `arg:"" help:"The application, of mohor app list."`
}

// with runs f on the applications as the operator of the machine.
func (c *ofApp) with(e *env, f func(a *enrol.Apps, by enrol.Actor) error) error {
	err := gateway.Apps(e.ctx, c.Data, e.now, func(a *enrol.Apps, _ *enrol.Desk) error { return f(a, enrol.Actor{Name: operator()}) })
	if errors.Is(err, enrol.ErrUnknown) {
		return hinted{errors.New("no such application or credential"), "mohor app list, mohor app show"}
	}
	return err
}

// made is what a new credential is of, as flags.
type made struct {
	JWKS        string `help:"File with the public keys of private_key_jwt, a JWK set." type:"path" name:"jwks"`
	Certificate string `help:"File with the client certificate (PEM) that the application is bound to." type:"path"`
	Subject     string `help:"Or the subject (RFC 4514) that a certificate of tls.client_ca must have."`
	Out         string `short:"o" help:"New file for the secret, mode 0600 (default: print it)." type:"path"`
}

func (m *made) credential(kind string) (n enrol.NewCredential, err error) {
	n = enrol.NewCredential{Kind: kind, Subject: m.Subject}
	if m.JWKS != "" {
		if n.Keys, err = os.ReadFile(m.JWKS); err != nil {
			return n, fmt.Errorf("reading keys: %w", err)
		}
	}
	if m.Certificate != "" {
		raw, err := os.ReadFile(m.Certificate)
		if err != nil {
			return n, fmt.Errorf("reading certificate: %w", err)
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return n, errors.New("the certificate is not PEM")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return n, fmt.Errorf("reading certificate: %w", err)
		}
		n.Thumbprint = sha256.Sum256(block.Bytes)
	}
	return n, nil
}

// give makes a credential and hands its secret over: into a file that is there before, so that
// no secret is made that nobody gets.
func (m *made) give(e *env, a *enrol.Apps, by enrol.Actor, app string, n enrol.NewCredential) (err error) {
	out := func(s secret.Text) error {
		_, err := fmt.Fprintf(e.stdout, "secret       %s\n", s.Reveal())
		return err
	}
	if m.Out != "" {
		f, err := os.OpenFile(m.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("creating the file for the secret: %w", err)
		}
		defer f.Close()
		out = func(s secret.Text) error {
			_, err := f.Write(append(s.Reveal(), '\n'))
			return errors.Join(err, f.Sync())
		}
	}
	c, text, err := a.AddCredential(e.ctx, by, app, n)
	if err != nil {
		if m.Out != "" {
			err = errors.Join(err, os.Remove(m.Out))
		}
		return err
	}
	defer text.Wipe()
	fmt.Fprintf(e.stdout, "credential   %s (%s)\n", c.ID, c.Kind)
	if c.Replaces != "" {
		fmt.Fprintf(e.stdout, "replaces     %s, until %s\n", c.Replaces, c.ReplacesUntil.UTC().Format(time.RFC3339))
	}
	if text.Len() == 0 {
		return nil
	}
	fmt.Fprintln(e.stderr, "mohor: hint: the secret is kept nowhere: give it to the application's administrator by a way that nobody else reads")
	return out(text)
}

type appAddCmd struct {
	ofApp
	made
	Name        string   `help:"Name that officers are shown." required:""`
	System      []string `help:"Registered ICT system that it may speak for; may be repeated." required:""`
	Grant       []string `help:"sign, lookup, verify (default: these three), RAW, pades_digest, csc_explicit; may be repeated."`
	PINEntry    string   `name:"pin-entry" help:"Where officers enter the PIN: hosted or app." enum:"hosted,app" default:"hosted"`
	Rate        float64  `help:"Requests a second." default:"50"`
	RedirectURI []string `name:"redirect-uri" help:"https address that the signing page returns to; may be repeated."`
	Webhook     string   `help:"https address that events go to."`
	Kind        string   `help:"Of the first credential: client_secret, private_key_jwt, api_key, basic or none." enum:"client_secret,private_key_jwt,api_key,basic,none" default:"client_secret"`
}

func (c *appAddCmd) Run(e *env) error {
	n, err := c.credential(c.Kind)
	if err != nil {
		return err
	}
	return c.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		_, err := a.Add(e.ctx, by, enrol.App{ID: c.App, Name: c.Name, Systems: c.System, Grants: c.Grant, PINEntry: c.PINEntry, Rate: c.Rate, RedirectURIs: c.RedirectURI, Webhook: c.Webhook})
		var no *enrol.Refusal
		if errors.As(err, &no) && no.Field == "systems" {
			return hinted{err, "mohor enrol system registers one, mohor enrol agency its agency"}
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "app          %s\n", c.App)
		if c.Kind == "none" {
			return nil
		}
		if err := c.give(e, a, by, c.App, n); err != nil {
			return hinted{err, "the application is registered: mohor app rotate gives it a credential"}
		}
		return nil
	})
}

type appListCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one application a line."`
}

// appLine is an application as printed.
type appLine struct {
	App          string    `json:"app_id"`
	Name         string    `json:"name"`
	State        string    `json:"state"`
	Systems      []string  `json:"systems"`
	Grants       []string  `json:"grants"`
	PINEntry     string    `json:"pin_entry"`
	Rate         float64   `json:"rate"`
	RedirectURIs []string  `json:"redirect_uris"`
	Webhook      string    `json:"webhook,omitempty"`
	MTLS         bool      `json:"mtls"`
	Awaits       bool      `json:"awaits_confirmation"`
	CreatedAt    time.Time `json:"created_at"`
}

func (c *appListCmd) Run(e *env) error {
	enc, t := json.NewEncoder(e.stdout), tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "APP\tSTATE\tNAME\tSYSTEMS\tGRANTS\tPIN\tMTLS")
	}
	all := ofApp{Data: c.Data}
	err := all.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		const page = 1000
		for after, n := "", page; n == page; {
			list, err := a.List(e.ctx, by, enrol.AppQuery{After: after, Limit: page})
			if err != nil {
				return err
			}
			for _, x := range list {
				if !c.JSON {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%v\n", x.ID, x.State, x.Name, strings.Join(x.Systems, " "), strings.Join(x.Grants, " "), x.PINEntry, x.MTLS)
				} else if err := enc.Encode(appLine{x.ID, x.Name, x.State, x.Systems, x.Grants, x.PINEntry, x.Rate, append([]string{}, x.RedirectURIs...), x.Webhook, x.MTLS, x.Proposal != nil, x.CreatedAt}); err != nil {
					return err
				}
				after = x.ID
			}
			n = len(list)
		}
		return nil
	})
	return errors.Join(err, t.Flush())
}

type appShowCmd struct{ ofApp }

func (c *appShowCmd) Run(e *env) error {
	return c.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		x, list, err := a.Show(e.ctx, by, c.App)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "app          %s\nname         %s\nstate        %s\nsystems      %s\ngrants       %s\npin_entry    %s\nrate         %g\nmtls         %v\n",
			x.ID, x.Name, x.State, strings.Join(x.Systems, " "), strings.Join(x.Grants, " "), x.PINEntry, x.Rate, x.MTLS)
		for _, u := range x.RedirectURIs {
			fmt.Fprintf(e.stdout, "redirect_uri %s\n", u)
		}
		if x.Webhook != "" {
			fmt.Fprintf(e.stdout, "webhook      %s\n", x.Webhook)
		}
		if p := x.Proposal; p != nil {
			fmt.Fprintf(e.stdout, "proposal     %s by %s\n", p.ID, p.By)
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "CREDENTIAL\tKIND\tSTATE\tCREATED\tEXPIRES\tLAST USED\tOF")
		for _, k := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, credentialState(&k, e.now()), onDay(k.CreatedAt), onDay(k.ExpiresAt), onDay(k.LastUsed), dash(publicOf(&k)))
		}
		return t.Flush()
	})
}

// onDay is a time's day, UTC; "-" for none.
func onDay(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func credentialState(k *enrol.AppCredential, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "REVOKED"
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return "EXPIRED"
	case k.Awaits:
		return "AWAITS"
	}
	return "ACTIVE"
}

func publicOf(k *enrol.AppCredential) string {
	if k.Kind != enrol.KindCertificate {
		return ""
	}
	if k.Public != "" {
		return k.Public
	}
	return hex.EncodeToString(k.Hash[:])
}

type appRotateCmd struct {
	ofApp
	made
	Kind     string `help:"client_secret, private_key_jwt, api_key, basic or certificate." enum:"client_secret,private_key_jwt,api_key,basic,certificate" default:"client_secret"`
	Replaces string `help:"Credential that it takes the place of (default: the newest of that kind, if there is one)."`
	Days     int    `help:"For how long that one goes on, at most 90." default:"7"`
}

func (c *appRotateCmd) Run(e *env) error {
	n, err := c.credential(c.Kind)
	if err != nil {
		return err
	}
	return c.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		_, list, err := a.Show(e.ctx, by, c.App)
		if err != nil {
			return err
		}
		n.Replaces = c.Replaces
		for _, k := range slices.Backward(list) {
			if n.Replaces == "" && k.Kind == c.Kind && credentialState(&k, e.now()) == "ACTIVE" {
				n.Replaces = k.ID
			}
		}
		if n.Replaces != "" {
			n.Until = e.now().Add(time.Duration(c.Days) * 24 * time.Hour)
		}
		return c.give(e, a, by, c.App, n)
	})
}

type appRevokeCmd struct {
	ofApp
	Credential string `arg:"" help:"The credential, of mohor app show."`
}

func (c *appRevokeCmd) Run(e *env) error {
	return c.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		if err := a.RevokeCredential(e.ctx, by, c.App, c.Credential); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "revoked     ", c.Credential)
		return err
	})
}

// reasoned is a step of an application that needs a reason.
type reasoned struct {
	ofApp
	Reason string `required:"" help:"Why, 5 to 200 characters; it stands in the audit."`
}

type (
	appSuspendCmd struct{ reasoned }
	appResumeCmd  struct{ reasoned }
	appEndCmd     struct{ reasoned }
)

func (c *appSuspendCmd) Run(e *env) error {
	return c.turn(e, func(a *enrol.Apps, by enrol.Actor) (enrol.App, error) { return a.Suspend(e.ctx, by, c.App, c.Reason) })
}

func (c *appResumeCmd) Run(e *env) error {
	return c.turn(e, func(a *enrol.Apps, by enrol.Actor) (enrol.App, error) { return a.Resume(e.ctx, by, c.App, c.Reason) })
}

func (c *appEndCmd) Run(e *env) error {
	return c.turn(e, func(a *enrol.Apps, by enrol.Actor) (enrol.App, error) { return a.End(e.ctx, by, c.App, c.Reason) })
}

func (c *reasoned) turn(e *env, do func(*enrol.Apps, enrol.Actor) (enrol.App, error)) error {
	return c.with(e, func(a *enrol.Apps, by enrol.Actor) error {
		x, err := do(a, by)
		if err == nil {
			_, err = fmt.Fprintf(e.stdout, "%-12s %s\n", strings.ToLower(x.State), x.ID)
		}
		return err
	})
}
