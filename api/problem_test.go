package api_test

import (
	"testing"

	"github.com/mohor-sign/mohor/api"
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
