package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/secret"
)

type hsmCmd struct {
	Keys      hsmKeysCmd      `cmd:"" help:"List the keys in the token with their check values."`
	RotateKEK hsmRotateCmd    `cmd:"" name:"rotate-kek" help:"Make a new KEK, which wraps every key generated from now on."`
	RetireKEK hsmRetireCmd    `cmd:"" name:"retire-kek" help:"Destroy a KEK that no live credential names."`
	Ceremony  hsmCeremonyCmd  `cmd:"" help:"Make the secret keys of a new installation with custodians, or restore them from shares."`
	Check     hsmCheckCmd     `cmd:"" help:"Examine a PKCS#11 module: what it supports, and whether it guards keys."`
	CheckPart hsmCheckPartCmd `cmd:"" hidden:""`
}

type hsmKeysCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one key a line."`
}

func (c *hsmKeysCmd) Run(e *env) error {
	r, err := gateway.OpenKeyring(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer r.Close()
	keys, err := r.Keys(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.stdout)
		for _, k := range keys {
			if err := enc.Encode(k); err != nil {
				return err
			}
		}
	} else if err := printKeys(e.stdout, keys); err != nil {
		return err
	}
	var worst error
	for _, k := range keys {
		if k.Problem != "" {
			fmt.Fprintf(e.stderr, "mohor: %s %s\n", k.Label, k.Problem)
		}
		if k.Grave {
			worst = errSilent
		}
	}
	return worst
}

func printKeys(w io.Writer, keys []gateway.Key) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tKIND\tSTATE\tMADE\tON RECORD\tBY\tCHECK VALUE\tLIVE CREDENTIALS")
	for _, k := range keys {
		made, recorded, live := "imported", "-", "-"
		if k.Local {
			made = "in the token"
		}
		if k.Lost {
			made = "LOST"
		}
		if !k.Recorded.IsZero() {
			recorded = k.Recorded.UTC().Format("2006-01-02T15:04:05Z")
		}
		if k.Kind == "KEK" {
			live = fmt.Sprint(k.Live)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Label, k.Kind, cmp.Or(k.State, "-"), made, recorded, cmp.Or(k.By, "-"), cmp.Or(k.Check, "-"), live)
	}
	return t.Flush()
}

type hsmRotateCmd struct {
	Data           string   `default:"var/mohor" help:"Data folder." type:"path"`
	Share          []string `help:"Share file of a custodian, to derive the KEK from the ceremony's secret; repeat." type:"path" sep:"none"`
	PassphraseFile []string `help:"NAME=FILE with the passphrase of a custodian's share (default: ask); repeat." sep:"none"`
	NoBackup       bool     `help:"Make the KEK in the token although the other keys are in custodians' shares."`
}

func (c *hsmRotateCmd) Run(e *env) error {
	r, err := gateway.OpenKeyring(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer r.Close()
	var shares *gateway.Shares
	if len(c.Share) > 0 {
		if shares, err = e.openShares(c.Share, c.PassphraseFile); err != nil {
			return err
		}
		defer shares.Wipe()
	}
	k, err := r.RotateKEK(e.ctx, "cli", shares, c.NoBackup)
	if errors.Is(err, gateway.ErrNoBackup) {
		return hinted{err, "give enough shares with --share, or --no-backup"}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s wraps new keys from now on; its check value is %s\n", k.Label, k.Check)
	keys, err := r.Keys(e.ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Kind == "KEK" {
			fmt.Fprintf(e.stdout, "%s %s: %d live credentials\n", k.Label, k.State, k.Live)
		}
	}
	if k.Local {
		fmt.Fprintf(e.stderr, "mohor: %s was made inside the token and has no backup: back the token up\n", k.Label)
	}
	return nil
}

type hsmRetireCmd struct {
	Data  string `default:"var/mohor" help:"Data folder." type:"path"`
	Label string `arg:"" help:"The KEK, mohor-kek-1 for example."`
}

func (c *hsmRetireCmd) Run(e *env) error {
	r, err := gateway.OpenKeyring(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.RetireKEK(e.ctx, "cli", c.Label); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is destroyed: what it wrapped does not open again\n", c.Label)
	return nil
}

type hsmCeremonyCmd struct {
	Data           string   `default:"var/mohor" help:"Data folder, made by mohor init --ceremony." type:"path"`
	Threshold      int      `default:"3" help:"How many shares give the keys back."`
	Custodian      []string `help:"NAME=FILE: a custodian and the share file to write, on the custodian's own medium; repeat." sep:"none"`
	Component      []string `help:"NAME=FILE with a custodian's own randomness, 16 to 4096 bytes (default: ask); repeat." sep:"none"`
	Passphrase     bool     `help:"Ask every custodian for a passphrase for the share."`
	PassphraseFile []string `help:"NAME=FILE with the passphrase of a custodian's share; repeat." sep:"none"`
	By             string   `help:"Who conducts the ceremony (default: the system's user)."`
	Restore        bool     `help:"Import the keys of a ceremony into a token that lacks them."`
	Share          []string `help:"With --restore: a custodian's share file; repeat." type:"path" sep:"none"`
	Transcript     string   `help:"With --restore: the transcript (default: the one in the data folder)." type:"path"`
}

func (c *hsmCeremonyCmd) Run(e *env) error {
	if !c.Restore && len(c.Custodian) == 0 {
		return hinted{errors.New("no custodians"), `--custodian "NAME=FILE" for each, or --restore --share FILE …`}
	}
	r, err := gateway.OpenKeyring(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer r.Close()
	if c.Restore {
		return c.restore(e, r)
	}
	people, err := c.people(e)
	defer func() {
		for _, p := range people {
			p.Component.Wipe()
			p.Passphrase.Wipe()
		}
	}()
	if err != nil {
		return err
	}
	if c.By == "" {
		if u, err := user.Current(); err == nil {
			c.By = u.Username
		}
	}
	t, path, err := r.Ceremony(e.ctx, c.By, c.Threshold, people)
	if err != nil && path != "" {
		return hinted{err, "the shares are written: mohor hsm ceremony --restore --share FILE … completes the ceremony"}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "ceremony %s: any %d of %d shares give the keys back\n", t.Ceremony, t.Threshold, len(t.Custodians))
	for k, p := range people {
		fmt.Fprintf(e.stdout, "share %d  %s: %s\n", k+1, p.Name, p.Share)
	}
	for _, k := range t.Keys {
		fmt.Fprintf(e.stdout, "key      %s %s\n", k.Check, k.Label)
	}
	fmt.Fprintf(e.stdout, "transcript %s\n", path)
	fmt.Fprintf(e.stderr, "mohor: hint: give each custodian the share and keep no copy; print and sign the transcript; then mohor init --data %s completes the installation\n", c.Data)
	fmt.Fprintln(e.stderr, "mohor: CA and audit-seal keys will be made inside the token and are in no share: a lost CA is replaced by a new one")
	return nil
}

func (c *hsmCeremonyCmd) restore(e *env, r *gateway.Keyring) error {
	if len(c.Share) == 0 {
		return hinted{errors.New("no shares"), "--share FILE for each"}
	}
	shares, err := e.openShares(c.Share, c.PassphraseFile)
	if err != nil {
		return err
	}
	defer shares.Wipe()
	labels, known, err := r.Restore(e.ctx, shares, c.Transcript)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "restored from ceremony %s: %s\n", shares.Ceremony, strings.Join(labels, " "))
	if !known {
		fmt.Fprintln(e.stderr, "mohor: this database does not tell of the ceremony: the transcript was believed")
	}
	return nil
}

// people gathers what each custodian brings, asking for what no file was named for.
func (c *hsmCeremonyCmd) people(e *env) (people []gateway.Custodian, err error) {
	components, err := named(c.Component)
	if err != nil {
		return nil, err
	}
	passphrases, err := named(c.PassphraseFile)
	if err != nil {
		return nil, err
	}
	for _, arg := range c.Custodian {
		name, path, ok := strings.Cut(arg, "=")
		if !ok || path == "" {
			return people, fmt.Errorf("--custodian must be NAME=FILE, not %q", arg)
		}
		p := gateway.Custodian{Name: name, Share: path}
		if file, ok := components[name]; ok {
			b, err := os.ReadFile(file)
			if err != nil {
				return people, fmt.Errorf("reading component: %w", err)
			}
			p.Component = secret.NewBytes(b)
		} else if p.Component, err = e.ask("own randomness of " + name + " (16 characters or more; dice, for example)"); err != nil {
			return people, err
		}
		switch file, ok := passphrases[name]; {
		case ok:
			p.Passphrase, err = secretFile(file)
		case c.Passphrase:
			p.Passphrase, err = e.askTwice("passphrase of " + name)
		}
		people = append(people, p)
		if err != nil {
			return people, err
		}
		delete(components, name)
		delete(passphrases, name)
	}
	for name := range components {
		return people, fmt.Errorf("--component names %q, who is no custodian", name)
	}
	for name := range passphrases {
		return people, fmt.Errorf("--passphrase-file names %q, who is no custodian", name)
	}
	return people, nil
}

// named splits NAME=FILE arguments.
func named(args []string) (map[string]string, error) {
	out := make(map[string]string)
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok || path == "" || out[name] != "" {
			return nil, fmt.Errorf("%q must be NAME=FILE, each name once", arg)
		}
		out[name] = path
	}
	return out, nil
}

// openShares opens share files, asking for passphrases no file was named for.
func (e *env) openShares(paths, passphraseFiles []string) (*gateway.Shares, error) {
	files, err := named(passphraseFiles)
	if err != nil {
		return nil, err
	}
	return gateway.OpenShares(paths, func(name string) (secret.Text, error) {
		if file, ok := files[name]; ok {
			return secretFile(file)
		}
		return e.ask("passphrase of " + name)
	})
}

func (e *env) askTwice(what string) (secret.Text, error) {
	first, err := e.ask(what)
	if err != nil {
		return secret.Text{}, err
	}
	again, err := e.ask(what + " again")
	if err != nil {
		return secret.Text{}, err
	}
	defer again.Wipe()
	if string(first.Reveal()) != string(again.Reveal()) {
		return secret.Text{}, fmt.Errorf("the two differ: %s", what)
	}
	return first, nil
}
