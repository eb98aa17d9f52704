package batch

import (
	"context"
	"slices"
	"sync"
)

// gate lets so many documents be in work at once, however many batches there are. Batches that wait
// take turns, a document at a time: a small one beside a large one ends soon.
type gate struct {
	mu    sync.Mutex
	free  int
	lanes []*lane // in which somebody waits, the next one first
}

// lane is where the documents of one batch wait.
type lane struct{ waiting []chan struct{} }

// enter waits for a place; whoever got one leaves it. The error is that of ctx.
func (g *gate) enter(ctx context.Context, l *lane) error {
	g.mu.Lock()
	if g.free > 0 { // nobody waits
		g.free--
		g.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	if l.waiting = append(l.waiting, mine); len(l.waiting) == 1 {
		g.lanes = append(g.lanes, l)
	}
	g.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	k := slices.Index(l.waiting, mine)
	if k >= 0 {
		if l.waiting = slices.Delete(l.waiting, k, k+1); len(l.waiting) == 0 {
			g.lanes = slices.DeleteFunc(g.lanes, func(x *lane) bool { return x == l })
		}
	}
	g.mu.Unlock()
	if k < 0 { // the place was given at this moment
		g.leave()
	}
	return ctx.Err()
}

// leave gives the place to the next lane in turn.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lanes) == 0 {
		g.free++
		return
	}
	l := g.lanes[0]
	g.lanes = g.lanes[1:]
	next := l.waiting[0]
	if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
		g.lanes = append(g.lanes, l)
	}
	close(next)
}

// turn is a place among the batches that are signed at once. It has one user at a time.
type turn struct {
	turns chan struct{} // nil: everybody has one
	held  bool
}

// take waits for the place, unless it is held.
func (t *turn) take(ctx context.Context) error {
	if t.turns == nil || t.held {
		return nil
	}
	select {
	case t.turns <- struct{}{}:
		t.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give leaves the place to another, if it is held.
func (t *turn) give() {
	if t.held {
		<-t.turns
		t.held = false
	}
}
