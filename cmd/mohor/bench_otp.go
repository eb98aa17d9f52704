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
	LogIns               int    `default:"0" help:"Log-ins timed for each of: known with the right password, known with a wrong one, unknown; and as many forgotten passwords."`
	Database             string `help:"Also measure this database of PostgreSQL (postgres://user@host:port/database…). It must be empty, and is not emptied again." placeholder:"URL"`
	DatabasePasswordFile string `type:"path" help:"File with the password of --database."`
	Redis                string `help:"Keep codes there in that second measurement (host:port of a loopback address, or the path of a socket)." placeholder:"ADDRESS"`
	JSON                 bool   `help:"Print JSON."`
}

func (c *benchOTPCmd) Run(e *env) error {
	o := gateway.BenchOptions{Slices: c.Slices, Sessions: []int{c.AtOnce}, Now: e.now, Report: e.reporter()}
	r, err := gateway.BenchOTP(e.ctx, o, gateway.OTPBench{Codes: c.Codes, Samples: c.Samples, LogIns: c.LogIns, Database: c.Database, DatabasePasswordFile: c.DatabasePasswordFile, Redis: c.Redis})
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

// printLogIns writes what log-ins took, by who tried.
func printLogIns(w io.Writer, l *gateway.LoginTiming) {
	who := []string{"known, right password", "known, wrong password", "unknown"}
	for _, part := range []struct {
		what string
		t    *gateway.Timing
	}{{"log-ins", &l.Begin}, {"wrong codes of these log-ins", &l.Finish}} {
		fmt.Fprintf(w, "%s, %d of each, in turn; Welch's t against the others\n", part.what, part.t.Samples)
		for _, r := range part.t.Rows {
			fmt.Fprintf(w, "  %-21s  median %8.2f µs  t %6.2f, without the slowest tenth %6.2f\n", who[r.Place-1], r.Median, r.T, r.Cropped)
		}
		fmt.Fprintf(w, "  |t| at most %.2f  target < %g: %s\n", part.t.Worst, part.t.Target, met(part.t.Met))
	}
	seen := "seen"
	if !l.Begin.ControlSeen {
		seen = "NOT SEEN"
	}
	fmt.Fprintf(w, "  with 10 ms more for who is known %.2f: %s\n", l.Begin.Control, seen)
	f := &l.Forgotten
	fmt.Fprintf(w, "forgotten passwords, %d of known and unknown people, in turn\n", f.Samples)
	for k, r := range f.Rows {
		fmt.Fprintf(w, "  %-21s  median %8.2f µs  t %6.2f, without the slowest tenth %6.2f\n", []string{"known", "unknown"}[k], r.Median, r.T, r.Cropped)
	}
	fmt.Fprintf(w, "  |t| at most %.2f  target < %g: %s; with 10 ms more for who is known %.2f\n", f.Worst, f.Target, met(f.Met), f.Control)
}
