package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errSoon    = &notify.DeliveryError{Step: "handing over message", Status: 451, Enhanced: "4.7.1"}
	errNever   = &notify.DeliveryError{Step: "handing over message", Status: 550, Enhanced: "5.1.1"}
	errNetwork = &notify.DeliveryError{Step: "connecting to mail server", Err: errors.New("connection refused")}
)

// counter stands in for mail server and records: it answers each try as answer
// says and remembers what it was told.
type counter struct {
	answer func(ctx context.Context, try int, m otp.Message) error

	mu     sync.Mutex
	tries  []time.Time
	codes  []string
	told   []otp.Delivery
	wanted bool
}

func (p *counter) SendCode(ctx context.Context, m otp.Message) error {
	p.mu.Lock()
	p.tries, p.codes = append(p.tries, time.Now()), append(p.codes, string(m.Code.Reveal()))
	n := len(p.tries)
	p.mu.Unlock()
	return p.answer(ctx, n, m)
}

func (p *counter) report(_ context.Context, d otp.Delivery) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, d)
	return p.wanted, nil
}

// states are what was told, in order.
func (p *counter) states() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, d := range p.told {
		out = append(out, strings.TrimSpace(d.State+" "+d.Reply))
	}
	return strings.Join(out, ", ")
}

func (p *counter) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tries)
}

func (p *counter) message(transaction string) otp.Message {
	now := time.Now()
	return otp.Message{To: officer, Transaction: transaction, Code: secret.New("482913"), Count: 1, Titles: []string{"a"}, Issued: now, Expires: now.Add(5 * time.Minute), Report: p.report}
}

// courier runs f in a bubble of synthetic time with a courier that is closed,
// and must have wiped everything, at the end.
func courier(t *testing.T, cfg notify.CourierConfig, answer func(context.Context, int, otp.Message) error, f func(t *testing.T, c *notify.Courier, p *counter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &counter{answer: answer, wanted: true}
		cfg.Now, cfg.Log = time.Now, slog.New(slog.DiscardHandler)
		c := notify.NewCourier(p, cfg)
		f(t, c, p)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := c.Waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// took is how long f takes in the bubble.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func TestCourierTellsTheFirstOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		err    error
		told   string
	}{
		"sent":              {nil, nil, "sent"},
		"refused":           {errNever, errNever, "refused 550 5.1.1"},
		"no address":        {notify.ErrAddress, notify.ErrAddress, "refused"},
		"unfit":             {notify.ErrMessage, notify.ErrMessage, "refused"},
		"deferred":          {errSoon, nil, "deferred 451 4.7.1"},
		"nobody there":      {errNetwork, nil, "deferred"},
		"something strange": {errors.New("strange"), nil, "deferred"},
	} {
		t.Run(name, func(t *testing.T) {
			courier(t, notify.CourierConfig{}, func(context.Context, int, otp.Message) error { return c.answer }, func(t *testing.T, k *notify.Courier, p *counter) {
				m := p.message("tx")
				var err error
				if d := took(func() { err = k.SendCode(t.Context(), m) }); d != 0 {
					t.Errorf("a fast outcome took %v", d)
				}
				m.Wipe() // as Issue does
				synctest.Wait()
				if !errors.Is(err, c.err) || p.states() != c.told {
					t.Errorf("%v, told %q; want %v and %q", err, p.states(), c.err, c.told)
				}
				time.Sleep(time.Hour)
				if p.tried() > 1 != strings.HasPrefix(c.told, "deferred") || k.Waiting() != 0 {
					t.Errorf("%d tries, %d waiting", p.tried(), k.Waiting())
				}
				if slices.ContainsFunc(p.codes, func(s string) bool { return s != "482913" }) {
					t.Errorf("codes tried: %q", p.codes)
				}
			})
		})
	}
}

// A slow server keeps nobody waiting longer than the patience, and the message
// is delivered all the same.
func TestCourierIsPatientForAMoment(t *testing.T) {
	slow := func(context.Context, int, otp.Message) error { time.Sleep(9 * time.Second); return nil }
	courier(t, notify.CourierConfig{}, slow, func(t *testing.T, c *notify.Courier, p *counter) {
		var err error
		if d := took(func() { err = c.SendCode(t.Context(), p.message("tx")) }); err != nil || d != 250*time.Millisecond {
			t.Errorf("%v after %v", err, d)
		}
		if p.states() != "deferred" {
			t.Errorf("told %q", p.states())
		}
		time.Sleep(10 * time.Second)
		if p.states() != "deferred, sent" || p.tried() != 1 {
			t.Errorf("told %q after %d tries", p.states(), p.tried())
		}
		// A client that hangs up ends the waiting, not the delivery.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d := took(func() { err = c.SendCode(ctx, p.message("tx2")) }); err != nil || d != 0 {
			t.Errorf("%v after %v", err, d)
		}
		time.Sleep(10 * time.Second)
		if p.tried() != 2 || !strings.HasSuffix(p.states(), "sent") {
			t.Errorf("%d tries, told %q", p.tried(), p.states())
		}
	})
}

// The pauses grow, and end with the code.
func TestCourierTriesUntilTheCodeExpires(t *testing.T) {
	courier(t, notify.CourierConfig{}, func(context.Context, int, otp.Message) error { return errSoon }, func(t *testing.T, c *notify.Courier, p *counter) {
		start := time.Now()
		if err := c.SendCode(t.Context(), p.message("tx")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(p.tries); n < 10 || n > 20 {
			t.Errorf("%d tries", n)
		}
		for k, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			got := p.tries[k+1].Sub(p.tries[k])
			if pause *= time.Second; got < pause*3/4 || got > pause*5/4+time.Nanosecond {
				t.Errorf("pause %d: %v, want about %v", k+1, got, pause)
			}
		}
		if last := p.tries[len(p.tries)-1].Sub(start); last >= 5*time.Minute {
			t.Errorf("a try %v after the code was made", last)
		}
		if c.Waiting() != 0 || strings.Contains(p.states(), otp.Refused) {
			t.Errorf("%d waiting, told %q", c.Waiting(), p.states())
		}
	})
}

// Greylisting: the second try comes through.
func TestCourierComesBack(t *testing.T) {
	answer := func(_ context.Context, try int, _ otp.Message) error {
		if try < 3 {
			return errSoon
		}
		return nil
	}
	courier(t, notify.CourierConfig{}, answer, func(t *testing.T, c *notify.Courier, p *counter) {
		if err := c.SendCode(t.Context(), p.message("tx")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if p.states() != "deferred 451 4.7.1, deferred 451 4.7.1, sent" {
			t.Errorf("told %q", p.states())
		}
	})
}

func TestCourierIsBounded(t *testing.T) {
	hang := func(ctx context.Context, _ int, _ otp.Message) error { <-ctx.Done(); return ctx.Err() }
	for name, cfg := range map[string]notify.CourierConfig{"messages": {Messages: 50, Workers: 3}, "bytes": {Bytes: 50 * (otp.Message{To: officer, Titles: []string{"a"}}).Size(), Workers: 3}} {
		t.Run(name, func(t *testing.T) {
			courier(t, cfg, hang, func(t *testing.T, c *notify.Courier, p *counter) {
				var taken, full int
				for k := range 200 {
					switch err := c.SendCode(t.Context(), p.message(fmt.Sprint("tx", k))); {
					case err == nil:
						taken++
					case errors.Is(err, notify.ErrQueueFull):
						full++
					default:
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if taken != 50 || full != 150 || c.Waiting() != 50 || p.tried() != 3 {
					t.Errorf("%d taken, %d not, %d waiting, %d in work", taken, full, c.Waiting(), p.tried())
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if c.Waiting() != 0 {
					t.Errorf("%d messages outlived their codes", c.Waiting())
				}
				if err := c.SendCode(t.Context(), p.message("after")); err != nil {
					t.Errorf("after the outage: %v", err)
				}
			})
		})
	}
}

// A resend takes the place of the older message, waiting or under way.
func TestCourierDropsWhatIsReplaced(t *testing.T) {
	var mu sync.Mutex
	var first, second int
	answer := func(ctx context.Context, _ int, m otp.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if string(m.Code.Reveal()) == "111111" {
			first++
			return errSoon
		}
		second++
		return nil
	}
	courier(t, notify.CourierConfig{}, answer, func(t *testing.T, c *notify.Courier, p *counter) {
		old := p.message("tx")
		old.Code = secret.New("111111")
		if err := c.SendCode(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := errors.Join(c.SendCode(t.Context(), p.message("tx")), c.SendCode(t.Context(), p.message("another"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if first != 1 || second != 2 {
			t.Errorf("the old code was tried %d times, the new ones %d", first, second)
		}
	})
	ended := make(chan struct{})
	answer = func(ctx context.Context, _ int, m otp.Message) error {
		if string(m.Code.Reveal()) == "111111" {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}
		return nil
	}
	courier(t, notify.CourierConfig{}, answer, func(t *testing.T, c *notify.Courier, p *counter) {
		ended = make(chan struct{})
		old := p.message("tx")
		old.Code = secret.New("111111")
		if err := errors.Join(c.SendCode(t.Context(), old), c.SendCode(t.Context(), p.message("tx"))); err != nil {
			t.Fatal(err)
		}
		<-ended
		time.Sleep(time.Hour)
		if p.tried() != 2 {
			t.Errorf("%d tries", p.tried())
		}
	})
}

// A message that nobody wants any more (cancelled, used, replaced on another
// node) is not tried again.
func TestCourierDropsWhatNobodyWants(t *testing.T) {
	courier(t, notify.CourierConfig{}, func(context.Context, int, otp.Message) error { return errSoon }, func(t *testing.T, c *notify.Courier, p *counter) {
		p.wanted = false
		if err := c.SendCode(t.Context(), p.message("tx")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if p.tried() != 1 {
			t.Errorf("%d tries", p.tried())
		}
	})
}

func TestCourierCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &counter{answer: func(ctx context.Context, try int, _ otp.Message) error {
			if try == 1 {
				time.Sleep(2 * time.Second)
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, wanted: true}
		c := notify.NewCourier(p, notify.CourierConfig{Workers: 2, Patience: time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		errs := make(chan error, 3)
		for k := range 3 {
			go func() { errs <- c.SendCode(t.Context(), p.message(fmt.Sprint("tx", k))) }()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if d := took(func() { _ = c.Close(ctx) }); d != 10*time.Second {
			t.Errorf("closing took %v: what is under way ends, or is cut off with the context", d)
		}
		var stopped int
		for range 3 {
			if errors.Is(<-errs, notify.ErrStopping) {
				stopped++
			}
		}
		if stopped != 1 || p.tried() != 2 || c.Waiting() != 0 {
			t.Errorf("%d were told of the stop, %d tried, %d waiting", stopped, p.tried(), c.Waiting())
		}
		if err := c.SendCode(t.Context(), p.message("late")); !errors.Is(err, notify.ErrStopping) {
			t.Errorf("after the stop: %v", err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

// The clock of this machine does not decide how long a code lives.
func TestCourierIgnoresTheClockOfTheMachine(t *testing.T) {
	courier(t, notify.CourierConfig{}, func(context.Context, int, otp.Message) error { return nil }, func(t *testing.T, c *notify.Courier, p *counter) {
		m := p.message("tx")
		m.Issued, m.Expires = m.Issued.Add(-time.Hour), m.Expires.Add(-time.Hour)
		if err := c.SendCode(t.Context(), m); err != nil || p.tried() != 1 {
			t.Errorf("%v after %d tries", err, p.tried())
		}
	})
}
