package main

import (
	"encoding/json"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type benchCACmd struct {
	Slices int           `default:"9" help:"Rounds; raw C_Sign, certificates and answers take their turns in each."`
	Time   time.Duration `default:"1s" help:"Length of a slice."`
	AtOnce int           `default:"2" help:"How many at once."`
	JSON   bool          `help:"Print JSON."`
}

func (c *benchCACmd) Run(e *env) error {
	r, err := gateway.BenchCA(e.ctx, gateway.BenchOptions{Slices: c.Slices, Slice: c.Time, Sessions: []int{c.AtOnce}, Now: e.now, Report: e.reporter()})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return printBench(e.stdout, r)
}
