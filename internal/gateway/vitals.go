package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/health"
	"github.com/mohor-sign/mohor/internal/myt"
)

// Groups of checks, in the order of the page.
const (
	partToken   = "token"
	partData    = "data"
	partMail    = "mail"
	partTrust   = "trust"
	partMachine = "machine"
)

// args are arguments of words.
type args = map[string]string

// nodeName tells this gateway from others of the same database, also after a start: each has a data
// folder of its own.
func (i *Installation) nodeName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "mohor"
	}
	host, _, _ = strings.Cut(host, ".")
	sum := sha256.Sum256([]byte(i.Dir))
	return host + "-" + hex.EncodeToString(sum[:2])
}

// newMonitor has all parts watched. What it asks is little, but for the mail server and the bucket,
// which are asked seldom.
func (s *Server) newMonitor() *health.Monitor {
	v := &vitals{Server: s}
	const often, seldom = 4 * time.Second, time.Minute
	checks := []health.Check{
		{ID: "hsm", Group: partToken, Every: often, Within: 8 * time.Second, Silent: "hsm.silent", Ask: v.token},
		{ID: "sessions", Group: partToken, Every: often, Within: 8 * time.Second, Ask: v.sessions},
		{ID: "queue", Group: partToken, Every: 14 * time.Second, Within: 5 * time.Second, Ask: v.queue},
		{ID: "database", Group: partData, Every: often, Within: 5 * time.Second, Silent: "database.silent", Ask: v.database},
		{ID: "redis", Group: partData, Every: often, Within: 5 * time.Second, Ask: v.redisAnswers},
		{ID: "documents", Group: partData, Every: seldom, Within: 20 * time.Second, Ask: v.documents},
		{ID: "disk", Group: partData, Every: 9 * time.Second, Within: 5 * time.Second, Ask: v.disk},
		{ID: "audit", Group: partData, Every: 29 * time.Second, Within: 5 * time.Second, Ask: v.audit},
		{ID: "backup", Group: partData, Shared: true, Every: seldom, Within: 5 * time.Second, Ask: v.backup},
		{ID: "mail", Group: partMail, Every: often, Within: 10 * time.Second, Ask: v.mail},
		{ID: "outbox", Group: partMail, Shared: true, Every: 29 * time.Second, Within: 10 * time.Second, Ask: v.outbox},
		{ID: "crl", Group: partTrust, Shared: true, Every: seldom, Within: 5 * time.Second, Ask: v.lists},
		{ID: "ocsp", Group: partTrust, Every: seldom, Within: 10 * time.Second, Ask: v.responders},
		{ID: "certificates", Group: partTrust, Every: seldom, Within: 5 * time.Second, Ask: v.certificates},
		{ID: "stamps", Group: partTrust, Every: often, Within: 5 * time.Second, Ask: v.stampers},
		{ID: "clock", Group: partMachine, Every: often, Within: 5 * time.Second, Ask: v.clock},
		{ID: "versions", Group: partMachine, Every: seldom, Within: 10 * time.Second, Ask: v.versions},
		{ID: "mode", Group: partMachine, Every: time.Hour, Within: time.Second, Ask: v.mode},
		{ID: "config", Group: partMachine, Every: time.Hour, Within: time.Second, Ask: v.settings},
	}
	if s.Config.CA.External.configured() {
		checks = append(checks, health.Check{ID: "issuer", Group: partTrust, Every: seldom, Within: 5 * time.Second, Ask: v.issuer})
	}
	if len(s.others.roots)+len(s.tsas) > 0 { // whose certificates others answer for
		checks = append(checks, health.Check{ID: "sources", Group: partTrust, Every: seldom, Within: time.Minute, Ask: v.sources})
	}
	return &health.Monitor{Node: s.nodeName(), Checks: checks, Records: s.db, AlarmTo: s.Config.Mail.AlarmTo, Now: s.now, Log: s.log}
}

// vitals are the looks at the parts. Of each no two run at once.
type vitals struct {
	*Server

	mu      sync.Mutex
	greeted time.Time // the mail server, by the machine's clock
	greets  error
}

// at is a time for people to read.
func at(t time.Time) string { return t.In(myt.Zone).Format("02/01/2006, 15:04 MST") }

// bytes writes a size.
func size(n uint64) string {
	for _, u := range []struct {
		bits uint
		name string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}} {
		if n >= 1<<u.bits {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(uint64(1)<<u.bits), u.name)
		}
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// reason is one of the words of package health for an error, which itself may name users and
// addresses and is for the log.
func reason(err error) string {
	var (
		dns  *net.DNSError
		x509 x509.UnknownAuthorityError
		name x509HostnameError
		pg   *pgconn.PgError
		wait interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, hsm.ErrUnavailable), errors.Is(err, hsm.ErrClosed), errors.Is(err, hsm.ErrBusy):
		return "away"
	case errors.As(err, &dns) && !dns.IsTimeout:
		return "unknown"
	case errors.As(err, &x509), errors.As(err, &name):
		return "tls"
	case errors.As(err, &pg) && strings.HasPrefix(pg.Code, "28"), errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ENOSPC):
		return "full"
	case errors.Is(err, syscall.EROFS):
		return "readonly"
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "EOF"):
		return "closed"
	}
	return "other"
}

type x509HostnameError = x509.HostnameError

// unasked is the finding of what could not be asked.
func (v *vitals) unasked(what string, err error) health.Finding {
	v.log.Warn("a part cannot be asked how it is", "part", what, "error", err)
	return health.Finding{State: health.Unknown, Code: "asked", Args: args{"reason": reason(err)}}
}

// trials is what became of trial signatures.
type trials struct {
	mu      sync.Mutex
	at, ok  time.Time // the last one, and the last good one, by the machine's clock
	err     error
	took    time.Duration
	good    time.Time // ok by the gateway's clock, for people
	started time.Time
}

// trial makes a trial signature and notes what became of it.
func (s *Server) trial(ctx context.Context) error {
	began := time.Now()
	err := s.canary(ctx)
	t := &s.trials
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return err
	}
	t.at, t.err, t.took = time.Now(), err, time.Since(began)
	if t.started.IsZero() {
		t.started = s.now()
	}
	if err == nil {
		t.ok, t.good = t.at, s.now()
	}
	return err
}

// slowTrial is what a trial signature should not take: SoftHSM needs 1 ms, an HSM in the
// network some tens.
const slowTrial = 500 * time.Millisecond

// token tells of the last trial signature, and makes one when there is none that is recent.
func (v *vitals) token(ctx context.Context) health.Finding {
	t := &v.trials
	recent := func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return !t.at.IsZero() && time.Since(t.at) < watchEvery+time.Second
	}
	if !v.watching.Load() || !recent() {
		if err := v.trial(ctx); err != nil {
			v.log.Warn("trial signature failed", "error", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := health.Finding{State: health.OK, Code: "hsm.ok", Values: []health.Value{health.Number("latency", millis(t.took), "ms")}}
	since := t.good
	if since.IsZero() {
		since = t.started
	} else {
		f.Values = append(f.Values, health.At("signed_at", t.good))
	}
	switch {
	case t.err != nil:
		f.State, f.Code, f.Args = health.Fail, "hsm.fails", args{"since": at(since), "data": v.Dir}
		f.Values = f.Values[1:]
	case t.took > slowTrial:
		f.State, f.Code, f.Args = health.Warn, "hsm.slow", args{"ms": fmt.Sprintf("%.0f", millis(t.took)), "data": v.Dir}
	}
	return f
}

// sessions: how many of the token's are left.
func (v *vitals) sessions(ctx context.Context) health.Finding {
	g, err := v.hsm.Gauge(ctx)
	if err != nil {
		return v.unasked("sessions", err)
	}
	f := health.Finding{State: health.OK, Code: "sessions.ok", Values: []health.Value{
		health.Number("sessions_used", g.Sessions-g.Free, ""), health.Number("sessions_free", g.Free, ""), health.Number("bulk_used", g.BulkUsed, ""), health.Number("bulk_places", g.BulkPlaces, ""),
		health.Number("derivations", g.Derivations, ""), health.Number("refused", g.Refused, ""), health.Number("keys_opened", g.Opened, ""), health.Number("connections", g.Generation, "")}}
	if g.RecycleAfter > 0 {
		f.Values = append(f.Values, health.Number("keys_until_recycling", g.RecycleAfter, ""))
	}
	if g.Free == 0 {
		f.State, f.Code, f.Args = health.Warn, "sessions.full", args{"more": fmt.Sprint(2 * g.Sessions)}
	}
	return f
}

// queue: batches that wait for their turn here, and those that stopped and need their officers.
func (v *vitals) queue(ctx context.Context) health.Finding {
	begun, waiting := v.Runner.Load()
	needs, oldest, err := v.db.BatchesStopped(ctx)
	if err != nil {
		return v.unasked("batches", err)
	}
	f := health.Finding{State: health.OK, Code: "queue.ok", Values: []health.Value{health.Number("batches_signing", begun-waiting, ""), health.Number("batches_waiting", waiting, ""),
		health.Number("batches_stopped", needs, ""), health.Number("letters_of_codes", v.courier.Waiting(), "")}}
	if !oldest.IsZero() {
		f.Values = append(f.Values, health.At("stopped_since", oldest))
	}
	switch {
	case waiting > 0:
		f.State, f.Code, f.Args = health.Warn, "queue.long", args{"waiting": fmt.Sprint(waiting), "more": fmt.Sprint(2 * v.Config.Batch.AtOnce)}
	case needs > 0:
		f.State, f.Code, f.Args = health.Warn, "queue.needs", args{"needs": fmt.Sprint(needs)}
	}
	return f
}

// Monitor is what watches the parts; Run has it at work.
func (s *Server) Monitor() *health.Monitor { return s.monitor }
