package enrol

import (
	"context"
	"sync"
)

// atOnce is how many approvals one process completes at once. A store may then write down
// several of them with each commit, and the HSM signs while it does.
const atOnce = 16

// ApproveAll is [Desk.Approve] for many, several at once and in no order. errs has what
// Approve says of each, at its place in ids, and the error of ctx for those that were not
// begun when it ended. Each approval is decided, recorded and completed by itself: one that
// is refused stops no other, and when the process ends in between, Once completes what was
// approved.
func (d *Desk) ApproveAll(ctx context.Context, a Actor, ids []string) (errs []error) {
	errs = make([]error, len(ids))
	// What has begun is not cut off: see Once.
	whole := context.WithoutCancel(ctx)
	next := make(chan int)
	var all sync.WaitGroup
	for range min(atOnce, len(ids)) {
		all.Go(func() {
			for k := range next {
				if errs[k] = ctx.Err(); errs[k] == nil {
					_, errs[k] = d.Approve(whole, a, ids[k])
				}
			}
		})
	}
	for k := range ids {
		next <- k
	}
	close(next)
	all.Wait()
	return errs
}

// rounds does what is due until nothing is left, several things at once. The error is the
// first; after one a round ends.
func (d *Desk) rounds(ctx context.Context) error {
	if ok, err := d.Once(ctx); !ok || err != nil {
		return err // most of the time there is nothing
	}
	errs := make(chan error, atOnce)
	for range atOnce {
		go func() {
			for {
				if ok, err := d.Once(ctx); !ok || err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var first error
	for range atOnce {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}
