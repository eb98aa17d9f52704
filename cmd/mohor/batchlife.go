package main

import (
	"context"
	"fmt"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// batchOf is what a command about a batch needs.
type batchOf struct {
	remote `embed:""`
	Batch  string `arg:"" help:"Id of the batch."`
}

// change does something to the batch and says how it stands with it.
func (c *batchOf) change(e *env, do func(*client, context.Context, string) (*mohor.Batch, error)) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	b, err := do(api, e.ctx, c.Batch)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s  %d signed, %d refused, %d to be signed\n", b.Status, b.Signed, b.Refused, b.Pending)
	return nil
}

type batchPauseCmd struct{ batchOf }

func (c *batchPauseCmd) Run(e *env) error {
	return c.change(e, func(api *client, ctx context.Context, id string) (*mohor.Batch, error) { return api.Pause(ctx, id) })
}

type batchResumeCmd struct{ batchOf }

func (c *batchResumeCmd) Run(e *env) error {
	return c.change(e, func(api *client, ctx context.Context, id string) (*mohor.Batch, error) { return api.Resume(ctx, id) })
}

type batchRetryCmd struct {
	batchOf
	Item []int `help:"Index of a refused document, repeatable (default: all)."`
}

func (c *batchRetryCmd) Run(e *env) error {
	return c.change(e, func(api *client, ctx context.Context, id string) (*mohor.Batch, error) {
		return api.Retry(ctx, id, c.Item...)
	})
}
