package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

type benchCmd struct {
	Sign  benchSignCmd  `cmd:"" help:"Raw C_Sign a second, hash signatures a second through the whole gateway, and their ratio."`
	Batch benchBatchCmd `cmd:"" help:"A batch from its list to the last signed document, against the limit that C_Sign, the least pass, verification and disk set in the same run."`
	API   benchAPICmd   `cmd:"" name:"api" help:"Requests a second through a whole gateway by HTTP, their latencies, the processor time of a signature, and interactive signing beside a batch."`
	PDF   benchPDFCmd   `cmd:"" name:"pdf" help:"Signing and verifying documents with keys in memory, against the least there is to do and against other programs."`
	OTP   benchOTPCmd   `cmd:"" name:"otp" help:"One-time codes issued and redeemed a second, against bare commits; and whether the time of a refusal tells which digit is wrong."`
	CA    benchCACmd    `cmd:"" name:"ca" help:"Certificates end to end, OCSP answers and time-stamps a second, against raw C_Sign of such a key."`
	Enrol benchEnrolCmd `cmd:"" name:"enrol" help:"Officers of a list from the list to their certificates, stage by stage; and the reports of them."`
	HSM   benchHSMCmd   `cmd:"" name:"hsm" help:"What custody leaves of the module's rate; with --keys what many officers cost; with --soak what a long run does to memory."`
}

type benchSignCmd struct {
	Items  int           `default:"2000" help:"Digests in one batch." `
	Slices int           `default:"3" help:"Alternating slices of raw and whole; medians are printed."`
	Time   time.Duration `default:"1s" help:"Length of a raw slice."`
	JSON   bool          `help:"Print JSON."`
}

// benchResult is one kind of key.
type benchResult struct {
	Key   string  `json:"key"`
	Raw   float64 `json:"raw_c_sign_per_s"`
	Whole float64 `json:"batch_signatures_per_s"`
	Ratio float64 `json:"ratio"`
}

func (c *benchSignCmd) Run(e *env) (err error) {
	dir, err := os.MkdirTemp("", "mohor-bench-")
	if err != nil {
		return fmt.Errorf("making scratch folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, l, dev, err := gateway.Dev(e.ctx, gateway.DevOptions{Dir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Now: e.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	served := make(chan error, 1)
	go func() { served <- s.Run(ctx, l) }()
	results, err := c.measure(e, s, dev)
	stop()
	if err = errors.Join(err, <-served, s.CloseAll()); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"cores": runtime.NumCPU(), "items": c.Items, "slices": c.Slices, "results": results})
	}
	for _, r := range results {
		fmt.Fprintf(e.stdout, "%-11s  raw C_Sign %8.0f /s   whole gateway %8.0f /s   ratio %.2f\n", r.Key, r.Raw, r.Whole, r.Ratio)
	}
	return nil
}

func (c *benchSignCmd) measure(e *env, s *gateway.Server, dev sandbox.DevFile) ([]benchResult, error) {
	var out []benchResult
	o := dev.Officers[0]
	api, err := newClient(dev.BaseURL, dev.APIKey, false)
	if err != nil {
		return nil, err
	}
	for _, cr := range o.Credentials {
		var raw, whole []float64
		for range c.Slices {
			r, err := s.RawSignRate(e.ctx, cr.Key, runtime.NumCPU(), c.Time)
			if err != nil {
				return nil, err
			}
			w, err := c.batch(e, s, api, dev, o, cr.CredentialID)
			if err != nil {
				return nil, err
			}
			raw, whole = append(raw, r), append(whole, w)
		}
		slices.Sort(raw)
		slices.Sort(whole)
		r := benchResult{Key: cr.Key, Raw: raw[len(raw)/2], Whole: whole[len(whole)/2]}
		r.Ratio = r.Whole / r.Raw
		out = append(out, r)
	}
	return out, nil
}

// batch signs Items digests under one PIN and code and returns the rate from
// the intent to the last commit.
func (c *benchSignCmd) batch(e *env, s *gateway.Server, api *client, dev sandbox.DevFile, o sandbox.DevOfficer, credential string) (float64, error) {
	b, err := api.CreateBatch(e.ctx, "bench", mohor.BatchDigest)
	if err != nil {
		return 0, err
	}
	_, err = api.AddDigests(e.ctx, b.ID, func(yield func(mohor.Document) bool) {
		for k := range c.Items {
			if !yield(mohor.Document{Name: fmt.Sprintf("bench %d", k), Digest: mohor.SHA256(fmt.Append(nil, b.ID, k))}) {
				return
			}
		}
	})
	if err == nil {
		_, err = api.Seal(e.ctx, b.ID, false)
	}
	if err != nil {
		return 0, err
	}
	mark := s.Mailbox.Mark()
	t, err := api.CreateTransaction(e.ctx, mohor.Ask{IC: o.IC, System: dev.System, CredentialID: credential, Format: mohor.RAW, BatchID: b.ID})
	if err != nil {
		return 0, err
	}
	mail, err := s.Mailbox.WaitFor(e.ctx, o.Email, mark)
	if err != nil {
		return 0, fmt.Errorf("waiting for the code: %w", err)
	}
	if _, err = api.Sign(e.ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: o.PIN, OTP: secret.New(mail.Code)}); err != nil {
		return 0, err
	}
	quiet := &env{ctx: e.ctx, stderr: new(bytes.Buffer), now: e.now}
	if b, _, err = api.follow(quiet, b.ID); err != nil {
		return 0, err
	}
	if b.Signed != c.Items || b.StartedAt == nil || b.FinishedAt == nil {
		return 0, fmt.Errorf("batch ended as %s with %d of %d signed", b.Status, b.Signed, c.Items)
	}
	return b.Rate, nil
}
