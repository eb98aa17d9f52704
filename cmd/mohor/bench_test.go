package main

import (
	"encoding/json"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/internal/gateway"
)

// cmdBenchRows checks that each row of a report has figures that can be, and that a row of each
// name is there: bench-rows FILE WHAT…. Whether a target is met is not for a test to say.
func cmdBenchRows(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: bench-rows FILE WHAT…")
	}
	var r gateway.BenchReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	rows := map[string]int{}
	sane := func(q gateway.Quartiles) bool { return q.Q1 > 0 && q.Q1 <= q.Median && q.Median <= q.Q3 }
	for _, row := range r.Rows {
		rows[row.What]++
		if !sane(row.PerSecond) || row.CPU.Q1 < 0 || row.CPU.Median > row.CPU.Q3 || row.Sessions < 1 {
			ts.Fatalf("row %q: %+v", row.What, row)
		}
		if (row.Ratio == nil) != (row.Reference == "") || row.Ratio != nil && !sane(*row.Ratio) || (row.Target != 0) != (row.Met != nil) {
			ts.Fatalf("row %q: ratio %+v of %q, target %v, met %v", row.What, row.Ratio, row.Reference, row.Target, row.Met)
		}
		if row.Reference != "" && rows[row.Reference] == 0 {
			ts.Fatalf("row %q comes before what it is compared with, %q", row.What, row.Reference)
		}
	}
	for _, what := range args[1:] {
		if rows[what] == 0 {
			ts.Fatalf("no row %q", what)
		}
	}
}

// cmdBenchBatch checks that the parts and batches of a report have figures that can be, and that a part
// of each name is there: bench-batch FILE PART….
func cmdBenchBatch(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: bench-batch FILE PART…")
	}
	var r gateway.BatchReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	sane := func(q gateway.Quartiles) bool { return q.Q1 > 0 && q.Q1 <= q.Median && q.Median <= q.Q3 }
	parts := map[string]bool{}
	for _, p := range r.Parts {
		if parts[p.What] = true; !sane(p.PerSecond) || p.CPU.Q1 < 0 || p.AtOnce < 1 {
			ts.Fatalf("part %q: %+v", p.What, p)
		}
	}
	for _, what := range args[1:] {
		if !parts[what] {
			ts.Fatalf("no part %q", what)
		}
	}
	if !sane(r.Limit.CPU) || !sane(r.Limit.PerSecond) || len(r.Batches) == 0 || r.Width < 1 || r.Chunk < 1 {
		ts.Fatalf("limit %+v, %d batches", r.Limit, len(r.Batches))
	}
	for _, b := range r.Batches {
		for what, q := range map[string]gateway.Quartiles{"intake": b.Intake, "seal": b.Seal, "signing": b.Signing, "rate": b.PerSecond, "whole": b.Whole, "gateway": b.Gateway, "share": b.Share, "of raw": b.OfRaw} {
			if !sane(q) {
				ts.Fatalf("%s of the batch at %s: %+v", what, b.Level, q)
			}
		}
		if b.Whole.Median >= b.PerSecond.Median || b.Peak < 1<<20 || b.TokenPeak < 1<<20 || b.Signed <= r.Size {
			ts.Fatalf("batch at %s: %+v", b.Level, b)
		}
	}
}
