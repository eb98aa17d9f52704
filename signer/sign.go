package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Sign spends claimed documents and makes their signatures, with one message to
// the HSM for all that have the same digest algorithm. A document that cannot be signed comes
// back as a refused Outcome and the others go on; an error stops them all:
// ErrDocuments when a row or the stored bytes are not what was authorised,
// ErrDeadline, ErrKeysUnavailable. After an error none is spent. Signed files that are small
// share one, see [SignedPart]: all of docs are to be stored, or given up, together.
//
// made, unless it is nil, is called when the key has been used and services are about to be asked, which
// may take long.
func (s *Signer) Sign(ctx context.Context, a *Authorization, docs []Claimed, made func()) (out []Outcome, err error) {
	jobs := make([]job, len(docs))
	defer func() {
		for k := range jobs {
			jobs[k].close()
			if (err != nil || out == nil) && jobs[k].spent { // out is nil after a panic, too
				a.unspend(docs[k].Index)
			}
		}
	}()
	for k := range jobs {
		j := &jobs[k]
		j.Claimed, j.out = docs[k], Outcome{Index: docs[k].Index, Attempt: docs[k].Attempt, document: docs[k].Document}
		if err := a.spend(&j.Document, s.Now()); err != nil {
			return nil, err
		}
		j.spent = true
		if err := j.refused(s.begin(ctx, a, j)); err != nil {
			return nil, err
		}
	}
	if err := a.use(ctx, jobs); err != nil {
		return nil, err
	}
	if made != nil && a.asks(jobs) {
		made()
	}
	if err := s.finishAll(ctx, a, jobs); err != nil {
		return nil, err
	}
	if err := s.keep(ctx, a, jobs); err != nil {
		return nil, err
	}
	out = make([]Outcome, len(jobs))
	for k := range jobs {
		out[k] = jobs[k].out
	}
	return out, nil
}

// job is one document on its way to its outcome.
type job struct {
	Claimed
	out   Outcome
	spent bool

	hash    crypto.Hash
	digest  []byte       // what the signature is of
	builder *cms.Builder // nil: the signature value alone is wanted
	attrs   []byte       // signed attributes
	toSign  []byte       // what the key is given; nil when there is a signature already
	token   int          // size of the time-stamp that there is room for
	der     []byte       // SignedData

	// Of a PDF:
	copy     *snapshot
	password []byte
	pdf      *pdf.Prepared
	end      finished
	name     string // of a file of its own
}

// close frees what a job holds.
func (j *job) close() {
	if j.copy != nil {
		_ = j.copy.Close() // an unlinked file at most
		j.copy = nil
	}
	clear(j.password)
}

// refused notes that the document cannot be signed, where err says so, and returns any other.
func (j *job) refused(err error) error {
	var bad *pdf.Error
	if !errors.As(err, &bad) {
		return err
	}
	j.out = Outcome{Index: j.Index, Attempt: j.Attempt, document: j.Document, Refused: bad}
	return nil
}

// begin does all that comes before the key is used.
func (s *Signer) begin(ctx context.Context, a *Authorization, j *job) (err error) {
	if a.Request.Options.Work != nil {
		j.out.Result = j.Digest
	}
	j.hash, j.digest = j.Hash, j.Digest
	switch a.Request.Options.Format {
	case RAW:
		if j.out.Signature = a.madeValue(j.Index); j.out.Signature == nil {
			j.toSign = j.Digest
		}
		return nil
	case CMS:
	case PADES:
		if j.Blob == "" { // a prepared PDF that is elsewhere
			break
		}
		if err := s.beginPDF(ctx, a, j); err != nil {
			return err
		}
	default:
		return fmt.Errorf("signing: unknown format %q", a.Request.Options.Format)
	}
	if j.builder, err = a.builder(j.hash); err != nil {
		return err
	}
	if j.der = a.madeBefore(j.Index, j.digest); j.der != nil {
		return nil
	}
	if j.attrs, err = j.builder.SignedAttributes(j.digest); err != nil {
		return fmt.Errorf("building signed attributes: %w", err)
	}
	sum := j.hash.New()
	sum.Write(j.attrs)
	j.toSign = sum.Sum(nil)
	return nil
}

// beginPDF copies the stored document, checks that the copy is what was
// authorised, and from then on works on the copy alone.
func (s *Signer) beginPDF(ctx context.Context, a *Authorization, j *job) (err error) {
	if j.copy, err = s.copyBlob(ctx, j.Blob); err != nil {
		return err
	}
	if !bytes.Equal(j.copy.hash.Sum(nil), j.Digest) {
		return ErrDocuments
	}
	b, err := a.builder(crypto.SHA256)
	if err != nil {
		return err
	}
	doc, password, err := s.openPDF(ctx, j.Blob, j.copy, j.copy.size)
	if err != nil {
		return err
	}
	j.password = password
	if j.token, err = s.tokenSize(a, j.Index); err != nil {
		return err
	}
	if j.pdf, err = s.preparePDF(doc, &a.Request.Options, j.Index, a.Credential, b, j.token); err != nil {
		return err
	}
	j.hash = crypto.SHA256
	j.digest, err = j.pdf.DigestAfter(j.copy.hash, j.copy.size)
	return err
}

// use gives the key what is to be signed, and keeps what came of it until that is stored: one use of
// the key for one document.
func (a *Authorization) use(ctx context.Context, jobs []job) error {
	hashes := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}
	for k := range jobs {
		if j := &jobs[k]; j.toSign != nil && !slices.Contains(hashes, j.hash) {
			return fmt.Errorf("signing: digest algorithm %v", j.hash)
		}
	}
	for _, h := range hashes {
		var these []*job
		var digests [][]byte
		for k := range jobs {
			if j := &jobs[k]; j.out.Refused == nil && j.toSign != nil && j.hash == h {
				these, digests = append(these, j), append(digests, j.toSign)
			}
		}
		if len(these) == 0 {
			continue
		}
		sigs, err := a.key.SignAll(ctx, digests, a.Request.Options.signerOpts(h))
		for i, sig := range sigs {
			err = errors.Join(err, a.assemble(these[i], sig))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// assemble takes in a signature value that [Key.SignAll] has verified.
func (a *Authorization) assemble(j *job, sig []byte) (err error) {
	if j.builder == nil {
		j.out.Signature = sig
		a.keepMade(j.Index, made{value: sig})
		return nil
	}
	if j.der, err = j.builder.AssembleVerified(j.attrs, sig, j.digest); err != nil {
		return fmt.Errorf("assembling SignedData: %w", err)
	}
	a.keepMade(j.Index, made{der: j.der, token: j.token})
	return nil
}

// finishers is how many documents of a parcel are finished at once where services are asked for that:
// while one waits, another is worked at.
const finishers = 2

// Parcel is how many documents are best given to [Signer.Sign] at once. At levels above B-B each brings
// evidence that is held in memory, and all wait for the slowest.
func (a *Authorization) Parcel() int {
	o := &a.Request.Options
	above := stamped(o.PAdES.Level)
	for _, each := range o.Each {
		above = above || stamped(each.Level)
	}
	if above {
		return 4
	}
	return 8
}

// Panic is what Sign panics with when that began in a goroutine beside the caller's. It keeps where, and not
// the value, which may hold secrets.
type Panic struct{ Stack []byte }

// finishAll brings signatures to their levels. What panics over one panics here, when nothing works
// at the others any more.
func (s *Signer) finishAll(ctx context.Context, a *Authorization, jobs []job) error {
	errs, panics := make([]error, len(jobs)), make([]*Panic, len(jobs))
	var at atomic.Int64
	work := func() {
		for {
			k := int(at.Add(1)) - 1
			if k >= len(jobs) {
				return
			}
			func() {
				defer func() {
					switch v := recover().(type) {
					case nil:
					case *Panic:
						panics[k] = v
					default:
						panics[k] = &Panic{debug.Stack()}
					}
				}()
				errs[k] = jobs[k].refused(s.finishOne(ctx, a, &jobs[k]))
			}()
		}
	}
	var beside sync.WaitGroup
	if len(jobs) > 1 && a.asks(jobs) {
		for range finishers - 1 {
			beside.Go(work)
		}
	}
	work()
	beside.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return errors.Join(errs...)
}

// asks says whether the level of any of jobs needs a service.
func (a *Authorization) asks(jobs []job) bool {
	return slices.ContainsFunc(jobs, func(j job) bool { return stamped(reached(&a.Request.Options, j.Index)) })
}

// finishOne brings a signature to its level, or takes it from the try before, in which another
// document of the parcel failed.
func (s *Signer) finishOne(ctx context.Context, a *Authorization, j *job) (err error) {
	if j.out.Refused != nil || j.builder == nil {
		return nil
	}
	if before := a.endedBefore(j.Index); before != nil && j.toSign == nil {
		j.end = *before
	} else if j.pdf != nil {
		j.end, err = s.finish(ctx, a, j.Index, j.pdf, j.der, j.password)
	} else {
		j.end, err = s.finishCMS(ctx, a, j)
	}
	if err != nil {
		return err
	}
	if level := string(j.end.level); stamped(level) && level == reached(&a.Request.Options, j.Index) {
		a.keepEnd(j.Index, j.end)
	}
	j.out.Timestamp, j.out.Level = j.end.at, string(j.end.level)
	if j.pdf == nil {
		j.out.Signature = j.end.contents
	}
	return nil
}

// shared is the largest signed document, in bytes, that is kept in one file with others.
const shared = inMemory

// keep writes signed PDFs. What claims before these left no row names, nor can any: it goes. It
// includes what was left of files that documents shared: they have the name of the claim of the
// first of them, which was stored with the others or not at all.
func (s *Signer) keep(ctx context.Context, a *Authorization, jobs []job) error {
	var together []*job
	for k := range jobs {
		j := &jobs[k]
		if j.copy == nil {
			continue
		}
		names := SignedBlobs(a.Request.Batch, j.Index, j.Attempt)
		last := len(names) - 1
		if last > 1 {
			if err := s.remove(ctx, names[:last]...); err != nil {
				return fmt.Errorf("removing what was not stored: %w", err)
			}
		}
		if j.out.Refused != nil {
			continue
		}
		j.name = names[last]
		if a.Request.Options.Work == nil && j.copy.size <= shared {
			together = append(together, j)
		} else if err := s.keepAlone(ctx, a, j); err != nil {
			return err
		}
	}
	if len(together) == 0 {
		return nil
	}
	pack := together[0].name
	_, err := s.Blobs.Stage(ctx, pack, func(w io.Writer) error {
		at := int64(0)
		for _, j := range together {
			n, err := j.write(w)
			if err != nil {
				return err
			}
			if j.out.Size, j.out.Blob = n, pack; len(together) > 1 {
				j.out.Blob = SignedPart(pack, at, n)
			}
			at += n
		}
		return nil
	})
	var bad *pdf.Error
	if errors.As(err, &bad) { // one that has no room for its signature: the others have
		for _, j := range together {
			if err := j.refused(s.keepAlone(ctx, a, j)); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing signed documents: %w", err)
	}
	return nil
}

// write writes the signed document, and says how many bytes it has.
func (j *job) write(w io.Writer) (int64, error) {
	n, err := j.pdf.Complete(w, j.end.contents)
	if err != nil {
		return n, err
	}
	more, err := w.Write(j.end.more)
	return n + int64(more), err
}

// keepAlone writes a signed document into a file of its own, with what a role that is next needs.
func (s *Signer) keepAlone(ctx context.Context, a *Authorization, j *job) (err error) {
	j.out.Blob = j.name
	work, sum := a.Request.Options.Work, sha256.New()
	j.out.Size, err = s.Blobs.Stage(ctx, j.out.Blob, func(w io.Writer) error {
		if work != nil {
			w = io.MultiWriter(w, sum)
		}
		_, err := j.write(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing signed document: %w", err)
	}
	if work == nil {
		return nil
	}
	j.out.Result = sum.Sum(nil)
	if len(j.password) == 0 {
		return nil
	}
	again := secret.New(string(j.password))
	defer again.Wipe()
	return s.SealPassword(ctx, j.out.Blob, again)
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
	var written []Outcome
	for k := range out {
		if out[k].Blob != "" && !out[k].durable {
			fresh, written = append(fresh, k), append(written, out[k])
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := s.Blobs.Sync(context.WithoutCancel(ctx), blobsOf(written)...)
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

// blobsOf are the files of outcomes, each once.
func blobsOf(out []Outcome) (names []string) {
	seen := make(map[string]bool, len(out))
	for _, o := range out {
		if file := PackOf(o.Blob); file != "" && !seen[file] {
			seen[file] = true
			names = append(names, file)
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
