package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/mohor-sign/mohor/internal/apiload"
	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchAPICmd struct {
	Slices               int           `default:"10" help:"Rounds; all that is compared takes its turn in each."`
	Slice                time.Duration `default:"2s" help:"Length of a turn, at most a minute."`
	AtOnce               int           `default:"4" help:"How many ask at once, each for an officer of her own."`
	Rounds               int           `default:"6" help:"Rounds of interactive signing with and without a batch beside it; 0 for none."`
	Documents            int           `default:"10000" help:"Digests in that batch."`
	Rate                 float64       `default:"20" help:"Interactive requests a second beside it; a transaction and its signature are two."`
	Database             string        `help:"Also measure this database of PostgreSQL (postgres://user@host:port/database…). It must be empty, and is not emptied again." placeholder:"URL"`
	DatabasePasswordFile string        `type:"path" help:"File with the password of --database."`
	Redis                string        `help:"Keep codes there in that second measurement (host:port of a loopback address, or the path of a socket)." placeholder:"ADDRESS"`
	CPUProfile           string        `name:"cpu-profile" type:"path" help:"Write a processor profile of the gateway, for go tool pprof." placeholder:"FILE"`
	JSON                 bool          `help:"Print JSON."`
	Load                 bool          `hidden:"" help:"Ask a gateway as stdin says."`
}

func (c *benchAPICmd) Run(e *env) error {
	if c.Load {
		return apiload.Serve(e.ctx, e.stdin, e.stdout)
	}
	o := gateway.BenchOptions{Slices: c.Slices, Slice: c.Slice, Sessions: []int{c.AtOnce}, Process: tokenProcess, Now: e.now, Report: e.reporter()}
	r, err := gateway.BenchAPI(e.ctx, o, gateway.APIBench{Load: loadProcess, Rounds: c.Rounds, Documents: c.Documents, Rate: c.Rate,
		Database: c.Database, DatabasePasswordFile: c.DatabasePasswordFile, Redis: c.Redis, Profile: c.CPUProfile})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printBench(e.stdout, r)
}

// loadProcess starts this program once more to ask the gateway.
func loadProcess() *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], "bench", "api", "--load"}}
}

// printLatencies writes those of one row.
func printLatencies(w io.Writer, prefix string, all []gateway.Latency) {
	for _, l := range all {
		fmt.Fprintf(w, "%s%-12s p50 %8.1f  p95 %8.1f  p99 %8.1f ms of %d\n", prefix, l.Request, l.P50, l.P95, l.P99, l.Count)
	}
}

// printAPI writes where processor time goes, and what a batch does to those who wait.
func printAPI(w io.Writer, r *gateway.APIReport) {
	fmt.Fprintln(w, "processor time of a signature, ms: gateway and token process")
	for _, c := range r.Costs {
		fmt.Fprintf(w, "  %-72s total %7.3f (%.3f in the gateway) = key derivation %7.3f + HSM %6.3f + beyond %6.3f [%.3f %.3f]  target <= %g: %s\n", c.Algorithm+", "+c.What,
			c.Total.Median, c.Gateway.Median, c.KDF.Median, c.HSM.Median, c.Beyond.Median, c.Beyond.Q1, c.Beyond.Q3, c.Target, met(c.Met))
	}
	for _, s := range r.Steady {
		fmt.Fprintf(w, "interactive signing with %s at %g requests a second beside a batch of %d, %d rounds, %s\n", s.Algorithm, s.Rate, s.Documents, s.Rounds, s.Stores)
		printLatencies(w, "  with     ", s.With)
		printLatencies(w, "  without  ", s.Without)
		fmt.Fprintf(w, "  batch %.0f /s [%.0f %.0f]; p99 with ÷ without %.2f, of rounds %.2f [%.2f %.2f]  target <= %g: %s\n", s.BatchPerSecond.Median, s.BatchPerSecond.Q1, s.BatchPerSecond.Q3,
			s.Ratio, s.Ratios.Median, s.Ratios.Q1, s.Ratios.Q3, s.Target, met(s.Met))
	}
}
