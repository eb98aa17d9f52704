package api

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// audit appends a verdict that this package gave itself; most are given below.
func (s *server) audit(ctx context.Context, action, object, verdict, reason string) error {
	ev := audit.Event{At: s.Now(), Actor: "app:", Action: action, Object: object, Verdict: verdict, RequestID: requestIDOf(ctx)}
	if app := appOf(ctx); app != nil {
		ev.Actor += app.ID
	}
	if reason != "" {
		ev.Detail = map[string]string{"reason": reason}
	}
	return s.Signer.Records.Audit(context.WithoutCancel(ctx), ev)
}

// refused audits a refusal and returns its problem.
func (s *server) refused(ctx context.Context, action, object string, err error) error {
	reason := "internal error"
	if m, ok := meaningOf(err); ok {
		reason = m.code
	}
	return s.fail(ctx, errors.Join(err, s.audit(ctx, action, object, audit.Refused, reason)))
}

// failures counts failed authentications between two audit events: strangers
// must not be able to fill the chain.
type failures struct {
	mu     sync.Mutex
	unsaid int
	said   time.Time
}

// failuresEvery is how often failed authentications make an event.
const failuresEvery = 10 * time.Second

// unauthenticated notes a failed authentication of an app, by a request or at the token
// endpoint; each event says how many.
func (s *server) unauthenticated(ctx context.Context) error {
	s.failed.mu.Lock()
	defer s.failed.mu.Unlock()
	s.failed.unsaid++
	now := s.Now()
	if now.Sub(s.failed.said) < failuresEvery {
		return nil
	}
	ev := audit.Event{At: now, Actor: "address:", Action: "app.authenticate", Verdict: audit.Refused, RequestID: requestIDOf(ctx), Detail: map[string]string{"failures": strconv.Itoa(s.failed.unsaid)}}
	if o := audit.OriginOf(ctx); o != nil {
		ev.Actor += o.Address
	}
	if err := s.Signer.Records.Audit(context.WithoutCancel(ctx), ev); err != nil {
		return err
	}
	s.failed.unsaid, s.failed.said = 0, now
	return nil
}
