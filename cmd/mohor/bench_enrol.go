package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchEnrolCmd struct {
	Officers int           `default:"1000" help:"Officers on the list, at most 100,000."`
	Time     time.Duration `default:"1s" help:"How long the module alone is measured."`
	AtOnce   int           `default:"2" help:"How many people at once."`
	JSON     bool          `help:"Print JSON."`
}

func (c *benchEnrolCmd) Run(e *env) error {
	r, err := gateway.BenchEnrol(e.ctx, gateway.BenchOptions{Slices: 1, Slice: c.Time, Sessions: []int{c.AtOnce}, Now: e.now, Report: e.reporter()}, c.Officers)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	x := r.Enrol
	fmt.Fprintf(e.stdout, "%s, %d cores: %d officers, %d at once, %.0f s; key derivation left out\n", r.Module, r.Cores, x.Officers, x.Workers, x.Seconds)
	for _, s := range x.Stages {
		fmt.Fprintf(e.stdout, "  %-36s %9.1f s %9.1f /s\n", s.What, s.Seconds, s.PerSecond)
	}
	fmt.Fprintf(e.stdout, "  apply: %.3f of keys made alone (%.1f /s); approve: %.3f of C_Sign (%.1f /s)\n", x.ApplyRatio, x.Generate, x.ApproveRatio, x.Sign)
	fmt.Fprintf(e.stdout, "  memory at most %.1f MB, database %.1f MB, %d audit records\n", mega(x.Peak), mega(x.Disk), x.Records)
	for _, s := range x.Reports {
		fmt.Fprintf(e.stdout, "  %-36s %9.3f s %9.3f MB\n", s.What, s.Seconds, mega(s.Bytes))
	}
	return nil
}
