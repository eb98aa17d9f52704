package gateway

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/web/signing"
)

// hosted is signing.Signing on signer and runner, which judge; it finds out what is shown.
type hosted struct {
	signer *signer.Signer
	runner *batch.Runner
	queue  batch.Queue
	looks  looks
	portal string // the redirect URI of people's own apps
	known  pictures
	log    *slog.Logger

	digests chan struct{} // holds one for each document being hashed
}

func newHosted(s *signer.Signer, r *batch.Runner, queue batch.Queue, l looks, portal string, known pictures, log *slog.Logger) *hosted {
	return &hosted{s, r, queue, l, portal, known, log, make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// looks is who asks and for which system, as registered now.
type looks interface {
	AppByID(ctx context.Context, id string) (enrol.App, error)
	// System gives ErrUnknown for a code that nobody described.
	System(ctx context.Context, code string) (enrol.System, error)
}

// pictures knows whose security image may be shown where.
type pictures interface {
	// ImageFor gives who logged in last where device is, and that officer's picture; ErrUnknown
	// for a device on which nobody did, or without a picture.
	ImageFor(ctx context.Context, device string) (ic, image string, err error)
}

// listed is how many documents a page lists.
const listed = 50

func visit(v *signing.Visit) signer.Visit {
	agent := strings.ToValidUTF8(v.Agent[:min(len(v.Agent), 200)], "")
	return signer.Visit{Token: v.Token, Session: v.Session, Agent: agent, RequestID: v.RequestID}
}

func (h *hosted) request(ctx context.Context, v *signing.Visit) (*signer.Request, error) {
	at := visit(v)
	r, err := h.signer.Page(ctx, &at)
	return r, unpaged(err)
}

func unpaged(err error) error {
	if errors.Is(err, audit.ErrNotRecorded) {
		return err
	}
	for from, to := range map[error]error{signer.ErrUnknown: signing.ErrUnknown, signer.ErrUnopened: signing.ErrUnopened, signer.ErrElsewhere: signing.ErrElsewhere} {
		if errors.Is(err, from) {
			return to
		}
	}
	return err
}

// Page implements signing.Signing.
func (h *hosted) Page(ctx context.Context, v signing.Visit, after int) (signing.Page, error) {
	r, err := h.request(ctx, &v)
	if err != nil {
		return signing.Page{}, err
	}
	p := signing.Page{Transaction: r.ID, Status: string(r.Status), Owner: r.System, System: r.SystemName, Notice: signing.Notice{System: r.System},
		DataHeader: r.DataHeader, Classification: r.Class, Process: r.Process, Role: r.Role, Count: int(r.Count), Next: -1, Unseen: r.Options.Format != signer.PADES || r.Options.Unseen,
		Fingerprint: signer.Fingerprint(r.Root), Root: base64.StdEncoding.EncodeToString(r.Root[:]), ExpiresAt: r.ExpiresAt}
	if x, ok := h.signer.Processes.Find(r.System, r.Process); ok && r.Step > 0 {
		p.Process += " " + x.Name
	}
	if r.Options.Total != nil {
		p.Total = r.Options.Total.String()
	}
	if x := r.Options.Payees; x != nil {
		p.Payees, p.FirstPayees = x.Count, x.First
	}
	for _, fill := range []func(context.Context, *signing.Visit, *signer.Request, *signing.Page) error{h.look, h.waiting, h.ended} {
		if err := fill(ctx, &v, r, &p); err != nil {
			return p, err
		}
	}
	return p, h.list(ctx, r, after, &p)
}

// look fills in how the system looks, and the way back.
func (h *hosted) look(ctx context.Context, _ *signing.Visit, r *signer.Request, p *signing.Page) error {
	switch s, err := h.looks.System(ctx, r.System); {
	case errors.Is(err, enrol.ErrUnknown):
	case err != nil:
		return err
	default:
		p.Owner, p.Logo, p.Notice.Token = s.Title, len(s.Logo) > 0, s.Notice == "token"
	}
	if r.Page.RedirectURI == "" {
		return nil
	}
	app, err := h.looks.AppByID(ctx, r.App)
	// What was taken off the list since leads nowhere any more.
	if err == nil && (slices.Contains(app.RedirectURIs, r.Page.RedirectURI) || app.Person != "" && r.Page.RedirectURI == h.portal) {
		p.Back, p.Portal = back(r), app.Person != ""
	}
	return err
}

// back is the redirect URI with what the app is told (RFC 6749, Section 4.1.2): a query that it
// has stays as it is.
func back(r *signer.Request) string {
	q := url.Values{"transaction_id": {r.ID}, "status": {string(r.Status)}}
	if r.Page.State != "" {
		q.Set("state", r.Page.State)
	}
	sep := "?"
	switch base := r.Page.RedirectURI; {
	case strings.HasSuffix(base, "?") || strings.HasSuffix(base, "&"):
		sep = ""
	case strings.Contains(base, "?"):
		sep = "&"
	}
	return r.Page.RedirectURI + sep + q.Encode()
}

// waiting fills in what PIN and code need.
func (h *hosted) waiting(ctx context.Context, v *signing.Visit, r *signer.Request, p *signing.Page) error {
	if r.Status != signer.Waiting {
		return nil
	}
	ch, err := h.signer.Codes.Records.Challenge(ctx, r.ID)
	if err != nil {
		return err
	}
	p.Nonce, p.Tries, p.SentTo = base64.StdEncoding.EncodeToString(ch.Nonce[:]), ch.TriesLeft, ch.SentTo
	p.CodeSent, p.CodeUntil, p.ResendAfter = ch.IssuedAt, ch.ExpiresAt, ch.ResendAfter
	st, err := h.signer.Records.PINState(ctx, r.Officer)
	if err != nil {
		return err
	}
	switch ic, image, err := h.known.ImageFor(ctx, string(v.Device.Reveal())); {
	case err == nil && ic == r.Officer:
		p.Picture = image
	case err != nil && !errors.Is(err, enrol.ErrUnknown):
		// A page without it can be signed on.
		h.log.WarnContext(ctx, "no security image could be looked up", "request_id", v.RequestID, "error", err)
	}
	if st.Blocked {
		p.Locked = true
	} else if h.signer.Now().Before(st.LockedUntil) {
		p.Locked, p.LockedUntil = true, st.LockedUntil
	}
	return nil
}

// ended fills in what became of it.
func (h *hosted) ended(ctx context.Context, _ *signing.Visit, r *signer.Request, p *signing.Page) error {
	switch r.Status {
	case signer.Signing, signer.Signed, signer.SignedWithRefusals:
	default:
		return nil
	}
	b, err := h.queue.Batch(ctx, r.Batch)
	if err != nil {
		return err
	}
	// Of a batch whose rest was authorised, earlier transactions had the others.
	done := max(0, int(r.Count)-int(b.Pending))
	p.Refused = min(done, int(b.Refused))
	p.Signed = done - p.Refused
	if r.Status == signer.Signing {
		return nil
	}
	x, err := h.signer.Records.Certificate(ctx, r.Credential)
	if err != nil {
		return err
	}
	p.Information = &signing.Information{IC: r.Officer, Subject: verify.Subject(x), Serial: x.SerialNumber.String(), NotBefore: x.NotBefore, NotAfter: x.NotAfter, SignedAt: r.FinishedAt}
	return nil
}

// list fills in the documents that are authorised; afterwards only one that is alone.
func (h *hosted) list(ctx context.Context, r *signer.Request, after int, p *signing.Page) error {
	state := batch.Pending
	if r.Status != signer.Waiting {
		if state, after = "", -1; r.Count != 1 || !r.Implicit {
			return nil
		}
	}
	items, err := h.queue.Items(ctx, r.Batch, state, int64(after), listed+1)
	if err != nil {
		return err
	}
	if len(items) > listed {
		items = items[:listed]
		p.Next = int(items[listed-1].Index)
	}
	for k := range items {
		d := &items[k]
		p.Documents = append(p.Documents, signing.Document{Index: int(d.Index), Name: d.Name, Alg: algorithm(d.Hash), Digest: base64.StdEncoding.EncodeToString(d.Digest), View: viewable(r, d)})
	}
	return nil
}

// algorithm is the name of a digest on the page, "SHA-256".
func algorithm(h crypto.Hash) string { return h.String() }

func viewable(r *signer.Request, d *batch.Item) bool {
	return r.Options.Format == signer.PADES && d.Blob != "" && d.Hash == crypto.SHA256
}

// Open implements signing.Signing.
func (h *hosted) Open(ctx context.Context, v signing.Visit, seed secret.Text) (secret.Text, time.Time, error) {
	at := visit(&v)
	var err error
	if at.Own, err = h.own(ctx, &at); err != nil {
		return secret.Text{}, time.Time{}, err
	}
	o, err := h.signer.OpenPage(ctx, at, seed)
	if err != nil {
		return secret.Text{}, time.Time{}, unpaged(err)
	}
	if o.FromApp {
		h.log.WarnContext(ctx, "a signing page was opened from the address of the app that asked for it", "request_id", v.RequestID, "transaction", o.Request.ID, "app", o.Request.App, "system", o.Request.System)
	}
	return o.Session, o.Until, nil
}

// own says whether the page is of a transaction that an officer asked for at the portal: nobody
// stands between the two then.
func (h *hosted) own(ctx context.Context, at *signer.Visit) (bool, error) {
	r, err := h.signer.Page(ctx, at)
	if r == nil {
		if mapped := unpaged(err); errors.Is(mapped, signing.ErrUnknown) || errors.Is(mapped, signing.ErrElsewhere) {
			return false, nil // which is judged, and noted, with the opening
		}
		return false, err
	}
	app, err := h.looks.AppByID(ctx, r.App)
	if errors.Is(err, enrol.ErrUnknown) {
		err = nil
	}
	return app.Person != "", err
}

// Stray implements signing.Signing.
func (h *hosted) Stray(ctx context.Context, v signing.Visit) error {
	if err := h.signer.RefusePage(ctx, visit(&v), "page.form", signer.ErrForm); errors.Is(err, audit.ErrNotRecorded) {
		return err
	}
	return nil
}

// acting finds the transaction of v, who wants to do something: to others it is refused.
func (h *hosted) acting(ctx context.Context, v *signing.Visit, action string) (*signer.Request, error) {
	at := visit(v)
	r, err := h.signer.Page(ctx, &at)
	if err != nil {
		return nil, unpaged(h.signer.RefusePage(ctx, at, action, err))
	}
	return r, h.served(ctx, v, r, action)
}

// Confirm implements signing.Signing.
func (h *hosted) Confirm(ctx context.Context, v signing.Visit, c signing.Confirmation) error {
	const action = "signer.authorize"
	r, err := h.acting(ctx, &v, action)
	if err != nil {
		return err
	}
	at := visit(&v)
	f := signer.Confirmation{App: r.App, Transaction: r.ID, PIN: c.PIN, Code: c.Code, Visit: &at, RequestID: v.RequestID}
	nonce, err := base64.StdEncoding.DecodeString(c.Nonce)
	if err != nil || len(nonce) != otp.NonceSize {
		return h.refusal(&v, h.signer.RefusePage(ctx, at, action, otp.ErrNonce))
	}
	f.Nonce = [otp.NonceSize]byte(nonce)
	// What the officer was shown is what is signed: without it nothing is.
	if f.Root, err = base64.StdEncoding.DecodeString(c.Root); err != nil || len(f.Root) != len(r.Root) {
		return h.refusal(&v, h.signer.RefusePage(ctx, at, action, signer.ErrDocuments))
	}
	ch, err := h.signer.Codes.Records.Challenge(ctx, r.ID)
	if err != nil {
		return err
	}
	if r.Status == signer.Waiting && ch.Nonce == f.Nonce && ch.TriesLeft != c.Tries {
		return h.refusal(&v, h.signer.RefusePage(ctx, at, action, signer.ErrFormSent))
	}
	a, err := h.signer.Authorize(ctx, f)
	if err != nil {
		return h.refusal(&v, err)
	}
	if !a.Request.Implicit {
		h.runner.Start(a)
		return nil
	}
	if err := h.runner.Run(ctx, a); err != nil {
		return h.refusal(&v, err)
	}
	return nil
}

// Resend implements signing.Signing.
func (h *hosted) Resend(ctx context.Context, v signing.Visit) error {
	if _, err := h.acting(ctx, &v, "otp.resend"); err != nil {
		return err
	}
	_, _, err := h.signer.ResendFrom(ctx, visit(&v))
	return h.refusal(&v, err)
}

// errAppStopped is the reason in the audit.
var errAppStopped = errors.New("the app is not active")

// served refuses what an app asked for that was stopped since: it could not do it itself either.
func (h *hosted) served(ctx context.Context, v *signing.Visit, r *signer.Request, action string) error {
	app, err := h.looks.AppByID(ctx, r.App)
	if err != nil || app.State == enrol.AppActive {
		return err
	}
	err = h.signer.Records.Audit(ctx, audit.Event{At: h.signer.Now(), Actor: "officer:page", Action: action, Object: r.ID, Verdict: audit.Refused, RequestID: v.RequestID,
		Detail: map[string]string{"app": r.App, "reason": errAppStopped.Error(), "agent": visit(v).Agent}})
	if err != nil {
		return err
	}
	return &signing.Refusal{Status: http.StatusForbidden, Left: -1, MS: "Sistem yang meminta tandatangan ini telah dihentikan. Hubungi pentadbir GPKI agensi anda.",
		EN: "The system that asked for this signature was stopped. Call your agency’s GPKI administrator."}
}

// Cancel implements signing.Signing.
func (h *hosted) Cancel(ctx context.Context, v signing.Visit) error {
	return h.refusal(&v, h.signer.CancelFrom(ctx, visit(&v)))
}

// refusal puts an error into words. What only says how the transaction ended is none: the page
// shows that.
func (h *hosted) refusal(v *signing.Visit, err error) error {
	for _, over := range []error{otp.ErrUsed, signer.ErrTransactionExpired, signer.ErrCancelled, signer.ErrFinished} {
		if errors.Is(err, over) {
			return nil
		}
	}
	if mapped := unpaged(err); err == nil || mapped != err { //nolint:errorlint // unpaged returns what it was given
		return mapped
	}
	if errors.Is(err, signer.ErrFormSent) && !errors.Is(err, audit.ErrNotRecorded) {
		return &signing.Refusal{Status: http.StatusConflict, Left: -1, MS: "Borang itu sudah dihantar sebelum ini dan tidak dicuba lagi. Masukkan PIN dan kod sekali lagi.",
			EN: "That form was sent before and was not tried again. Enter PIN and code once more."}
	}
	ms, en := api.Explain(err)
	no := &signing.Refusal{Status: ms.Status, Code: ms.Code, MS: sentence(ms), EN: sentence(en), Left: -1, RetryAfter: ms.RetryAfter}
	if ms.AttemptsLeft != nil {
		no.Left = *ms.AttemptsLeft
	}
	switch {
	case errors.Is(err, otp.ErrNonce):
		no.MS, no.EN = "Kod telah diganti. Masukkan PIN dan kod yang paling baharu.", "The code was replaced. Enter PIN and the newest code."
	case errors.Is(err, signer.ErrPINLocked):
		no.MS, no.EN = ms.Title+".", en.Title+"." // until when, the page says in Malaysian time
	case errors.Is(err, signer.ErrPINWrong):
		no.Field = "pin"
	case errors.Is(err, otp.ErrResendTooSoon), errors.Is(err, otp.ErrTooManyCodes):
		at := myt.Format(h.signer.Now().Add(time.Duration(ms.RetryAfter) * time.Second))
		no.MS, no.EN = no.MS+" Cuba lagi selepas "+at+".", no.EN+" Try again after "+at+"."
	case errors.Is(err, otp.ErrExpired), errors.Is(err, otp.ErrAttempts):
		no.Field = "code"
	case strings.HasPrefix(ms.Code, "otp_"):
		no.Field = "otp"
	}
	if ms.Status >= http.StatusInternalServerError {
		h.log.Error("request failed", "request_id", v.RequestID, "error", err)
		no.MS, no.EN = no.MS+" No. permintaan: "+v.RequestID+".", no.EN+" Request id: "+v.RequestID+"."
	}
	return no
}

func sentence(p *api.Problem) string {
	s := p.Title + "."
	if p.Detail != "" {
		s += " " + p.Detail
	}
	return s
}

// Logo implements signing.Signing.
func (h *hosted) Logo(ctx context.Context, v signing.Visit) (string, []byte, error) {
	r, err := h.request(ctx, &v)
	if err != nil {
		return "", nil, err
	}
	s, err := h.looks.System(ctx, r.System)
	if errors.Is(err, enrol.ErrUnknown) || err == nil && len(s.Logo) == 0 {
		err = signing.ErrUnknown
	}
	return s.LogoType, s.Logo, err
}

// Document implements signing.Signing.
func (h *hosted) Document(ctx context.Context, v signing.Visit, index int) (io.ReadCloser, int64, error) {
	r, err := h.request(ctx, &v)
	if err != nil {
		return nil, 0, err
	}
	items, err := h.queue.Items(ctx, r.Batch, "", int64(index)-1, 1)
	if err != nil {
		return nil, 0, err
	}
	if len(items) != 1 || int(items[0].Index) != index || !viewable(r, &items[0]) {
		return nil, 0, signing.ErrUnknown
	}
	blob, err := h.signer.Blobs.Open(ctx, items[0].Blob)
	if errors.Is(err, fs.ErrNotExist) {
		err = signing.ErrUnknown
	}
	if err != nil {
		return nil, 0, err
	}
	// It is shown only if it is what would be signed.
	sum, err := h.digest(ctx, blob)
	switch {
	case errors.Is(err, signer.ErrBusy):
		err = h.refusal(&v, err)
	case err == nil && !bytes.Equal(sum, items[0].Digest):
		err = h.refusal(&v, signer.ErrDocuments)
	}
	if err == nil {
		at := visit(&v)
		err = h.signer.Viewed(ctx, &at, r, items[0].Index)
	}
	if err != nil {
		return nil, 0, errors.Join(err, blob.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(blob, 0, blob.Size()), blob}, blob.Size(), nil
}

// digestWait is how long a document waits for its turn to be hashed.
const digestWait = 2 * time.Second

// digest is the SHA-256 of a blob, for whoever is still there. Some at a time, fewer than there
// are processors: whoever has a page open asks as often as they like, and others are signing.
func (h *hosted) digest(ctx context.Context, blob signer.Blob) ([]byte, error) {
	t := time.NewTimer(digestWait)
	defer t.Stop()
	select {
	case h.digests <- struct{}{}:
		defer func() { <-h.digests }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, signer.ErrBusy
	}
	sum := sha256.New()
	_, err := io.Copy(sum, &until{ctx, io.NewSectionReader(blob, 0, blob.Size())})
	return sum.Sum(nil), err
}

// until is a reader that ends with its context.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
