package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// A forgotten log-in password.
const (
	ResetPassword Action = "account.password.reset"
	VouchPassword Action = "account.password.vouch" // by the agency, without the PIN
)

// Notices to officers; see notify.
const (
	NoticePasswordReset = "account.password.reset"
	NoticePasswordAsked = "account.password.asked"
)

// ForgotPassword begins another password: a code of its own purpose is mailed if ic has an
// officer's account. What it returns is alike, in words and time, for everybody. A
// *ThrottledError counts for the address, whoever it asked about; ErrBusy.
func (a *Accounts) ForgotPassword(ctx context.Context, ic string, peer Peer) (Login, error) {
	if err := a.flush(ctx); err != nil {
		return Login{}, err
	}
	from := network(peer.Address)
	if err := a.addresses.allow(from, a.Now()); err != nil {
		return Login{}, err
	}
	a.addresses.add(from, 1, a.Now())
	acct, proofs, err := a.Records.AccountByIC(ctx, ic)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Login{}, err
	}
	var late *ThrottledError
	subject := ForPassword + ":" + ic
	err = a.Records.CountFailure(ctx, subject, a.Now(), slower)
	if err != nil && !errors.As(err, &late) {
		return Login{}, err
	}
	// A password is hashed as in a log-in, where what is left of the difference was
	// measured not to show; and a flood is slowed down.
	if _, err := a.right(ctx, ic, proofs.Password, secret.New(ident.New("pw", 16))); err != nil {
		return Login{}, err
	}
	if late != nil || acct.State != AccountActive || acct.Kind != OfficerAccount {
		acct = Account{}
	}
	return a.mailCode(ctx, ForPassword, subject, fmt.Sprint(proofs.Epoch), acct, acct.ID != "")
}

// Reset is the second step of a forgotten password.
type Reset struct {
	ID       string      // of the first step
	Code     secret.Text // as it was mailed
	Password secret.Text
	System   string // whose credential PIN is of; "": any
	// PIN proves who asks: of who holds a credential that is active, unless that is
	// forgotten too. Empty: an administrator of the agency has to confirm.
	PIN     secret.Text
	Request string // request id
}

// ResetPassword ends a forgotten password: with the PIN at once (done), without it when
// the agency has confirmed. All sessions end then, remembered devices too, and the officer
// is told. A *CodeError; a *PasswordError; ErrUnknown, ErrUsed; the errors of [PINs].
func (d *Desk) ResetPassword(ctx context.Context, acc *Accounts, r Reset) (done bool, err error) {
	// What can be said of anybody's password is said before a try is taken.
	if err := CheckPassword(r.Password, Officer{}); err != nil {
		return false, err
	}
	l, acct, proofs, epoch, err := acc.checkCode(ctx, r.ID, ForPassword, r.Code)
	var wrong *CodeError
	if errors.As(err, &wrong) {
		acc.refusals.note("", "")
	}
	if err != nil {
		return false, err
	}
	by := Actor{Name: "officer:" + acct.IC, IC: acct.IC, Request: r.Request}
	ev, err := d.decide(ctx, by, ResetPassword, officer(acct.IC, ""))
	if err != nil {
		return false, err
	}
	if acct.State != AccountActive || acct.Kind != OfficerAccount || epoch != fmt.Sprint(proofs.Epoch) {
		return false, ErrUsed // since the code was mailed
	}
	hash, err := acc.hashPassword(ctx, Officer{IC: acct.IC, Name: acct.Name, Email: acct.Email}, r.Password)
	if err != nil {
		return false, err
	}
	if r.PIN.Len() == 0 {
		q := OfficerRequest{ID: ident.New("rq", 16), Kind: RequestReset, IC: acct.IC, Account: acct.ID, Epoch: proofs.Epoch, Password: hash, State: RequestPending,
			AskedBy: by.Name, AskedIC: acct.IC, AskedAt: d.Now().UTC(), Until: d.Now().UTC().Add(requestFor)}
		ev.Detail["request"] = q.ID
		err := d.Records.PutRequest(ctx, q, l.ID, NoticePasswordAsked, ev)
		if errors.Is(err, ErrExists) {
			err = d.refuse(ctx, ev, refusal("request_pending", ErrState))
		}
		return false, err
	}
	_, media, err := d.Registrar.Records.Officer(ctx, acct.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return false, fmt.Errorf("reading officer: %w", err)
	}
	k := slices.IndexFunc(media, func(m Medium) bool {
		return m.KeyStatus == "ACTIVE" && (r.System == "" || m.System == r.System) && d.stillValid(&m)
	})
	if k < 0 {
		return false, d.refuse(ctx, ev, refusal("certificate_missing_pin", ErrState))
	}
	if err := d.PINs.ProvePIN(ctx, ResetPassword, acct.IC, media[k].System, media[k].Credential, r.PIN, r.Request); err != nil {
		return false, err
	}
	return true, d.Records.ResetPassword(ctx, acct.ID, proofs.Epoch, hash, l.ID, "", ev)
}
