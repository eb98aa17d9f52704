package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

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
	case under("/v1/sessions"), under("/v1/setup"), under("/v1/account"), under("/v1/password"):
		return "visitor"
	case strings.HasPrefix(path, "/v1/"):
		return "app"
	}
	return "anybody"
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
			err = errNotAppointed
		}
		if err != nil {
			writeProblem(w, ctx, s.logged(ctx, err))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, keyPerson, &p)))
	})
	return s.cross.Handler(admit)
}

// crossOrigin refuses what other sites' pages send.
func (s *server) crossOrigin() *http.CrossOriginProtection {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeProblem(w, r.Context(), errOtherSite) }))
	return c
}

// person is who holds the request's session: a cookie or a bearer token, not both.
func (s *server) person(r *http.Request) (enrol.Person, error) {
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
	p, err := s.Accounts.Authenticate(r.Context(), secret.New(token), requestIDOf(r.Context()))
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
