package batch

import (
	"context"
	"errors"
	"fmt"

	"github.com/mohor-sign/mohor/audit"
)

// Pausing and the others are what an administrator can do with a batch; none of it signs.
const (
	Pausing    = "pause"
	Resuming   = "resume"
	Cancelling = "cancel"
	Retrying   = "retry" // all that was refused waits for another PIN and code
)

// Turn does what with a batch for somebody who was allowed to; ev says who and why, and is appended
// with it. Errors are those of [Service.Pause] and the others.
func (s *Service) Turn(ctx context.Context, what, id string, ev audit.Event) (Batch, error) {
	b, err := s.Queue.Batch(ctx, id)
	if err != nil {
		return b, err
	}
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return b, err
	}
	defer unlock()
	switch what {
	case Pausing:
		err = s.Queue.PauseBatch(ctx, id, ev)
	case Resuming:
		err = s.Queue.ResumeBatch(ctx, id, ev)
	case Retrying:
		err = s.Queue.RetryItems(ctx, id, nil, ev)
	default:
		err = s.Queue.CancelBatch(ctx, id, ev)
	}
	if err != nil {
		ev.Verdict, ev.Detail["reason"] = audit.Refused, reason(err)
		if aerr := s.Queue.Audit(context.WithoutCancel(ctx), ev); aerr != nil {
			return b, errors.Join(fmt.Errorf("auditing refusal: %w: %w", audit.ErrNotRecorded, aerr), err)
		}
		return b, err
	}
	if what == Cancelling {
		if err := s.cancelled(ctx, &b); err != nil {
			return b, err
		}
	}
	return s.Queue.Batch(ctx, id)
}
