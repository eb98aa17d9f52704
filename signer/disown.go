package signer

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// linkOutlives is how long after its transaction a link "this was not me" still
// works: an officer on leave for a day can say so.
const linkOutlives = 24 * time.Hour

// errSigned is the reason in the audit when it is too late.
var errSigned = errors.New("already confirmed with PIN and code")

// Asked returns the transaction whose newest message carries the link with
// this token, and when that message's code was issued. It changes nothing, so
// that programs which follow every link in a mail do no harm. ErrUnknown: there
// is no such link, it was used or replaced, or its transaction ran out a day ago.
func (s *Signer) Asked(ctx context.Context, token secret.Text) (*Request, time.Time, error) {
	r, at, err := s.Records.Linked(ctx, sha256.Sum256(token.Reveal()), s.Now().Add(-linkOutlives))
	if err != nil {
		return nil, time.Time{}, err
	}
	return &r, at, nil
}

// Disown is the officer's "this was not me", said through the link in the
// message: a WAITING transaction is cancelled and its code dropped. What was
// already confirmed cannot be undone. It returns the transaction as it is then,
// with the time as Asked, and uses up the link, so that a second call finds nothing.
// ErrUnknown as Asked.
//
// Each use is told to AlarmTo, and audited as an alarm, "transaction.disown":
// accepted when it cancelled, noted when there was nothing left to cancel, refused
// when it came too late. Nobody proved to be the officer: whoever reads the mail can do this,
// and can do nothing else with it.
func (s *Signer) Disown(ctx context.Context, token secret.Text, requestID string) (*Request, time.Time, error) {
	sum := sha256.Sum256(token.Reveal())
	for {
		r, at, err := s.Asked(ctx, token)
		if err != nil {
			return nil, at, err
		}
		switch err := s.Records.Disown(ctx, sum, r.Status, s.AlarmTo, s.disowned(r, requestID)); {
		case errors.Is(err, ErrFinished):
			continue // confirmed or ended meanwhile; states only go forward, so this ends
		case err != nil:
			return nil, time.Time{}, err
		}
		if r.Status != Waiting {
			return r, at, nil
		}
		r.Status = Cancelled
		if c, err := s.Codes.Records.Challenge(ctx, r.ID); err == nil {
			_ = s.Codes.Forget(ctx, c) // a cancelled transaction has no use for it: only housekeeping
		}
		return r, at, nil
	}
}

// disowned is the event; its words depend on what is left to be done.
func (s *Signer) disowned(r *Request, requestID string) audit.Event {
	ev := audit.Event{At: s.Now(), Actor: "officer:link", Action: "transaction.disown", Object: r.ID, Verdict: audit.Accepted, RequestID: requestID,
		Detail: map[string]string{"officer": r.Officer, "app": r.App, "system": r.System, "credential": r.Credential, "status": string(r.Status),
			"count": strconv.FormatUint(uint64(r.Count), 10), "fingerprint": Fingerprint(r.Root)}}
	switch {
	case r.Confirmed():
		ev.Verdict, ev.Detail["reason"] = audit.Refused, errSigned.Error()
	case r.Status != Waiting:
		ev.Verdict = audit.Noted
	}
	return ev
}

// Classified says that neither titles nor total may travel.
func (r *Request) Classified() bool { return Classified(r.Class) }

// Classified says whether a classification is more than open.
func Classified(class string) bool { return class != "" && class != "terbuka" }

// Confirmed says that somebody gave the right PIN and code: documents are being
// signed, or were.
func (r *Request) Confirmed() bool {
	switch r.Status {
	case Waiting, Expired, Cancelled:
		return false
	}
	return true
}
