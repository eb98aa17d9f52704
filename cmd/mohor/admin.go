package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

type initCmd struct {
	Data                 string `default:"var/mohor" help:"Data folder." type:"path"`
	Listen               string `default:"127.0.0.1:8080" help:"Address to listen on."`
	BaseURL              string `help:"How people and applications reach the gateway (default http://LISTEN)."`
	PublicURL            string `help:"http address for CRLs and CA certificates; fixed for good (default http://LISTEN)."`
	Organization         string `default:"Mohor" help:"Organization in the authorities' subjects."`
	CAKey                string `default:"RSA-3072" help:"Keys of the authorities." enum:"RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384"`
	Module               string `help:"PKCS#11 library (default SoftHSM with a token in the data folder)." type:"path"`
	TokenLabel           string `help:"Label of the token (with --module)."`
	Database             string `default:"mohor.db" help:"File of SQLite, or postgres://user@host:port/database?sslmode=verify-full."`
	DatabasePasswordFile string `help:"File with the password for PostgreSQL (mode 0600)." type:"path"`
	ServiceToken         string `help:"Label of a second token of the module, for CA and audit-seal keys."`
	Ceremony             bool   `help:"Stop before the keys, which a ceremony with custodians makes (mohor hsm ceremony)."`
	AdminName            string `help:"First administrator." required:""`
	AdminEmail           string `help:"First administrator's e-mail address." required:""`
}

func (c *initCmd) Run(e *env) error {
	changed := false
	err := gateway.Init(e.ctx, gateway.InitOptions{Dir: c.Data, Listen: c.Listen, BaseURL: c.BaseURL, PublicURL: c.PublicURL, Organization: c.Organization,
		CAKey: c.CAKey, Module: c.Module, TokenLabel: c.TokenLabel, ServiceToken: c.ServiceToken, Database: c.Database, DatabasePasswordFile: c.DatabasePasswordFile, AdminName: c.AdminName, AdminEmail: c.AdminEmail, Ceremony: c.Ceremony, Now: e.now,
		Report: func(what string, made bool) {
			word := "there  "
			if made {
				word, changed = "made   ", true
			}
			fmt.Fprintln(e.stdout, word, what)
		}})
	if errors.Is(err, gateway.ErrCeremony) {
		return c.awaiting(e, err)
	}
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintln(e.stdout, "nothing to do: the installation in", c.Data, "is complete")
		return nil
	}
	fmt.Fprintln(e.stdout, "ready:", c.Data)
	fmt.Fprintf(e.stderr, "mohor: keys were made inside the token and have no backup: back up %s and the token together\n", c.Data)
	return nil
}

// awaiting says what comes next; for whoever asked for a ceremony that is no failure.
func (c *initCmd) awaiting(e *env, err error) error {
	hint := fmt.Sprintf("mohor hsm ceremony --data %s --threshold 3 --custodian NAME=FILE …, then mohor init again", c.Data)
	if !c.Ceremony {
		return hinted{err, hint}
	}
	fmt.Fprintln(e.stdout, "ready for the key ceremony:", c.Data)
	fmt.Fprintf(e.stderr, "mohor: hint: %s\n", hint)
	return nil
}

type serveCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Dev    bool   `help:"Make or run a sandbox: mails stay in this process, certificates are NOT VALID."`
	Listen string `help:"Address; with --dev 127.0.0.1:0 (default) takes a free port once and remembers it."`
}

func (c *serveCmd) Run(e *env) error {
	log := slog.New(slog.NewTextHandler(e.stderr, nil))
	if c.Dev {
		return c.dev(e, log)
	}
	i, err := gateway.OpenServing(e.ctx, c.Data, e.now, tokenProcess, log)
	if err != nil {
		return err
	}
	if c.Listen != "" {
		if err := i.Config.ListenOn(c.Listen); err != nil {
			return errors.Join(err, i.Close())
		}
	}
	s, err := gateway.Prove(e.ctx, i, nil, log)
	if err != nil {
		return errors.Join(err, i.Close())
	}
	l, err := net.Listen("tcp", i.Config.Listen)
	if err != nil {
		return errors.Join(err, s.CloseAll())
	}
	fmt.Fprintln(e.stdout, "listening on", l.Addr())
	return errors.Join(s.Run(e.ctx, l), s.CloseAll())
}

func (c *serveCmd) dev(e *env, log *slog.Logger) error {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	s, l, dev, err := gateway.Dev(e.ctx, gateway.DevOptions{Dir: c.Data, Listen: c.Listen, Process: tokenProcess, Administrators: true, Now: e.now, Log: log})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "listening on %s\n%s\n%s/dev/mailbox\n%s\n", l.Addr(), dev.BaseURL, dev.BaseURL, filepath.Join(c.Data, gateway.DevFile))
	return errors.Join(s.Run(e.ctx, l), s.CloseAll())
}

// tokenProcess starts this program once more to hold the token. /proc/self/exe
// is the program that runs, even after another was installed in its place.
func tokenProcess() *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], "token-process"}, Stderr: os.Stderr}
}

type tokenProcessCmd struct{}

func (tokenProcessCmd) Run(e *env) error {
	return gateway.TokenProcess(slog.New(slog.NewTextHandler(e.stderr, nil)), os.Exit)
}

type officerAddCmd struct {
	Data    string `default:"var/mohor" help:"Data folder." type:"path"`
	IC      string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Name    string `help:"Name on the certificate." required:""`
	Email   string `help:"Where codes go." required:""`
	System  string `default:"IGFMAS" help:"ICT system."`
	Key     string `default:"RSA-2048" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" help:"Kind of key."`
	PINFile string `help:"File with the PIN (default: ask)." type:"path"`
	JSON    bool   `help:"Print JSON."`
}

func (c *officerAddCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	if !i.Sandbox {
		return hinted{errors.New("an administrator cannot set an officer's PIN: only a sandbox allows it"), "the officer chooses the PIN when applying for the certificate"}
	}
	pin, err := e.newPIN(c.PINFile, "PIN", "PIN again")
	if err != nil {
		return err
	}
	defer pin.Wipe()
	o := enrol.Officer{IC: c.IC, Name: c.Name, Email: c.Email}
	if err := i.Registrar.PIN.Check(pin, o); err != nil {
		return err
	}
	if err := i.Registrar.AddOfficer(e.ctx, "cli", o, c.System); err != nil {
		return err
	}
	cr, cert, err := i.Registrar.IssueCredential(e.ctx, "cli", o, c.System, c.Key, pin)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]string{"ic": c.IC, "credential_id": cr.ID, "key": c.Key, "serial_number": cert.SerialNumber.String()})
	}
	fmt.Fprintf(e.stdout, "officer     %s\ncredential  %s (%s)\ncertificate %s, valid until %s\n", c.IC, cr.ID, c.Key, cert.SerialNumber, cert.NotAfter.Format("2006-01-02"))
	return nil
}

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check the whole chain against its signed heads."`
	Show   auditShowCmd   `cmd:"" help:"Print what the chain says; that somebody looked is recorded."`
}

type auditShowCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Action string `help:"Only actions that begin so: enrol., signer.unlock …"`
	JSON   bool   `help:"Print JSON, a record a line."`
}

func (c *auditShowCmd) Run(e *env) error {
	out := json.NewEncoder(e.stdout)
	return gateway.ReadAudit(e.ctx, c.Data, operator(), c.Action, time.Now, func(r gateway.AuditRecord) error {
		if c.JSON {
			return out.Encode(map[string]any{"seq": r.Seq, "at": r.At, "verdict": r.Verdict, "action": r.Action, "actor": r.Actor, "object": r.Object,
				"request_id": r.RequestID, "detail": r.Detail})
		}
		detail, err := json.Marshal(r.Detail)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s|%s|%s|%s|%s|%d|%s\n", r.Action, r.Verdict, r.Actor, r.Object, detail, r.Seq, r.At.Format(time.RFC3339))
		return err
	})
}

// export checks a file; no gateway, database or token is needed.
func (c *auditVerifyCmd) export(e *env) error {
	rep, err := gateway.VerifyExport(c.File, cmp.Or(c.Seal, filepath.Join(c.Data, gateway.SealFile)), c.Heads)
	if errors.Is(err, os.ErrNotExist) {
		return hinted{err, "audit-seal.pem is the public key of the gateway that made the export: --seal"}
	}
	if len(rep.Breaks) > 0 {
		if werr := c.broken(e, &rep); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(rep)
	}
	fmt.Fprintf(e.stdout, "export proved: %d records, each unchanged and linked to one of %d signed heads; %d others between, %d heads of the copy compared\n",
		rep.Records, rep.Runs, rep.Others, rep.Compared)
	return nil
}

// broken tells what of an export is proved though the chain is broken, and what is not; the command
// fails all the same.
func (c *auditVerifyCmd) broken(e *env, rep *gateway.AuditExportReport) error {
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(rep)
	}
	fmt.Fprintf(e.stdout, "export NOT whole: the chain is broken at %d places\n", len(rep.Breaks))
	for _, b := range rep.Breaks {
		lost := ""
		if b.Asked {
			lost = "; it was asked for, and is not in the export"
		}
		fmt.Fprintf(e.stdout, "  record %d: %s%s\n", b.Seq, b.What, lost)
	}
	fmt.Fprintf(e.stdout, "proved: %d records, each unchanged and linked to one of %d signed heads\n", rep.Records, rep.Runs)
	if len(rep.Unproved) > 0 {
		fmt.Fprintf(e.stdout, "not proved: %d records, unchanged but with no signed head behind them: %s\n", len(rep.Unproved), strings.Join(numbers(rep.Unproved), ", "))
	}
	return nil
}

// numbers writes ascending numbers, those that follow on one another as a range.
func numbers(list []int64) (out []string) {
	for k := 0; k < len(list); {
		first := k
		for k++; k < len(list) && list[k] == list[k-1]+1; k++ {
		}
		s := strconv.FormatInt(list[first], 10)
		if k-1 > first {
			s += "-" + strconv.FormatInt(list[k-1], 10)
		}
		out = append(out, s)
	}
	return out
}

type auditVerifyCmd struct {
	File  string `arg:"" optional:"" help:"An export of the audit, to be checked with the seal's public key alone; without it, the whole chain is." type:"existingfile"`
	Seal  string `help:"Of FILE: audit-seal.pem, the public key; else that of the data folder." type:"path"`
	Data  string `default:"var/mohor" help:"Data folder." type:"path"`
	Heads string `help:"A copy of the head file kept on another machine." type:"path"`
	JSON  bool   `help:"Print JSON."`
}

func (c *auditVerifyCmd) Run(e *env) error {
	if c.File != "" {
		return c.export(e)
	}
	rep, err := gateway.VerifyAudit(e.ctx, c.Data, c.Heads)
	if errors.Is(err, os.ErrNotExist) {
		return hinted{err, "the first head is signed when the gateway first serves"}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(rep)
	}
	fmt.Fprintf(e.stdout, "audit chain intact: %d records, %d of them under %d signed heads\n", rep.Records, rep.Covered, rep.Heads)
	return nil
}
