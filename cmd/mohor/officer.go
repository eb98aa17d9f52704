package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/secret"
)

type officerCmd struct {
	Add       officerAddCmd       `cmd:"" help:"Enrol an officer with a key and a certificate (sandbox only)."`
	ChangePIN officerChangePINCmd `cmd:"" name:"change-pin" help:"Change the PIN of an officer's key; the officer types the PINs."`
	Unlock    officerUnlockCmd    `cmd:"" help:"Clear an officer's PIN counter, lock and block; the key and its PIN stay."`
	Codes     officerCodesCmd     `cmd:"" help:"Tell what became of the codes sent to an officer; it stands in the audit."`

	Export   officerExportCmd   `cmd:"" help:"All that is kept about a person as ZIP of JSON and CSV, for a request in writing."`
	Revoke   officerRevokeCmd   `cmd:"" help:"Revoke an officer's certificate for a system, now or at a time."`
	Suspend  officerSuspendCmd  `cmd:"" help:"Suspend an officer's certificate: the key is kept and not used."`
	Release  officerReleaseCmd  `cmd:"" help:"End a suspension."`
	Retire   officerRetireCmd   `cmd:"" help:"Revoke the certificates of an officer who leaves, now or at a time, and withdraw applications."`
	Transfer officerTransferCmd `cmd:"" help:"Move an officer to another agency: the certificate ends, enrolment there begins."`

	UnlockLogin officerUnlockLoginCmd `cmd:"" name:"unlock-login" help:"Forget failed log-ins that hold an account up; password and devices stay."`
}

type officerUnlockLoginCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	IC     string `help:"No. Kad Pengenalan, 12 digits, also an administrator's." required:""`
	Reason string `help:"Why, and how the person's identity was proved; it stands in the audit." required:""`
}

func (c *officerUnlockLoginCmd) Run(e *env) error {
	return gateway.HelpDesk(e.ctx, c.Data, e.now, func(d *enrol.Desk, a *enrol.Accounts) error {
		cleared, err := d.ClearFailures(e.ctx, a.Records, enrol.Actor{Name: operator()}, c.IC, c.Reason)
		if err != nil {
			return err
		}
		word := map[bool]string{true: "cleared    ", false: "nothing    "}[cleared]
		_, err = fmt.Fprintf(e.stdout, "%s %s\n", word, c.IC)
		return err
	})
}

type officerChangePINCmd struct {
	Data       string `default:"var/mohor" help:"Data folder." type:"path"`
	IC         string `help:"No. Kad Pengenalan, 12 digits." required:""`
	System     string `default:"IGFMAS" help:"ICT system."`
	Credential string `help:"The key, when the officer has several for the system (default: the first active one)."`
	OldPINFile string `help:"File with the old PIN (default: ask)." type:"path"`
	NewPINFile string `help:"File with the new PIN (default: ask twice)." type:"path"`
}

func (c *officerChangePINCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	old, err := e.secretFrom(c.OldPINFile, "PIN lama / Old PIN")
	if err != nil {
		return err
	}
	defer old.Wipe()
	next, err := e.newPIN(c.NewPINFile, "PIN baharu / New PIN", "PIN baharu sekali lagi / New PIN again")
	if err != nil {
		return err
	}
	defer next.Wipe()
	changed, others, err := i.ChangePIN(e.ctx, c.IC, c.System, c.Credential, old, next)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "credential  %s\nversion     %d\n", changed.Credential, changed.Version)
	for _, id := range others {
		fmt.Fprintf(e.stderr, "mohor: key %s of this officer keeps its PIN\n", id)
	}
	return nil
}

// newPIN is the PIN from the file named, or asked for twice.
func (e *env) newPIN(file, what, again string) (secret.Text, error) {
	return e.twice(file, what, again, "the two PINs differ")
}

// twice is a new secret from the file named, or asked for twice.
func (e *env) twice(file, what, again, differ string) (secret.Text, error) {
	first, err := e.secretFrom(file, what)
	if err != nil || file != "" {
		return first, err
	}
	second, err := e.ask(again)
	if err != nil {
		return secret.Text{}, err
	}
	defer second.Wipe()
	if string(first.Reveal()) != string(second.Reveal()) {
		return secret.Text{}, errors.New(differ)
	}
	return first, nil
}

// secretFrom reads the file named, or asks.
func (e *env) secretFrom(file, what string) (secret.Text, error) {
	if file != "" {
		return secretFile(file)
	}
	return e.ask(what)
}

type officerUnlockCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	IC     string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Reason string `help:"Why, and how the officer's identity was proved again; it stands in the audit." required:""`
}

func (c *officerUnlockCmd) Run(e *env) error {
	was, err := gateway.UnlockPIN(e.ctx, c.Data, operator(), c.IC, c.Reason, e.now)
	if err != nil {
		return err
	}
	switch {
	case was.Blocked:
		fmt.Fprintf(e.stdout, "unlocked    %s: it was blocked after %d wrong PINs\n", c.IC, was.Total)
	case e.now().Before(was.LockedUntil):
		fmt.Fprintf(e.stdout, "unlocked    %s: it was locked until %s\n", c.IC, was.LockedUntil.Format(time.RFC3339))
	default:
		fmt.Fprintf(e.stdout, "cleared     %s: it was not locked; %d wrong PINs are forgotten\n", c.IC, was.Total)
	}
	return nil
}

type officerCodesCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	IC   string `help:"No. Kad Pengenalan, 12 digits." required:""`
	JSON bool   `help:"Print JSON."`
}

func (c *officerCodesCmd) Run(e *env) error {
	sends, err := gateway.CodeSends(e.ctx, c.Data, operator(), c.IC, e.now)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"ic": c.IC, "codes": sends})
	}
	if len(sends) == 0 {
		fmt.Fprintln(e.stdout, "no code was sent to", c.IC)
		return nil
	}
	for _, s := range sends {
		fmt.Fprintf(e.stdout, "%s  %-8s  %s to %s  %s%s\n", s.IssuedAt.Format(time.RFC3339), deliveryWord(&s, e.now()), s.Channel, s.SentTo, s.Transaction, because(&s))
	}
	return nil
}

// deliveryWord is the state of a code's message in a word: a deferred one whose
// code has expired is lost.
func deliveryWord(s *gateway.CodeSend, now time.Time) string {
	switch {
	case s.State == "deferred" && s.ExpiresAt != nil && !now.Before(*s.ExpiresAt):
		return "lost"
	case s.State == "":
		return "unknown"
	}
	return s.State
}

// because is when the state became known, and the server's reply.
func because(s *gateway.CodeSend) string {
	out := ""
	switch {
	case s.State == "bounced":
		out = "  status " + s.Reply
	case s.Reply != "":
		out = "  server answered " + s.Reply
	}
	if s.StateAt != nil {
		out += "  at " + s.StateAt.Format(time.RFC3339)
	}
	if s.Used {
		out += "  used"
	}
	return out
}

// operator names who runs the command, for the audit: the account, and behind
// sudo the one that called it.
func operator() string {
	name := fmt.Sprint("uid ", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" {
		name = by + " as " + name
	}
	return "cli:" + name
}
