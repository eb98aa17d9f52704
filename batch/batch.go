// Package batch lets many documents be signed under one PIN and one code:
// intake, sealing, workers, progress, archive. A single signature goes through
// the same [Runner] as a batch of ten thousand.
//
// Item states: pending → claimed → signed | refused. A claim is fenced by its
// attempt number; results are stored a chunk at a time, in one transaction.
package batch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/keylock"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// What callers decide on.
var (
	ErrUnknown     = errors.New("no such batch")
	ErrSealed      = errors.New("batch is sealed")
	ErrNotSealed   = errors.New("batch is not sealed")
	ErrEmpty       = errors.New("batch is empty")
	ErrRefusedRows = errors.New("batch has refused rows")
	ErrName        = errors.New("batch name must have 1 to 120 printable characters")
	ErrKind        = errors.New("the batch is of another kind")
	ErrInput       = spool.ErrInput
	ErrTooLarge    = spool.ErrTooLarge
	ErrLive        = errors.New("batch has a live transaction")
	ErrIntake      = errors.New("another upload is under way")
	ErrNotSigning  = errors.New("batch is not being signed")
	ErrNotPaused   = errors.New("batch is not paused")
	ErrNotRefused  = errors.New("nothing of the batch is refused")
	ErrItem        = errors.New("no such refused document")
	ErrLook        = errors.New("the templates of eCertificates are not those the batch was opened with")
)

// Kinds of a batch.
const (
	PDF    = "pdf"
	Digest = "digest"
	Ecert  = "ecert"
	// Single is the kind of those that single transactions are kept as; nobody opens one.
	Single = "transaction"
)

// Status of a batch, as the API names it.
type Status string

// The states of a batch.
const (
	Open               Status = "OPEN"
	Sealed             Status = "SEALED"
	Signing            Status = "SIGNING"
	Paused             Status = "PAUSED"
	NeedsAuthorisation Status = "NEEDS_AUTHORISATION"
	Signed             Status = "SIGNED"
	SignedWithRefusals Status = "SIGNED_WITH_REFUSALS"
	Cancelled          Status = "CANCELLED"
	Expired            Status = "EXPIRED" // nobody came for it: see Queue.ExpireBatches
)

// States of an item.
const (
	Pending     = "pending"
	Claimed     = "claimed"
	ItemSigned  = "signed"
	ItemRefused = "refused"
)

// Batch is a row of the register of batches with its counts.
type Batch struct {
	ID, App, Name, Kind string
	Status              Status
	Next                uint32 // index of the next item, the number taken in so far
	Count               uint32 // when sealed
	Root                [32]byte
	RefusedRows         uint32 // rows refused at intake
	// Look is the version of the templates that a batch of eCertificates is drawn in, 0 for the
	// configuration; LookSum is SHA-256 of all it is drawn from, in hexadecimal.
	Look            int64
	LookSum         string
	Intake          string // the upload that is being taken in, in pages; "" for none
	Signed, Refused uint32
	Pending         uint32
	CreatedAt       time.Time
	StartedAt       time.Time
	FinishedAt      time.Time
}

// Item is one document with its outcome.
type Item struct {
	signer.Document
	signer.Payment         // financial documents only
	Record         *Record // eCertificates only
	State          string
	Code           string // of a refusal
	Detail         string
	Signature      []byte
	SignedBlob     string
	SignedSize     int64
	SignedAt       time.Time
	Timestamp      time.Time // of the time-stamping authority; zero without a time-stamp
	Level          string    // that the signature reached; below the one asked for after an outage
	Intent         string    // under which it was claimed last
	Refusal        int64     // of a refused item: its place among its batch's refusals, from 1
}

// Refusal is a row that was not taken in.
type Refusal struct {
	Row    int    `json:"row"`    // of a list, whose header is row 1; the line of NDJSON; the place of a file in a ZIP
	Column string `json:"column"` // as the list spells it; of NDJSON the name of the member
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"` // in Malay and English
}

// MaxRefused is how many refused rows an answer holds; RefusedRows of [Queue] gives all.
const MaxRefused = 1000

// Intake is the result of one upload.
type Intake struct {
	Accepted     int
	RefusedCount int
	Refused      []Refusal // the first MaxRefused
	Encoding     string    // of a list, as [table.Format] names it; else ""
	Notes        []Note
}

// Note is what the sender of an upload should know of it, although it was taken in.
type Note struct{ Code, Text, TextMS string }

// Page is a part of an upload.
type Page struct {
	Items    []Item // whose indexes follow on each other
	FirstRow uint32 // the number of Refused[0] among the batch's refused rows, from 0
	Refused  []Refusal
}

// Elsewhere is a batch that has a certificate's number.
type Elsewhere struct {
	App, Batch string // whose it is, its name
	At         time.Time
}

// Queue is the database of batches. Each call is durable, with its event, when
// it returns nil; a call that is refused changes nothing.
type Queue interface {
	// CreateBatch stores b as OPEN.
	CreateBatch(ctx context.Context, b Batch, ev audit.Event) error
	// Batch returns a batch with its counts, or ErrUnknown.
	Batch(ctx context.Context, id string) (Batch, error)
	// BatchesOf lists an app's, the newest first, with their counts; with waiting alone those that
	// are to be authorised.
	BatchesOf(ctx context.Context, app string, waiting bool, before signer.Newest, limit int) ([]Batch, error)
	// AddItems appends items, whose indexes must follow on the batch's Next, and
	// refused rows. ErrSealed when it is not OPEN, ErrIntake when an upload in pages
	// is under way, another was quicker, or another batch got one of the numbers meanwhile.
	AddItems(ctx context.Context, id string, items []Item, refused []Refusal, ev audit.Event) error
	// ClaimIntake begins an upload in pages, and removes what one that died has left.
	// ErrIntake while another lives, ErrSealed when the batch is not OPEN.
	ClaimIntake(ctx context.Context, id, upload string) error
	// Stage stores a page of the upload where nobody sees it, from the batch's Next on.
	// ErrSealed when the batch is not OPEN, ErrIntake when the upload does not hold it any more,
	// and as of AddItems. Each page, also an empty one, shows that the upload lives.
	Stage(ctx context.Context, id, upload string, p Page) error
	// CommitIntake makes all pages of the upload the batch's, at once. first is the index of
	// the first item. Errors as of AddItems.
	CommitIntake(ctx context.Context, id, upload string, first uint32, items, refused int, ev audit.Event) error
	// InheritIntake gives what the upload dead has left to upload, whatever became of the batch, if
	// it is over by the clock of the queue: nobody can take it in any more. ErrIntake if it lives, or
	// does not hold the batch.
	InheritIntake(ctx context.Context, id, dead, upload string) error
	// DropIntake ends the upload, and removes its pages, many transactions long. It does
	// nothing when the upload does not hold the batch.
	DropIntake(ctx context.Context, id, upload string) error
	// LapsedIntakes lists uploads that died, by batch.
	LapsedIntakes(ctx context.Context) (map[string]string, error)
	// Elsewhere finds which certificate numbers other batches have, but for those that were cancelled.
	Elsewhere(ctx context.Context, id string, numbers []string) (map[string]Elsewhere, error)
	// RefusedRows lists refused rows in their order: after is exclusive (-1 from the start).
	RefusedRows(ctx context.Context, id string, after int64, limit int) ([]Refusal, error)
	// Payments is as of [signer.Records].
	Payments(ctx context.Context, id string) iter.Seq2[signer.Payment, error]
	// Seal makes an OPEN batch immutable with its count and root. ErrSealed when
	// it is not OPEN, ErrRefusedRows when rows were refused and that was not
	// accepted, ErrIntake while an upload is under way.
	Seal(ctx context.Context, id string, count uint32, root [32]byte, acceptRefused bool, ev audit.Event) error
	// CancelBatch ends a batch that is OPEN, SEALED or NEEDS_AUTHORISATION; when some of it is
	// signed, the documents that are not are put down for removal. ErrSealed when signing has begun, ErrLive when a transaction waits on it.
	CancelBatch(ctx context.Context, id string, ev audit.Event) error
	// PauseBatch stops the claims of a batch that is SIGNING, ResumeBatch lets those of one that is
	// PAUSED go on; ErrNotSigning, ErrNotPaused.
	PauseBatch(ctx context.Context, id string, ev audit.Event) error
	ResumeBatch(ctx context.Context, id string, ev audit.Event) error
	// RetryItems makes refused items of a batch that is SIGNED_WITH_REFUSALS pending again, and the
	// batch NEEDS_AUTHORISATION: those named, or all. ErrNotRefused when the batch is not, ErrItem
	// when one of them is not, ErrLive when a transaction waits on it.
	RetryItems(ctx context.Context, id string, items []uint32, ev audit.Event) error
	// Items lists items in index order: state "" is all, after is exclusive (-1
	// from the start), limit bounds the answer.
	Items(ctx context.Context, id, state string, after int64, limit int) ([]Item, error)
	// Item returns one item, or ErrUnknown.
	Item(ctx context.Context, id string, index uint32) (Item, error)
	// Leaves lists index, name, hash and digest of items, as Items does.
	Leaves(ctx context.Context, id string, after int64, limit int) ([]signer.Document, error)
	// Refusals lists refused items in the order of their refusals; after is exclusive. Of them
	// index, name, code, detail and refusal are there. One that comes later is always behind all
	// that was listed before.
	Refusals(ctx context.Context, id string, after int64, limit int) ([]Item, error)
	// RefusedBy counts refused items by code.
	RefusedBy(ctx context.Context, id string) (map[string]uint32, error)
	// Commits are those in which the last signed items of a batch were stored, the oldest first;
	// limit bounds the items.
	Commits(ctx context.Context, id string, limit int) ([]Commit, error)
	// Signings are the options by which a batch's items were signed, by intent.
	Signings(ctx context.Context, id string) (map[string]signer.Options, error)
	// Audit appends a lone event: a refusal.
	Audit(ctx context.Context, ev audit.Event) error
}

// Service takes batches in. All fields are required.
type Service struct {
	Queue Queue
	Blobs signer.Blobs
	// Passwords keeps the passwords of encrypted PDFs: the signer.
	Passwords Passwords
	// Refuse is how bad a finding in a PDF must be for it to be refused; "" for
	// never.
	Refuse   pdf.Severity
	Renderer *ecert.Renderer
	// Looks are the versions that administrators made of Renderer's templates; may be nil.
	Looks Looks
	// RecordURL makes the address of a certificate's public page. The QR code has
	// the record's secret behind it.
	RecordURL func(id string) string
	// TempDir is where uploads are spooled while they are checked.
	TempDir string
	// MaxUpload bounds one upload in bytes; MaxPDF one PDF in it.
	MaxUpload, MaxPDF int64
	Now               func() time.Time

	outlines outlines
	drawn    drawn
	locks    keylock.Locks // one upload or sealing of a batch at a time; across processes the queue's own checks decide
}

// Passwords keeps the password of an encrypted PDF for the time it is signed.
type Passwords interface {
	// SealPassword is durable when it returns nil.
	SealPassword(ctx context.Context, blob string, password secret.Text) error
}

// Address is what the QR code of a certificate leads to, secret included.
func (s *Service) Address(r *Record) string { return s.RecordURL(r.ID) + r.Fragment() }

// Create makes an open batch.
func (s *Service) Create(ctx context.Context, app, name, kind, requestID string) (Batch, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "batch.create", Verdict: audit.Accepted, RequestID: requestID, Detail: map[string]string{"kind": kind}}
	if n := utf8.RuneCountInString(name); n < 1 || n > 120 || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return Batch{}, s.refuse(ctx, ev, ErrName)
	}
	if kind != PDF && kind != Digest && kind != Ecert {
		return Batch{}, s.refuse(ctx, ev, ErrKind)
	}
	b := Batch{ID: ident.New("ba", 16), App: app, Name: name, Kind: kind, Status: Open, CreatedAt: s.Now().UTC()}
	ev.Object = b.ID
	if err := s.pin(ctx, &b); err != nil {
		return Batch{}, s.refuse(ctx, ev, err)
	}
	return b, s.Queue.CreateBatch(ctx, b, ev)
}

// Batch returns an app's own batch, or ErrUnknown.
func (s *Service) Batch(ctx context.Context, app, id string) (Batch, error) {
	b, err := s.Queue.Batch(ctx, id)
	if err == nil && b.App != app {
		return Batch{}, ErrUnknown
	}
	return b, err
}

// Seal fixes count and root: from here on the batch cannot change.
func (s *Service) Seal(ctx context.Context, app, id string, acceptRefused bool, requestID string) (Batch, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "batch.seal", Object: id, Verdict: audit.Accepted, RequestID: requestID}
	_, unlock, err := s.hold(ctx, app, id)
	if err != nil {
		return Batch{}, s.refuse(ctx, ev, err)
	}
	defer unlock()
	if err := s.seal(ctx, id, acceptRefused, ev); err != nil {
		return Batch{}, s.refuse(ctx, ev, err)
	}
	return s.Queue.Batch(ctx, id)
}

func (s *Service) seal(ctx context.Context, id string, acceptRefused bool, ev audit.Event) error {
	b, err := s.Queue.Batch(ctx, id)
	if err != nil {
		return err
	}
	if b.Status != Open {
		return ErrSealed
	}
	if b.Intake != "" {
		if err := s.bury(ctx, id, b.Intake); err != nil {
			return err
		}
	}
	if _, _, err := signer.SumUp(s.Queue.Payments(ctx, id)); err != nil {
		return err
	}
	var t signer.Tree
	err = s.each(ctx, id, "", func(it *Item) error {
		t.Add(it.Leaf())
		return nil
	})
	if err != nil {
		return err
	}
	n, root := t.Root()
	if n == 0 {
		return ErrEmpty
	}
	ev.Detail = map[string]string{"count": strconv.FormatUint(uint64(n), 10), "fingerprint": signer.Fingerprint(root)}
	return s.Queue.Seal(ctx, id, n, root, acceptRefused, ev)
}

// Cancel ends a batch before it is signed.
func (s *Service) Cancel(ctx context.Context, app, id, requestID string) error {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "batch.cancel", Object: id, Verdict: audit.Accepted, RequestID: requestID}
	b, unlock, err := s.hold(ctx, app, id)
	if err != nil {
		return s.refuse(ctx, ev, err)
	}
	defer unlock()
	if err := s.Queue.CancelBatch(ctx, id, ev); err != nil {
		return s.refuse(ctx, ev, err)
	}
	return s.cancelled(ctx, &b)
}

// cancelled removes what nobody reads any more.
func (s *Service) cancelled(ctx context.Context, b *Batch) error {
	if b.Signed > 0 {
		return nil // what was signed stays, and the queue has put down the rest for removal
	}
	return s.Blobs.Remove(context.WithoutCancel(ctx), Originals(b.ID))
}

// Originals is where the documents of a batch are that came in with it: Remove of it removes all.
func Originals(id string) string { return "original/" + id }

// Pause stops claiming the documents of a batch that is signed, at all nodes: what is in work is
// finished. The authorisation goes on until its deadline.
func (s *Service) Pause(ctx context.Context, app, id, requestID string) (Batch, error) {
	return s.change(ctx, app, id, "batch.pause", requestID, nil, s.Queue.PauseBatch)
}

// Resume goes on with a paused batch.
func (s *Service) Resume(ctx context.Context, app, id, requestID string) (Batch, error) {
	return s.change(ctx, app, id, "batch.resume", requestID, nil, s.Queue.ResumeBatch)
}

// Retry lets refused documents of a batch be authorised and signed once more: those with these
// indexes, or all. What was signed stays.
func (s *Service) Retry(ctx context.Context, app, id string, items []uint32, requestID string) (Batch, error) {
	detail := map[string]string{"items": "all"}
	if len(items) > 0 {
		detail["items"] = strconv.Itoa(len(items))
	}
	return s.change(ctx, app, id, "batch.retry", requestID, detail, func(ctx context.Context, id string, ev audit.Event) error {
		return s.Queue.RetryItems(ctx, id, items, ev)
	})
}

func (s *Service) change(ctx context.Context, app, id, action, requestID string, detail map[string]string, do func(ctx context.Context, id string, ev audit.Event) error) (Batch, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: action, Object: id, Verdict: audit.Accepted, RequestID: requestID, Detail: detail}
	_, unlock, err := s.hold(ctx, app, id)
	if err != nil {
		return Batch{}, s.refuse(ctx, ev, err)
	}
	defer unlock()
	if err := do(ctx, id, ev); err != nil {
		return Batch{}, s.refuse(ctx, ev, err)
	}
	return s.Queue.Batch(ctx, id)
}

// page is how many rows are read at a time.
const page = 500

// each calls f for every item in index order, a page of rows in memory.
func (s *Service) each(ctx context.Context, id, state string, f func(*Item) error) error {
	after := int64(-1)
	for {
		items, err := s.Queue.Items(ctx, id, state, after, page)
		if err != nil {
			return err
		}
		for k := range items {
			if err := f(&items[k]); err != nil {
				return err
			}
			after = int64(items[k].Index)
		}
		if len(items) < page {
			return nil
		}
	}
}

// hold finds an app's own batch and waits until nobody else works on it.
func (s *Service) hold(ctx context.Context, app, id string) (Batch, func(), error) {
	b, err := s.Batch(ctx, app, id)
	if err != nil {
		return b, nil, err
	}
	unlock, err := s.locks.Lock(ctx, id)
	return b, unlock, err
}

// refuse records that err was the verdict.
func (s *Service) refuse(ctx context.Context, ev audit.Event, err error) error {
	ev.Verdict, ev.Detail = audit.Refused, map[string]string{"reason": reason(err)}
	if aerr := s.Queue.Audit(context.WithoutCancel(ctx), ev); aerr != nil {
		return errors.Join(fmt.Errorf("auditing refusal: %w: %w", audit.ErrNotRecorded, aerr), err)
	}
	return err
}

// reason is a text of our own, never one that could hold input.
func reason(err error) string {
	for _, known := range []error{ErrUnknown, ErrSealed, ErrNotSealed, ErrEmpty, ErrRefusedRows, ErrName, ErrKind, ErrInput, ErrTooLarge, ErrLive, ErrNotSigning, ErrNotPaused, ErrNotRefused, ErrItem, signer.ErrStoreUnavailable, ErrIntake, signer.ErrAmounts, ErrLook, ecert.ErrCSV,
		pdf.ErrInvalid, pdf.ErrEncrypted, pdf.ErrCertified, pdf.ErrTooLarge, pdf.ErrAnchor, pdf.ErrUnsafe, pdf.ErrUnsupported} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "internal error"
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }
