package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

// visitor is who speaks on the routes of people, before anybody has logged in.
type visitor struct {
	peer   enrol.Peer
	device string // of an earlier log-in in this browser
}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(keyVisitor).(visitor)
	return v
}

// personOf is who is logged in; every request of /v1/me and /v1/admin has one.
func personOf(ctx context.Context) *enrol.Person {
	p, _ := ctx.Value(keyPerson).(*enrol.Person)
	return p
}

// kindOf says who may use a path: an app, a person, somebody who wants to log in, or
// everybody.
func kindOf(path string) string {
	under := func(base string) bool { return path == base || strings.HasPrefix(path, base+"/") }
	switch {
	case under("/v1/me"):
		return "person"
	case under("/v1/admin"):
		return "administrator"
	case under("/v1/sessions"), under("/v1/setup"), under("/v1/account"), under("/v1/password"), under("/v1/public"):
		return "visitor"
	case strings.HasPrefix(path, "/v1/"):
		return "app"
	}
	return "anybody"
}

// ownPaths are the routes of apps on which a session acts for the person's own signature.
func ownPaths() []string {
	return []string{"/v1/documents", "/v1/batches", "/v1/transactions", "/v1/processes", "/v1/inbox", "/v1/certificates", "/v1/officers", "/v1/templates"}
}

// ownPath says whether a path is one of them.
func ownPath(path string) bool {
	return slices.ContainsFunc(ownPaths(), func(base string) bool { return path == base || strings.HasPrefix(path, base+"/") })
}

// bySession says whether a request of a route of apps is to be judged by a session: it has one's
// token, and nothing of an app.
func (s *server) bySession(r *http.Request) bool {
	if !ownPath(r.URL.Path) || len(r.Header.Values("X-API-Key")) > 0 {
		return false
	}
	auth := r.Header.Values("Authorization")
	if len(auth) == 0 {
		return len(r.CookiesNamed(s.cookieName("session"))) > 0
	}
	scheme, token, _ := strings.Cut(auth[0], " ")
	return strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(token, enrol.SessionPrefix)
}

// asOwnApp lets a request of a person through as that of the person's own app.
func (s *server) asOwnApp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keeps := r.Method != http.MethodGet && r.Method != http.MethodHead
		app, err := s.Apps.Own(r.Context(), personOf(r.Context()), keeps)
		if err != nil {
			writeProblem(w, r.Context(), s.logged(r.Context(), err))
			return
		}
		s.letIn(w, r, &app, next)
	})
}

// onlyOwn is [enrol.ErrUnknown] where a person asks about somebody else; apps ask about anybody.
func onlyOwn(ctx context.Context, ic string) error {
	if p := personOf(ctx); p != nil && p.Account.IC != ic {
		return enrol.ErrUnknown
	}
	return nil
}

// people guards the routes of people: no other site's page may use them, no app
// credential opens them, and those of administrators are open while an appointment
// is in force.
func (s *server) people(kind string, next http.Handler) http.Handler {
	admit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitor{peer: enrol.Peer{Address: s.peer(r), Agent: r.UserAgent()}}
		if c, err := r.Cookie(s.cookieName("device")); err == nil {
			v.device = c.Value
		}
		ctx := context.WithValue(r.Context(), keyVisitor, v)
		if kind == "visitor" {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		p, err := s.person(r)
		switch {
		case errors.Is(err, enrol.ErrUnknown):
			w.Header().Set("WWW-Authenticate", `Bearer realm="mohor people"`)
			err = errNoSession
		case err == nil && kind == "administrator" && len(p.Actor.Appointments) == 0:
			err = errors.Join(errNotAppointed, s.keptOut(r, &p))
		}
		if err != nil {
			writeProblem(w, ctx, s.logged(ctx, err))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, keyPerson, &p)))
	})
	return s.cross.Handler(admit)
}

// keptOut records that somebody without an appointment tried what administrators do. What it was
// about is not told: nothing of that was looked at.
func (s *server) keptOut(r *http.Request, p *enrol.Person) error {
	ev := audit.Event{At: s.Now(), Actor: p.Actor.Name, Action: "account.enter", Object: "administration", Verdict: audit.Refused, RequestID: requestIDOf(r.Context()), Detail: map[string]string{"code": "forbidden"}}
	if op := s.operation(r); op != nil {
		ev.Detail["operation"] = op.OperationID
	}
	if err := s.Signer.Records.Audit(context.WithoutCancel(r.Context()), ev); err != nil {
		return fmt.Errorf("recording who was kept out: %w: %w", audit.ErrNotRecorded, err)
	}
	return nil
}

// crossOrigin refuses what other sites' pages send.
func (s *server) crossOrigin() *http.CrossOriginProtection {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeProblem(w, r.Context(), errOtherSite) }))
	return c
}

// person is who holds the request's session: a cookie or a bearer token, not both.
func (s *server) person(r *http.Request) (enrol.Person, error) {
	return s.holder(r, s.Accounts.Authenticate)
}

// again is the app of a request that is still being answered; [enrol.ErrUnknown] when it would not
// be let in any more.
func (s *server) again(r *http.Request) (enrol.App, error) {
	if personOf(r.Context()) == nil {
		return s.app(r)
	}
	p, err := s.holder(r, s.Accounts.Holds)
	if err != nil {
		return enrol.App{}, err
	}
	return s.Apps.Own(r.Context(), &p, false)
}

func (s *server) holder(r *http.Request, of func(context.Context, secret.Text, string) (enrol.Person, error)) (enrol.Person, error) {
	var token string
	c, err := r.Cookie(s.cookieName("session"))
	if err == nil {
		token = c.Value
	}
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, bearer, _ := strings.Cut(auth, " ")
		if token != "" || !strings.EqualFold(scheme, "Bearer") {
			return enrol.Person{}, enrol.ErrUnknown
		}
		token = bearer
	}
	if token == "" || r.Header.Get("X-API-Key") != "" || len(r.Header.Values("Authorization")) > 1 || len(r.CookiesNamed(s.cookieName("session"))) > 1 {
		return enrol.Person{}, enrol.ErrUnknown
	}
	p, err := of(r.Context(), secret.New(token), requestIDOf(r.Context()))
	// A cookie is no bearer token, nor the other way round: what leaks from one place
	// is of no use in the other.
	if err == nil && p.Session.Bearer != (c == nil) {
		return enrol.Person{}, enrol.ErrUnknown
	}
	return p, err
}

// cookieName: by https the browser itself sees to it that the cookie is ours alone
// (RFC 6265bis, Section 4.1.3.2).
func (s *server) cookieName(what string) string {
	if s.SecureCookies {
		return "__Host-mohor-" + what
	}
	return "mohor-" + what
}

func (s *server) cookie(what, value string, seconds int) http.Cookie {
	return http.Cookie{Name: s.cookieName(what), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteStrictMode}
}
