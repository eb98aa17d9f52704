package main

import (
	"errors"
	"fmt"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type mailCmd struct {
	Bounce mailBounceCmd `cmd:"" help:"Read a delivery report on standard input and record that a code bounced; for a mail server's pipe."`
}

// tempFail is EX_TEMPFAIL of sysexits(3): the mail server keeps the message and
// tries again.
const tempFail exitStatus = 75

type mailBounceCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
}

// Run ends with 0 for every message that was judged, recorded or not: any other
// status but 75 would have the mail server send a bounce of it, to whatever sender a
// stranger made up. With 75 the message waits for the database, or for a
// configuration that can be read.
func (c *mailBounceCmd) Run(e *env) error {
	transaction, status, err := gateway.Bounce(e.ctx, c.Data, operator(), e.stdin, e.now)
	switch {
	case err == nil:
		fmt.Fprintf(e.stdout, "bounced     %s  %s\n", transaction, status)
	case errors.Is(err, gateway.ErrNoBounce):
		complain(e.stderr, err)
	default:
		complain(e.stderr, err)
		return tempFail
	}
	return nil
}
