// Package pdfbench measures signing and verifying PDF files with keys in
// memory: this product's packages against the least there is to do, and
// against other programs. Each contender is a process of its own, so that its
// memory is its own; they take turns, slice by slice.
package pdfbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Options say what to measure, and how long.
type Options struct {
	// Sizes are those of the documents, in bytes.
	Sizes []int64
	// Keys are kinds of keys: "RSA-2048" or "P-256".
	Keys []string
	// Slices is how many turns each contender has, Slice how long one is.
	Slices int
	Slice  time.Duration
	// Output is where signed documents are written, again and again.
	Output string
	// Self starts this program as a contender; see Serve. Others starts others
	// by name: "pdfsign", "pyhanko". OthersMax is the largest document they get.
	Self      func() *exec.Cmd
	Others    map[string]func() *exec.Cmd
	OthersMax int64
	// Dir holds documents, keys and certificates.
	Dir string
	Now func() time.Time
	// Report hears how far it is.
	Report func(what string, done, total int)
}

// Report is what was measured.
type Report struct {
	Cores  int     `json:"cores"`
	CPU    string  `json:"cpu"`
	Slices int     `json:"slices"`
	Slice  float64 `json:"slice_seconds"`
	Rows   []Row   `json:"rows"`
}

// Row is one contender with one document and one kind of key.
type Row struct {
	What string `json:"what"`
	Key  string `json:"key"`
	Size int64  `json:"size"` // bytes of the document
	Jobs int    `json:"jobs"` // documents at once

	PerSecond Quartiles `json:"documents_per_second"`
	CPU       Quartiles `json:"cpu_ms_per_document"`
	RSS       int64     `json:"peak_rss_above_empty"` // bytes
	Allocs    float64   `json:"allocations_per_document,omitempty"`
	Bytes     float64   `json:"allocated_bytes_per_document,omitempty"`
	// Operations are those of the private key, per document.
	Operations float64 `json:"private_key_operations_per_document,omitempty"`

	// Reference is the row Ratio compares with, slice by slice: CPU of this row
	// by that of the reference.
	Reference string     `json:"reference,omitempty"`
	Ratio     *Quartiles `json:"ratio,omitempty"`
	Targets   []Target   `json:"targets,omitempty"`
}

// Target is a bound and whether it is kept by the median.
type Target struct {
	What  string  `json:"what"`
	Bound float64 `json:"bound"`
	Found float64 `json:"found"`
	Met   bool    `json:"met"`
}

// Quartiles of the slices' figures.
type Quartiles struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

func quartiles(v []float64) Quartiles {
	v = slices.Sorted(slices.Values(v))
	at := func(p float64) float64 {
		x := p * float64(len(v)-1)
		low := int(x)
		return v[low] + (x-float64(low))*(v[min(low+1, len(v)-1)]-v[low])
	}
	return Quartiles{Median: at(0.5), Q1: at(0.25), Q3: at(0.75)}
}

// What contenders do.
const (
	Floor      = "floor: SHA-256, one CMS signature, the increment"
	Sign       = "sign, increment written"
	FloorWhole = "floor, document written too"
	SignWhole  = "sign, document written"
	CheckValue = "check of the signature value"
	VerifyB    = "verify B-B"
	VerifyLTA  = "verify B-LTA"
	PDFSign    = "pdfsign"
	PyHanko    = "pyhanko"
)

// Bounds.
const (
	boundSmall  = 1.8 // times the floor's CPU below 1 MB
	boundLarge  = 1.3
	boundRSS    = 32 << 20
	boundVerify = 1000 // B-LTA a second
	small       = 100 << 10
)

// Run measures.
func Run(ctx context.Context, o Options) (Report, error) {
	r := Report{Cores: runtime.NumCPU(), CPU: processor(), Slices: o.Slices, Slice: o.Slice.Seconds()}
	if o.Slices < 1 || o.Slice <= 0 || o.Slice > time.Minute || len(o.Sizes) == 0 {
		return r, fmt.Errorf("%d slices of %v for %d sizes", o.Slices, o.Slice, len(o.Sizes))
	}
	for _, kind := range o.Keys {
		p, err := newPKI(o.Dir, kind, o.Now())
		if err != nil {
			return r, fmt.Errorf("making %s keys: %w", kind, err)
		}
		for _, size := range o.Sizes {
			document := filepath.Join(o.Dir, fmt.Sprintf("%d.pdf", size))
			if err := WriteDocument(document, size); err != nil {
				return r, fmt.Errorf("making a document of %d bytes: %w", size, err)
			}
			rows, err := o.signing(ctx, p, document, size)
			if err != nil {
				return r, err
			}
			r.Rows = append(r.Rows, rows...)
			if err := os.Remove(document); err != nil {
				return r, fmt.Errorf("removing document: %w", err)
			}
		}
		rows, err := o.verifying(ctx, p)
		if err != nil {
			return r, err
		}
		r.Rows = append(r.Rows, rows...)
	}
	return r, nil
}

// contender is a process and its slices.
type contender struct {
	row    Row
	task   Task
	start  func() *exec.Cmd
	child  *child
	slices []Slice
}

func (o Options) signing(ctx context.Context, p *pki, document string, size int64) ([]Row, error) {
	task := func(what string) Task {
		return Task{What: what, Document: document, Output: o.Output, Key: p.keyPath, Certificates: p.certPath, Now: o.Now()}
	}
	var all []*contender
	add := func(what string, start func() *exec.Cmd) *contender {
		c := &contender{row: Row{What: what, Key: p.kind, Size: size, Jobs: 1}, task: task(what), start: start}
		all = append(all, c)
		return c
	}
	floor, check, sign := add(Floor, o.Self), add(CheckValue, o.Self), add(Sign, o.Self)
	floorWhole, signWhole := add(FloorWhole, o.Self), add(SignWhole, o.Self)
	if size <= o.OthersMax {
		for _, name := range []string{PDFSign, PyHanko} {
			if start := o.Others[name]; start != nil {
				add(name, start)
			}
		}
	}
	if err := o.rounds(ctx, fmt.Sprintf("signing %s with %s", Size(size), p.kind), all); err != nil {
		return nil, err
	}
	against(sign, floor, check)
	against(signWhole, floorWhole, check)
	for _, c := range []*contender{sign, signWhole} {
		c.row.target("peak RSS above the empty process", float64(c.row.RSS), boundRSS, true)
		c.row.Targets = append(c.row.Targets, Target{"private-key operations", 1, c.row.Operations, c.row.Operations == 1})
	}
	var rows []Row
	for _, c := range all {
		switch c.row.What {
		case PDFSign:
			faster(c, signWhole, 3)
		case PyHanko:
			faster(c, signWhole, 20)
		}
		rows = append(rows, c.row)
	}
	return rows, nil
}

// against compares CPU with the floor's. The check of the signature value,
// which is part of making a CMS for both, is counted apart.
func against(c, floor, check *contender) {
	var ratios []float64
	for i, s := range c.slices {
		apart := check.slices[i].perDocument()
		ratios = append(ratios, (s.perDocument()-apart)/(floor.slices[i].perDocument()-apart))
	}
	q := quartiles(ratios)
	c.row.Reference, c.row.Ratio = floor.row.What, &q
	bound := boundSmall
	if c.row.Size >= 1<<20 {
		bound = boundLarge
	}
	c.row.target("CPU by the floor's", q.Median, bound, true)
}

// faster compares CPU with another program's: each has one document at a time,
// and what else the machine does disturbs CPU least.
func faster(other, ours *contender, bound float64) {
	var ratios []float64
	for i, s := range other.slices {
		ratios = append(ratios, s.perDocument()/ours.slices[i].perDocument())
	}
	q := quartiles(ratios)
	other.row.Reference, other.row.Ratio = ours.row.What, &q
	other.row.target("times our CPU", q.Median, bound, false)
}

func (r *Row) target(what string, found, bound float64, below bool) {
	r.Targets = append(r.Targets, Target{what, bound, found, found <= bound && below || found >= bound && !below})
}

func (o Options) verifying(ctx context.Context, p *pki) ([]Row, error) {
	var all []*contender
	for _, what := range []string{VerifyB, VerifyLTA} {
		document := filepath.Join(o.Dir, "verify.pdf")
		if what == VerifyLTA {
			document = filepath.Join(o.Dir, "verify-lta.pdf")
		}
		if err := p.signedDocument(ctx, document, small, what == VerifyLTA); err != nil {
			return nil, fmt.Errorf("making a document to verify: %w", err)
		}
		jobs := runtime.NumCPU()
		all = append(all, &contender{row: Row{What: what, Key: p.kind, Size: small, Jobs: jobs}, start: o.Self,
			task: Task{What: what, Document: document, Certificates: p.rootPath, Jobs: jobs, Now: o.Now()}})
	}
	if err := o.rounds(ctx, "verifying with "+p.kind, all); err != nil {
		return nil, err
	}
	var rows []Row
	for _, c := range all {
		if c.row.What == VerifyLTA {
			c.row.target("documents a second", c.row.PerSecond.Median, boundVerify, false)
		}
		rows = append(rows, c.row)
	}
	return rows, nil
}

// rounds starts the contenders, lets them take turns and fills in their rows.
func (o Options) rounds(ctx context.Context, name string, all []*contender) (err error) {
	defer func() {
		for _, c := range all {
			if c.child != nil {
				err = errors.Join(err, c.child.stop())
			}
		}
	}()
	for _, c := range all {
		if c.child, err = start(ctx, c.start(), c.task); err != nil {
			return fmt.Errorf("starting %q: %w", c.row.What, err)
		}
	}
	for i := range o.Slices {
		for _, c := range all {
			s, err := c.child.slice(o.Slice)
			if err != nil {
				return fmt.Errorf("measuring %q: %w", c.row.What, err)
			}
			c.slices = append(c.slices, s)
		}
		if o.Report != nil {
			o.Report(name, i+1, o.Slices)
		}
	}
	for _, c := range all {
		c.fill()
	}
	return nil
}

func (c *contender) fill() {
	var rates, cpu []float64
	var sum Slice
	for _, s := range c.slices {
		rates, cpu = append(rates, s.rate()), append(cpu, s.perDocument())
		sum.Documents += s.Documents
		sum.Allocs += s.Allocs
		sum.Bytes += s.Bytes
		sum.Operations += s.Operations
	}
	c.row.PerSecond, c.row.CPU = quartiles(rates), quartiles(cpu)
	c.row.RSS = c.slices[len(c.slices)-1].Peak - c.child.empty
	n := float64(sum.Documents)
	c.row.Allocs, c.row.Bytes, c.row.Operations = float64(sum.Allocs)/n, float64(sum.Bytes)/n, float64(sum.Operations)/n
}

// Size writes a number of bytes for people.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%g GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%g MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%g KB", float64(n)/(1<<10))
}
