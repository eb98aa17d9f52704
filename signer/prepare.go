package signer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/process"
)

// Ask is what an app asks an officer to sign.
type Ask struct {
	App, SystemName     string
	Officer, System     string // IC, system id
	DataHeader          string
	Process, Role       string
	Class               string
	Credential, Channel string // "" picks the first active, "auto"; a channel asked for by name has no fallback
	Options             Options
	Documents           []Document // of an implicit batch; or
	Batch               string     // a sealed batch
	Page                *Page      // RedirectURI and State of the page on which it is to be confirmed; nil: in the app
	RequestID           string
}

// maxTitles is how many document names the message shows.
const maxTitles = 3

// Prepare checks everything that can be checked before an officer is asked,
// stores the request and sends the code. Nothing is stored and no code sent
// when any document cannot be signed (*pdf.Error wrapped in a *DocumentError).
func (s *Signer) Prepare(ctx context.Context, a Ask) (*Request, *otp.Challenge, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + a.App, Action: "transaction.create", Object: "officer:" + a.Officer, RequestID: a.RequestID}
	r, c, titles, channels, err := s.check(ctx, &a)
	if err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	// With its first code the request exists and waits.
	ev.Object, ev.Verdict = r.ID, audit.Accepted
	ev.Detail = map[string]string{"officer": r.Officer, "credential": r.Credential, "count": strconv.FormatUint(uint64(r.Count), 10), "fingerprint": Fingerprint(r.Root)}
	first := &asking{Records: s.Codes.Records, create: func(ctx context.Context, code *FirstCode) error {
		return s.Records.CreateRequest(ctx, r, a.Documents, ev, code)
	}}
	codes := *s.Codes
	codes.Records = first
	ch, err := s.sendCode(ctx, &codes, r, c, titles, channels, a.RequestID)
	if err == nil {
		return r, ch, nil
	}
	var no *notMadeError
	if errors.As(err, &no) {
		err = s.refuse(ctx, ev, no.err)
	}
	if !first.begun {
		return nil, nil, err
	}
	// The app never learns the id: end the request so that nothing half-done stays.
	ev.Action, ev.Verdict, ev.Detail = "transaction.cancel", audit.Noted, map[string]string{"reason": otp.ErrNotSent.Error()}
	if cerr := s.Records.CancelRequest(context.WithoutCancel(ctx), r.ID, Cancelled, ev); cerr != nil && (first.made || !errors.Is(cerr, ErrFinished)) {
		err = errors.Join(err, cerr)
	}
	return nil, nil, err
}

// asking keeps the first code of a request in the transaction that makes the request.
type asking struct {
	otp.Records
	create func(context.Context, *FirstCode) error

	begun, made bool // begun and not known to be made: perhaps only the answer was lost
}

func (a *asking) StoreChallenge(ctx context.Context, c *otp.Challenge, p otp.Policy, ev audit.Event) error {
	if a.made {
		return a.Records.StoreChallenge(ctx, c, p, ev)
	}
	a.begun = true
	if err := a.create(ctx, &FirstCode{c, p, ev}); err != nil {
		return &notMadeError{err}
	}
	a.made = true
	return nil
}

// notMadeError is why a request was not made, to be audited as that.
type notMadeError struct{ err error }

func (e *notMadeError) Error() string { return e.err.Error() }
func (e *notMadeError) Unwrap() error { return e.err }

// check does step 1 and 2 of the cycle: who, with which key, by which channels,
// what, signable?
func (s *Signer) check(ctx context.Context, a *Ask) (r *Request, _ *Credential, titles, channels []string, err error) {
	now := s.Now().UTC().Truncate(time.Second)
	w, p, err := s.work(a)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	c, err := s.Records.Credential(ctx, a.Officer, a.System, a.Credential)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if err := c.usable(now); err != nil {
		return nil, nil, nil, nil, err
	}
	if channels, err = s.channelsFor(&c, a.Channel); err != nil {
		return nil, nil, nil, nil, err
	}
	if err := s.header(ctx, a); err != nil {
		return nil, nil, nil, nil, err
	}
	if err := c.PIN.locked(now); err != nil {
		return nil, nil, nil, nil, err
	}
	if w != nil {
		if err := s.follow(ctx, a, w, &p); err != nil {
			return nil, nil, nil, nil, err
		}
		a.Options.Work = w
	}
	a.Options.Time, a.Options.Certificate = now.Format(time.RFC3339), c.Certificate.SerialNumber.String()
	if err := a.Options.fit(&c); err != nil {
		return nil, nil, nil, nil, err
	}
	if err := s.Templates.pin(&a.Options); err != nil {
		return nil, nil, nil, nil, err
	}
	r = &Request{
		ID: ident.New("tx", 16), App: a.App, SystemName: a.SystemName, Officer: a.Officer, System: a.System, DataHeader: a.DataHeader,
		Process: a.Process, Role: a.Role, Class: a.Class, Credential: c.ID, Image: c.Image, Options: a.Options,
		Batch: a.Batch, Implicit: a.Batch == "", Status: Waiting, CreatedAt: now, ExpiresAt: now.Add(s.Lifetime),
	}
	if r.Implicit {
		r.Batch = ident.New("ba", 16)
	}
	if a.Page != nil {
		r.Page = newPage(*a.Page)
	}
	if titles, err = s.measure(ctx, r, a.Documents, &c); err != nil {
		return nil, nil, nil, nil, err
	}
	if w != nil {
		if r.Step = w.Step; r.Count > 1 && p.Bulk == process.BulkNo {
			return nil, nil, nil, nil, ErrNotBulk
		}
	}
	// From here on the options are whole: what measure saw is in them.
	if _, r.OptionsHash, err = r.Options.Canonical(); err != nil {
		return nil, nil, nil, nil, err
	}
	return r, &c, titles, channels, nil
}

// DocumentError names the document that cannot be signed.
type DocumentError struct {
	Index uint32
	Name  string
	Err   error
}

func (e *DocumentError) Error() string {
	return fmt.Sprintf("document %d (%q): %v", e.Index, e.Name, e.Err)
}
func (e *DocumentError) Unwrap() error { return e.Err }

// measure fills in count and root, and tries each loose PDF with exactly the
// options it will be signed with.
func (s *Signer) measure(ctx context.Context, r *Request, docs []Document, c *Credential) ([]string, error) {
	var t Tree
	var titles []string
	refs, seen, contents := newReferences(), map[string]bool{}, map[string]bool{}
	note := func(d *Document) error {
		if w := r.Options.Work; w != nil && w.Step == 1 {
			if contents[string(d.Digest)] { // one document has one reference
				return &DocumentError{d.Index, d.Name, ErrReference}
			}
			contents[string(d.Digest)] = true
		}
		if r.Options.Format == PADES && d.Blob == "" {
			err := r.Options.prepared(d.Index)
			if r.Options.Work != nil {
				err = ErrPrepared // the next role could not go on with it
			}
			if err != nil {
				return &DocumentError{d.Index, d.Name, err}
			}
			r.Options.Unseen = true
		}
		t.Add(d.Leaf())
		refs.add(d)
		if len(titles) < maxTitles {
			titles = append(titles, d.Name)
		}
		return nil
	}
	for i := range docs {
		if err := docs[i].Check(); err != nil {
			return nil, err
		}
		if r.Options.Format == PADES && docs[i].Blob != "" {
			if err := s.tryPDF(ctx, r, &docs[i], c); err != nil {
				return nil, &DocumentError{docs[i].Index, docs[i].Name, err}
			}
		}
		if err := note(&docs[i]); err != nil {
			return nil, err
		}
	}
	if !r.Implicit {
		for d, err := range s.Records.Pending(ctx, r.Batch) {
			if err != nil {
				return nil, err
			}
			if w := r.Options.Work; w != nil {
				if !reference(d.Reference) || seen[d.Reference] {
					return nil, &DocumentError{d.Index, d.Name, ErrReference}
				}
				seen[d.Reference] = true
			}
			if err := note(&d); err != nil {
				return nil, err
			}
		}
		if err := s.sumUp(ctx, r); err != nil {
			return nil, err
		}
	}
	if r.Options.Work != nil {
		r.Options.Work.References = refs.text()
	}
	if r.Count, r.Root = t.Root(); r.Count == 0 {
		return nil, ErrBatchEmpty
	}
	return titles, nil
}

// sumUp fixes what the documents of a batch amount to, and to whom they pay, in the options.
func (s *Signer) sumUp(ctx context.Context, r *Request) error {
	total, payees, err := SumUp(s.Records.Payments(ctx, r.Batch))
	if err != nil {
		return err
	}
	if given := r.Options.Total; given != nil && total != nil && *given != *total {
		return ErrTotal
	}
	if total != nil {
		r.Options.Total = total
	}
	r.Options.Payees = payees
	return nil
}

func (s *Signer) tryPDF(ctx context.Context, r *Request, d *Document, c *Credential) error {
	b, err := cms.New(c.Certificate, c.Chain[:len(c.Chain)-1], crypto.SHA256, r.Options.cmsAlgorithm())
	if err != nil {
		return err
	}
	blob, err := s.Blobs.Open(ctx, d.Blob)
	if err != nil {
		return fmt.Errorf("opening document: %w", err)
	}
	defer blob.Close()
	doc, password, err := s.openPDF(ctx, d.Blob, blob, blob.Size())
	if err != nil {
		return err
	}
	clear(password)
	token := 0
	if stamped(r.Options.of(d.Index).Level) {
		// A unit that is off may be back when the officer confirms.
		token = max(0, s.Timestamps.TokenSize())
	}
	_, err = s.preparePDF(doc, &r.Options, d.Index, c, b, token)
	return err
}

// Signable is nil when a stored PDF takes one more signature, which need not be seen; a *[pdf.Error]
// says why it does not.
func (s *Signer) Signable(ctx context.Context, blob string) error {
	b, err := s.Blobs.Open(ctx, blob)
	if err != nil {
		return fmt.Errorf("opening document: %w", err)
	}
	defer b.Close()
	doc, password, err := s.openPDF(ctx, blob, b, b.Size())
	if err != nil {
		return err
	}
	clear(password)
	_, err = doc.Prepare(pdf.Options{Time: s.Now()})
	return err
}

// Resend issues a new code and nonce for a waiting request, perhaps by another
// channel; the old ones die.
func (s *Signer) Resend(ctx context.Context, app, id, channel, requestID string) (*Request, *otp.Challenge, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "otp.resend", Object: id, RequestID: requestID}
	r, err := s.Request(ctx, app, id)
	if err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	return s.resend(ctx, ev, r, channel)
}

// resend is what follows once it is known who asks; ev tells a refusal.
func (s *Signer) resend(ctx context.Context, ev audit.Event, r *Request, channel string) (*Request, *otp.Challenge, error) {
	if err := s.live(r); err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	// A code that could not be used is not sent.
	if err := s.Templates.same(&r.Options); err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	c, err := s.Records.Credential(ctx, r.Officer, r.System, r.Credential)
	if err == nil {
		err = c.PIN.locked(s.Now())
	}
	if err == nil {
		err = c.usable(s.Now())
	}
	var channels []string
	if err == nil {
		channels, err = s.channelsFor(&c, channel)
	}
	if err != nil {
		return nil, nil, s.refuse(ctx, ev, err)
	}
	var titles []string
	for d, err := range s.Records.Pending(ctx, r.Batch) {
		if err != nil {
			return nil, nil, s.refuse(ctx, ev, err)
		}
		if titles = append(titles, d.Name); len(titles) == maxTitles {
			break
		}
	}
	ch, err := s.sendCode(ctx, s.Codes, r, &c, titles, channels, ev.RequestID)
	if err != nil {
		return nil, nil, err
	}
	return r, ch, nil
}

// Request returns an app's own transaction, or ErrUnknown. One whose time ran
// out while it waited is ended as EXPIRED on the way.
func (s *Signer) Request(ctx context.Context, app, id string) (*Request, error) {
	r, err := s.Records.Request(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.App != app {
		return nil, ErrUnknown
	}
	if r.Status == Waiting && !s.Now().Before(r.ExpiresAt) {
		err := s.Records.CancelRequest(ctx, id, Expired, audit.Event{At: s.Now(), Actor: "gateway", Action: "transaction.expire", Object: id, Verdict: audit.Noted})
		if err != nil && !errors.Is(err, ErrFinished) {
			return nil, err
		}
		r, err = s.Records.Request(ctx, id)
		return &r, err
	}
	return &r, nil
}

// Cancel ends a waiting request of app.
func (s *Signer) Cancel(ctx context.Context, app, id, requestID string) error {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "transaction.cancel", Object: id, Verdict: audit.Accepted, RequestID: requestID}
	r, err := s.Request(ctx, app, id)
	if err != nil {
		return s.refuse(ctx, ev, err)
	}
	return s.cancel(ctx, ev, r)
}

func (s *Signer) cancel(ctx context.Context, ev audit.Event, r *Request) error {
	if err := s.live(r); err != nil {
		return s.refuse(ctx, ev, err)
	}
	if err := s.Records.CancelRequest(ctx, r.ID, Cancelled, ev); err != nil {
		return s.refuse(ctx, ev, err)
	}
	return nil
}

// live says whether a request can still be confirmed.
func (s *Signer) live(r *Request) error {
	switch r.Status {
	case Waiting:
		return nil
	case Signing, Signed, SignedWithRefusals:
		return otp.ErrUsed
	case Expired:
		return ErrTransactionExpired
	case Cancelled:
		if r.Ended == ErrCertificateRevoked.Error() { // which ended it
			return ErrCertificateRevoked
		}
		return ErrCancelled
	default:
		return ErrFinished
	}
}

func (r *Request) binding() otp.Binding {
	return otp.Binding{Transaction: r.ID, Officer: r.Officer, Key: r.Credential, App: r.App, Purpose: "sign",
		Options: r.OptionsHash, Count: r.Count, Root: r.Root}
}

// refuse records that err was the verdict; a refusal is as audited as an
// acceptance, and failing to audit is said too.
func (s *Signer) refuse(ctx context.Context, ev audit.Event, err error) error {
	ev.Verdict = audit.Refused
	d := map[string]string{"reason": reason(err)}
	for k, v := range ev.Detail {
		d[k] = v
	}
	ev.Detail = d
	if errors.Is(err, ErrKeyVersion) {
		d["refused"] = ev.Action
		ev.Action = "signer.alarm"
	}
	var lock *lockingError
	audited := s.Records.Audit
	if errors.As(err, &lock) {
		audited = func(ctx context.Context, ev audit.Event) error {
			return s.Records.AuditLock(ctx, lock.officer, lock.state, ev)
		}
	}
	if aerr := audited(context.WithoutCancel(ctx), ev); aerr != nil {
		return errors.Join(fmt.Errorf("auditing refusal: %w: %w", audit.ErrNotRecorded, aerr), err)
	}
	return err
}

// reason is the sentinel's own text: never a message that could hold input.
func reason(err error) string {
	for _, known := range []error{
		ErrUnknown, ErrNoCredential, ErrUnknownOfficer, ErrMedium, ErrTokenEnded, ErrCertificateExpired, ErrCertificateRevoked, ErrCertificateOnHold,
		ErrChannel, ErrHeader, ErrPINLocked, ErrPINWrong, ErrDocuments, ErrTransactionExpired, ErrCancelled, ErrFinished, ErrBatchBusy,
		ErrBatchEmpty, ErrProcess, ErrRole, ErrReference, ErrContent, ErrLastWord, ErrNotBulk, ErrSignatory, ErrTurn, ErrOtherProcess, ErrSpent, ErrDeadline, ErrFence, ErrLease, ErrAlgorithm, ErrKeysUnavailable, ErrTimestamp, ErrBusy, ErrStoreUnavailable, ErrNotDurable, ErrKeyVersion, ErrPINPolicy, ErrPINSame, ErrPINChanged, ErrReason, ErrTemplate, ErrPrepared, ErrHosted, ErrUnopened, ErrElsewhere, ErrForm, ErrFormSent, ErrAmounts, ErrTotal,
		errRestart, errStopping, ErrActivation, ErrNoShare, otp.ErrUnknown, otp.ErrWrong, otp.ErrExpired, otp.ErrAttempts, otp.ErrUsed, otp.ErrNonce, otp.ErrResendTooSoon, otp.ErrTooManyCodes,
		otp.ErrNotSent, otp.ErrMACUnavailable, pdf.ErrInvalid, pdf.ErrEncrypted, pdf.ErrCertified, pdf.ErrTooLarge, pdf.ErrAnchor, pdf.ErrUnsupported,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "internal error"
}

// locked is the verdict of the PIN counter.
func (p *PINState) locked(now time.Time) error {
	switch {
	case p.Blocked:
		return &LockedError{}
	case now.Before(p.LockedUntil):
		return &LockedError{Until: p.LockedUntil}
	}
	return nil
}

// header refuses a data header that names another officer, or is not made as the system's are.
func (s *Signer) header(ctx context.Context, a *Ask) error {
	if a.DataHeader == "" {
		return nil
	}
	var fits HeaderFits
	if s.Headers != nil {
		var err error
		if fits, err = s.Headers(ctx, a.System); err != nil {
			return fmt.Errorf("reading the system's header template: %w", err)
		}
	}
	if fits == nil {
		if named, ok := headerIC(a.DataHeader); ok && named != a.Officer {
			return ErrHeader
		}
		return nil
	}
	amount, ok := fits(a.DataHeader, a.Officer)
	if t := a.Options.Total; !ok || t != nil && amount != "" && amount != t.Amount {
		return ErrHeader
	}
	return nil
}

// headerIC finds the IC a data header ends in, as iGFMAS builds them.
func headerIC(h string) (string, bool) {
	if len(h) < 12 {
		return "", false
	}
	n, err := mykad.Parse(h[len(h)-12:])
	return string(n), err == nil
}
