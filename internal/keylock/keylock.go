// Package keylock is a mutex for each of many keys, within one process. Memory
// follows the keys held or waited for.
package keylock

import (
	"context"
	"sync"
)

// Locks is ready for use when zero.
type Locks struct {
	mu sync.Mutex
	m  map[string]*entry
}

type entry struct {
	held chan struct{} // holds one token while nobody holds the key
	refs int
}

// Lock waits for key until ctx ends, and returns the function that frees it.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = map[string]*entry{}
	}
	e := l.m[key]
	if e == nil {
		e = &entry{held: make(chan struct{}, 1)}
		e.held <- struct{}{}
		l.m[key] = e
	}
	e.refs++
	l.mu.Unlock()
	select {
	case <-e.held:
		return func() {
			e.held <- struct{}{}
			l.forget(key, e)
		}, nil
	case <-ctx.Done():
		l.forget(key, e)
		return nil, ctx.Err()
	}
}

func (l *Locks) forget(key string, e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.refs--; e.refs == 0 {
		delete(l.m, key)
	}
}
