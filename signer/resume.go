package signer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Reasons why an authorisation is not resumed.
var (
	ErrActivation = errors.New("activation does not open")
	ErrNoShare    = errors.New("activation's share is gone")
	errRestart    = errors.New("gateway restarted")
	errStopping   = errors.New("gateway is stopping")
)

// Shares is where one half of a split activation waits, apart from the
// database, which has the other: Redis. It may forget at any time: then the
// rest of the batch needs PIN and code, and nothing worse. It must forget by
// itself when ttl is over, keep nothing in any error, and bound its own waits
// to a few seconds. Nobody retries.
type Shares interface {
	// Put keeps share, 32 bytes, under the intent's id for ttl, replacing another.
	Put(ctx context.Context, intent string, share secret.Text, ttl time.Duration) error
	// Load returns a copy, which the caller wipes; ErrNoShare when it is not
	// there, or nobody can say.
	Load(ctx context.Context, intent string) (secret.Text, error)
	// Drop ends it before its time; dropping what is not there is no error.
	Drop(ctx context.Context, intent string) error
}

// Authorised is a document of an intent as it is found later.
type Authorised struct {
	Document
	Done bool // signed or refused under this intent
}

// activate splits the opened key of a batch: the share is stored before the
// intent is committed, the sealed half with it, so that a committed intent that
// names an activation had both halves, and a share without its intent ends by
// itself. A single signature ends with its request and needs none. Whatever
// fails here leaves a batch that signs and cannot be resumed.
func (s *Signer) activate(ctx context.Context, a *Authorization, detail map[string]string) {
	if s.Shares == nil || a.Request.Implicit {
		return
	}
	detail["resumable"] = "yes"
	if a.Unresumable = s.split(ctx, a); a.Unresumable != nil {
		detail["resumable"] = "no"
	}
}

func (s *Signer) split(ctx context.Context, a *Authorization) error {
	share, sealed, err := a.key.Split(ctx, activationContext(&a.Intent, a.Credential), a.Intent.Deadline)
	if err != nil {
		return err
	}
	defer share.Wipe()
	if err := s.Shares.Put(ctx, a.Intent.ID, share, a.Intent.Deadline.Sub(s.Now())); err != nil {
		return err
	}
	a.Intent.Activation = sealed
	return nil
}

// activationContext binds an activation to its sealed intent, deadline
// included, and to the key as it was opened: a changed PIN ends it.
func activationContext(in *Intent, c *Credential) []byte {
	sealed := sha256.Sum256(c.Sealed)
	out := []byte("mohor activation v1\n")
	for _, p := range [][]byte{in.message(), []byte(c.Officer), []byte(c.Algorithm), c.Certificate.Raw, sealed[:]} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return binary.BigEndian.AppendUint32(out, c.Version)
}

// dropShare destroys an activation's share. When it cannot, the share is alone:
// the sealed half goes with the intent, and the deadline ends the share.
func (s *Signer) dropShare(ctx context.Context, in *Intent) {
	if s.Shares != nil {
		_ = s.Shares.Drop(context.WithoutCancel(ctx), in.ID)
	}
}

// leaveFor is the least time to the deadline with which a batch waits for the
// next start.
const leaveFor = time.Minute

// Leave is for a gateway that stops in good order: it says whether a's intent
// stays open for another node or the next start to go on with; if not, Quit it. The caller
// closes a in any case.
func (s *Signer) Leave(ctx context.Context, a *Authorization) (bool, error) {
	if !s.resumable(&a.Intent) || a.Intent.Deadline.Sub(s.Now()) < leaveFor {
		return false, nil
	}
	_, err := s.Records.EndRun(ctx, a.Run, s.left(a, errStopping), nil)
	return err == nil, err
}

// resume rebuilds the authorisation of an intent whose seal was verified. It
// judges everything that Authorize judged but PIN and code, for which both
// halves of the activation stand, and keeps the deadline.
func (s *Signer) resume(ctx context.Context, in Intent) (*Authorization, error) {
	if !s.resumable(&in) {
		return nil, errRestart
	}
	if in.Stopped {
		return nil, ErrCancelled
	}
	if !s.Now().Before(in.Deadline) {
		return nil, ErrDeadline
	}
	ev := audit.Event{At: s.Now(), Actor: "gateway", Action: "signer.resume", Object: in.Transaction, Verdict: audit.Noted, Detail: map[string]string{"intent": in.ID}}
	a, err := s.found(ctx, in)
	if errors.Is(err, ErrDocuments) {
		// What others have ended since it was listed is not as it was, rightly.
		if _, serr := s.Records.State(ctx, Run{Intent: in.ID}); errors.Is(serr, ErrFence) {
			return nil, serr
		}
	}
	if errors.Is(err, ErrDocuments) || errors.Is(err, ErrKeyVersion) {
		ev.Action = "signer.alarm"
		return nil, s.refuse(ctx, ev, err)
	}
	if err != nil {
		return nil, err
	}
	share, err := s.Shares.Load(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	defer share.Wipe()
	key, err := s.Keys.Reopen(ctx, *a.Credential, share, in.Activation, activationContext(&in, a.Credential), in.Deadline)
	if err != nil {
		return nil, err
	}
	a.key = leasedKey{key, a}
	ev.Detail["credential"], ev.Detail["done"] = in.Credential, strconv.Itoa(a.stored)
	ev.Detail["left"], ev.Detail["fingerprint"] = strconv.Itoa(len(a.leaves)-a.stored), Fingerprint(in.Root)
	a.Run = Run{in.ID, s.newRun(), s.lease()}
	began := time.Now()
	if err := s.Records.Resume(ctx, a.Run, ev); err != nil {
		// Perhaps it began all the same.
		_, eerr := s.Records.EndRun(ctx, a.Run, audit.Event{}, nil)
		return nil, errors.Join(err, eerr, a.Close())
	}
	a.extend(began)
	return a, nil
}

// found reads an intent's request, credential and documents and compares them
// with what was sealed; the key is not opened.
func (s *Signer) found(ctx context.Context, in Intent) (*Authorization, error) {
	r, err := s.Records.Request(ctx, in.Transaction)
	if err != nil {
		return nil, err
	}
	_, hash, err := r.Options.Canonical()
	if err != nil || hash != in.OptionsHash || r.OptionsHash != in.OptionsHash || r.Batch != in.Batch || r.Credential != in.Credential ||
		r.Root != in.Root || r.Count != in.Count || r.Status != Signing {
		return nil, ErrDocuments
	}
	if err := s.Templates.same(&r.Options); err != nil {
		return nil, err
	}
	// The key itself is compared by opening it: see activationContext.
	c, err := s.Records.Credential(ctx, r.Officer, r.System, in.Credential)
	if err != nil {
		return nil, err
	}
	if err := c.usable(s.Now()); err != nil {
		return nil, err
	}
	if c.Certificate.SerialNumber.String() != r.Options.Certificate {
		return nil, ErrDocuments
	}
	a := &Authorization{Request: &r, Credential: &c, Intent: in, leaves: make(leaves, 0, in.Count)}
	// Others may be storing outcomes meanwhile: rows and audit are read as of one moment.
	return a, s.Records.Moment(ctx, func(now Records) error { return s.leavesOf(ctx, now, a) })
}

// leavesOf reads the documents of a's intent and what became of them, and compares them with what
// was sealed and with the audit.
func (s *Signer) leavesOf(ctx context.Context, now Records, a *Authorization) error {
	in := a.Intent
	var t Tree
	refs := newReferences()
	for d, err := range now.Authorised(ctx, in) {
		if err != nil {
			return err
		}
		leaf := d.Leaf()
		a.leaves = append(a.leaves, permit{index: d.Index, leaf: leaf, spent: d.Done})
		t.Add(leaf)
		refs.add(&d.Document)
		if d.Done {
			a.stored++
		}
	}
	if n, root := t.Root(); n != in.Count || root != in.Root {
		return ErrDocuments
	}
	if err := refs.same(a.Request); err != nil {
		return err
	}
	// Outcomes in the rows that the audit does not know were stored by somebody
	// else.
	n, err := s.audited(ctx, now, in)
	if err == nil && n != a.stored {
		err = ErrDocuments
	}
	return err
}

// audited counts the outcomes that Complete stored under an intent.
func (s *Signer) audited(ctx context.Context, now Records, in Intent) (n int, err error) {
	events, err := now.Accepted(ctx, in.Transaction, completeAction)
	if err != nil {
		return 0, err
	}
	for _, ev := range events {
		if ev.Detail["intent"] != in.ID {
			continue
		}
		for _, count := range []string{"signed", "refused"} {
			k, err := strconv.Atoi(ev.Detail[count])
			if err != nil {
				return 0, fmt.Errorf("reading audited outcomes: %w", err)
			}
			n += k
		}
	}
	return n, nil
}
