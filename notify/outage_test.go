package notify_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// crowd serves many connections with serve until the test ends.
func crowd(t *testing.T, serve func(*net.TCPConn)) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				serve(c.(*net.TCPConn))
				_ = c.Close()
			})
		}
	})
	return l.Addr().String(), func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	}
}

// A server that refuses the recipient for good is asked as often as codes are
// sent to an officer, whatever an app does; one that refuses us costs the officer
// nothing.
func TestDeadAddressIsNotTriedWithoutEnd(t *testing.T) {
	for _, c := range []struct {
		verb, reply string
		counts      bool
	}{{"RCPT", "550 5.1.1 no such user", true}, {".", "554 5.7.1 not this", true}, {"EHLO", "554 5.7.1 not you", false}, {"MAIL", "550 5.7.1 not from you", false}} {
		t.Run(c.verb, func(t *testing.T) {
			var said atomic.Int64
			addr, stop := crowd(t, func(conn *net.TCPConn) {
				converse(conn, func(line string) string {
					if !strings.HasPrefix(line, c.verb) && (c.verb != "EHLO" || !strings.HasPrefix(line, "HELO")) {
						return ""
					}
					said.Add(1)
					return c.reply
				})
			})
			defer stop()
			h := storetest.NewHouse(t, func() *store.DB { db, _ := storetest.SQLite(t); return db }())
			k := notify.NewCourier(mailer(t, addr, func(*notify.Config) {}), notify.CourierConfig{Patience: time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			s := h.Signer(nil, nil)
			s.Codes.Policy = otp.DefaultPolicy()
			s.Codes.Senders = map[string]otp.Sender{signer.Email: k}
			got := map[error]int{}
			for range 20 {
				_, _, err := s.Prepare(t.Context(), h.Ask(1))
				for _, want := range []error{otp.ErrNotSent, otp.ErrTooManyCodes} {
					if errors.Is(err, want) {
						got[want]++
					}
				}
			}
			if err := k.Close(t.Context()); err != nil {
				t.Error(err)
			}
			want := 20
			if c.counts {
				want = s.Codes.Policy.PerHour
			}
			if got[otp.ErrNotSent] != want || got[otp.ErrTooManyCodes] != 20-want || c.counts && said.Load() != int64(want) {
				t.Errorf("%v; the server was asked %d times", got, said.Load())
			}
		})
	}
}

// Whatever the mail server does, asking for a code is answered, the queue is
// bounded, and at the end nothing runs that did not before. The figures are
// logged; only what no machine can make slower is checked.
func TestIssuesDuringAnOutage(t *testing.T) {
	answer := func(reply string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			converse(c, func(line string) string {
				if len(line) > 4 && line[:4] == "RCPT" {
					return reply
				}
				return ""
			})
		}
	}
	const issues, at = 200, 8 // at once
	done, cancel := context.WithCancel(t.Context())
	cancel() // closing cuts off what is under way
	for _, fault := range []struct {
		name    string
		serve   func(*net.TCPConn) // nil: nobody listens
		refused bool
		state   string
	}{
		{"well", answer(""), false, otp.Sent},
		{"down", nil, false, otp.Deferred},
		{"silent", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }, false, otp.Deferred},
		{"451", answer("451 4.7.1 later"), false, otp.Deferred},
		{"550", answer("550 5.1.1 never"), true, otp.Refused},
		{"reset", func(c *net.TCPConn) { _ = c.SetLinger(0) }, false, otp.Deferred},
	} {
		t.Run(fault.name, func(t *testing.T) {
			h := storetest.NewHouse(t, func() *store.DB { db, _ := storetest.SQLite(t); return db }())
			before := runtime.NumGoroutine()
			addr, stop := crowd(t, fault.serve)
			if fault.serve == nil {
				stop()
			}
			c := notify.NewCourier(mailer(t, addr, func(c *notify.Config) { c.Timeout = 30 * time.Second }), notify.CourierConfig{Messages: 100, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			s := h.Signer(nil, nil)
			s.Codes.Senders = map[string]otp.Sender{signer.Email: c}
			var mu sync.Mutex
			var times []time.Duration
			var taken, not, most int
			var wg sync.WaitGroup
			for range at {
				wg.Go(func() {
					for range issues / at {
						start := time.Now()
						_, _, err := s.Prepare(t.Context(), h.Ask(1))
						d := time.Since(start)
						mu.Lock()
						times, most = append(times, d), max(most, c.Waiting())
						switch {
						case err == nil:
							taken++
						case errors.Is(err, otp.ErrNotSent):
							not++
						default:
							t.Error(err)
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if err := c.Close(done); err != nil {
				t.Error(err)
			}
			stop()
			sends, err := h.DB.CodeSends(t.Context(), storetest.IC, issues)
			if err != nil {
				t.Fatal(err)
			}
			states := map[string]int{}
			for _, x := range sends {
				states[x.Delivery.State]++
			}
			slices.Sort(times)
			t.Logf("p50 %v, p99 %v, longest %v; %d issued, %d mail_unavailable, at most %d in the queue, states %v", times[len(times)/2], times[len(times)*99/100], times[len(times)-1], taken, not, most, states)
			switch {
			case most > 100 || taken+not != issues || len(sends) != issues:
				t.Errorf("%d issued, %d not, %d in the queue, %d rows", taken, not, most, len(sends))
			case fault.refused && taken != 0 || fault.name == "well" && not != 0:
				t.Errorf("%d issued, %d not", taken, not)
			// What the queue did not take has no state.
			case states[fault.state] < min(issues, taken+states[otp.Refused]):
				t.Errorf("states %v of %d issued", states, taken)
			}
			for n := 0; runtime.NumGoroutine() > before && n < 1000; n++ {
				runtime.Gosched()
			}
			if n := runtime.NumGoroutine(); n > before {
				t.Logf("%d goroutines before, %d after", before, n) // goleak judges at the end
			}
		})
	}
}
