package hsm

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog notices work in the module that does not end. It looks at the places of the pool and at
// what is guarded; being watched costs two stores.
type watchdog struct {
	limit time.Duration // for guarded calls
	hung  func(what string)
	link  atomic.Pointer[link]
	began time.Time
	since atomic.Int64 // when the guarded call began, as time since began; 0: none
	done  chan struct{}
	once  sync.Once
}

// newWatchdog watches until stop. hung is called once for each hang, and may not come back.
func newWatchdog(limit time.Duration, hung func(what string)) *watchdog {
	w := &watchdog{limit: guardedCalls * limit, hung: hung, began: time.Now().Add(-time.Second), done: make(chan struct{})}
	go w.run(max(limit/8, 10*time.Millisecond))
	return w
}

// guardedCalls times CallTimeout is what connecting may take: initialising, finding, logging in.
const guardedCalls = 5

func (w *watchdog) stop() { w.once.Do(func() { close(w.done) }) }

// look makes l the link whose work is watched; nil for none.
func (w *watchdog) look(l *link) { w.link.Store(l) }

// guard runs f, which may call the module outside of any pool. One f at a time.
func (w *watchdog) guard(f func()) {
	w.since.Store(int64(time.Since(w.began)))
	defer w.since.Store(0)
	f()
}

func (w *watchdog) run(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	said := false
	for {
		select {
		case <-w.done:
			return
		case <-t.C:
		}
		what, hangs := w.hangs()
		if hangs && !said {
			w.hung(what)
		}
		said = hangs
	}
}

func (w *watchdog) hangs() (what string, hangs bool) {
	if since := w.since.Load(); since != 0 {
		if d := time.Since(w.began) - time.Duration(since); d > w.limit {
			return fmt.Sprintf("connecting or finalizing has not ended after %v", d.Round(time.Millisecond)), true
		}
	}
	l := w.link.Load()
	if l == nil {
		return "", false
	}
	if past, ok := l.pool.longest(); ok {
		return fmt.Sprintf("a call has not come back, %v past its time", past.Round(time.Millisecond)), true
	}
	if past, ok := l.services.longest(); ok {
		return fmt.Sprintf("a call with a service key has not come back, %v past its time", past.Round(time.Millisecond)), true
	}
	return "", false
}
