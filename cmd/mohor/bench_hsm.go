package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchHSMCmd struct {
	Slices       int           `default:"15" help:"Rounds of each comparison; all that is compared takes its turn in each."`
	Slice        time.Duration `default:"2s" help:"Length of a turn, at most a minute."`
	Algorithms   []string      `default:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" help:"What to sign with."`
	Sessions     []int         `default:"1,2,4,8" help:"Numbers of sessions to sign in."`
	Keys         int           `help:"Compare this many officers, each with a sealed P-256 key, with 1,000, instead."`
	Data         string        `type:"path" help:"Keep the officers of --keys in this folder, and use those that are there. It holds a token of its own; nothing in it is worth guarding."`
	Soak         int           `help:"Open, sign with and destroy a P-256 key this often, and watch memory, instead."`
	RecycleAfter int           `default:"20000" help:"In --soak, initialise the module again after this many keys; 0 for never."`
	JSON         bool          `help:"Print JSON."`
	Probe        string        `hidden:"" help:"Start a gateway in a folder of --data, and print what that took."`
}

func (c *benchHSMCmd) Run(e *env) error {
	if c.Probe != "" {
		p, err := gateway.ProbeStart(e.ctx, c.Probe, e.now)
		if err != nil {
			return err
		}
		return json.NewEncoder(e.stdout).Encode(p)
	}
	r, err := c.measure(e)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printBench(e.stdout, r)
}

func (c *benchHSMCmd) measure(e *env) (gateway.BenchReport, error) {
	o := gateway.BenchOptions{Slices: c.Slices, Slice: c.Slice, Algorithms: c.Algorithms, Sessions: c.Sessions, Data: c.Data, RecycleAfter: c.RecycleAfter,
		Probe: probe, Now: e.now, Report: e.reporter()}
	switch {
	case c.Keys != 0 && c.Soak != 0:
		return gateway.BenchReport{}, errors.New("--keys and --soak are measured apart: memory is what both look at")
	case c.Data != "" && c.Keys == 0:
		return gateway.BenchReport{}, errors.New("--data keeps the officers of --keys")
	case c.Keys != 0:
		return gateway.BenchKeys(e.ctx, o, c.Keys)
	case c.Soak != 0:
		return gateway.BenchSoak(e.ctx, o, c.Soak)
	}
	o.Process = tokenProcess
	return gateway.BenchSign(e.ctx, o)
}

// reporter shows a bar for each kind of long work.
func (e *env) reporter() func(what string, done, total int) {
	bars := map[string]*progress{}
	return func(what string, done, total int) {
		if bars[what] == nil || bars[what].total != total {
			bars[what] = e.progress(what, total)
		}
		bars[what].at(done)
	}
}

// probe runs this program again, so that memory is that of one gateway alone.
func probe(ctx context.Context, dir string) (p gateway.Start, err error) {
	self, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("finding this program: %w", err)
	}
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "bench", "hsm", "--probe", dir)
	cmd.Args[0], cmd.Stdout, cmd.Stderr = os.Args[0], &out, &complaint
	if err := cmd.Run(); err != nil {
		return p, fmt.Errorf("starting a gateway: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		return p, fmt.Errorf("reading what a start took: %w", err)
	}
	return p, nil
}

// printBench writes the table.
func printBench(w io.Writer, r gateway.BenchReport) error {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "%s, %d cores, %d slices of %gs; medians [quartiles]\n", r.Module, r.Cores, r.Slices, r.Slice)
	last := ""
	for _, row := range r.Rows {
		head := row.Algorithm
		if row.Sessions > 0 {
			head += fmt.Sprintf(", %d at once", row.Sessions)
		}
		if head = strings.TrimPrefix(head, ", "); head != last {
			fmt.Fprintf(b, "%s\n", head)
			last = head
		}
		what := row.What
		if row.Officers > 0 {
			what += fmt.Sprintf(" (%d officers)", row.Officers)
		}
		fmt.Fprintf(b, "  %-72s %9.1f /s [%.1f %.1f]  %8.3f ms CPU", what, row.PerSecond.Median, row.PerSecond.Q1, row.PerSecond.Q3, row.CPU.Median)
		if row.Ratio != nil {
			fmt.Fprintf(b, "  %s %.3f [%.3f %.3f], CPU %.3f of %s", row.RatioOf, row.Ratio.Median, row.Ratio.Q1, row.Ratio.Q3, row.CPURatio.Median, row.Reference)
		}
		fmt.Fprintln(b, verdict(row))
		printLatencies(b, "    ", row.Latency)
	}
	if r.API != nil {
		printAPI(b, r.API)
	}
	if k := r.Keys; k != nil {
		fmt.Fprintf(b, "officers: %d (%d enrolled in %.0f s), %d audit records; compared with %d\n", k.Officers, k.Enrolled, k.Seconds, k.Records, k.Few)
		fmt.Fprintf(b, "  %-72s %9.1f MB, with few %.1f MB: %.0f bytes an officer\n", "database and signed heads", mega(k.Disk), mega(k.FewDisk), float64(k.Disk)/float64(k.Officers))
		for _, m := range k.Memory {
			fmt.Fprintf(b, "  %-72s %9.1f MB, with few %.1f MB  ratio %.3f [%.3f %.3f]  target <= %g: %s\n", m.What, m.All.Median/1e6, m.Few.Median/1e6,
				m.Ratio.Median, m.Ratio.Q1, m.Ratio.Q3, m.Target, met(m.Met))
		}
	}
	if s := r.Soak; s != nil {
		fmt.Fprintf(b, "%s, %s: %d in %.0f s (%.0f /s), initialised again after %d\n", s.Algorithm, s.What, s.Ops, s.Seconds, s.PerSecond, s.RecycleAfter)
		fmt.Fprintf(b, "  VmRSS %.1f MB after a tenth, %.1f MB at the end, %.1f MB at most; %.1f bytes an operation, at most %.1f in %d samples  target <= %g: %s\n",
			mega(s.Start), mega(s.End), mega(s.Peak), s.Slope, s.UpperSlope, s.Samples, s.Target, met(s.Met))
	}
	if r.Timing != nil {
		printTiming(b, r.Timing)
	}
	if r.LogIns != nil {
		printLogIns(b, r.LogIns)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func verdict(row gateway.BenchRow) string {
	if row.Met == nil {
		return ""
	}
	sign := ">="
	if row.RatioOf == "time" {
		sign = "<="
	}
	said := met(*row.Met)
	if *row.Met && !*row.MetThroughout {
		said += ", not by all quartiles"
	}
	return fmt.Sprintf("  target %s %g: %s", sign, row.Target, said)
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "NOT MET"
}

func mega(n int64) float64 { return float64(n) / 1e6 }
