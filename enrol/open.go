package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mohor-sign/mohor/internal/secret"
)

// OpenAccount gives the officer to whom a verification code was mailed an account with
// this password, or the account this password; whoever has the code reads the officer's
// mailbox. That is enough while nothing has been issued: from the first credential on
// the code changes no password, for a mailbox alone must not open an account that can
// do something. Errors: ErrLink as ByCode has it, a *PasswordError, ErrBusy, a *Refusal
// with ErrState.
func (d *Desk) OpenAccount(ctx context.Context, accounts *Accounts, code, password secret.Text, request string) (Enrolment, error) {
	e, err := d.ByCode(ctx, code, request)
	if err != nil {
		return Enrolment{}, err
	}
	by := Actor{Name: "officer:" + e.IC, IC: e.IC, Request: request}
	ev, _, err := d.may(ctx, by, Password, &e)
	if err != nil {
		return Enrolment{}, err
	}
	o, media, err := d.Registrar.Records.Officer(ctx, e.IC)
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading officer: %w", err)
	}
	issued := slices.ContainsFunc(media, func(m Medium) bool { return m.Credential != "" })
	switch acct, _, err := accounts.Records.AccountByIC(ctx, e.IC); {
	case err == nil && issued && acct.State != AccountDeleted:
		return Enrolment{}, d.refuse(ctx, ev, refusal("account_exists", ErrState))
	case err != nil && !errors.Is(err, ErrUnknown):
		return Enrolment{}, fmt.Errorf("reading account: %w", err)
	}
	// The audit event of the new password goes with the password.
	err = accounts.SetPassword(ctx, by, o, password)
	switch {
	case errors.Is(err, ErrExists): // an administrator's
		return Enrolment{}, d.refuse(ctx, ev, refusal("account_exists", ErrState))
	case errors.Is(err, ErrUnknown):
		return Enrolment{}, d.refuse(ctx, ev, refusal("account_ended", ErrState))
	case err != nil:
		return Enrolment{}, err
	}
	return e, nil
}
