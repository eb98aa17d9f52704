package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Sign spends one claimed document and makes its signature. A document that
// cannot be signed comes back as a refused Outcome and the others may go on;
// an error stops the authorisation: ErrDocuments when a row or the stored
// bytes are not what was authorised, ErrDeadline, ErrKeysUnavailable.
func (s *Signer) Sign(ctx context.Context, a *Authorization, d Claimed) (Outcome, error) {
	if err := a.spend(&d.Document, s.Now()); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Index: d.Index, Attempt: d.Attempt, document: d.Document}
	if a.Request.Options.Work != nil {
		out.Result = d.Digest
	}
	var err error
	switch a.Request.Options.Format {
	case RAW:
		out.Signature, err = a.key.Sign(ctx, d.Digest, a.Request.Options.signerOpts(d.Hash))
	case CMS:
		err = s.signCMS(ctx, a, &d.Document, &out)
	case PADES:
		if d.Blob == "" { // a prepared PDF that is elsewhere
			err = s.signCMS(ctx, a, &d.Document, &out)
			break
		}
		err = s.signPDF(ctx, a, &d.Document, &out)
	default:
		err = fmt.Errorf("signing: unknown format %q", a.Request.Options.Format)
	}
	var bad *pdf.Error
	if errors.As(err, &bad) {
		out.Refused = bad
		return out, nil
	}
	if err != nil {
		a.unspend(d.Index)
		return Outcome{}, err
	}
	return out, nil
}

// builder makes SignedData as the format wants it: CAdES says the time itself (ETSI
// EN 319 122-1, Section 6.3), of a PDF the signature dictionary does. The time is that of the
// intent, the nearest to the signing (RFC 5652, Section 11.3) that a re-run signs, too.
func (a *Authorization) builder(h crypto.Hash) (b *cms.Builder, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.builders[h]; b != nil {
		return b, nil
	}
	chain, o := a.Credential.Chain, &a.Request.Options
	b, err = cms.New(a.Credential.Certificate, chain[:len(chain)-1], h, o.cmsAlgorithm())
	if err == nil && o.Format == CMS {
		b, err = b.WithSigningTime(a.Intent.CreatedAt)
	}
	if err != nil {
		return nil, err
	}
	if a.builders == nil {
		a.builders = make(map[crypto.Hash]*cms.Builder)
	}
	a.builders[h] = b
	return b, nil
}

// cms makes one SignedData over a content digest with one use of the key, and
// checks the finished structure before believing it.
func (a *Authorization) cms(ctx context.Context, b *cms.Builder, digest []byte, h crypto.Hash) ([]byte, error) {
	attrs, err := b.SignedAttributes(digest)
	if err != nil {
		return nil, fmt.Errorf("building signed attributes: %w", err)
	}
	sum := h.New()
	sum.Write(attrs)
	sig, err := a.key.Sign(ctx, sum.Sum(nil), a.Request.Options.signerOpts(h))
	if err != nil {
		return nil, err
	}
	der, err := b.AssembleVerified(attrs, sig, digest) // by [Key.Sign]
	if err != nil {
		return nil, fmt.Errorf("assembling SignedData: %w", err)
	}
	return der, nil
}

// SignedBlobs names the files that attempts at a document of a batch may have left, the newest
// last. Each claim has a name of its own, so that who lost it replaces nobody's file. The first is
// that of releases that had one for all.
func SignedBlobs(batch string, index uint32, attempt int64) []string {
	names := []string{fmt.Sprintf("signed/%s/%d", batch, index)}
	for k := range attempt {
		names = append(names, fmt.Sprintf("%s-%d", names[0], k+1))
	}
	return names
}

// signPDF copies the stored document, checks that the copy is what was
// authorised, and from then on works on the copy alone. What claims before this
// one left no row names, nor can any: it goes.
func (s *Signer) signPDF(ctx context.Context, a *Authorization, d *Document, out *Outcome) error {
	c, err := s.copyBlob(ctx, d.Blob)
	if err != nil {
		return err
	}
	defer c.Close()
	if !bytes.Equal(c.hash.Sum(nil), d.Digest) {
		return ErrDocuments
	}
	b, err := a.builder(crypto.SHA256)
	if err != nil {
		return err
	}
	doc, password, err := s.openPDF(ctx, d.Blob, c, c.size)
	if err != nil {
		return err
	}
	defer clear(password)
	token, err := s.tokenSize(a, d.Index)
	if err != nil {
		return err
	}
	p, err := s.preparePDF(doc, &a.Request.Options, d.Index, a.Credential, b, token)
	if err != nil {
		return err
	}
	toSign, err := p.DigestAfter(c.hash, c.size)
	if err != nil {
		return err
	}
	der, err := a.cmsOnce(ctx, b, d.Index, toSign, crypto.SHA256, token)
	if err != nil {
		return err
	}
	end, err := s.finish(ctx, a, d.Index, p, der, password)
	if err != nil {
		return err
	}
	out.Timestamp, out.Level = end.at, string(end.level)
	names := SignedBlobs(a.Request.Batch, d.Index, out.Attempt)
	last := len(names) - 1
	if last > 1 {
		if err := s.remove(ctx, names[:last]...); err != nil {
			return fmt.Errorf("removing what was not stored: %w", err)
		}
	}
	out.Blob = names[last]
	work, sum := a.Request.Options.Work, sha256.New()
	out.Size, err = s.Blobs.Stage(ctx, out.Blob, func(w io.Writer) error {
		sum.Reset()
		if work != nil {
			w = io.MultiWriter(w, sum)
		}
		if _, err := p.Complete(w, end.contents); err != nil {
			return err
		}
		_, err := w.Write(end.more)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing signed document: %w", err)
	}
	if work != nil {
		out.Result = sum.Sum(nil)
	}
	if work != nil && len(password) > 0 { // for the role that is next
		again := secret.New(string(password))
		defer again.Wipe()
		if err := s.SealPassword(ctx, out.Blob, again); err != nil {
			return err
		}
	}
	return nil
}

// Claim hands out up to n of the authorisation's documents; fewer are the last ones.
func (s *Signer) Claim(ctx context.Context, a *Authorization, n int) ([]Claimed, error) {
	a.mu.Lock()
	k := min(n, len(a.ready))
	ready := a.ready[:k]
	a.ready = a.ready[k:]
	a.mu.Unlock()
	if k > 0 { // all that there are
		return ready, nil
	}
	return s.Records.Claim(ctx, a.Run, n)
}

// completeAction is the audit event with the number of outcomes stored, which a
// resumption counts.
const completeAction = "signer.complete"

// Complete makes the signed files durable, with one sync for all, and stores outcomes; only after
// it returns nil may anyone say "signed". After ErrNotDurable nothing was stored, and documents
// that have a file may be signed again under the same claim: their files are new ones then, which
// another sync may be believed about.
func (s *Signer) Complete(ctx context.Context, a *Authorization, out []Outcome) (done bool, err error) {
	// No row may name a file that a crash of the machine could still take back.
	if err := s.sync(ctx, a, out); err != nil {
		return false, err
	}
	refused, below := 0, 0
	for _, o := range out {
		if o.Refused != nil {
			refused++
		} else if o.below(&a.Request.Options) {
			below++
		}
	}
	ev := audit.Event{At: s.Now(), Actor: "officer:" + a.Request.Officer, Action: completeAction, Object: a.Request.ID, Verdict: audit.Accepted,
		Detail: map[string]string{"intent": a.Intent.ID, "signed": strconv.Itoa(len(out) - refused), "refused": strconv.Itoa(refused)}}
	if below > 0 {
		ev.Detail["below_level"] = strconv.Itoa(below)
	}
	done, err = s.Records.Complete(ctx, a.Intent.ID, out, s.Now(), ev)
	if err == nil || statusEnds(err) || errors.Is(err, ErrFence) { // else the signatures may be needed once more
		for _, o := range out {
			a.forget(o.Index)
		}
	}
	if statusEnds(err) {
		return false, s.discard(ctx, out, ev, err)
	}
	if errors.Is(err, ErrFence) {
		return false, errors.Join(err, s.remove(ctx, blobsOf(out)...))
	}
	if err == nil && a.complete(len(out), done) {
		// The other runs stored the rest, or somebody else wrote "signed" into rows of this batch.
		n, aerr := s.audited(ctx, s.Records, a.Intent)
		if err = aerr; err == nil && n != len(a.leaves) {
			ev.Action = "signer.alarm"
			err = s.refuse(ctx, ev, ErrDocuments)
		}
	}
	if done && len(a.Intent.Activation) > 0 {
		s.dropShare(ctx, &a.Intent)
	}
	return done && err == nil, err
}

// sync makes the files of outcomes durable.
func (s *Signer) sync(ctx context.Context, a *Authorization, out []Outcome) error {
	var fresh []int
	var names []string
	for k := range out {
		if out[k].Blob != "" && !out[k].durable {
			fresh, names = append(fresh, k), append(names, out[k].Blob)
		}
	}
	if len(names) == 0 {
		return nil
	}
	err := s.Blobs.Sync(context.WithoutCancel(ctx), names...)
	for _, k := range fresh {
		if out[k].durable = err == nil; err != nil {
			a.unspend(out[k].Index)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// statusEnds says whether err is that of a certificate whose status ended its use.
func statusEnds(err error) bool {
	return errors.Is(err, ErrCertificateRevoked) || errors.Is(err, ErrCertificateOnHold)
}

// discard leaves nothing of signatures that were made and not released, and has the
// audit say so.
func (s *Signer) discard(ctx context.Context, out []Outcome, ev audit.Event, why error) error {
	return s.refuse(ctx, ev, errors.Join(why, s.remove(ctx, blobsOf(out)...)))
}

// blobsOf are the files of outcomes.
func blobsOf(out []Outcome) (names []string) {
	for _, o := range out {
		if o.Blob != "" {
			names = append(names, o.Blob)
		}
	}
	return names
}

// remove removes signed files that no row names, with what belongs to them.
func (s *Signer) remove(ctx context.Context, names ...string) (err error) {
	for _, n := range names {
		err = errors.Join(err, s.Blobs.Remove(context.WithoutCancel(ctx), n), s.Blobs.Remove(context.WithoutCancel(ctx), passwordBlob(n)))
	}
	return err
}

// Discard is for outcomes in hand when Complete refused others of the same
// authorisation for why: ErrCertificateRevoked and ErrCertificateOnHold end all of
// it, also if the certificate is released before the next Complete would ask, and
// with ErrFence somebody else goes on with it. After other errors nothing is
// discarded: the documents are signed again, under another claim. It returns why,
// joined with what went wrong meanwhile.
func (s *Signer) Discard(ctx context.Context, a *Authorization, out []Outcome, why error) error {
	switch {
	case errors.Is(why, ErrFence):
		return errors.Join(why, s.remove(ctx, blobsOf(out)...))
	case len(out) == 0 || !statusEnds(why):
		return why
	}
	return s.discard(ctx, out, audit.Event{At: s.Now(), Actor: "officer:" + a.Request.Officer, Action: "signer.discard", Object: a.Request.ID,
		Detail: map[string]string{"intent": a.Intent.ID, "signatures": strconv.Itoa(len(out))}}, why)
}

// Abandon ends an authorisation before its work is done: what was completed
// stays, the rest needs a new PIN and code. It is what start-up recovery calls
// for intents left by a crash, too.
func (s *Signer) Abandon(ctx context.Context, in Intent, why error) error {
	s.dropShare(ctx, &in)
	return s.Records.Abandon(ctx, in.ID, s.abandoned(&in, why))
}

// Sweep abandons open intents past their deadline. A run ends by itself at its
// deadline; what is found here lost its run in another way.
func (s *Signer) Sweep(ctx context.Context) (abandoned int, err error) {
	open, err := s.Records.OpenIntents(ctx)
	if err != nil {
		return 0, fmt.Errorf("listing open intents: %w", err)
	}
	for _, in := range open {
		if s.Now().Before(in.Deadline) {
			continue
		}
		if err := s.Abandon(ctx, in, ErrDeadline); err != nil {
			return abandoned, fmt.Errorf("abandoning intent %s: %w", in.ID, err)
		}
		abandoned++
	}
	return abandoned, nil
}
