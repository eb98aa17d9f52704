package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/pdfbench"
)

type benchPDFCmd struct {
	Sizes     []byteSize    `default:"100KB,1MB,20MB,100MB,1GB" help:"Sizes of the documents."`
	Keys      []string      `default:"RSA-2048,P-256" help:"Kinds of keys, in memory."`
	Slices    int           `default:"5" help:"Turns of each contender; medians and quartiles are printed."`
	Slice     time.Duration `default:"1s" help:"Length of a turn, at most a minute."`
	Output    string        `default:"/dev/null" help:"Where signed documents are written, again and again."`
	PDFSign   string        `name:"pdfsign" default:"bin/pdfsign-bench" help:"Other contender, of make bench-contenders; left out where it is not there."`
	PyHanko   string        `name:"pyhanko" default:"bin/pyhanko/bin/python" help:"Python with pyHanko, of make pyhanko; left out where it is not there."`
	OthersMax byteSize      `default:"100MB" help:"Largest document the other contenders get."`
	JSON      bool          `help:"Print JSON."`
	Contender bool          `hidden:"" help:"Be a contender: read a task and turns from stdin."`
}

// byteSize is a number of bytes: 100KB, 1MB, 2GB.
type byteSize int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *byteSize) UnmarshalText(b []byte) error {
	text := string(b)
	for i, unit := range []string{"KB", "MB", "GB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(number, 10, 32)
			if err != nil || n < 1 {
				return fmt.Errorf("size %q", text)
			}
			*s = byteSize(n << (10 * (i + 1)))
			return nil
		}
	}
	return fmt.Errorf("size %q is none like 100KB, 1MB, 2GB", text)
}

func (c *benchPDFCmd) Run(e *env) (err error) {
	if c.Contender {
		return pdfbench.Serve(e.ctx, e.stdin, e.stdout)
	}
	dir, err := os.MkdirTemp("", "mohor-bench-")
	if err != nil {
		return fmt.Errorf("making scratch folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	bars := map[string]*progress{}
	o := pdfbench.Options{Keys: c.Keys, Slices: c.Slices, Slice: c.Slice, Output: c.Output, OthersMax: int64(c.OthersMax), Dir: dir, Now: e.now,
		Others: others(e, c.PDFSign, c.PyHanko),
		Self: func() *exec.Cmd {
			cmd := exec.Command(self, "bench", "pdf", "--contender")
			cmd.Args[0] = os.Args[0]
			return cmd
		},
		Report: func(what string, done, total int) {
			if bars[what] == nil {
				bars[what] = e.progress(what, total)
			}
			bars[what].at(done)
		}}
	for _, s := range c.Sizes {
		o.Sizes = append(o.Sizes, int64(s))
	}
	r, err := pdfbench.Run(e.ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printPDFBench(e.stdout, r)
}

// others are the other programs that are there.
func others(e *env, pdfSign, pyHanko string) map[string]func() *exec.Cmd {
	out := map[string]func() *exec.Cmd{}
	for _, o := range []struct {
		name, path string
		cmd        func() *exec.Cmd
	}{
		{pdfbench.PDFSign, pdfSign, func() *exec.Cmd { return exec.Command(pdfSign) }},
		{pdfbench.PyHanko, pyHanko, func() *exec.Cmd { return pdfbench.PyHankoCommand(pyHanko) }},
	} {
		if _, err := os.Stat(o.path); err != nil {
			fmt.Fprintf(e.stderr, "mohor: %s is not measured: %v\n", o.name, err)
			continue
		}
		out[o.name] = o.cmd
	}
	return out
}

// printPDFBench writes the table, as Markdown.
func printPDFBench(w io.Writer, r pdfbench.Report) error {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "%d cores of %s, %d slices of %gs; medians [quartiles]\n\n", r.Cores, r.CPU, r.Slices, r.Slice)
	b.WriteString("| key | document | what | documents/s | CPU ms | RSS above empty, MB | allocations | ratio | targets |\n|---|---:|---|---:|---:|---:|---:|---:|---|\n")
	for _, row := range r.Rows {
		ratio := ""
		if row.Ratio != nil {
			ratio = fmt.Sprintf("%.2f [%.2f %.2f]", row.Ratio.Median, row.Ratio.Q1, row.Ratio.Q3)
		}
		var targets []string
		for _, t := range row.Targets {
			targets = append(targets, fmt.Sprintf("%s %.3g of %.3g: %s", t.What, t.Found, t.Bound, met(t.Met)))
		}
		what := row.What
		if row.Jobs > 1 {
			what += fmt.Sprintf(", %d at once", row.Jobs)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.1f [%.1f %.1f] | %.3f [%.3f %.3f] | %.1f | %.0f | %s | %s |\n", row.Key, pdfbench.Size(row.Size), what,
			row.PerSecond.Median, row.PerSecond.Q1, row.PerSecond.Q3, row.CPU.Median, row.CPU.Q1, row.CPU.Q3, float64(row.RSS)/(1<<20), row.Allocs, ratio, strings.Join(targets, "; "))
	}
	_, err := w.Write(b.Bytes())
	return err
}
