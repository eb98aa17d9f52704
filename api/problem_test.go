package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
)

// What is wrong with a request's place in a work process has words of its own, and the field.
func TestWorkRefusalsNameTheField(t *testing.T) {
	of := func(err error) error { return &signer.DocumentError{Index: 2, Name: "baucar.pdf", Err: err} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{signer.ErrProcess, "process"}, {signer.ErrRole, "role"}, {signer.ErrNotBulk, "documents"}, {signer.ErrLastWord, "pades.certify"}, {signer.ErrAlgorithm, "algorithm"},
		{signer.ErrReference, "reference"}, {of(signer.ErrReference), "documents[2].reference"}, {of(signer.ErrContent), "documents[2]"}, {of(signer.ErrTurn), "documents[2]"},
	} {
		if field, ms, en := api.FieldOf(c.err); field != c.want || ms == en || ms == "Permintaan tidak sah" {
			t.Errorf("%v: field %q, want %q; %q, %q", c.err, field, c.want, ms, en)
		}
	}
}

// What is wrong with an upload that is refused whole stands in the detail, in the reader's language.
func TestUploadsRefusedWholeSayWhy(t *testing.T) {
	for kind, code := range map[error]string{batch.ErrInput: "invalid_request", batch.ErrTooLarge: "too_large"} {
		ms, en := api.Explain(fmt.Errorf("taking in: %w", &batch.InputError{EN: "two lists", MS: "dua senarai", Field: "name", Kind: kind}))
		if ms.Detail != "dua senarai" || en.Detail != "two lists" || ms.Field != "name" || ms.Code != code {
			t.Errorf("%+v, %+v", ms, en)
		}
	}
}

// A client that leaves is no fault of the gateway; work that was cancelled under one that waits is.
func TestClientsThatLeaveAreNoFaults(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want string
	}{{gone, context.Canceled, "level=INFO"}, {t.Context(), context.Canceled, "level=ERROR"}, {gone, context.DeadlineExceeded, "level=ERROR"}} {
		var out bytes.Buffer
		api.Logged(c.ctx, slog.New(slog.NewTextHandler(&out, nil)), fmt.Errorf("drawing: %w", c.err))
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%v, the request's %v: %q", c.err, c.ctx.Err(), out.String())
		}
	}
}
