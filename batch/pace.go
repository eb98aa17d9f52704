package batch

import (
	"context"
	"time"
)

// Commit is a moment at which signed items were stored together.
type Commit struct {
	At    time.Time
	Items int
}

// Pace is how a batch goes on.
type Pace struct {
	Rate    float64           // signed items a second: the last ones while it signs, all when it is done
	ETA     time.Time         // when the rest is signed at this rate; zero when nobody can say
	Refused map[string]uint32 // refused items by code
}

// recent is from how many of the last items the rate is taken.
const recent = 1000

// Pace tells how b goes on. It reads the last thousand signed items, and counts refused ones if there
// are any.
func (s *Service) Pace(ctx context.Context, b *Batch) (p Pace, err error) {
	if b.Refused > 0 {
		if p.Refused, err = s.Queue.RefusedBy(ctx, b.ID); err != nil {
			return p, err
		}
	}
	switch b.Status {
	case Signing:
		commits, err := s.Queue.Commits(ctx, b.ID, recent)
		if err != nil {
			return p, err
		}
		now := s.Now()
		if p.Rate = Rate(commits, b.StartedAt, now); p.Rate > 0 {
			p.ETA = now.Add(time.Duration(float64(b.Pending) / p.Rate * float64(time.Second))).UTC().Truncate(time.Second)
		}
	case Signed, SignedWithRefusals:
		if d := b.FinishedAt.Sub(b.StartedAt).Seconds(); d > 0 {
			p.Rate = float64(b.Signed) / d
		}
	}
	return p, nil
}

// stalled is the least time without a commit that counts as none being made.
const stalled = 5 * time.Second

// Rate is how many items a second the commits, in their order, show: those behind the first, over the
// time since it. Until there is a second, the time since began counts. Once none has come for long, it
// falls.
func Rate(commits []Commit, began, now time.Time) float64 {
	if len(commits) == 0 {
		return 0
	}
	first, last, items := began, commits[len(commits)-1].At, 0
	if len(commits) > 1 {
		first, commits = commits[0].At, commits[1:]
	}
	for _, c := range commits {
		items += c.Items
	}
	end, gap := last, last.Sub(first)/time.Duration(len(commits))
	if now.Sub(last) > max(stalled, 3*gap) {
		end = now
	}
	if d := end.Sub(first).Seconds(); d > 0 {
		return float64(items) / d
	}
	return 0
}
