package batch

import (
	"context"
	"io"
)

// Gate is a gate for tests.
type Gate struct{ g gate }

// Lane is a lane of it.
type Lane struct{ l lane }

// NewGate has so many places.
func NewGate(places int) *Gate { return &Gate{gate{free: places}} }

// Enter waits for a place.
func (g *Gate) Enter(ctx context.Context, l *Lane) error { return g.g.enter(ctx, &l.l) }

// Leave gives it back.
func (g *Gate) Leave() { g.g.leave() }

// Idle says that nobody waits, and how many places are free.
func (g *Gate) Idle() (free int, idle bool) { return g.g.free, len(g.g.lanes) == 0 }

// ReadZIP counts a ZIP's files.
func ReadZIP(f io.ReaderAt, size int64, limit int) (int, error) {
	zr, err := readZIP(f, size, limit)
	if err != nil {
		return 0, err
	}
	return len(zr.File), nil
}
