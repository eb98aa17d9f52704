package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/dialguard"
)

// Limits of deliveries. A receiver that does not answer costs its own lanes, and no
// other's.
const (
	callEvery   = time.Second
	eventLease  = 30 * time.Second // longer than a try may take
	eventTries  = 6                // the first and five more
	lanesOfOne  = 4                // tries at once to one app
	lanesOfAll  = 256
	maxAnswer   = 4 << 10 // of an answer are read, and nothing of it is kept
	maxWait     = 6 * time.Hour
	waitFirst   = 10 * time.Second
	eventHeader = "Mohor-Signature"
)

// eventPause is how long to wait after the try of this number: 10 s, 1 min, 10 min, 1 h, 6 h.
func eventPause(try int) time.Duration {
	return []time.Duration{waitFirst, time.Minute, 10 * time.Minute, time.Hour, maxWait}[min(max(try, 1), eventTries-1)-1]
}

// Webhooks delivers events. All fields are required. What a try failed of is told in
// these words: "status" (the receiver's was not 2xx), "timeout", "name" (it does not
// resolve), "address" (not one that may be asked), "tls", "connection".
type Webhooks struct {
	Outbox EventOutbox
	// HTTP is what dialguard makes; Check is its [dialguard.Config.CheckURL].
	HTTP  *http.Client
	Check func(url string) error
	MAC   enrol.MAC // of the secrets
	Agent string    // User-Agent
	Now   func() time.Time
	Log   *slog.Logger
}

// Run delivers what is due, every second, until ctx ends; then it ends its tries.
func (w *Webhooks) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	l := &lanes{of: map[string]int{}}
	t := time.NewTicker(callEvery)
	defer t.Stop()
	for {
		apps, err := w.Outbox.Receivers(ctx, lanesOfAll)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("looking for events to deliver", "error", err)
		}
		// When there are more than lanes, chance gives each its turn.
		rand.Shuffle(len(apps), func(a, b int) { apps[a], apps[b] = apps[b], apps[a] })
		for _, app := range apps {
			for l.take(app) {
				wg.Go(func() {
					defer l.leave(app)
					w.lane(ctx, app)
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// lanes counts tries under way.
type lanes struct {
	mu  sync.Mutex
	of  map[string]int
	all int
}

func (l *lanes) take(app string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[app] >= lanesOfOne || l.all >= lanesOfAll {
		return false
	}
	l.of[app]++
	l.all++
	return true
}

func (l *lanes) leave(app string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.of[app]--; l.of[app] == 0 {
		delete(l.of, app)
	}
}

// lane delivers to one app until nothing is due or a try fails: the others of a receiver
// that is away wait for the next look.
func (w *Webhooks) lane(ctx context.Context, app string) {
	for ctx.Err() == nil {
		ok, delivered, err := w.next(ctx, app)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("delivering events", "app", app, "error", err)
		}
		if err != nil || !ok || !delivered {
			return
		}
	}
}

// Once makes one try for each app with an event that is due; false when there was none.
func (w *Webhooks) Once(ctx context.Context) (tried bool, err error) {
	apps, err := w.Outbox.Receivers(ctx, lanesOfAll)
	for _, app := range apps {
		ok, _, nerr := w.next(ctx, app)
		tried, err = tried || ok, errors.Join(err, nerr)
	}
	return tried, err
}

// next claims an event and makes one try.
func (w *Webhooks) next(ctx context.Context, app string) (ok, delivered bool, err error) {
	e, ok, err := w.Outbox.ClaimEvent(ctx, app, eventLease)
	if err != nil || !ok {
		return false, false, err
	}
	t, err := w.try(ctx, &e)
	if err != nil || ctx.Err() != nil && t.State != enrol.EventDelivered {
		return true, false, err // stopping, or without keys: its lease runs out
	}
	ev := audit.Event{At: w.Now(), Actor: "gateway", Action: "webhook.deliver", Object: "app:" + e.App, Verdict: audit.Refused,
		Detail: map[string]string{"event": e.ID, "type": e.Type, "tries": strconv.Itoa(e.Tries + 1), "why": t.Why}}
	if t.State == enrol.EventDead {
		w.Log.Warn("an event cannot be delivered", "app", e.App, "event", e.ID, "type", e.Type, "status", t.Status, "why", t.Why)
	}
	// The receiver has it: to store so is not for a stop to interrupt.
	return true, t.State == enrol.EventDelivered, w.Outbox.SettleEvent(context.WithoutCancel(ctx), e, t, ev)
}

// try sends an event; only what is wrong on our side is an error.
func (w *Webhooks) try(ctx context.Context, e *Event) (Try, error) {
	body, err := e.body()
	if err != nil {
		return Try{}, err
	}
	var secrets [][]byte
	for _, k := range e.Keys {
		s, err := enrol.WebhookSecret(ctx, w.MAC, e.App, k)
		if err != nil {
			return Try{}, fmt.Errorf("making the secret of a webhook: %w", err)
		}
		defer s.Wipe()
		secrets = append(secrets, s.Reveal())
	}
	t := Try{State: enrol.EventDelivered}
	var wait time.Duration
	t.Status, wait, err = w.post(ctx, e.URL, body, Signature(w.Now(), body, secrets...))
	switch {
	case err != nil:
		t.Why = reason(err)
	case t.Status < 200 || t.Status > 299:
		t.Why = "status"
	default:
		return t, nil
	}
	t.State = enrol.EventPending
	if e.Tries+1 >= eventTries {
		t.State = enrol.EventDead
	}
	t.After = max(jitter(eventPause(e.Tries+1)), min(wait, maxWait))
	return t, nil
}

// post gives the status and how long the receiver wants to be left alone.
func (w *Webhooks) post(ctx context.Context, url string, body []byte, signature string) (status int, wait time.Duration, err error) {
	// What was registered is judged again: the configuration may be another now.
	if err := w.Check(url); err != nil {
		return 0, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", dialguard.ErrAddress, err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, eventHeader: {signature}, "User-Agent": {w.Agent}}
	resp, err := w.HTTP.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	// A connection whose answer was read to its end is used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return resp.StatusCode, w.retryAfter(resp.Header.Get("Retry-After")), nil
}

// retryAfter reads seconds or a date (RFC 9110, Section 10.2.3); 0 for neither.
func (w *Webhooks) retryAfter(v string) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return at.Sub(w.Now())
	}
	return 0
}

// reason is the word for an error; what a server or resolver wrote is in none.
func reason(err error) string {
	var (
		name    *net.DNSError
		network net.Error
		cert    *tls.CertificateVerificationError
		host    x509.HostnameError
		alert   tls.AlertError
	)
	switch {
	case errors.Is(err, dialguard.ErrAddress):
		return "address"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &name):
		return "name"
	case errors.As(err, &cert), errors.As(err, &host), errors.As(err, &alert):
		return "tls"
	}
	return "connection"
}
