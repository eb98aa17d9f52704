package batch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// store completes a chunk. What a disk could not keep is signed again as soon as it can, by again.
func (r *Runner) store(ctx context.Context, a *signer.Authorization, chunk [][]signer.Outcome, patience time.Duration, again func(context.Context, []signer.Claimed) ([]signer.Outcome, error)) (done bool, err error) {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		all := slices.Concat(chunk...)
		done, err = r.complete(ctx, a, all)
		if !errors.Is(err, signer.ErrNotDurable) || time.Since(began)+pause > patience {
			return done, err
		}
		r.Log.Warn("signed documents could not be made durable; they are signed again", "transaction", a.Request.ID, "documents", len(all), "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, err
		}
		for k, parcel := range chunk {
			var docs []signer.Claimed
			var rest []signer.Outcome
			for _, o := range parcel {
				if o.Blob != "" {
					docs = append(docs, o.Claimed())
				} else {
					rest = append(rest, o)
				}
			}
			if len(docs) == 0 {
				continue
			}
			out, err := again(ctx, docs)
			if err != nil {
				return false, err
			}
			chunk[k] = append(rest, out...)
		}
	}
}

// temporary says whether the same may be tried again: nothing is wrong with the document.
func temporary(err error) bool {
	return errors.Is(err, signer.ErrKeysUnavailable) || errors.Is(err, signer.ErrTimestamp) || errors.Is(err, signer.ErrBusy) || errors.Is(err, signer.ErrStoreUnavailable)
}
