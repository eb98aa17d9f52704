package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

// part starts this program once more with other arguments.
func part(args ...string) gateway.Part {
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
		if self, err := os.Executable(); err == nil {
			cmd.Path = self
		}
		cmd.Args[0] = os.Args[0]
		return cmd
	}
}

type hsmCheckCmd struct {
	Module   string        `required:"" help:"PKCS#11 library." type:"path"`
	Token    string        `required:"" help:"Label of the token."`
	PINFile  string        `required:"" help:"File with the token PIN, which is tried once." type:"existingfile"`
	Reserved string        `help:"String for pReserved of C_Initialize, which NSS wants."`
	Patience time.Duration `default:"2m" help:"Longest time for one row."`
	JSON     bool          `help:"Print JSON."`
}

func (c *hsmCheckCmd) Run(e *env) error {
	pin, err := secretFile(c.PINFile)
	if err != nil {
		return err
	}
	defer pin.Wipe()
	print := func(r gateway.ModuleRow) { printModuleRow(e.stdout, r) }
	if c.JSON {
		print = func(gateway.ModuleRow) {}
	}
	rep, err := gateway.CheckModule(e.ctx, gateway.ModuleCheck{Module: c.Module, Token: c.Token, PIN: pin, Reserved: c.Reserved, Patience: c.Patience,
		Part: part("hsm", "check-part")}, print)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.stdout).Encode(rep)
	} else {
		printModuleVerdict(e.stdout, rep)
	}
	if err == nil && !rep.Usable {
		err = errSilent
	}
	return err
}

// printModuleRow prints a row, what was measured behind it, what went wrong below.
func printModuleRow(w io.Writer, r gateway.ModuleRow) {
	need := "optional"
	if r.Needed {
		need = "needed"
	}
	format := "%-10s %-9s %-50s %s\n"
	if r.Verdict != "supported" {
		format = "%-10s %-9s %s\n                     %s\n"
	}
	if r.Detail == "" {
		format = "%-10s %-9s %s%s\n"
	}
	fmt.Fprintf(w, format, r.Verdict, need, r.Row, r.Detail)
}

func printModuleVerdict(w io.Writer, rep gateway.ModuleReport) {
	if rep.Usable {
		fmt.Fprintln(w, "\nusable")
		return
	}
	fmt.Fprintln(w, "\nnot usable:")
	for _, reason := range rep.Reasons {
		fmt.Fprintln(w, "  -", reason)
	}
	for i, r := range rep.Rows {
		if r.Verdict == "not run" {
			fmt.Fprintf(w, "  - %d rows were not run, from %q on\n", len(rep.Rows)-i, r.Row)
			break
		}
	}
}

// hsmCheckPartCmd is the process in which the module runs.
type hsmCheckPartCmd struct{}

func (hsmCheckPartCmd) Run(e *env) error { return gateway.ModuleCheckPart(e.ctx, e.stdin) }
