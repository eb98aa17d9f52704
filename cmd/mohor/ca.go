package main

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

type caCmd struct {
	List      caListCmd      `cmd:"" help:"List the CAs of the installation."`
	Init      caInitCmd      `cmd:"" help:"Make another root, or an issuing CA below one, with its key in the token."`
	Rollover  caRolloverCmd  `cmd:"" help:"Have another CA issue in the place of one, at once; the old one still publishes and answers."`
	CrossSign caCrossSignCmd `cmd:"" name:"cross-sign" help:"Have another root certify an issuing CA."`
	Chain     caChainCmd     `cmd:"" help:"Print the certificates from a CA to its root, PEM."`
	CRL       caCRLCmd       `cmd:"" name:"crl" help:"Print a CA's revocation list, DER."`
	Issue     caIssueCmd     `cmd:"" help:"Issue a certificate for the key of a token or software certificate, outside of the HSM."`
	Revoke    caRevokeCmd    `cmd:"" help:"Revoke a certificate for good, destroy its key and publish the CRL; at once, or at a time to come."`
	Scheduled caScheduledCmd `cmd:"" help:"List revocations to come, or cancel one."`
	Suspend   caSuspendCmd   `cmd:"" help:"Suspend an officer's certificate and publish the CRL; its key is kept."`
	Release   caReleaseCmd   `cmd:"" help:"End a suspension and publish the CRL."`

	Provisioner caProvisionerCmd `cmd:"" help:"Print what another CA (step-ca) needs to know to issue in the place of our own, JSON."`
}

type caListCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one CA a line."`
}

func (c *caListCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	list, err := i.Authorities(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.stdout)
		for _, x := range list {
			if err := enc.Encode(x); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CA\tBELOW\tKEY\tISSUES\tUNTIL\tCRL\tCRL UNTIL\tSUBJECT")
	for _, x := range list {
		issues := "yes"
		switch {
		case x.Successor != "":
			issues = "no, " + x.Successor + " does"
		case x.Subject == "":
			issues = "not yet: run mohor ca init " + x.Name + " again"
		case x.Training:
			issues = "for training"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.Name, cmp.Or(x.Parent, "-"), cmp.Or(x.Key, "-"), issues, x.NotAfter.Format("2006-01-02"), x.CRL, x.CRLUntil.Format("2006-01-02T15:04:05Z"), x.Subject)
	}
	return t.Flush()
}

type caInitCmd struct {
	Data     string `default:"var/mohor" help:"Data folder." type:"path"`
	Name     string `arg:"" help:"Its name in addresses and in the token: a small letter, then small letters, digits and hyphens."`
	Parent   string `help:"The root that certifies it (default: it is a root itself)."`
	Key      string `default:"RSA-3072" help:"Kind of its key." enum:"RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384"`
	Training bool   `help:"For training: all it issues is marked as not valid, and its root is not trusted."`
}

func (c *caInitCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	made, err := i.CreateAuthority(e.ctx, operator(), ca.Authority{Name: c.Name, Parent: c.Parent, Algorithm: c.Key, Training: c.Training})
	for _, m := range made {
		fmt.Fprintln(e.stdout, "made   ", m)
	}
	switch {
	case errors.Is(err, ca.ErrExists):
		return hinted{err, "mohor ca list shows what it is"}
	case err != nil:
		return err
	case len(made) == 0:
		fmt.Fprintln(e.stdout, "nothing to do: the CA", c.Name, "is complete")
		return nil
	}
	fmt.Fprintf(e.stderr, "mohor: the key %s was made inside the token and has no backup: back the token up\n", c.Name)
	if c.Parent != "" && !c.Training {
		fmt.Fprintf(e.stderr, "mohor: hint: it issues nothing yet: mohor ca rollover issuing %s has it issue, or name it in ca.issuers of mohor.yaml\n", c.Name)
	}
	return nil
}

type caRolloverCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	Old  string `arg:"" help:"The CA that issues no more."`
	New  string `arg:"" help:"The CA that issues in its place."`
}

func (c *caRolloverCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	err = i.Rollover(e.ctx, operator(), c.Old, c.New)
	if errors.Is(err, ca.ErrExists) {
		return hinted{fmt.Errorf("%s has a successor already", c.Old), "mohor ca list shows it"}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s issues in the place of %s from now on\n", c.New, c.Old)
	return nil
}

type caCrossSignCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	Name string `arg:"" help:"The issuing CA."`
	By   string `required:"" help:"The root that certifies it."`
}

func (c *caCrossSignCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	cert, err := i.CrossSign(e.ctx, operator(), c.Name, c.By)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "mohor: %s by %s: certificate %s, valid until %s\n", c.Name, c.By, cert.SerialNumber, cert.NotAfter.Format("2006-01-02"))
	return pem.Encode(e.stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

type caChainCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	Name string `arg:"" default:"issuing" help:"The CA."`
	Via  string `help:"Another root that has cross-signed it."`
}

func (c *caChainCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	chain, err := i.Chain(e.ctx, c.Name, c.Via)
	if err != nil {
		return err
	}
	for _, x := range chain {
		if err := pem.Encode(e.stdout, &pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}); err != nil {
			return err
		}
	}
	return nil
}

type caCRLCmd struct {
	Data    string `default:"var/mohor" help:"Data folder." type:"path"`
	Name    string `arg:"" default:"issuing" help:"The CA."`
	Publish bool   `help:"Make a new one although the last is fresh."`
	Out     string `help:"File to write (default: standard output)." type:"path"`
}

func (c *caCRLCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	crl, err := i.CRL(e.ctx, c.Name, c.Publish)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "mohor: CRL %d of %s, until %s\n", crl.Number, crl.Issuer, crl.NextUpdate.Format("2006-01-02T15:04:05Z"))
	if c.Out != "" {
		return os.WriteFile(c.Out, crl.DER, 0o644)
	}
	_, err = e.stdout.Write(crl.DER)
	return err
}

type caIssueCmd struct {
	Data    string `default:"var/mohor" help:"Data folder." type:"path"`
	CSR     string `required:"" name:"csr" help:"PKCS#10 request, PEM or DER; its signature and key alone are used." type:"path"`
	IC      string `required:"" name:"ic" help:"No. Kad Pengenalan of an officer on record: the subject is what the record says."`
	System  string `required:"" help:"ICT system."`
	Medium  string `required:"" enum:"TOKEN,SOFTCERT" help:"Where the key is: ${enum}."`
	Profile string `default:"officer" help:"Profile in ca.profiles of mohor.yaml."`
}

func (c *caIssueCmd) Run(e *env) error {
	csr, err := os.ReadFile(c.CSR)
	if err != nil {
		return fmt.Errorf("reading request: %w", err)
	}
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	credential, cert, err := i.Registrar.IssueExternal(e.ctx, operator(), enrol.ExternalKey{IC: c.IC, System: c.System, Medium: c.Medium, Profile: c.Profile, CSR: csr})
	switch {
	case errors.Is(err, enrol.ErrUnknown):
		return hinted{fmt.Errorf("no officer %s is on record", c.IC), "register the officer first"}
	case errors.Is(err, ca.ErrDuplicateKey):
		return hinted{err, "make a new key: one that somebody else has a certificate for proves nothing"}
	case errors.Is(err, ca.ErrWeakKey):
		return hinted{err, "make a new key with other software, or on another token"}
	case err != nil:
		return err
	}
	fmt.Fprintf(e.stderr, "mohor: credential %s: certificate %s of %s, valid until %s\n", credential, cert.SerialNumber, cert.Subject, cert.NotAfter.Format("2006-01-02"))
	return pem.Encode(e.stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
