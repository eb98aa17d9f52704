package keylock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/internal/keylock"
)

func TestLockExcludes(t *testing.T) {
	var l keylock.Locks
	var wg sync.WaitGroup
	counts := map[string]*int{"a": new(int), "b": new(int)}
	for k := range 200 {
		wg.Go(func() {
			key := []string{"a", "b"}[k%2]
			unlock, err := l.Lock(context.Background(), key)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			*counts[key]++ // the race detector watches
		})
	}
	wg.Wait()
	if *counts["a"] != 100 || *counts["b"] != 100 {
		t.Fatalf("%d, %d", *counts["a"], *counts["b"])
	}
}

func TestLockWaitsNoLongerThanContext(t *testing.T) {
	var l keylock.Locks
	unlock, err := l.Lock(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for k := range 3 {
		if _, err := l.Lock(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Fatalf("%d: %v", k, err)
		}
		if u, err := l.Lock(context.Background(), fmt.Sprint("other", k)); err != nil {
			t.Fatal(err)
		} else {
			u()
		}
	}
	unlock()
	if u, err := l.Lock(context.Background(), "a"); err != nil {
		t.Fatal(err)
	} else {
		u()
	}
}
