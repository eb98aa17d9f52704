package enrol

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// LoginCodes makes, mails and checks the codes of log-ins, for the purpose *login*
// alone. Errors other than the verdict are its own (no tries left, expired, used …).
type LoginCodes interface {
	// Send makes a code for the log-in, and mails it to the account's address when
	// deliver is true. Either way it does the same work, and returns without having
	// waited for the mail.
	Send(ctx context.Context, login string, to Account, deliver bool) (expires time.Time, err error)
	// Check takes one of the log-in's tries and compares the code; left are the tries
	// then left.
	Check(ctx context.Context, login string, of Account, code secret.Text) (ok bool, left int, err error)
}

// Login is a log-in that waits for its second step.
type Login struct {
	ID        string // "lg_…", 128 random bits, known to whoever began it
	Account   string // "": nobody's, and no code is right
	Subject   string // whose failures it counts for
	ExpiresAt time.Time
}

// Purposes of a log-in.
const (
	withPassword = "password"
	withPasskey  = "webauthn" // log in
	newPasskey   = "passkey"  // register
)

// LoginRecords keeps log-ins under way and failures. Each call is durable when it
// returns.
type LoginRecords interface {
	// PutLogin stores l with what WebAuthn must remember of it.
	PutLogin(ctx context.Context, l Login, purpose, data string) error
	// LoginOf returns a log-in of the purpose: ErrUnknown, or ErrUsed when it was used.
	LoginOf(ctx context.Context, id, purpose string) (l Login, data string, err error)
	// OpenSession, in one transaction, uses up the log-in, forgets its subject's
	// failures, stores s under its token's hash and appends ev; of the account, step, if
	// not 0, becomes the last time step. ErrUsed when the log-in was used before, when a
	// step as late was accepted before, or the account is not ACTIVE.
	OpenSession(ctx context.Context, l Login, s Session, hash [32]byte, step int64, ev audit.Event) error
	// CountFailure counts a try of the subject before it is judged. *ThrottledError when
	// the next is not allowed yet: then nothing is counted. delay says how long after
	// the nth the next is allowed.
	CountFailure(ctx context.Context, subject string, now time.Time, delay func(n int) time.Duration) error
	// ClearFailures ends the counts of subjects, with an event, and says whether there was one.
	ClearFailures(ctx context.Context, ev audit.Event, subjects ...string) (bool, error)
	// RefusedUntil is the latest time until which tries of one of the subjects are refused, zero for
	// none.
	RefusedUntil(ctx context.Context, subjects ...string) (time.Time, error)
	// ForgetFailures ends the count.
	ForgetFailures(ctx context.Context, subject string) error
	// DropLogins forgets log-ins that expired before the time given, and counts that
	// neither grew nor held anybody up for a week before it.
	DropLogins(ctx context.Context, before time.Time) error
}

// What callers of a log-in decide on.
var (
	ErrUsed      = errors.New("log-in was used")
	ErrWrongCode = errors.New("wrong code")
	ErrThrottled = errors.New("too many failed log-ins")
)

// CodeError is ErrWrongCode with the tries left.
type CodeError struct{ Left int }

func (e *CodeError) Error() string { return ErrWrongCode.Error() }
func (e *CodeError) Unwrap() error { return ErrWrongCode }

// ThrottledError is ErrThrottled with the time to wait.
type ThrottledError struct{ After time.Duration }

func (e *ThrottledError) Error() string { return ErrThrottled.Error() }
func (e *ThrottledError) Unwrap() error { return ErrThrottled }

// Failures of one subject: five are free, then each makes the next wait twice as
// long, at most a day; a hundred close the door (NIST SP 800-63B-4, Section 3.2.2),
// until the password is set anew or an administrator opens it. A subject is an IC, whether anybody has it or not, or a device on which that IC has logged in
// before: strangers close only the strangers' door.
const (
	freeFailures = 5
	maxFailures  = 100
	maxDelay     = 24 * time.Hour
)

// closed is as good as for ever.
const closed = 100 * 365 * 24 * time.Hour

func delay(n int) time.Duration {
	switch {
	case n >= maxFailures:
		return closed
	case n < freeFailures:
		return 0
	case n-freeFailures > 10:
		return maxDelay
	}
	return time.Minute << (n - freeFailures)
}

// Attempt is the first step of a log-in.
type Attempt struct {
	IC       string
	Password secret.Text
	Device   string // what Opened.Device was when the person last logged in there
	Peer     Peer
}

// Begin takes the first step. What it returns is alike, in words and time, for known
// and unknown people and right and wrong passwords: a log-in that waits for a code. A
// *ThrottledError counts for an address, whoever it asked about; ErrBusy.
func (a *Accounts) Begin(ctx context.Context, at Attempt) (Login, error) {
	if err := a.flush(ctx); err != nil {
		return Login{}, err
	}
	device, err := a.knows(ctx, at.IC, at.Device, network(at.Peer.Address))
	if err != nil {
		return Login{}, err
	}
	subject := "ic:" + at.IC
	if device != "" {
		subject = device
	} else if err := a.addresses.allow(network(at.Peer.Address), a.Now()); err != nil {
		return Login{}, err
	}
	acct, proofs, err := a.Records.AccountByIC(ctx, at.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Login{}, err
	}
	var late *ThrottledError
	err = a.Records.CountFailure(ctx, subject, a.Now(), delay)
	if err != nil && !errors.As(err, &late) {
		return Login{}, err
	}
	ok, err := a.right(ctx, at.IC, proofs.Password, at.Password)
	if err != nil {
		return Login{}, err
	}
	ok = ok && late == nil && acct.State == AccountActive
	if !ok {
		a.addresses.add(network(at.Peer.Address), 1, a.Now())
		a.refusals.note("", at.Peer.Address)
		acct = Account{}
	}
	return a.wait(ctx, Login{ID: ident.New("lg", 16), Account: acct.ID, Subject: subject}, acct, proofs.Epoch)
}

// wait stores a log-in, with the epoch of its password, and has its code made.
func (a *Accounts) wait(ctx context.Context, l Login, acct Account, epoch int64) (Login, error) {
	l.ExpiresAt = a.Now().Add(loginFor)
	if err := a.Records.PutLogin(ctx, l, withPassword, strconv.FormatInt(epoch, 10)); err != nil {
		return Login{}, fmt.Errorf("storing log-in: %w", err)
	}
	expires, err := a.Codes.Send(ctx, l.ID, acct, acct.Kind == OfficerAccount)
	l.ExpiresAt = expires
	return l, err
}

// loginFor is how long a log-in is kept at most, whatever its code's life.
const loginFor = 15 * time.Minute

// Opened is a session that was just opened.
type Opened struct {
	Session Session
	Token   secret.Text
	// Device is to be kept where the person logged in, and to be given with the next
	// Attempt there: it lets in nobody, but strangers' failures do not hold it up.
	Device secret.Text
}

// Finish takes the second step: the mailed code of an officer, the TOTP of an
// administrator. A *CodeError when it is wrong; ErrUnknown for an unknown log-in, ErrUsed;
// the errors of LoginCodes.
func (a *Accounts) Finish(ctx context.Context, id string, code secret.Text, bearer bool, peer Peer, request string) (Opened, error) {
	if err := a.flush(ctx); err != nil {
		return Opened{}, err
	}
	l, epoch, err := a.Records.LoginOf(ctx, id, withPassword)
	if err != nil {
		return Opened{}, err
	}
	acct, proofs, err := a.Records.Account(ctx, l.Account)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Opened{}, err
	}
	// Everybody's code goes through both checks, so that time does not tell whose it is.
	mailed, left, err := a.Codes.Check(ctx, l.ID, acct, code)
	if err != nil {
		return Opened{}, err
	}
	step, err := a.totp(ctx, acct.ID, proofs, code)
	if err != nil {
		return Opened{}, err
	}
	method := ByCode
	ok := mailed && acct.ID != "" && acct.Kind == OfficerAccount
	if acct.Kind == AdministratorAccount {
		method, ok = ByTOTP, step > proofs.Step
	} else {
		step = 0
	}
	if !ok || epoch != strconv.FormatInt(proofs.Epoch, 10) { // the password was changed meanwhile
		a.refusals.note(acct.ID, peer.Address)
		return Opened{}, &CodeError{left}
	}
	return a.open(ctx, l, acct, proofs, method, step, bearer, peer, request)
}

// open opens the session: from here on both steps were right.
func (a *Accounts) open(ctx context.Context, l Login, acct Account, proofs Proofs, method string, step int64, bearer bool, peer Peer, request string) (Opened, error) {
	s, token := a.newSession(acct.ID, method, bearer, peer)
	device, err := a.device(ctx, &acct, proofs.Epoch)
	if err != nil {
		return Opened{}, err
	}
	ev := audit.Event{At: a.Now(), Actor: "account:" + acct.ID, Action: "session.open", Object: s.ID, Verdict: audit.Accepted, RequestID: request,
		Detail: map[string]string{"method": method, "address": peer.Address}}
	if err := a.Records.OpenSession(ctx, l, s, sha256.Sum256(token.Reveal()), step, ev); err != nil {
		return Opened{}, err
	}
	a.addresses.add(network(peer.Address), -successWeight, a.Now())
	s.ExpiresAt = a.ends(&s, &acct)
	return Opened{s, token, device}, nil
}

// flush writes the refusals that earlier log-ins left, so that whether this one is
// refused changes nothing of its time.
func (a *Accounts) flush(ctx context.Context) error {
	n, accounts, address, due := a.refusals.take(a.Now())
	if !due {
		return nil
	}
	ev := audit.Event{At: a.Now(), Actor: "address:" + address, Action: "session.open", Verdict: audit.Refused,
		Detail: map[string]string{"failures": strconv.Itoa(n)}}
	if len(accounts) > 0 {
		ev.Detail["right_password"] = strings.Join(accounts, " ")
	}
	if err := a.Records.Audit(context.WithoutCancel(ctx), ev); err != nil {
		a.refusals.back(n, accounts, address)
		return err
	}
	return nil
}

// Sweep forgets what has ended and writes what refusals are left; a gateway calls it
// every minute.
func (a *Accounts) Sweep(ctx context.Context) error {
	now := a.Now()
	return errors.Join(a.flush(ctx), a.Records.DropLogins(ctx, now), a.Records.DropSessions(ctx, now.Add(-a.Absolute)))
}
