package enrol

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// How somebody logged in.
const (
	ByCode    = "password+code"
	ByTOTP    = "password+totp"
	ByPasskey = "webauthn"
)

// SessionPrefix begins each token of a session.
const SessionPrefix = "mss_"

// Session is somebody logged in. Its token is 256 random bits behind [SessionPrefix]; what
// is stored is SHA-256 of it.
type Session struct {
	ID        string // "se_…", for lists: it opens nothing
	Account   string
	Method    string // ByCode, ByTOTP or ByPasskey
	Bearer    bool   // of a device; otherwise a browser's cookie
	Address   string // from which it was opened
	Agent     string // what that called itself, printable, at most 200 bytes; hostile
	CreatedAt time.Time
	SeenAt    time.Time // last use, to the minute
	ExpiresAt time.Time // when it ends unless it is used; for reading alone
}

// Peer is who speaks: its address and what it calls itself.
type Peer struct{ Address, Agent string }

// seenEvery is how exactly the last use of a session is stored.
const seenEvery = time.Minute

// FreshFor is how long after a log-in the session may change how one logs in, or who is
// appointed to what.
const FreshFor = 10 * time.Minute

// ErrStale: what was asked needs a session that was opened within FreshFor.
var ErrStale = errors.New("session is not fresh enough")

// SessionRecords keeps sessions. Each call is durable when it returns.
type SessionRecords interface {
	// Session returns the session of a token's SHA-256 or ErrUnknown. It may have ended.
	Session(ctx context.Context, hash [32]byte) (Session, error)
	// Touch stores a later SeenAt.
	Touch(ctx context.Context, hash [32]byte, at time.Time) error
	// Sessions lists those of an account opened after the time given, the newest first.
	Sessions(ctx context.Context, account string, after time.Time) ([]Session, error)
	// CloseSession closes one of an account; ErrUnknown when it is not there.
	CloseSession(ctx context.Context, account, id string, ev audit.Event) error
	// CloseSessions closes all of an account but the one named ("": none), and says
	// how many; with none to close nothing is appended.
	CloseSessions(ctx context.Context, account, but string, ev audit.Event) (int, error)
	// DropSessions forgets those opened before the time given.
	DropSessions(ctx context.Context, before time.Time) error
}

// Person is somebody logged in, with the appointments in force.
type Person struct {
	Session Session
	Account Account
	Actor   Actor
}

// Authenticate finds who holds a session's token; ErrUnknown when nobody does (any
// more): unknown, closed, too long unused, too old, or the account has ended.
func (a *Accounts) Authenticate(ctx context.Context, token secret.Text, request string) (Person, error) {
	return a.whose(ctx, token, request, true)
}

// Holds is Authenticate for an answer that goes on: to read it is no use of the session, which
// ends meanwhile as it would without.
func (a *Accounts) Holds(ctx context.Context, token secret.Text, request string) (Person, error) {
	return a.whose(ctx, token, request, false)
}

func (a *Accounts) whose(ctx context.Context, token secret.Text, request string, used bool) (Person, error) {
	hash := sha256.Sum256(token.Reveal())
	s, err := a.Records.Session(ctx, hash)
	if err != nil {
		return Person{}, err
	}
	acct, _, err := a.Records.Account(ctx, s.Account)
	if err != nil {
		return Person{}, err
	}
	now := a.Now()
	s.ExpiresAt = a.ends(&s, &acct)
	if !now.Before(s.ExpiresAt) || acct.State != AccountActive {
		return Person{}, ErrUnknown
	}
	if used && now.Sub(s.SeenAt) >= seenEvery {
		if err := a.Records.Touch(ctx, hash, now); err != nil {
			return Person{}, fmt.Errorf("storing use of session: %w", err)
		}
		s.SeenAt = now
		s.ExpiresAt = a.ends(&s, &acct)
	}
	by := Actor{Name: "account:" + acct.ID, IC: acct.IC, LoggedIn: s.CreatedAt, Request: request}
	if acct.Kind == AdministratorAccount { // a mailed code alone appoints nobody
		by.Appointments = acct.InForce(now)
	}
	return Person{s, acct, by}, nil
}

// ends is when a session ends if nobody uses it: at the end of an appointment that came
// or comes after it was opened, too.
func (a *Accounts) ends(s *Session, acct *Account) time.Time {
	idle, last := a.OfficerIdle, s.CreatedAt.Add(a.Absolute)
	if acct.Kind == AdministratorAccount {
		idle = a.AdministratorIdle
	}
	for _, x := range acct.Appointments {
		if x.Until.After(s.CreatedAt) && x.Until.Before(last) {
			last = x.Until
		}
	}
	if at := s.SeenAt.Add(idle); at.Before(last) {
		return at
	}
	return last
}

// Fresh is ErrStale unless p has logged in within [FreshFor]: what gives or ends people's
// powers, or takes data away, is not done on a screen that somebody has left.
func (a *Accounts) Fresh(p *Person) error {
	if a.Now().Sub(p.Session.CreatedAt) > FreshFor {
		return ErrStale
	}
	return nil
}

// Sessions lists p's live sessions, the newest first.
func (a *Accounts) Sessions(ctx context.Context, p Person) ([]Session, error) {
	all, err := a.Records.Sessions(ctx, p.Account.ID, a.Now().Add(-a.Absolute))
	var out []Session
	for _, s := range all {
		if s.ExpiresAt = a.ends(&s, &p.Account); a.Now().Before(s.ExpiresAt) {
			out = append(out, s)
		}
	}
	return out, err
}

// Close closes one of p's own sessions; ErrUnknown when p has no such session.
func (a *Accounts) Close(ctx context.Context, p Person, id string) error {
	return a.Records.CloseSession(ctx, p.Account.ID, id, a.event(&p.Actor, "session.close", id))
}

// CloseOthers closes p's other sessions and says how many.
func (a *Accounts) CloseOthers(ctx context.Context, p Person) (int, error) {
	return a.Records.CloseSessions(ctx, p.Account.ID, p.Session.ID, a.event(&p.Actor, "session.close", p.Account.ID))
}

// ChangePassword changes p's own password and closes all of p's sessions. The old
// password is counted as a log-in is: ErrWrongPassword, or a *ThrottledError.
func (a *Accounts) ChangePassword(ctx context.Context, p Person, old, next secret.Text) error {
	_, proofs, err := a.Records.Account(ctx, p.Account.ID)
	if err != nil {
		return err
	}
	who := "session:" + p.Session.ID
	if err := a.Records.CountFailure(ctx, who, a.Now(), delay); err != nil {
		return err
	}
	ok, err := a.right(ctx, p.Account.IC, proofs.Password, old)
	if err != nil {
		return err
	}
	ev := a.event(&p.Actor, "account.password", "account:"+p.Account.ID)
	if !ok {
		ev.Verdict = audit.Refused
		return errors.Join(ErrWrongPassword, a.Records.Audit(ctx, ev))
	}
	hash, err := a.hashPassword(ctx, Officer{IC: p.Account.IC, Name: p.Account.Name, Email: p.Account.Email}, next)
	if err != nil {
		return errors.Join(err, a.Records.ForgetFailures(ctx, who))
	}
	return a.Records.PutPassword(ctx, p.Account, hash, ev)
}

// ErrWrongPassword: the old password is not that.
var ErrWrongPassword = errors.New("wrong password")

func (a *Accounts) event(by *Actor, action, object string) audit.Event {
	return audit.Event{At: a.Now(), Actor: by.Name, Action: action, Object: object, Verdict: audit.Accepted, RequestID: by.Request}
}

// newSession makes a session and its token.
func (a *Accounts) newSession(account, method string, bearer bool, peer Peer) (Session, secret.Text) {
	now := a.Now().UTC()
	return Session{ID: ident.New("se", 16), Account: account, Method: method, Bearer: bearer, Address: peer.Address, Agent: printable(peer.Agent, 200), CreatedAt: now, SeenAt: now},
		secret.New(ident.New(strings.TrimSuffix(SessionPrefix, "_"), 32))
}

// printable keeps what can be shown of s, at most n bytes.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, s)
	return s[:min(n, len(s))]
}

// network is what shares one count of failures: an IPv4 address, or an IPv6 /64.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
