package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// fixedMAC stands for the HSM.
type fixedMAC string

func (m fixedMAC) MAC(_ context.Context, data []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte(m))
	h.Write(data)
	return h.Sum(nil), nil
}

// events is an outbox in memory.
type events struct {
	now func() time.Time

	mu    sync.Mutex
	list  []*held
	dead  []audit.Event
	fails error
}

type held struct {
	notify.Event
	state  string
	due    time.Time
	tries  []notify.Try
	paused []time.Duration
}

func (o *events) add(e notify.Event) *held {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.ID == "" {
		e.ID = fmt.Sprintf("ev_%d", len(o.list))
	}
	if e.Type == "" {
		e.Type, e.Data = notify.TransactionSigned, json.RawMessage(`{"transaction_id":"tx_1"}`)
	}
	if e.Keys == nil {
		e.Keys = [][]byte{[]byte("generation")}
	}
	e.At = o.now()
	h := &held{Event: e, state: enrol.EventPending, due: o.now()}
	o.list = append(o.list, h)
	return h
}

func (o *events) Receivers(_ context.Context, limit int) (apps []string, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.list {
		if h.state == enrol.EventPending && !h.due.After(o.now()) && !slices.Contains(apps, h.App) && len(apps) < limit {
			apps = append(apps, h.App)
		}
	}
	return apps, o.fails
}

func (o *events) ClaimEvent(_ context.Context, app string, lease time.Duration) (notify.Event, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.list {
		if h.App == app && h.state == enrol.EventPending && !h.due.After(o.now()) {
			h.due = o.now().Add(lease)
			h.Fence++
			return h.Event, true, nil
		}
	}
	return notify.Event{}, false, nil
}

func (o *events) SettleEvent(_ context.Context, e notify.Event, t notify.Try, ev audit.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.list {
		if h.ID == e.ID && h.Fence == e.Fence {
			h.state, h.due, h.Tries, h.tries = t.State, o.now().Add(t.After), h.Tries+1, append(h.tries, t)
			if t.State == enrol.EventDead {
				o.dead = append(o.dead, ev)
			}
		}
	}
	return nil
}

func (o *events) states() (out map[string]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out = map[string]int{}
	for _, h := range o.list {
		out[h.App+" "+h.state]++
	}
	return out
}

// trip answers requests without a network.
type trip func(r *http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answered(status int, header ...string) *http.Response {
	h := http.Header{}
	for k := 0; k+1 < len(header); k += 2 {
		h.Set(header[k], header[k+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("ok"))}
}

func webhooks(o *events, f trip) *notify.Webhooks {
	return &notify.Webhooks{Outbox: o, HTTP: &http.Client{Transport: f, Timeout: 5 * time.Second}, Check: func(string) error { return nil }, MAC: fixedMAC("hsm"), Agent: "Mohor/test",
		Now: o.now, Log: slog.New(slog.DiscardHandler)}
}

func secretOf(t *testing.T, app, generation string) string {
	t.Helper()
	s, err := enrol.WebhookSecret(t.Context(), fixedMAC("hsm"), app, []byte(generation))
	if err != nil {
		t.Fatal(err)
	}
	return string(s.Reveal())
}

// receiver is one that follows docs/api.md.
type receiver struct {
	secret  string
	now     func() time.Time
	seen    map[string]bool
	changes int
}

func (r *receiver) take(header string, body []byte) int {
	e, err := mohor.VerifyWebhook(header, body, r.secret, r.now())
	if err != nil {
		return http.StatusBadRequest
	}
	if !r.seen[e.ID] {
		r.seen[e.ID] = true
		r.changes++
	}
	return http.StatusOK
}

func TestWhatAReceiverGets(t *testing.T) {
	clock := time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)
	o := &events{now: func() time.Time { return clock }}
	type sent struct {
		header http.Header
		body   []byte
	}
	var got []sent
	w := webhooks(o, func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.String() != "https://a.example/hook?x=1" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		got = append(got, sent{r.Header, body})
		if len(got) == 1 {
			return answered(500), err
		}
		return answered(204), err
	})
	o.add(notify.Event{App: "a", URL: "https://a.example/hook?x=1", Keys: [][]byte{[]byte("new"), []byte("old")}})
	for range 2 {
		if ok, err := w.Once(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		clock = clock.Add(time.Hour)
	}
	clock = clock.Add(-time.Hour)
	if len(got) != 2 || string(got[0].body) != string(got[1].body) {
		t.Fatalf("the tries differ: %q", got)
	}
	if want := `{"id":"ev_0","type":"transaction.signed","created_at":"2026-07-01T01:00:00Z","data":{"transaction_id":"tx_1"}}`; string(got[1].body) != want {
		t.Errorf("%s", got[1].body)
	}
	header := got[1].header.Get("Mohor-Signature")
	if got[1].header.Get("Content-Type") != "application/json" || got[1].header.Get("User-Agent") != "Mohor/test" || strings.Count(header, "v1=") != 2 {
		t.Errorf("%v", got[1].header)
	}
	// While the secret changes both are good; a third is not, nor is another app's.
	for _, s := range []string{secretOf(t, "a", "new"), secretOf(t, "a", "old")} {
		if _, err := mohor.VerifyWebhook(header, got[1].body, s, clock); err != nil || len(s) != 56 {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{secretOf(t, "a", "older"), secretOf(t, "b", "new")} {
		if _, err := mohor.VerifyWebhook(header, got[1].body, s, clock); !errors.Is(err, mohor.ErrWebhook) {
			t.Errorf("%v", err)
		}
	}
	// The time is that of the try: an hour later the first one is a replay.
	if _, err := mohor.VerifyWebhook(got[0].header.Get("Mohor-Signature"), got[0].body, secretOf(t, "a", "new"), clock); !errors.Is(err, mohor.ErrWebhook) {
		t.Errorf("an hour later: %v", err)
	}
	if ok, err := w.Once(t.Context()); ok || err != nil {
		t.Errorf("delivered again: %v", err)
	}
}

// The same event five times, as after crashes of ours, changes a receiver's state once;
// what was altered, is old or another's changes nothing.
func TestDuplicatesChangeStateOnce(t *testing.T) {
	now := time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)
	o := &events{now: func() time.Time { return now }}
	r := &receiver{secret: secretOf(t, "a", "generation"), now: o.now, seen: map[string]bool{}}
	var header string
	var body []byte
	w := webhooks(o, func(q *http.Request) (*http.Response, error) {
		header = q.Header.Get("Mohor-Signature")
		var err error
		body, err = io.ReadAll(q.Body)
		return answered(r.take(header, body)), err
	})
	h := o.add(notify.Event{App: "a", URL: "https://a.example/"})
	for range 5 {
		h.state, h.due = enrol.EventPending, now
		if ok, err := w.Once(t.Context()); !ok || err != nil || h.state != enrol.EventDelivered {
			t.Fatal(ok, err, h.state)
		}
	}
	for name, status := range map[string]int{
		"altered":   r.take(header, []byte(strings.Replace(string(body), "ev_0", "ev_1", 1))),
		"no header": r.take("", body),
		"another's": (&receiver{secret: secretOf(t, "b", "generation"), now: o.now, seen: map[string]bool{}}).take(header, body),
	} {
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	now = now.Add(5*time.Minute + time.Second)
	if status := r.take(header, body); status != http.StatusBadRequest {
		t.Errorf("old: %d", status)
	}
	if r.changes != 1 {
		t.Errorf("the state changed %d times", r.changes)
	}
}

// Six tries over seven hours, later if the receiver asks for it, then the event is dead.
func TestTriesAndPauses(t *testing.T) {
	clock := time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)
	o := &events{now: func() time.Time { return clock }}
	answer := func() (*http.Response, error) { return answered(503), nil }
	w := webhooks(o, func(*http.Request) (*http.Response, error) { return answer() })
	h := o.add(notify.Event{App: "a", URL: "https://a.example/"})
	once := func() notify.Try {
		t.Helper()
		if ok, err := w.Once(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		got := h.tries[len(h.tries)-1]
		clock = clock.Add(got.After)
		return got
	}
	for k, want := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour} {
		got := once()
		if got.State != enrol.EventPending || got.Status != 503 || got.Why != "status" || got.After < want*3/4 || got.After > want*5/4+1 {
			t.Errorf("try %d: %+v, want about %s", k+1, got, want)
		}
	}
	if len(o.dead) != 0 {
		t.Errorf("dead too early: %+v", o.dead)
	}
	if got := once(); got.State != enrol.EventDead || len(o.dead) != 1 {
		t.Fatalf("%+v, %+v", got, o.dead)
	}
	if ev := o.dead[0]; ev.Action != "webhook.deliver" || ev.Object != "app:a" || ev.Verdict != audit.Refused || ev.Detail["event"] != h.ID || ev.Detail["tries"] != "6" || ev.Detail["why"] != "status" {
		t.Errorf("%+v", ev)
	}
	clock = clock.Truncate(time.Second) // dates have no more
	for text, want := range map[string]time.Duration{
		"120": 120 * time.Second, "0": 0, "-5": 0, "x": 0, "": 0, "99999999999999999999": 0, "2147483647": 6 * time.Hour, "604800": 6 * time.Hour,
		clock.Add(10 * time.Minute).Format(http.TimeFormat): 10 * time.Minute, clock.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		answer = func() (*http.Response, error) { return answered(429, "Retry-After", text), nil }
		h.state, h.due, h.Tries = enrol.EventPending, clock, 0
		got, now := notify.Try{}, clock
		if got = once(); want == 0 && (got.After < 7*time.Second || got.After > 13*time.Second) || want > 0 && got.After != want {
			t.Errorf("Retry-After %q: %s, want %s", text, got.After, want)
		}
		clock = now
	}
	for status := range 600 {
		if status < 200 {
			continue
		}
		answer = func() (*http.Response, error) { return answered(status), nil }
		h.state, h.due, h.Tries = enrol.EventPending, clock, 0
		if ok, err := w.Once(t.Context()); !ok || err != nil || (h.state == enrol.EventDelivered) != (status < 300) {
			t.Errorf("%d: %s, %v", status, h.state, err)
		}
	}
	// Without the HSM there is no signature, and nothing is sent or counted.
	w.MAC = noMAC{}
	h.state, h.due, h.Tries = enrol.EventPending, clock, 0
	if _, err := w.Once(t.Context()); err == nil || h.Tries != 0 || h.state != enrol.EventPending {
		t.Errorf("without the HSM: %v, %+v", err, h)
	}
}

type noMAC struct{}

func (noMAC) MAC(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the token is away")
}

// What a receiver answers is read to 4 KiB and no further.
func TestAnswersAreDropped(t *testing.T) {
	o := &events{now: time.Now}
	read := 0
	w := webhooks(o, func(*http.Request) (*http.Response, error) {
		r := answered(200)
		r.Body = io.NopCloser(readFunc(func(b []byte) (int, error) { read += len(b); return len(b), nil }))
		return r, nil
	})
	h := o.add(notify.Event{App: "a", URL: "https://a.example/"})
	if ok, err := w.Once(t.Context()); !ok || err != nil || h.state != enrol.EventDelivered || read > 4<<10 {
		t.Errorf("%v, %v, %s, %d bytes", ok, err, h.state, read)
	}
}

type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// Ten receivers that never answer, with a hundred events each, and one that does: its
// events arrive at once, and no more than four tries are made at each of the others.
func TestADeadReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &events{now: time.Now}
		var mu sync.Mutex
		open, most := map[string]int{}, map[string]int{}
		start := time.Now()
		var took []time.Duration
		w := webhooks(o, func(r *http.Request) (*http.Response, error) {
			host := r.URL.Host
			mu.Lock()
			open[host]++
			most[host] = max(most[host], open[host])
			mu.Unlock()
			defer func() { mu.Lock(); open[host]--; mu.Unlock() }()
			if host != "good.example" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			mu.Lock()
			took = append(took, time.Since(start))
			mu.Unlock()
			return answered(200), nil
		})
		for k := range 10 {
			for range 100 {
				o.add(notify.Event{App: fmt.Sprintf("dead%d", k), URL: fmt.Sprintf("https://dead%d.example/", k)})
			}
		}
		for range 100 {
			o.add(notify.Event{App: "good", URL: "https://good.example/"})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		time.Sleep(3 * time.Second) // of the bubble
		if n := o.states()["good "+enrol.EventDelivered]; n != 100 || slices.Max(took) > time.Second {
			t.Errorf("%d delivered, the last after %s", n, slices.Max(took))
		}
		time.Sleep(12 * time.Hour)
		stop()
		<-done
		if got := o.states(); got["dead3 "+enrol.EventDead] != 100 || len(o.dead) != 1000 {
			t.Errorf("%v, %d told", got, len(o.dead))
		}
		for host, n := range most {
			if n > 4 {
				t.Errorf("%d at once to %s", n, host)
			}
		}
	})
}

// A stop in the middle of a try leaves the event to the next start.
func TestStopInATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &events{now: time.Now}
		ctx, stop := context.WithCancel(t.Context())
		w := webhooks(o, func(r *http.Request) (*http.Response, error) {
			stop()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		h := o.add(notify.Event{App: "a", URL: "https://a.example/"})
		w.Run(ctx)
		if h.state != enrol.EventPending || len(h.tries) != 0 {
			t.Errorf("%+v", h)
		}
		w = webhooks(o, func(*http.Request) (*http.Response, error) { return answered(200), nil })
		ctx, stop = context.WithCancel(t.Context())
		go w.Run(ctx)
		time.Sleep(time.Minute) // the lease
		stop()
		synctest.Wait()
		if h.state != enrol.EventDelivered {
			t.Errorf("%+v", h)
		}
	})
}
