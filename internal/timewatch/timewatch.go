// Package timewatch judges whether this machine's time can be relied on: for
// time-stamps, which say that it can, to the accuracy in them.
//
// It compares the wall clock with clocks that nobody sets, and both with the time
// of peers (NTP servers) if there are any:
//
//   - a step: the wall clock went further than CLOCK_BOOTTIME. Both have the same
//     rate, and both go on over a suspension that the kernel knows of, so that the
//     difference is what somebody set, or a leap second;
//   - a slew: CLOCK_MONOTONIC went further than CLOCK_MONOTONIC_RAW, beyond what
//     corrects a bad oscillator: a time service is bringing a wrong clock right, or
//     somebody a right one wrong;
//   - the peers: most of them say that it is wrong, or no round of them has said for
//     long that it is right. They alone see a virtual machine that stood still.
//
// Each begins at an anchor, a moment for which somebody vouched: most of the peers;
// without peers the kernel, which withdraws "synchronised" from a clock that was set
// until a time service has seen to it; and the start. So what was found ends by
// itself when it is explained, or undone.
package timewatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrTime: the time cannot be relied on now; the text says why.
var ErrTime = errors.New("the time cannot be relied on")

// Reading is what the machine's clocks say at one moment.
type Reading struct {
	Wall time.Time // without a monotonic reading
	// Since the machine's start. Boot goes on while it is suspended, Mono does not,
	// and Raw is Mono at the oscillator's own rate.
	Boot, Mono, Raw time.Duration
	// Synchronised: a time service told the kernel so after the clock was set last.
	Synchronised bool
}

// Config is what a Watch works with. Peers may be empty.
type Config struct {
	// Read is Machine.
	Read func() Reading
	// Accuracy is how wrong the wall clock may be. With peers that is all that may have come
	// together since they agreed: how far they were apart, how wrong their answers may be,
	// what the clock was set and slewed by since, and what its oscillator may have lost.
	Accuracy time.Duration
	// Peers are NTP servers: host, or host:port; see [CheckPeer].
	Peers []string
	// MaxOffset is how far a peer that agrees may be apart from the wall clock at most, its
	// own error included, below Accuracy; MaxAge how long the last agreement counts. Needed with peers.
	MaxOffset, MaxAge time.Duration
	// Ask asks one peer; nil is AskNTP.
	Ask Ask
	// Report is told when the time is not relied on any more, when the kind of reason
	// changes, and with nil when it is again; one call at a time. Needed.
	Report func(ctx context.Context, err error)
}

// Watch watches the time; it may be used by several goroutines.
type Watch struct {
	Config
	hurry chan struct{} // something was found

	polling sync.Mutex // one Poll at a time
	silent  map[string]silence

	mu     sync.Mutex
	anchor Reading
	offset time.Duration // of the anchor's wall clock: what the peers would add to it
	// What has to be added to it is between these: the answers that agreed, with their errors.
	low, high time.Duration
	agreed    bool     // of the anchor: most peers
	dispute   error    // what most peers said in the last round that was decided
	last      Reading  // at the last Poll
	told      *finding // what Report was told last
	pending   *finding // what Check found since
}

// finding is one reason, of a kind.
type finding struct {
	kind string
	err  error
}

func found(kind, format string, args ...any) *finding {
	return &finding{kind, fmt.Errorf("%w: "+format, append([]any{ErrTime}, args...)...)}
}

// New begins to watch. With peers the time is not relied on before the first Poll
// at which most of them agree.
func New(c Config) *Watch {
	if c.Ask == nil {
		c.Ask = AskNTP
	}
	now := c.Read()
	return &Watch{Config: c, hurry: make(chan struct{}, 1), silent: make(map[string]silence), anchor: now, last: now}
}

// Check is ErrTime unless the wall clock can be relied on now. It reads clocks and
// asks nobody.
func (w *Watch) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.judge(w.Read())
	if f == nil {
		return nil
	}
	if !same(f, w.told) && w.pending == nil {
		w.pending = f
		select {
		case w.hurry <- struct{}{}:
		default:
		}
	}
	return f.err
}

func same(a, b *finding) bool {
	return a == nil && b == nil || a != nil && b != nil && a.kind == b.kind
}

// Bounds of what the rate of CLOCK_MONOTONIC may differ from the oscillator's: one
// part in oscillator (500 ppm), the most that the kernel corrects by (MAXFREQ of
// adjtimex(2)); who slews for a step goes beyond.
const oscillator = 2000

// judge says what is wrong with a reading; mu is held.
func (w *Watch) judge(now Reading) *finding {
	a := w.anchor
	step := now.Wall.Sub(a.Wall) - (now.Boot - a.Boot) - w.offset
	raw := now.Raw - a.Raw
	slew := now.Mono - a.Mono - raw
	since := a.Wall.UTC().Format(time.RFC3339)
	switch {
	case step.Abs() > w.Accuracy+leap(a.Wall, now.Wall):
		return found("step", "the clock was set by %s since %s", step.Round(time.Millisecond), since)
	case slew.Abs() > w.Accuracy+raw/oscillator:
		return found("slew", "the clock was slewed by %s since %s", slew.Round(time.Millisecond), since)
	case len(w.Peers) == 0:
		return nil
	case w.dispute != nil:
		return &finding{"dispute", w.dispute}
	case !w.agreed:
		return found("peers", "most of its peers have not yet agreed with it")
	case now.Boot-a.Boot > w.MaxAge:
		return found("peers", "most of its peers agreed with it last at %s", since)
	}
	set := step + w.offset
	if doubt := max((set-w.low).Abs(), (set-w.high).Abs()) + slew.Abs() + raw/oscillator; doubt > w.Accuracy+leap(a.Wall, now.Wall) {
		return found("doubt", "the clock may be wrong by %s: most of its peers agreed with it at %s", doubt.Round(time.Millisecond), since)
	}
	return nil
}

// leap is what a leap second adds: UTC has them at the end of a month (ITU-R
// TF.460), and the kernel makes one by a step.
func leap(from, to time.Time) time.Duration {
	from, to = from.UTC().Add(-time.Second), to.UTC().Add(time.Second)
	if from.Year() == to.Year() && from.Month() == to.Month() {
		return 0
	}
	return time.Second
}

// Poll asks all peers, or the kernel if there are none, moves the anchor if they
// vouch for the time, and reports what changed. It takes as long as the slowest
// peer, 5 s at most.
func (w *Watch) Poll(ctx context.Context) {
	w.polling.Lock()
	defer w.polling.Unlock()
	if len(w.Peers) > 0 {
		w.askPeers(ctx)
	} else {
		w.askKernel()
	}
	if ctx.Err() == nil {
		w.report(ctx)
	}
}

// askKernel believes a clock that the kernel calls synchronised and that is not
// being slewed.
func (w *Watch) askKernel() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Read()
	raw := now.Raw - w.last.Raw
	rate := now.Mono - w.last.Mono - raw
	if now.Synchronised && rate.Abs() <= raw/oscillator+time.Millisecond {
		w.anchor, w.offset = now, 0
	}
	w.last = now
}

// askPeers asks those that may be asked and lets most of them decide.
func (w *Watch) askPeers(ctx context.Context) {
	before := w.Read()
	var peers []string
	for _, p := range w.Peers {
		if before.Boot >= w.silent[p].until {
			peers = append(peers, p)
		}
	}
	round := Survey(ctx, w.Ask, peers, w.MaxOffset)
	after := w.Read()
	for _, a := range round {
		w.silent[a.Peer] = w.silent[a.Peer].after(a, after.Boot)
	}
	// A clock that was set while they were asked makes answers that mean nothing.
	const still = 20 * time.Millisecond
	if moved := after.Wall.Sub(before.Wall) - (after.Boot - before.Boot); moved.Abs() > still {
		return
	}
	agree, disagree, median := count(round)
	low, high := median, median
	for _, a := range round {
		if a.Agrees {
			low, high = min(low, a.Offset-a.Distance), max(high, a.Offset+a.Distance)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch most := len(w.Peers)/2 + 1; {
	case agree >= most:
		w.anchor, w.offset, w.low, w.high, w.agreed, w.dispute = after, median, low, high, true, nil
	case disagree >= most:
		w.dispute = fmt.Errorf("%w: %d of %d peers say that the clock is wrong, by about %s", ErrTime, disagree, len(w.Peers), (-median).Round(time.Millisecond))
	}
}

// report tells what changed: first what Check refused meanwhile.
func (w *Watch) report(ctx context.Context) {
	w.mu.Lock()
	var news []*finding
	for _, f := range []*finding{cmp.Or(w.pending, w.told), w.judge(w.Read())} {
		if !same(f, w.told) {
			news, w.told = append(news, f), f
		}
	}
	w.pending = nil
	w.mu.Unlock()
	for _, f := range news {
		if f == nil {
			w.Report(ctx, nil)
		} else {
			w.Report(ctx, f.err)
		}
	}
}

// Least is the least time between two questions to a peer (RFC 4330, Section 10).
const Least = 16 * time.Second

// every is the time between polls while all is well: several within MaxAge.
func (w *Watch) every() time.Duration {
	if len(w.Peers) == 0 {
		return Least
	}
	return min(max(w.MaxAge/8, Least), 10*time.Minute)
}

// Run polls until ctx ends: at once and every few minutes, sooner while the time is
// not relied on, and when Check has found something.
func (w *Watch) Run(ctx context.Context) {
	for {
		w.Poll(ctx)
		w.mu.Lock()
		wait := Least
		if w.told == nil {
			wait = w.every()
		}
		w.mu.Unlock()
		least, wake := time.NewTimer(Least), time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake.C:
		case <-w.hurry:
			select {
			case <-ctx.Done():
			case <-least.C:
			}
		}
		least.Stop()
		wake.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}
