package signer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	// ErrForm: the page did not make the form for this browser, or another site sent it.
	ErrForm = errors.New("not a form of this page in this browser")
	// ErrFormSent: the form was sent before, and is not tried again.
	ErrFormSent = errors.New("the form was sent before")
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
	// Own: the officer asked for the transaction, without an app between; it may well come from
	// the same address.
	Own bool
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

// Opened is a page that a browser has now.
type Opened struct {
	Request *Request
	Session secret.Text // 256 bits in base64url, by which the browser is known from then on
	Until   time.Time   // the page shows nothing after it, however its transaction ends
	// FromApp: this opened the page, from the address from which the app had asked for the
	// transaction. See [Signer.OpenPage].
	FromApp bool
}

// OpenPage gives the page at v's address to v's browser. The session is made from seed, a random
// text that the browser was given with the button: so a button that is pressed twice opens the
// page once. Errors as of Page but ErrUnopened.
//
// An app that opens the page itself can show officers a copy of it, and read what they type. So
// the event says when the page is opened from where the transaction was asked for.
func (s *Signer) OpenPage(ctx context.Context, v Visit, seed secret.Text) (*Opened, error) {
	ev := v.event("page.open", s.Now())
	mac := hmac.New(sha256.New, seed.Reveal())
	mac.Write(append([]byte("mohor page session v1\n"), v.Token.Reveal()...))
	v.Session = secret.New(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	r, err := s.Page(ctx, &v)
	o := &Opened{Request: r, Session: v.Session}
	if errors.Is(err, ErrUnopened) {
		ev.Object = r.ID
		err = nil
		if !v.Own {
			o.FromApp, err = s.fromApp(ctx, r.ID)
		}
		if o.FromApp {
			ev.Detail["same_address_as"] = "transaction.create"
		}
		if err == nil {
			err = s.Records.OpenPage(ctx, r.ID, sha256.Sum256(v.Session.Reveal()), o.FromApp, ev)
		}
		if errors.Is(err, ErrElsewhere) {
			o.FromApp = false
			_, err = s.Page(ctx, &v) // perhaps it was the same browser
		}
	}
	if err != nil {
		return nil, s.refuseAt(ctx, &v, ev, err)
	}
	o.Until = o.Request.ExpiresAt.Add(s.IntentBase + time.Duration(o.Request.Count)*s.IntentPerDocument + pageOutlives)
	return o, nil
}

// fromApp says whether the request of ctx comes from where the transaction was asked for. An
// address of this machine or of a proxy tells nobody apart; one of IPv6 stands for its 64 bits
// of network.
func (s *Signer) fromApp(ctx context.Context, transaction string) (bool, error) {
	origin := audit.OriginOf(ctx)
	if origin == nil {
		return false, nil
	}
	here, err := netip.ParseAddr(origin.Address)
	if err != nil || here.IsLoopback() || slices.ContainsFunc(s.Proxies, func(p netip.Prefix) bool { return p.Contains(here) }) {
		return false, nil
	}
	asked, err := s.Records.Accepted(ctx, transaction, "transaction.create")
	return slices.ContainsFunc(asked, func(ev audit.Event) bool {
		there, err := netip.ParseAddr(ev.Detail["address"])
		// Who asked with a session of the own is the officer, and nobody stands between.
		return err == nil && network(there) == network(here) && ev.Detail["person"] == ""
	}), err
}

// network is what one customer has: an IPv4 address, or 64 bits of IPv6.
func network(a netip.Addr) netip.Prefix {
	p, _ := a.WithZone("").Prefix(min(64, a.BitLen())) // no error: an address has that many bits
	return p
}

// ResendFrom is [Signer.Resend] by the page's browser.
func (s *Signer) ResendFrom(ctx context.Context, v Visit) (*Request, *otp.Challenge, error) {
	ev := v.event("otp.resend", s.Now())
	r, err := s.Page(ctx, &v)
	if err != nil {
		return nil, nil, s.refuseAt(ctx, &v, ev, err)
	}
	ev.Object = r.ID
	return s.resend(ctx, ev, r, "")
}

// CancelFrom is [Signer.Cancel] by the page's browser.
func (s *Signer) CancelFrom(ctx context.Context, v Visit) error {
	ev := v.event("transaction.cancel", s.Now())
	r, err := s.Page(ctx, &v)
	if err != nil {
		return s.refuseAt(ctx, &v, ev, err)
	}
	ev.Object = r.ID
	return s.cancel(ctx, ev, r)
}

// RefusePage audits that an action at v's page was refused before it was tried, and returns why.
func (s *Signer) RefusePage(ctx context.Context, v Visit, action string, why error) error {
	return s.refuseAt(ctx, &v, v.event(action, s.Now()), why)
}

// refuseAt is refuse for what was wanted of v's page. Where there is none nothing is written:
// anybody can make up addresses, and the chain is kept for ever.
func (s *Signer) refuseAt(ctx context.Context, v *Visit, ev audit.Event, err error) error {
	if ev.Object == "" {
		r, perr := s.Records.Paged(ctx, sha256.Sum256(v.Token.Reveal()))
		if perr != nil && !errors.Is(perr, ErrUnknown) {
			perr = fmt.Errorf("%w: %w", audit.ErrNotRecorded, perr)
		}
		if perr != nil {
			return errors.Join(err, perr)
		}
		ev.Object = r.ID
	}
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
