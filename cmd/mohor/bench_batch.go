package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchBatchCmd struct {
	Docs       int           `default:"10000" help:"Documents of the batch."`
	Kind       string        `default:"pdf" enum:"pdf,digest,ecert" help:"What is signed: ${enum}."`
	Size       byteSize      `default:"100KB" help:"Size of a PDF."`
	Key        string        `default:"RSA-2048" enum:"RSA-2048,ECDSA-P256" help:"The officer's key: ${enum}."`
	Level      string        `default:"B-B" enum:"B-B,B-T,B-LT,B-LTA" help:"Level of the signatures: ${enum}; of digests the value alone is made."`
	Slices     int           `default:"3" help:"Rounds; in each the parts are measured, the batch is signed, and the module is measured again."`
	Slice      time.Duration `default:"2s" help:"How long a part is measured in a round, at most a minute."`
	Against    bool          `help:"Also have other programs sign such a document, with a key in the same token."`
	PDFSign    string        `name:"pdfsign" default:"bin/pdfsign-bench" help:"One of them, of make bench-contenders; left out where it is not there."`
	PyHanko    string        `name:"pyhanko" default:"bin/pyhanko/bin/python" help:"Python with pyHanko, of make pyhanko; left out where it is not there."`
	CPUProfile string        `name:"cpu-profile" type:"path" help:"Write a processor profile of this process while the batch is signed in the last round, for go tool pprof." placeholder:"FILE"`
	JSON       bool          `help:"Print JSON."`
}

func (c *benchBatchCmd) Run(e *env) error {
	o := gateway.BenchOptions{Slices: c.Slices, Slice: c.Slice, Process: tokenProcess, Now: e.now, Report: e.reporter()}
	b := gateway.BatchBench{Kind: c.Kind, Key: c.Key, Level: c.Level, Documents: c.Docs, Size: int64(c.Size), Profile: c.CPUProfile}
	if c.Against {
		b.Others = others(e, c.PDFSign, c.PyHanko)
	}
	r, err := gateway.BenchBatch(e.ctx, o, b)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printBatchBench(e.stdout, &r)
}

func printBatchBench(w io.Writer, r *gateway.BatchReport) error {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "%d %s", r.Documents, r.Kind)
	if r.Size > 0 {
		fmt.Fprintf(b, " of %.1f KB", float64(r.Size)/(1<<10))
	}
	fmt.Fprintf(b, ", %s, %s: %d cores, %d documents at once, chunks of %d, %d rounds; medians [quartiles]\n", r.Key, r.Level, r.Cores, r.Width, r.Chunk, r.Slices)
	for _, p := range r.Parts {
		fmt.Fprintf(b, "  %-48s %10.1f /s [%.1f %.1f]  %8.3f ms CPU, %d at once\n", p.What, p.PerSecond.Median, p.PerSecond.Q1, p.PerSecond.Q3, p.CPU.Median, p.AtOnce)
	}
	fmt.Fprintf(b, "  %-48s %10.1f /s [%.1f %.1f]  %8.3f ms CPU; capped by the disk in %d rounds\n", "limit", r.Limit.PerSecond.Median, r.Limit.PerSecond.Q1, r.Limit.PerSecond.Q3, r.Limit.CPU.Median, r.Limit.Capped)
	for _, x := range r.Batches {
		fmt.Fprintf(b, "batch of %d at %s\n", x.Documents, x.Level)
		fmt.Fprintf(b, "  signing %.1f /s [%.1f %.1f] in %.1f s; taken in in %.1f s, sealed in %.1f s; all %.1f /s\n", x.PerSecond.Median, x.PerSecond.Q1, x.PerSecond.Q3, x.Signing.Median, x.Intake.Median, x.Seal.Median, x.Whole.Median)
		fmt.Fprintf(b, "  %.3f [%.3f %.3f] of the limit, %.3f [%.3f %.3f] of raw C_Sign; by processor time alone %.3f of the limit\n", x.Share.Median, x.Share.Q1, x.Share.Q3, x.OfRaw.Median, x.OfRaw.Q1, x.OfRaw.Q3, x.CPUShare.Median)
		fmt.Fprintf(b, "  processor, ms a document: gateway %.3f, token %.3f; taking in %.3f\n", x.Gateway.Median, x.Token.Median, x.IntakeCPU.Median)
		since := ""
		if !x.Anew {
			since = " since the start of the process"
		}
		fmt.Fprintf(b, "  memory at most %.1f MB, token %.1f MB%s; %.0f bytes written and %.3f flushes of the device a document; %d bytes signed\n", mega(x.Peak), mega(x.TokenPeak), since, x.Written, x.Flushes, x.Signed)
	}
	for _, o := range r.Others {
		fmt.Fprintf(b, "%s in %d processes, key in the same token: %.1f /s [%.1f %.1f], %.3f ms CPU; the batch is %.2f [%.2f %.2f] times as fast\n", o.What, o.AtOnce,
			o.PerSecond.Median, o.PerSecond.Q1, o.PerSecond.Q3, o.CPU.Median, o.Times.Median, o.Times.Q1, o.Times.Q3)
	}
	for _, t := range r.Targets {
		sign := ">="
		if t.Below {
			sign = "<="
		}
		fmt.Fprintf(b, "%s\n", strings.TrimSpace(fmt.Sprintf("%s: %.4g  target %s %.4g: %s", t.What, t.Found, sign, t.Bound, met(t.Met))))
	}
	_, err := w.Write(b.Bytes())
	return err
}
