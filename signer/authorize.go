package signer

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Confirmation is what the officer gave, with what the app believes is signed.
type Confirmation struct {
	App, Transaction string
	Nonce            [otp.NonceSize]byte
	PIN, Code        secret.Text
	Root             []byte   // compared when not empty
	Digests          [][]byte // compared, in order, when not empty
	// Visit is the browser that sends it from the transaction's page; nil: the app does.
	Visit     *Visit
	RequestID string
}

// Authorization is permission to sign exactly the documents of one intent,
// each once. It holds the opened key: Close it.
type Authorization struct {
	Request    *Request
	Credential *Credential
	Intent     Intent
	Run        Run // this process's; without an ID that of a lone signature

	// Unresumable says why a stop of this batch will need the officer again
	// although there is a place for shares; nil when it will not.
	Unresumable error

	key    Key
	code   otp.Challenge
	mu     sync.Mutex
	leaves leaves // what may be signed
	// made keeps signatures until they are stored, so that a document whose
	// time-stamp could not be had at once is not signed twice.
	made   map[uint32]made
	outage time.Time // since when time-stamps or revocation data cannot be had
	// evidence is what B-LT and B-LTA of all documents share.
	evidence evidence
	ready    []Claimed // handed out with the intent
	builders map[crypto.Hash]*cms.Builder
	stored   int // outcomes stored by this run, and those that it found
	closed   bool
	until    time.Time     // by this machine's clock: no sooner does the lease end
	beaten   chan struct{} // closed at the next sign of life
}

// made is a signature, and the size of the time-stamp its document has room for.
type made struct {
	value []byte // of a signature without SignedData
	der   []byte
	token int
	with  []byte    // the signature with its time-stamp, once there is one
	at    time.Time // of the time-stamp
	end   *finished // the signature at its level, once it is
}

// complete counts stored outcomes; it reports whether the batch is said to be
// done without as many as were authorised.
func (a *Authorization) complete(n int, done bool) (foul bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored += n
	return done && a.stored != len(a.leaves)
}

// MaxIntent is longer than any authorisation runs.
const MaxIntent = 24 * time.Hour

// judgeFor bounds one judgement, which a client that goes away does not stop.
const judgeFor = 30 * time.Second

// Authorize judges in this order: transaction live, nonce, documents → PIN lock
// and certificate status → one try reserved → code → PIN counted → PIN opens
// the key → code spent and intent recorded in one transaction. Every verdict
// is audited. Until that transaction commits the code lives on for the tries
// it has left; with it the code is spent.
func (s *Signer) Authorize(ctx context.Context, f Confirmation) (*Authorization, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + f.App, Action: "signer.authorize", Object: f.Transaction, RequestID: f.RequestID}
	r, err := s.Request(ctx, f.App, f.Transaction)
	if err != nil {
		return nil, s.refuse(ctx, ev, err)
	}
	ev.Actor, ev.Detail = "officer:"+r.Officer, map[string]string{"app": f.App}
	if f.Visit != nil {
		ev.Detail["agent"] = f.Visit.Agent
	}
	if (r.Page == nil) != (f.Visit == nil) || f.Visit != nil && !r.Page.holds(f.Visit) {
		return nil, s.refuse(ctx, ev, ErrHosted)
	}
	// One confirmation of an officer at a time, so that right PINs in parallel do
	// not count against each other; and a client that goes away does not leave a
	// PIN counted and not judged.
	unlock, err := s.confirming.Lock(ctx, r.Officer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeFor)
	defer cancel()
	if r, err = s.Request(ctx, f.App, f.Transaction); err != nil {
		return nil, s.refuse(ctx, ev, err)
	}
	a, err := s.judge(ctx, r, &f)
	if err != nil {
		return nil, s.refuse(ctx, ev, err)
	}
	ev.Verdict = audit.Accepted
	ev.Detail["intent"], ev.Detail["credential"] = a.Intent.ID, r.Credential
	ev.Detail["channel"] = a.code.Channel // the code's MAC holds it too
	if w := r.Options.Work; w != nil {
		ev.Detail["process"], ev.Detail["role"] = w.Process, w.Role
	}
	ev.Detail["count"], ev.Detail["fingerprint"] = strconv.FormatUint(uint64(r.Count), 10), Fingerprint(r.Root)
	s.activate(ctx, a, ev.Detail)
	began := time.Now()
	// The intent and the end of the code are one commit: after it we can always
	// say what this key was about to sign; before it the code is still live.
	n := 0
	if r.Count == 1 {
		n = 1
	}
	if a.ready, err = s.Records.RecordIntent(ctx, a.Intent, f.Nonce, r.Officer, n, ev); err != nil {
		err = errors.Join(s.refuse(ctx, ev, err), a.Close())
		if len(a.Intent.Activation) > 0 {
			s.dropShare(ctx, &a.Intent)
		}
		if errors.Is(err, otp.ErrUsed) || errors.Is(err, otp.ErrNonce) || errors.Is(err, ErrFinished) || misplaced(err) {
			// The PIN was right, only another submit, a resend, an end or another
			// signatory was first. Nothing was committed.
			return nil, errors.Join(err, s.Records.UncountPIN(ctx, r.Officer, s.PIN))
		}
		// Perhaps the intent was committed and the answer lost: then nobody holds
		// the key it names, and it must not stay open. If it was not, there is
		// nothing to abandon.
		if aerr := s.Abandon(ctx, a.Intent, err); aerr != nil && !errors.Is(aerr, ErrUnknown) {
			err = errors.Join(err, aerr)
		}
		return nil, err
	}
	a.extend(began)
	_ = s.Codes.Forget(ctx, a.code) // redeemed already: only housekeeping
	return a, nil
}

// judge runs the checks in order and returns an authorisation whose intent is
// sealed and not yet recorded.
func (s *Signer) judge(ctx context.Context, r *Request, f *Confirmation) (*Authorization, error) {
	if err := s.live(r); err != nil {
		return nil, err
	}
	ch, err := s.Codes.Records.Challenge(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(ch.Nonce[:], f.Nonce[:]) != 1 {
		return nil, otp.ErrNonce
	}
	permitted, err := s.documents(ctx, r, f)
	if errors.Is(err, ErrDocuments) {
		// What another node has signed since the request was read is pending no more.
		if ch, cerr := s.Codes.Records.Challenge(ctx, r.ID); cerr == nil && ch.Redeemed {
			return nil, otp.ErrUsed
		}
	}
	if err != nil {
		return nil, err
	}
	if r.Step > 0 { // the intent asks again
		if err := s.Records.Place(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	now := s.Now()
	c, err := s.Records.Credential(ctx, r.Officer, r.System, r.Credential)
	if err != nil {
		return nil, err
	}
	if err := c.PIN.locked(now); err != nil {
		return nil, err
	}
	if err := c.usable(now); err != nil {
		return nil, err
	}
	if c.Certificate.SerialNumber.String() != r.Options.Certificate {
		return nil, ErrDocuments
	}
	left, err := s.Codes.Check(ctx, r.binding(), f.Nonce, f.Code)
	if err != nil {
		if errors.Is(err, otp.ErrWrong) {
			err = &AttemptsError{err, left}
		}
		return nil, err
	}
	// The code was right; only now is the PIN looked at, and counted first.
	st, err := s.Records.CountPIN(ctx, r.Officer, s.PIN, now)
	if err != nil {
		return nil, err
	}
	made := now.UTC().Truncate(time.Second)
	deadline := made.Add(s.IntentBase + time.Duration(r.Count)*s.IntentPerDocument)
	if end := c.Certificate.NotAfter; end.Before(deadline) { // a signature behind it would not verify
		deadline = end
	}
	key, err := s.Keys.Open(ctx, c, f.PIN, KeyUse{Bulk: !r.Implicit, Until: deadline})
	if errors.Is(err, ErrPINWrong) {
		return nil, s.wrongPIN(err, c.Officer, st)
	}
	if err != nil {
		// The PIN was not judged: the count is given back.
		return nil, errors.Join(err, s.Records.UncountPIN(ctx, r.Officer, s.PIN))
	}
	in := Intent{
		ID: ident.New("in", 16), Transaction: r.ID, Credential: c.ID, Batch: r.Batch, Root: r.Root, Count: r.Count, OptionsHash: r.OptionsHash,
		CreatedAt: made, Deadline: deadline, Lease: s.lease(),
	}
	if !r.Implicit || r.Count > 1 {
		in.Run = s.newRun()
	}
	if in.Seal, err = s.MAC.MAC(ctx, in.message()); err != nil {
		return nil, errors.Join(ErrKeysUnavailable, err, key.Close(), s.Records.UncountPIN(ctx, r.Officer, s.PIN))
	}
	a := &Authorization{Request: r, Credential: &c, Intent: in, Run: Run{in.ID, in.Run, in.Lease}, code: ch, leaves: permitted}
	a.key = leasedKey{key, a}
	return a, nil
}

// documents reads the rows that are to be signed, compares them and how they
// are to be signed with what the code was bound to and with what the app
// believes, and keeps the leaves.
func (s *Signer) documents(ctx context.Context, r *Request, f *Confirmation) (leaves, error) {
	if len(f.Root) > 0 && !bytes.Equal(f.Root, r.Root[:]) {
		return nil, ErrDocuments
	}
	if len(f.Digests) > 0 && len(f.Digests) != int(r.Count) {
		return nil, ErrDocuments
	}
	permitted := make(leaves, 0, r.Count)
	var t Tree
	refs := newReferences()
	for d, err := range s.Records.Pending(ctx, r.Batch) {
		if err != nil {
			return nil, err
		}
		if n := len(permitted); len(f.Digests) > 0 && (n >= len(f.Digests) || !bytes.Equal(f.Digests[n], d.Digest)) {
			return nil, ErrDocuments
		}
		leaf := d.Leaf()
		permitted = append(permitted, permit{index: d.Index, leaf: leaf})
		t.Add(leaf)
		refs.add(&d)
	}
	if n, root := t.Root(); n != r.Count || root != r.Root {
		return nil, ErrDocuments
	}
	if _, hash, err := r.Options.Canonical(); err != nil || hash != r.OptionsHash {
		return nil, ErrDocuments
	}
	if err := refs.same(r); err != nil {
		return nil, err
	}
	return permitted, s.Templates.same(&r.Options)
}

// message is the input of the seal.
func (in *Intent) message() []byte {
	out := []byte("mohor intent v1\n")
	add := func(p []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	for _, s := range []string{in.ID, in.Transaction, in.Credential, in.Batch} {
		add([]byte(s))
	}
	add(in.Root[:])
	add(binary.BigEndian.AppendUint32(nil, in.Count))
	add(in.OptionsHash[:])
	add(binary.BigEndian.AppendUint64(nil, uint64(in.CreatedAt.Unix())))
	add(binary.BigEndian.AppendUint64(nil, uint64(in.Deadline.Unix())))
	return out
}

// VerifySeal recomputes the seal of a stored intent; ErrDocuments when it is
// not what the HSM sealed.
func (s *Signer) VerifySeal(ctx context.Context, in Intent) error {
	want, err := s.MAC.MAC(ctx, in.message())
	if err != nil {
		return errors.Join(ErrKeysUnavailable, err)
	}
	if subtle.ConstantTimeCompare(want, in.Seal) != 1 {
		return ErrDocuments
	}
	return nil
}

// spend marks a document as signed under this authorisation.
func (a *Authorization) spend(d *Document, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.leaves.of(d.Index)
	switch {
	case a.closed || !now.Before(a.Intent.Deadline):
		return ErrDeadline
	case p == nil || p.leaf != d.Leaf():
		return ErrDocuments
	case p.spent:
		return ErrSpent
	}
	p.spent = true
	return nil
}

// unspend takes a spending back when no signature came of it.
func (a *Authorization) unspend(index uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.leaves.of(index); p != nil {
		p.spent = false
	}
}

// permit is permission to sign one document, once.
type permit struct {
	index uint32
	spent bool
	leaf  [32]byte
}

// leaves are permits by ascending index; a map of 100,000 takes twice the memory.
type leaves []permit

// of gives the permit of a document, nil when there is none.
func (l leaves) of(index uint32) *permit {
	k, ok := slices.BinarySearchFunc(l, index, func(p permit, index uint32) int { return cmp.Compare(p.index, index) })
	if !ok {
		return nil
	}
	return &l[k]
}

// Close destroys the opened key. Closing twice is no error.
func (a *Authorization) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	return a.key.Close()
}
