package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchOTPCmd struct {
	Codes                int    `default:"200" help:"Codes issued, then redeemed, in a turn."`
	Slices               int    `default:"15" help:"Rounds; bare commits, codes and redemptions take their turns in each."`
	AtOnce               int    `default:"4" help:"How many at once."`
	Samples              int    `default:"10000" help:"Wrong codes timed for each place of the first wrong digit; 0 for none."`
	Database             string `help:"Also measure this database of PostgreSQL (postgres://user@host:port/database…). It must be empty, and is not emptied again." placeholder:"URL"`
	DatabasePasswordFile string `type:"path" help:"File with the password of --database."`
	Redis                string `help:"Keep codes there in that second measurement (host:port of a loopback address, or the path of a socket)." placeholder:"ADDRESS"`
	JSON                 bool   `help:"Print JSON."`
}

func (c *benchOTPCmd) Run(e *env) error {
	o := gateway.BenchOptions{Slices: c.Slices, Sessions: []int{c.AtOnce}, Now: e.now, Report: e.reporter()}
	r, err := gateway.BenchOTP(e.ctx, o, gateway.OTPBench{Codes: c.Codes, Samples: c.Samples, Database: c.Database, DatabasePasswordFile: c.DatabasePasswordFile, Redis: c.Redis})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printBench(e.stdout, r)
}

// printTiming writes what wrong codes took.
func printTiming(w io.Writer, t *gateway.Timing) {
	fmt.Fprintf(w, "wrong codes by their first wrong digit, %d of each, in turn; Welch's t against the others\n", t.Samples)
	for _, r := range t.Rows {
		fmt.Fprintf(w, "  digit %d  median %8.2f µs  t %6.2f, without the slowest tenth %6.2f\n", r.Place, r.Median, r.T, r.Cropped)
	}
	seen := "seen"
	if !t.ControlSeen {
		seen = "NOT SEEN"
	}
	fmt.Fprintf(w, "  |t| at most %.2f  target < %g: %s; with a SHA-256 for each right digit %.2f: %s\n", t.Worst, t.Target, met(t.Met), t.Control, seen)
}
