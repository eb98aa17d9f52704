package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// Exit statuses of verify, besides 0 for VALID and 2 for a wrong command line.
const (
	statusInvalid       exitStatus = 1 // or a file that could not be read
	statusIndeterminate exitStatus = 3
)

type verifyCmds struct {
	Files   verifyCmd        `cmd:"" default:"withargs" help:"Verify signed PDFs and detached signatures."`
	Proof   verifyProofCmd   `cmd:"" help:"Verify that a document is in a batch, by its inclusion proof; asks nobody."`
	Archive verifyArchiveCmd `cmd:"" help:"Verify the archive of a batch: files, proofs and signatures."`
}

type verifyCmd struct {
	trustFlags `embed:""`
	Files      []string `arg:"" help:"Signed PDFs; with --detached the signed file." type:"path"`
	Detached   string   `help:"Detached CMS signature (.p7s, DER) of the file." type:"existingfile"`
	JSON       bool     `help:"Print JSON, one report a line."`
}

// trustFlags say whom a verification believes.
type trustFlags struct {
	Data         string   `default:"var/mohor" help:"Data folder whose root and CRLs are trusted." type:"path"`
	Trust        string   `help:"PEM file of roots to trust instead." type:"path"`
	CRL          []string `name:"crl" help:"Revocation list to use besides those in the documents (DER or PEM)." type:"existingfile"`
	Online       bool     `help:"Ask the OCSP responders and CRL addresses that trusted certificates name."`
	Network      []string `help:"Network besides public addresses that --online may ask, as 10.1.0.0/16."`
	NoRevocation bool     `help:"Take certificates of whose revocation nothing is known as good."`
	At           instant  `help:"Time for which to check instead of now, as 2026-01-31T08:00:00Z."`
	PasswordFile string   `help:"File with the password of encrypted documents." type:"existingfile"`
	MaxSize      int64    `help:"Largest document in bytes." default:"2000000000"`
}

func (c *verifyCmd) Help() string {
	return "Exit status: 0 when all are VALID, 1 when one is INVALID or cannot be read, else 3 when one is INDETERMINATE."
}

func (c *verifyCmd) Run(e *env) error {
	o, err := c.options(e)
	if err != nil {
		return err
	}
	if c.Detached != "" && len(c.Files) != 1 {
		return hinted{fmt.Errorf("--detached is about one file, %d are given", len(c.Files)), "give the signed file alone"}
	}
	var worst exitStatus
	hint := false
	for _, name := range c.Files {
		report, err := c.file(e, name, o)
		if err != nil { // the others are checked all the same
			complain(e.stderr, err)
			worst = statusInvalid
			continue
		}
		switch report.Verdict {
		case verify.Invalid:
			worst = statusInvalid
		case verify.Indeterminate:
			if worst == 0 {
				worst = statusIndeterminate
			}
			hint = hint || report.SubIndication == "TRY_LATER"
		}
		if c.JSON {
			err = json.NewEncoder(e.stdout).Encode(report)
		} else {
			err = report.WriteText(e.stdout, name)
		}
		if err != nil {
			return err
		}
	}
	if hint {
		c.hint(e)
	}
	if worst != 0 {
		return worst
	}
	return nil
}

// hint says what helps when nothing is known of a revocation.
func (c *trustFlags) hint(e *env) {
	if c.Online {
		fmt.Fprintln(e.stderr, "mohor: hint: give --crl, or --network for private addresses (the sandbox's: --network 127.0.0.0/8), or --no-revocation to do without")
		return
	}
	fmt.Fprintln(e.stderr, "mohor: hint: give --crl or --online, or --no-revocation to do without")
}

// instant is a time on the command line.
type instant time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *instant) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time like 2026-01-31T08:00:00Z", text)
	}
	*i = instant(at)
	return nil
}

func (c *trustFlags) options(e *env) (verify.Options, error) {
	now := e.now()
	if at := time.Time(c.At); !at.IsZero() {
		now = at
	}
	o, err := gateway.OfflineTrust(e.ctx, c.Data, c.Trust, now)
	switch {
	case err != nil && c.Trust != "":
		return o, hinted{err, "--trust takes a PEM file with root certificates"}
	case err != nil:
		return o, hinted{err, "give the gateway's data folder with --data, or root certificates with --trust"}
	}
	for _, name := range c.CRL {
		list, err := gateway.ReadCRL(name)
		if err != nil {
			return o, err
		}
		o.CRLs = append(o.CRLs, list)
	}
	o.RequireRevocation, o.MaxFile = !c.NoRevocation, c.MaxSize
	if c.NoRevocation {
		o.CRLs = nil
	}
	if c.Online {
		if err := gateway.AskOnline(&o, c.Network); err != nil {
			return o, err
		}
		ask := o.Fetch
		o.Fetch = func(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
			if ocsp, crl, err = ask(ctx, cert, issuer); err != nil {
				complain(e.stderr, err)
			}
			return ocsp, crl, err
		}
	}
	if c.PasswordFile != "" {
		password, err := secretFile(c.PasswordFile)
		if err != nil {
			return o, err
		}
		o.Password = password.Reveal()
	}
	return o, nil
}

func (c *verifyCmd) file(e *env, name string, o verify.Options) (*verify.Report, error) {
	f, size, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if c.Detached != "" {
		der, err := os.ReadFile(c.Detached)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", c.Detached, err)
		}
		return verify.DetachedContent(e.ctx, f, der, o)
	}
	report, err := verify.Verify(e.ctx, f, size, o)
	if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", strings.ToValidUTF8(name, "?"), err)
	}
	return report, nil
}
