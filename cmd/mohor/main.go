// Command mohor is the gateway and its tools; `mohor --help` lists them.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mohor-sign/mohor/internal/gateway"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(112) // little lives long, so that 100 collects more often than it need; at 125 memory touches 150 MB with 100,000 documents
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// env is what every command gets.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	now    func() time.Time
}

// cli is the command line.
type cli struct {
	Init       initCmd         `cmd:"" help:"Make a working installation in a data folder, or complete one."`
	Serve      serveCmd        `cmd:"" help:"Serve the API and the public pages."`
	Demo       demoCmd         `cmd:"" help:"Make a sandbox, sign a batch, a voucher and a hash, and have other tools check them."`
	Admin      adminCmd        `cmd:"" help:"Administrators: who they are, and how they log in."`
	Officer    officerCmd      `cmd:"" help:"Officers."`
	App        appCmd          `cmd:"" help:"Applications that ask for signatures, and their credentials."`
	System     systemCmd       `cmd:"" help:"ICT systems: what the signing page shows of them."`
	Report     reportCmd       `cmd:"" help:"Users, expiring certificates, pending applications, signatures, the rollout; as table, CSV, XLSX or JSON."`
	Enrol      enrolCmd        `cmd:"" help:"Officers on their way to a certificate."`
	Batch      batchCmd        `cmd:"" help:"Batches."`
	Ecert      ecertCmd        `cmd:"" help:"eCertificates: previews and templates."`
	Sign       signCmd         `cmd:"" help:"Sign a PDF through a gateway."`
	Verify     verifyCmds      `cmd:"" help:"Verify signed PDFs, detached signatures, and what batches give out."`
	CA         caCmd           `cmd:"" name:"ca" help:"The certification authorities."`
	HSM        hsmCmd          `cmd:"" name:"hsm" help:"The PKCS#11 module and its keys."`
	Mail       mailCmd         `cmd:"" help:"Mail that comes back."`
	Audit      auditCmd        `cmd:"" help:"The audit chain."`
	Archive    archiveCmd      `cmd:"" help:"Archives of what was signed long ago."`
	Hold       holdCmd         `cmd:"" help:"Legal holds."`
	Disposal   disposalCmd     `cmd:"" help:"Destruction of what is kept no longer, by two."`
	Backup     backupCmd       `cmd:"" help:"Notes of backups."`
	Webhook    webhookCmd      `cmd:"" help:"What apps are told: address, secret, deliveries."`
	Doctor     doctorCmd       `cmd:"" help:"Name each fault of an installation, with its fix."`
	DoctorPart doctorPartCmd   `cmd:"" hidden:""`
	Bench      benchCmd        `cmd:"" help:"Measure this machine."`
	OpenAPI    openapiCmd      `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
	Token      tokenProcessCmd `cmd:"" name:"token-process" hidden:""`
	Version    versionCmd      `cmd:"" help:"Print the version."`
}

// errSilent ends with status 1 after the command has said all there is to say.
var errSilent = errors.New("")

// exitStatus ends with a status of its own after the command has said all there
// is to say.
type exitStatus int

func (s exitStatus) Error() string { return "" }

// hinted adds what to do next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// run is main without its globals: results to stdout, the rest to stderr. It
// returns the exit status: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runAt(ctx, args, stdin, stdout, stderr, time.Now)
}

// runAt is run by another clock.
func runAt(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	var c cli
	status := -1
	p, err := kong.New(&c, kong.Name("mohor"), kong.Description("GPKI Roaming + OTP digital signing gateway."), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }))
	if err != nil {
		fmt.Fprintf(stderr, "mohor: %v\n", err)
		return 2
	}
	k, err := p.Parse(args)
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		complain(stderr, err)
		fmt.Fprintln(stderr, "mohor: hint: mohor --help")
		return 2
	}
	err = k.Run(&env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, now: now})
	if err == nil {
		return 0
	}
	if own := exitStatus(0); errors.As(err, &own) {
		return int(own)
	}
	if !errors.Is(err, errSilent) {
		complain(stderr, err)
		var h hinted
		if errors.As(err, &h) {
			fmt.Fprintf(stderr, "mohor: hint: %s\n", h.hint)
		}
	}
	return 1
}

// complain writes an error, each line of a joined one with the prefix.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "mohor: %s\n", line)
	}
}

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, "mohor", gateway.Version)
	return err
}

type openapiCmd struct{}

func (openapiCmd) Run(e *env) error {
	doc, err := gateway.OpenAPI()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, doc, "", " "); err != nil { // for who reviews a change of it
		return fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	_, err = fmt.Fprintln(e.stdout, out.String())
	return err
}
