package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/otp"
)

// RunCodes is what every place for live codes passes; c must be empty. pass
// returns when the given time has passed for c.
func RunCodes(t *testing.T, c otp.Codes, pass func(time.Duration)) {
	ctx := context.Background()
	mac := func(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }
	holds := func(key string, fill byte, limit int) {
		t.Helper()
		if got, err := c.Try(ctx, key, limit); err != nil || !bytes.Equal(got, mac(fill)) {
			t.Errorf("%s: %x, %v", key, got, err)
		}
	}
	refuses := func(key string, limit int, want error) {
		t.Helper()
		if got, err := c.Try(ctx, key, limit); !errors.Is(err, want) || got != nil {
			t.Errorf("%s: %x, %v, want %v", key, got, err, want)
		}
	}
	finds := func(key string, want error) {
		t.Helper()
		if err := c.Find(ctx, key); !errors.Is(err, want) {
			t.Errorf("looking for %s: %v, want %v", key, err, want)
		}
	}
	refuses("otp:tx_1:00", 3, otp.ErrExpired)
	finds("otp:tx_1:00", otp.ErrExpired)
	must(t, c.Drop(ctx, "otp:tx_1:00"))

	must(t, c.Put(ctx, "a", mac(1), time.Hour))
	must(t, c.Put(ctx, "b", mac(2), time.Hour))
	for range 3 {
		finds("a", nil) // and counts nothing
		holds("a", 1, 3)
	}
	refuses("a", 3, otp.ErrAttempts)
	finds("a", nil)
	refuses("a", 3, otp.ErrAttempts)
	holds("b", 2, 3) // each has a count of its own
	must(t, c.Put(ctx, "a", mac(3), time.Hour))
	holds("a", 3, 1) // a new code, a new count
	refuses("a", 1, otp.ErrAttempts)
	must(t, c.Drop(ctx, "a"))
	finds("a", otp.ErrExpired)
	refuses("a", 3, otp.ErrExpired)

	// Bytes of all kinds come back.
	odd := []byte("\x00\xff\r\n spent '\"\x80 0123456789abcdefghij")[:32]
	must(t, c.Put(ctx, "odd", odd, time.Hour))
	if got, err := c.Try(ctx, "odd", 1); err != nil || !bytes.Equal(got, odd) {
		t.Errorf("got %x, %v", got, err)
	}

	// So many comparisons are granted to exactly as many callers.
	must(t, c.Put(ctx, "race", mac(4), time.Hour))
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch got, err := c.Try(ctx, "race", 3); {
			case err == nil && bytes.Equal(got, mac(4)):
				granted.Add(1)
			case !errors.Is(err, otp.ErrAttempts):
				t.Errorf("%x, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := granted.Load(); n != 3 {
		t.Errorf("%d of 50 were granted 3 comparisons", n)
	}

	must(t, c.Put(ctx, "short", mac(5), 50*time.Millisecond))
	pass(50 * time.Millisecond)
	finds("short", otp.ErrExpired)
	refuses("short", 3, otp.ErrExpired)
	holds("b", 2, 3)
	for k := range 200 { // nothing of one key is in another
		must(t, c.Put(ctx, fmt.Sprintf("k%d", k), mac(byte(k)), time.Hour))
	}
	for k := range 200 {
		holds(fmt.Sprintf("k%d", k), byte(k), 1)
	}
}
