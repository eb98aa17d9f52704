// Package joining serves the pages on the way to a certificate: the confirmation of an
// address, the verification code and a password of one's own, the application and what becomes
// of it, the question of anybody how far an application is, and "this was not me".
package joining

import (
	"context"
	"errors"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// ErrUnknown is returned by [Confirmer] and [Disowner] for a link that cannot be used.
var ErrUnknown = errors.New("no such link")

// What a transaction can be to the officer who says "this was not me".
const (
	AskedWaiting   = "waiting"   // for PIN and code: it can be cancelled
	AskedEnded     = "ended"     // cancelled or run out: nothing was signed
	AskedConfirmed = "confirmed" // with PIN and code: signed, or being signed
)

// Asked is what the page "this was not me" shows of a transaction: no name, no
// title, no IC, for whoever has the link may read it.
type Asked struct {
	System      string // registered name
	Count       int    // of documents
	Fingerprint string // as in the mail, XXXX-XXXX
	SentAt      time.Time
	State       string // AskedWaiting, AskedEnded or AskedConfirmed
}

// Disowner judges the links of mails with codes. Both methods give ErrUnknown,
// and take as long, for a token that is unknown, malformed, replaced, used or
// too old. Other errors are shown as "try again", never with their words.
type Disowner interface {
	// Asked changes nothing: programs that scan mail follow every link.
	Asked(ctx context.Context, token string) (Asked, error)
	// Disown cancels the transaction if it still waits, raises the alarm, uses
	// up the token, and returns what the transaction is then.
	Disown(ctx context.Context, token, requestID string) (Asked, error)
}

// Confirmer judges the links of mails that ask an officer to confirm an address.
type Confirmer interface {
	// ConfirmAddress uses the token up; ErrUnknown for one that is unknown, malformed,
	// replaced, used or too old. Other errors are shown as "try again".
	ConfirmAddress(ctx context.Context, token, requestID string) error
}

// Links are what the links of mails ask; nil: there is no such page.
type Links struct {
	Confirm Confirmer
	Disown  Disowner
}

// Addresses.
const (
	joinPath        = "/join"
	applicationPath = "/portal/application"
	statusPath      = "/status"
)

// desk is these pages at work.
type desk struct {
	*page.Site
	Links
}

// Routes adds /e/{token} and /r/{token}, where l has who judges them, and, where there is an API to
// ask, /join, /status and /portal/application.
func Routes(r chi.Router, s *page.Site, l Links) {
	d := &desk{s, l}
	r = r.With(page.Private)
	if l.Confirm != nil {
		d.confirmRoutes(r)
	}
	if l.Disown != nil {
		d.disownRoutes(r)
	}
	if s.API == nil {
		return
	}
	r = r.With(s.Pages)
	r.Get(joinPath, d.join)
	r.Post(joinPath, s.Form(d.open))
	r.Get(statusPath, d.status)
	r.Post(statusPath, s.Form(d.ask))
	r = r.With(s.SignedIn)
	r.Get(applicationPath, d.application)
	r.Post(applicationPath, s.Upload(d.apply))
	r.Post(applicationPath+"/withdraw", s.Form(d.withdraw))
}
