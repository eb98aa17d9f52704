package api

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"golang.org/x/time/rate"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
)

type contextKey int

const (
	keyRequestID contextKey = iota
	keyLanguage
	keyApp
	keyVisitor
	keyPerson
	keyCertificates
	keyInner
)

func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(keyRequestID).(string)
	return id
}

// english says whether the client asked for English; Malay is the default.
func english(ctx context.Context) bool {
	en, _ := ctx.Value(keyLanguage).(bool)
	return en
}

// Inner is ctx for a request that the gateway makes of its own API on behalf of one that it is
// answering, so that one visit counts once against its network. It takes nothing else away: who
// asks proves it as always. Nothing that comes over a connection can carry it.
func Inner(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, keyInner, true)
	return context.WithValue(ctx, chi.RouteCtxKey, nil) // it is routed anew
}

func isInner(ctx context.Context) bool {
	in, _ := ctx.Value(keyInner).(bool)
	return in
}

// appOf is the app that asks, authenticated, or a person's own; /v1/me, /v1/admin and what is for
// everybody have none.
func appOf(ctx context.Context) *enrol.App {
	a, _ := ctx.Value(keyApp).(*enrol.App)
	return a
}

// requestID echoes a well-formed X-Request-Id or makes one.
func (s *server) requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if len(id) == 0 || len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		}) {
			var b [10]byte
			_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
			id = strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
		}
		w.Header().Set("X-Request-Id", id)
		ctx := context.WithValue(r.Context(), keyRequestID, id)
		ctx = context.WithValue(ctx, keyLanguage, prefersEnglish(r.Header.Get("Accept-Language")))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// prefersEnglish: the first language named decides, and only "en" is English.
func prefersEnglish(accept string) bool {
	first, _, _ := strings.Cut(accept, ",")
	first, _, _ = strings.Cut(strings.TrimSpace(strings.ToLower(first)), ";")
	return first == "en" || strings.HasPrefix(first, "en-")
}

// recoverPanic answers "internal error" and logs the stack, without the value:
// it may hold input.
func (s *server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				s.Log.Error("request panicked", "request_id", requestIDOf(r.Context()), "stack", string(debug.Stack()))
				writeProblem(w, r.Context(), errInternal)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// logRequest writes one line a request: never the query, headers or body.
func (s *server) logRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		start := s.Now()
		next.ServeHTTP(ww, r)
		route := chi.RouteContext(r.Context()).RoutePattern()
		level := slog.LevelInfo
		switch {
		case ww.Status() >= 500:
			level = slog.LevelError
		case isInner(r.Context()):
			level = slog.LevelDebug
		}
		s.Log.Log(r.Context(), level, "request", "request_id", requestIDOf(r.Context()), "method", r.Method, "route", route,
			"status", ww.Status(), "bytes", ww.BytesWritten(), "ms", s.Now().Sub(start).Milliseconds(), "peer", s.peer(r))
	})
}

// peer is the client's address: the connection's, or the right-most address of
// X-Forwarded-For that is not a trusted proxy, when the connection is one.
func (s *server) peer(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := at.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for k := len(hops) - 1; k >= 0 && s.trusted(addr); k-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[k]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr.String()
}

// network is what one customer has: an IPv4 address, or the 64 bits of an IPv6
// address that a provider gives out.
func network(peer string) string {
	if a, err := netip.ParseAddr(peer); err == nil && a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return peer
}

func (s *server) trusted(a netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/oauth2/") {
			h.Set("Cache-Control", "no-store")
			h.Set("Vary", "Accept-Language")
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate lets a request of a /v1 route of apps through with its app: bearer
// token, API key or Basic, exactly one of them; then the app's rate limit. Where people may
// act for themselves a session stands for their own app. Routes of people are for people alone.
func (s *server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := kindOf(r.URL.Path)
		own := kind == "app" && s.bySession(r)
		if kind != "app" || own {
			if wait, ok := s.admit(r); !ok {
				writeProblem(w, r.Context(), &retry{errRateLimited, wait})
				return
			}
		}
		switch {
		case own:
			s.people(kind, s.asOwnApp(next)).ServeHTTP(w, r)
		case kind == "anybody":
			next.ServeHTTP(w, r)
		case kind != "app":
			s.people(kind, next).ServeHTTP(w, r)
		default:
			s.asApp(next).ServeHTTP(w, r)
		}
	})
}

// admit counts a request that no app answers for against its network.
func (s *server) admit(r *http.Request) (wait time.Duration, ok bool) {
	if isInner(r.Context()) || strings.HasPrefix(r.URL.Path, "/assets/") { // those never change, and cost nothing
		return 0, true
	}
	return s.peers.take(network(s.peer(r)), peerRate)
}

// asApp lets a request through with the app whose credential it carries.
func (s *server) asApp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app, err := s.app(r)
		if err != nil {
			if errors.Is(err, enrol.ErrUnknown) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="mohor"`)
				err = errors.Join(errUnauthenticated, s.unauthenticated(r.Context()))
			}
			writeProblem(w, r.Context(), s.logged(r.Context(), err))
			return
		}
		s.letIn(w, r, &app, next)
	})
}

// letIn lets a request through within the rate and the grants of its app.
func (s *server) letIn(w http.ResponseWriter, r *http.Request, app *enrol.App, next http.Handler) {
	if wait, ok := s.allow(r.Context(), app); !ok {
		writeProblem(w, r.Context(), &retry{errRateLimited, wait})
		return
	}
	r = r.WithContext(authenticated(r.Context(), app))
	// An own app without a system can have nothing signed; what was signed before stays readable.
	idle := app.Person != "" && len(app.Systems) == 0 && r.Method != http.MethodGet && r.Method != http.MethodHead
	if op := grantOf(s.operation(r)); idle || !app.Granted(op) {
		err := errors.Join(errForbidden, s.audit(r.Context(), "app.authorize", op, audit.Refused, "forbidden"))
		writeProblem(w, r.Context(), s.logged(r.Context(), err))
		return
	}
	next.ServeHTTP(w, r)
}

// authenticated is ctx for what is done for an app that has proved itself.
func authenticated(ctx context.Context, app *enrol.App) context.Context {
	if o := audit.OriginOf(ctx); o != nil {
		o.Credential = app.Credential()
		if app.Person != "" {
			o.Person = "account:" + app.Person
		}
	}
	return context.WithValue(ctx, keyApp, app)
}

func (s *server) app(r *http.Request) (enrol.App, error) {
	// One that came past a proxy beside another's would otherwise depend on who reads which.
	if len(r.Header.Values("X-API-Key"))+len(r.Header.Values("Authorization")) != 1 || len(r.CookiesNamed(s.cookieName("session"))) > 0 {
		return enrol.App{}, enrol.ErrUnknown
	}
	key, auth := r.Header.Get("X-API-Key"), r.Header.Get("Authorization")
	if key != "" {
		return s.Apps.ByKey(r.Context(), key, certificatesOf(r.Context()))
	}
	if id, pass, ok := r.BasicAuth(); ok {
		return s.Apps.ByBasic(r.Context(), id, pass, certificatesOf(r.Context()))
	}
	scheme, token, _ := strings.Cut(auth, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return enrol.App{}, enrol.ErrUnknown
	}
	return s.Apps.ByToken(r.Context(), token, certificatesOf(r.Context()))
}

// Limits counts the requests of an app over all nodes. With an error this node
// counts alone.
type Limits interface {
	Take(ctx context.Context, key string, perSecond float64) (wait time.Duration, ok bool, err error)
}

// alone is the part of an app's rate that a node allows when it does not know
// what the other nodes allow: stricter, never open.
const alone = 0.25

func (s *server) allow(ctx context.Context, app *enrol.App) (wait time.Duration, ok bool) {
	if s.Limits == nil {
		return s.limits.take(app.ID, app.Rate)
	}
	wait, ok, err := s.Limits.Take(ctx, app.ID, app.Rate)
	if err != nil {
		return s.limits.take(app.ID, app.Rate*alone)
	}
	return wait, ok
}

// peerRate bounds requests without an app, a second and network.
const peerRate = 50

// maxBuckets bounds the memory of a limiter: beyond it all start afresh.
const maxBuckets = 100_000

// limiter holds a token bucket for each key; bursts are as many as two seconds
// hold.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]*rate.Limiter
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, m: map[string]*rate.Limiter{}}
}

func (l *limiter) take(key string, perSecond float64) (wait time.Duration, ok bool) {
	return l.takeOf(key, perSecond, max(1, int(2*perSecond)))
}

// takeOf is take with another burst.
func (l *limiter) takeOf(key string, perSecond float64, burst int) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.m) > maxBuckets {
		clear(l.m)
	}
	b := l.m[key]
	if b == nil || float64(b.Limit()) != perSecond {
		b = rate.NewLimiter(rate.Limit(perSecond), burst)
		l.m[key] = b
	}
	now := l.now()
	if b.AllowN(now, 1) {
		return 0, true
	}
	return time.Duration(float64(time.Second) / perSecond), false
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r.Context(), errNotFound)
}

// methodNotAllowed says what the path takes instead (RFC 9110, Section 15.5.6).
func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	least := math.MaxInt
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		// Of a path that fits several routes the one with fewest variables is meant.
		pattern := chi.RouteContext(r.Context()).Routes.Find(chi.NewRouteContext(), m, r.URL.Path)
		switch n := strings.Count(pattern, "{"); {
		case pattern == "" || n > least:
		case n < least:
			least, allowed = n, []string{m}
		default:
			allowed = append(allowed, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, r.Context(), errMethod)
}
