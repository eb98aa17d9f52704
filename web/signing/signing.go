// Package signing serves the page on which officers sign: what is to be signed, PIN
// and code, and what became of it. The page is the first browser's that opens it,
// works without scripts, and trusts nothing that a form says but what its own
// cookie proves.
package signing

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// What [Signing] says of a page that shows nothing.
var (
	ErrUnknown   = errors.New("no such signing page")
	ErrUnopened  = errors.New("nobody has opened the page yet")
	ErrElsewhere = errors.New("the page was opened in another browser")
)

// Visit is a browser at the address of a signing page.
type Visit struct {
	Token   secret.Text // in the address
	Session secret.Text // in its cookie; may be empty
	Device  secret.Text // proves who has logged in with this browser; may be empty

	Agent, RequestID string
}

// Page is what the browser that opened it is shown of its transaction. It was all fixed when the
// transaction was made, but for the code and what became of it.
type Page struct {
	Transaction string
	Status      string // as the API names it
	Owner       string // title of the ICT system, in its own words
	System      string // name by which the code was announced
	Logo        bool   // there is one
	Notice      Notice
	DataHeader, Classification,
	Process, Role string
	Total       string // "MYR 29911.35", in the system's words
	Payees      int    // different ones, in the system's words; 0: it named none
	FirstPayees []string
	Unseen      bool // the gateway has digests alone, and has not looked into the documents
	Count       int
	Fingerprint string // as in the mail, XXXX-XXXX
	Root        string // base64
	Documents   []Document
	Next        int // index after which the next page of documents begins; -1: this is the last
	ExpiresAt   time.Time

	// While WAITING.
	Nonce                  string // base64
	Tries                  int    // left for the code
	SentTo                 string // masked
	CodeSent               time.Time
	CodeUntil, ResendAfter time.Time
	Locked                 bool // the PIN: nothing can be confirmed now
	LockedUntil            time.Time
	// Picture is the officer's security image, "" in a browser in which the officer has not
	// logged in: nobody else is to see it.
	Picture string

	// While SIGNING, and afterwards.
	Signed, Refused int
	Information     *Information
	Back            string // where the browser goes then; "" nowhere
	Portal          bool   // that is the officer's portal here
}

// Notice chooses the words of the legal notice.
type Notice struct {
	Token  bool   // TOKEN, not SIJIL DIGITAL
	System string // code of the ICT system whose documents it speaks of
}

// Document is one as it is authorised.
type Document struct {
	Index  int
	Name   string
	Alg    string // "SHA-256"
	Digest string // base64
	View   bool   // its bytes can be had
}

// Information is what the screen tells once all is signed.
type Information struct {
	IC, Subject, Serial           string
	NotBefore, NotAfter, SignedAt time.Time
}

// Confirmation is what the officer gave, and what the page had shown.
type Confirmation struct {
	Nonce, Root string // base64
	Tries       int
	PIN, Code   secret.Text
}

// Refusal is why something was not done, in words of our own.
type Refusal struct {
	Status     int    // of HTTP
	Code       string // as the API names it; "" for what the API does not know
	Field      string // "pin", "otp", or "code": another one must be asked for; "" concerns all of it
	MS, EN     string // sentences
	Left       int    // tries left, -1 where that is not the question
	RetryAfter int    // seconds; 0 where waiting does not help
}

func (r *Refusal) Error() string { return r.EN }

// Signing is the transactions that are confirmed here. All methods but Stray
// give ErrUnknown, ErrUnopened and ErrElsewhere as Page does; and but Page, Open and Logo a *Refusal.
type Signing interface {
	// Page changes nothing. Documents begin after the index given, from -1.
	Page(ctx context.Context, v Visit, after int) (Page, error)
	// Open gives the page to v's browser, which shows nothing after until. The same seed, of a
	// button pressed twice, gives the same session.
	Open(ctx context.Context, v Visit, seed secret.Text) (session secret.Text, until time.Time, err error)
	// Stray notes a form that no page made for v's browser, where there is such a page. Its only
	// error is that it could not.
	Stray(ctx context.Context, v Visit) error
	// Confirm signs, or for a batch begins to.
	Confirm(ctx context.Context, v Visit, c Confirmation) error
	Resend(ctx context.Context, v Visit) error
	Cancel(ctx context.Context, v Visit) error
	// Logo is a PNG or JPEG of the ICT system.
	Logo(ctx context.Context, v Visit) (contentType string, data []byte, err error)
	// Document opens the PDF at an index: the very bytes that are authorised. The caller
	// closes it.
	Document(ctx context.Context, v Visit, index int) (r io.ReadCloser, size int64, err error)
}
