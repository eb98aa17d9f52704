package api_test

import (
	"fmt"
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
