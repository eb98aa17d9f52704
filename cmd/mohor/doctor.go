package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type doctorCmd struct {
	Data     string        `default:"var/mohor" help:"Data folder." type:"path"`
	Patience time.Duration `default:"30s" help:"Longest time for one step of the PKCS#11 module."`
	JSON     bool          `help:"Print JSON."`
}

func (c *doctorCmd) Run(e *env) error {
	var all []gateway.Finding
	say := func(f gateway.Finding) { all = append(all, f) }
	if !c.JSON {
		p := &findings{w: e.stdout}
		if f, ok := e.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			p.terminal, p.colour = true, os.Getenv("NO_COLOR") == ""
		}
		say = func(f gateway.Finding) {
			all = append(all, f)
			p.print(f)
		}
	}
	healthy := gateway.Diagnose(e.ctx, gateway.DoctorOptions{Dir: c.Data, Now: e.now, Patience: c.Patience, Part: part("doctor-part"), Report: say})
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if c.JSON {
		err := json.NewEncoder(e.stdout).Encode(struct {
			Healthy  bool              `json:"healthy"`
			Findings []gateway.Finding `json:"findings"`
		}{healthy, all})
		if err != nil {
			return err
		}
	} else {
		summary(e.stdout, all)
	}
	if !healthy {
		return errSilent
	}
	return nil
}

// findings prints one line each: what, why it matters, what to do. On a
// terminal the last two go below, where they can be read and copied.
type findings struct {
	w                io.Writer
	terminal, colour bool
	area             string
}

func (p *findings) print(f gateway.Finding) {
	if p.area != f.Area {
		p.area = f.Area
		fmt.Fprintln(p.w, p.area)
	}
	level := fmt.Sprintf("%-11s", f.Level)
	if code := map[string]string{gateway.DoctorFault: "1;31", gateway.DoctorWarning: "33", gateway.DoctorOK: "32"}[f.Level]; p.colour && code != "" {
		level = "\x1b[" + code + "m" + level + "\x1b[0m"
	}
	why, fix := ": ", "; fix: "
	if p.terminal {
		why, fix = "\n              why: ", "\n              fix: "
	}
	if f.Level == gateway.DoctorSkipped {
		why = " because "
	}
	line := "  " + level + " " + f.What
	if f.Why != "" {
		line += why + f.Why
	}
	if f.Fix != "" {
		line += fix + f.Fix
	}
	fmt.Fprintln(p.w, line)
}

func summary(w io.Writer, all []gateway.Finding) {
	n := map[string]int{}
	for _, f := range all {
		n[f.Level]++
	}
	fmt.Fprintf(w, "faults: %d, warnings: %d, not checked: %d, in order: %d\n", n[gateway.DoctorFault], n[gateway.DoctorWarning], n[gateway.DoctorSkipped], n[gateway.DoctorOK])
}

// doctorPartCmd is the process in which the module runs.
type doctorPartCmd struct{}

func (doctorPartCmd) Run(e *env) error { return gateway.DoctorPart(e.ctx, e.stdin) }
