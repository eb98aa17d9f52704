package signer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

// What callers of pages decide on.
var (
	// ErrHosted: PIN and code for this transaction are given on its page alone.
	ErrHosted    = errors.New("confirmed on the gateway's own page alone")
	ErrUnopened  = errors.New("nobody has opened the page yet")
	ErrElsewhere = errors.New("the page was opened in another browser")
)

// pageOutlives is how long after its transaction a page still tells how it ended, to the
// browser that had it open.
const pageOutlives = time.Hour

// Page is the gateway's own page for one transaction, which then is confirmed nowhere else:
// the app never has PIN or code. The first browser that opens the page keeps it.
type Page struct {
	RedirectURI string // where the browser goes in the end; "" nowhere
	State       string // goes with it, unchanged

	Token    [32]byte  // SHA-256 of the token in the page's address
	Session  [32]byte  // SHA-256 of the session of the browser that opened it; zero: none has
	OpenedAt time.Time // zero: not opened
	// Link is the token itself, 128 bits in base64url without padding. Only Prepare knows it.
	Link secret.Text
}

// Visit is a browser at a page's address.
type Visit struct {
	Token     secret.Text // in the address
	Session   secret.Text // in its cookie; may be empty
	Agent     string      // what the browser calls itself, for the audit
	RequestID string
}

// newPage gives a page its address.
func newPage(p Page) *Page {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	token := base64.RawURLEncoding.EncodeToString(b[:])
	p.Link, p.Token = secret.New(token), sha256.Sum256([]byte(token))
	return &p
}

// holds says whether v is the browser that opened p, at p's address.
func (p *Page) holds(v *Visit) bool {
	token, session := sha256.Sum256(v.Token.Reveal()), sha256.Sum256(v.Session.Reveal())
	return v.Session.Len() > 0 && subtle.ConstantTimeCompare(token[:], p.Token[:])&subtle.ConstantTimeCompare(session[:], p.Session[:]) == 1
}

// Page returns the transaction whose page v is at, and changes nothing but what [Signer.Request]
// does, so that programs which follow links do no harm. ErrUnopened, with the transaction, when
// it waits for a browser; ErrElsewhere when another one has it; ErrUnknown when there is no such
// page, its transaction ended before anybody opened it, or an hour ago.
func (s *Signer) Page(ctx context.Context, v *Visit) (*Request, error) {
	found, err := s.Records.Paged(ctx, sha256.Sum256(v.Token.Reveal()))
	if err != nil {
		return nil, err
	}
	r, err := s.Request(ctx, found.App, found.ID)
	if err != nil {
		return nil, err
	}
	live := r.Status == Waiting || r.Status == Signing
	switch {
	case r.Page == nil || !live && s.Now().After(r.FinishedAt.Add(pageOutlives)):
		return nil, ErrUnknown
	case r.Page.holds(v):
		return r, nil
	case !live:
		return nil, ErrUnknown
	case r.Page.Session == [32]byte{}:
		return r, ErrUnopened
	}
	return nil, ErrElsewhere
}

// OpenPage gives the page at v's address to v's browser and returns the session that it is known
// by from then on: 256 bits in base64url, made from seed, a random text that the browser was given
// with the button. So a button that is pressed twice opens the page once. Errors as of Page but
// ErrUnopened.
func (s *Signer) OpenPage(ctx context.Context, v Visit, seed secret.Text) (session secret.Text, err error) {
	ev := v.event("page.open", s.Now())
	mac := hmac.New(sha256.New, seed.Reveal())
	mac.Write(append([]byte("mohor page session v1\n"), v.Token.Reveal()...))
	session = secret.New(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	v.Session = session
	r, err := s.Page(ctx, &v)
	if err == nil {
		return session, nil // the second press
	}
	if errors.Is(err, ErrUnopened) {
		ev.Object = r.ID
		if err = s.Records.OpenPage(ctx, r.ID, sha256.Sum256(session.Reveal()), ev); errors.Is(err, ErrElsewhere) {
			_, err = s.Page(ctx, &v) // perhaps it was the same browser
		}
	}
	if err != nil {
		return secret.Text{}, s.refuseVisit(ctx, &v, ev, err)
	}
	return session, nil
}

// ResendFrom is [Signer.Resend] by the page's browser.
func (s *Signer) ResendFrom(ctx context.Context, v Visit) (*Request, *otp.Challenge, error) {
	ev := v.event("otp.resend", s.Now())
	r, err := s.Page(ctx, &v)
	if err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	ev.Object = r.ID
	return s.resend(ctx, ev, r, "")
}

// CancelFrom is [Signer.Cancel] by the page's browser.
func (s *Signer) CancelFrom(ctx context.Context, v Visit) error {
	ev := v.event("transaction.cancel", s.Now())
	r, err := s.Page(ctx, &v)
	if err != nil {
		return s.refuseVisit(ctx, &v, ev, err)
	}
	ev.Object = r.ID
	return s.cancel(ctx, ev, r)
}

// refuseVisit is refuse at a page that there is, or was: at any other address strangers, who are
// not counted, would fill the audit.
func (s *Signer) refuseVisit(ctx context.Context, v *Visit, ev audit.Event, err error) error {
	found, ferr := s.Records.Paged(ctx, sha256.Sum256(v.Token.Reveal()))
	if errors.Is(ferr, ErrUnknown) {
		return err
	}
	ev.Object = found.ID // "" where the database is away, and then nothing is recorded
	return s.refuse(ctx, ev, err)
}

// Viewed notes that the page's browser is shown the document at index of r, before it is.
func (s *Signer) Viewed(ctx context.Context, v *Visit, r *Request, index uint32) error {
	ev := v.event("page.document", s.Now())
	ev.Object, ev.Detail["index"] = r.ID, strconv.FormatUint(uint64(index), 10)
	return s.Records.Audit(ctx, ev)
}

// event begins what the audit tells of v. Whoever has the page's address can be there: who the
// officer is only PIN and code prove.
func (v *Visit) event(action string, at time.Time) audit.Event {
	return audit.Event{At: at, Actor: "officer:page", Action: action, Verdict: audit.Accepted, RequestID: v.RequestID,
		Detail: map[string]string{"agent": v.Agent}}
}
