package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Purposes of mailed codes beside log-ins: a code for one is refused for all others.
const (
	ForPassword = "reset"    // another password, because the old one is forgotten
	ForDeletion = "deletion" // of the own account
	ForPhone    = "phone"    // another mobile number
)

// Proof is a PIN or a password with which somebody logged in proves to be the officer:
// the PIN of a credential that is active, the log-in password of who has none.
type Proof struct {
	System   string // whose credential the PIN is of; "": any
	PIN      secret.Text
	Password secret.Text
}

// mailCode mails a code for a deed of an account, whose count of tries is subject's; nobody
// gets one for the zero Account, and it takes as long.
func (a *Accounts) mailCode(ctx context.Context, purpose, subject, data string, to Account, deliver bool) (Login, error) {
	l := Login{ID: ident.New("lg", 16), Account: to.ID, Subject: subject, ExpiresAt: a.Now().Add(loginFor)}
	if err := a.Records.PutLogin(ctx, l, purpose, data); err != nil {
		return Login{}, fmt.Errorf("storing what a code is for: %w", err)
	}
	expires, err := a.Deeds[purpose].Send(ctx, l.ID, to, deliver)
	l.ExpiresAt = expires
	return l, err
}

// askCode is mailCode for somebody logged in: five free, then ever more slowly.
func (a *Accounts) askCode(ctx context.Context, p *Person, purpose, data string) (Login, error) {
	subject := purpose + ":" + p.Account.IC
	if err := a.Records.CountFailure(ctx, subject, a.Now(), slower); err != nil {
		return Login{}, err
	}
	return a.mailCode(ctx, purpose, subject, data, p.Account, true)
}

// slower is delay with a quarter of an hour at most: what only sends mails to the right mailbox
// need not be closed, and strangers could keep its owner out.
func slower(n int) time.Duration { return min(delay(n), 15*time.Minute) }

// checkCode takes one of a code's tries; the deed spends it. data is what it was asked
// with. A *CodeError, ErrUnknown, ErrUsed, the errors of LoginCodes.
func (a *Accounts) checkCode(ctx context.Context, id, purpose string, code secret.Text) (Login, Account, Proofs, string, error) {
	l, data, err := a.Records.LoginOf(ctx, id, purpose)
	if err != nil {
		return l, Account{}, Proofs{}, "", err
	}
	acct, proofs, err := a.Records.Account(ctx, l.Account)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return l, acct, proofs, "", err
	}
	ok, left, err := a.Deeds[purpose].Check(ctx, l.ID, acct, code)
	switch {
	case err != nil:
		return l, acct, proofs, "", err
	case !ok || acct.ID == "":
		return l, acct, proofs, "", &CodeError{left}
	}
	return l, acct, proofs, data, nil
}

// ownCode is checkCode for p's own deeds: another's code is unknown.
func (a *Accounts) ownCode(ctx context.Context, p *Person, id, purpose string, code secret.Text) (Login, string, error) {
	if l, _, err := a.Records.LoginOf(ctx, id, purpose); err == nil && l.Account != p.Account.ID {
		return Login{}, "", ErrUnknown
	}
	l, _, _, data, err := a.checkCode(ctx, id, purpose, code)
	return l, data, err
}

// provePassword counts and judges p's password: ErrWrongPassword, or a *ThrottledError.
func (a *Accounts) provePassword(ctx context.Context, p *Person, password secret.Text, ev audit.Event) error {
	_, proofs, err := a.Records.Account(ctx, p.Account.ID)
	if err != nil {
		return err
	}
	who := "session:" + p.Session.ID
	if err := a.Records.CountFailure(ctx, who, a.Now(), delay); err != nil {
		return err
	}
	ok, err := a.right(ctx, p.Account.IC, proofs.Password, password)
	if err != nil {
		return err
	}
	if !ok {
		ev.Verdict, ev.Detail["code"] = audit.Refused, "password_wrong"
		return errors.Join(ErrWrongPassword, a.Records.Audit(ctx, ev))
	}
	return a.Records.ForgetFailures(ctx, who)
}

// proven judges a Proof for an act of p's. Who holds a credential that can sign gives its
// PIN; a session and a mailbox alone, or a password on a note, do not end a key.
func (d *Desk) proven(ctx context.Context, acc *Accounts, p *Person, ev audit.Event, of Proof) error {
	_, media, err := d.Registrar.Records.Officer(ctx, p.Account.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("reading officer: %w", err)
	}
	k := slices.IndexFunc(media, func(m Medium) bool {
		return m.KeyStatus == "ACTIVE" && (of.System == "" || m.System == of.System) && d.stillValid(&m)
	})
	if k < 0 {
		return acc.provePassword(ctx, p, of.Password, ev)
	}
	if of.PIN.Len() == 0 {
		return d.refuse(ctx, ev, entered("pin_missing", "pin", "beri PIN sijil anda", "give the PIN of your certificate"))
	}
	m := media[k]
	return d.PINs.ProvePIN(ctx, Action(ev.Action), p.Account.IC, m.System, m.Credential, of.PIN, p.Actor.Request)
}

// person is p as an officer: what a person is appointed to is no ground for own deeds.
func person(p *Person) Actor {
	return Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request}
}

// officer is an officer as the object of an act.
func officer(ic, system string) object {
	return object{name: "officer:" + ic, officer: ic, system: system, detail: map[string]string{"officer": ic, "system": system}}
}
