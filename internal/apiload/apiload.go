// Package apiload asks a gateway over HTTP as apps do, and takes the mails with the
// codes, so that `mohor bench api` can measure what it has to do. It works in a process
// of its own, whose processor time is nobody's.
package apiload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strings"
)

// Kinds of a [Task].
const (
	Medium  = "medium"  // GET medium, over and over
	Sign    = "sign"    // a transaction and its signature, over and over
	Prepare = "prepare" // makes, fills and seals a batch and has its code sent
	Steady  = "steady"  // transactions and signatures at a steady rate, whatever they take
)

// The requests whose latencies a [Slice] has.
const (
	MediumRequest      = "medium"
	TransactionRequest = "transaction" // until 201: the mail server has the code
	SignatureRequest   = "signature"   // until 200: the signature is stored
)

// Task is what is to be asked of the gateway.
type Task struct {
	Kind string `json:"kind"`
	// DevFile is where the gateway, its app and officers are; see sandbox.ReadDevFile.
	DevFile string `json:"dev_file"`
	// Key is the kind of the officers' keys that sign, such as "RSA-2048".
	Key string `json:"key,omitempty"`
	// Documents is how many digests a transaction or the batch has.
	Documents int `json:"documents,omitempty"`
	// AtOnce is how many ask at once, each for an officer of her own; Seconds how long:
	// each at least once.
	AtOnce  int     `json:"at_once,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Rate of Steady is requests a second, two for each transaction. Latencies count from
	// when a request was due. With Batch the prepared batch is confirmed first, and the
	// slice ends with it.
	Rate  float64 `json:"rate,omitempty"`
	Batch bool    `json:"batch,omitempty"`
}

// Slice is what was done.
type Slice struct {
	Ops     int     `json:"ops"` // media, transactions signed, or documents prepared
	Seconds float64 `json:"seconds"`
	// Latency holds milliseconds by request.
	Latency map[string][]float64 `json:"latency,omitempty"`
	// BatchSeconds is how long the batch took, from its confirmation.
	BatchSeconds float64 `json:"batch_seconds,omitempty"`
	Err          string  `json:"err,omitempty"`
}

// greeting is the first line of a process.
type greeting struct {
	Sink string `json:"sink"`
}

// Client has a process ask.
type Client struct {
	// Sink is host:port of its mail server, on a loopback address.
	Sink string

	in        io.WriteCloser
	answers   *json.Decoder
	wait      func() error
	complaint bytes.Buffer
}

// Start starts cmd, which must call [Serve] on its stdin and stdout; without one the work
// is done in this process. Close it.
func Start(ctx context.Context, cmd *exec.Cmd) (c *Client, err error) {
	c = &Client{}
	var out io.ReadCloser
	if cmd == nil {
		out = c.here(ctx)
	} else {
		if c.in, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
		if out, err = cmd.StdoutPipe(); err != nil {
			return nil, err
		}
		cmd.Stderr, c.wait = &c.complaint, cmd.Wait
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting the load: %w", err)
		}
	}
	c.answers = json.NewDecoder(out)
	var g greeting
	if err := c.answers.Decode(&g); err != nil {
		return nil, errors.Join(c.said(err), c.Close())
	}
	c.Sink = g.Sink
	return c, nil
}

// here serves in this process.
func (c *Client) here(ctx context.Context) io.ReadCloser {
	in, tasks := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Serve(ctx, in, out)
		ended <- errors.Join(err, out.CloseWithError(io.EOF))
	}()
	c.in = tasks
	c.wait = func() error {
		_ = answers.Close() // nobody reads
		return <-ended
	}
	return answers
}

func (c *Client) said(err error) error {
	return fmt.Errorf("asking the load: %w: %s", err, strings.TrimSpace(c.complaint.String()))
}

// Do has a task done.
func (c *Client) Do(t Task) (s Slice, err error) {
	if err := json.NewEncoder(c.in).Encode(t); err != nil {
		return s, c.said(err)
	}
	if err := c.answers.Decode(&s); err != nil {
		return s, c.said(err)
	}
	if s.Err != "" {
		return s, errors.New(s.Err)
	}
	if s.Ops < 1 || s.Seconds <= 0 {
		return s, errors.New("asking the load: nothing was done")
	}
	return s, nil
}

// Close ends the process.
func (c *Client) Close() error {
	_ = c.in.Close() // it ends at the end of its input
	return c.wait()
}

// Percentile is the nearest-rank percentile of values in any order: the smallest of them
// that at least p (0 to 1) of them do not exceed; 0 of none.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	k := int(math.Ceil(p*float64(len(v)))) - 1
	return v[min(max(k, 0), len(v)-1)]
}
