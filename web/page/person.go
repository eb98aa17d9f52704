package page

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Person is who is logged in in this browser.
type Person struct {
	IC      string `json:"ic"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Kind    string `json:"kind"` // "officer" or "administrator"
	Session struct {
		ID string `json:"session_id"`
	} `json:"session"`
}

// Initials are of the first two names, for the mark beside the name.
func (p *Person) Initials() string {
	var out []rune
	for _, w := range strings.Fields(p.Name) {
		if len(out) < 2 {
			out = append(out, []rune(strings.ToUpper(w))[0])
		}
	}
	return string(out)
}

// Who is logged in, nil for nobody.
func Who(ctx context.Context) *Person { return visitOf(ctx).person }

// LoginPath is the page to log in at.
const LoginPath = "/login"

// SignedIn is the middleware of pages for somebody who is logged in: others go to the log-in, and
// come back after it.
func (s *Site) SignedIn(next http.Handler) http.Handler {
	return Private(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &Person{}
		if err := s.Call(r, http.MethodGet, "/v1/me", nil, p); err != nil {
			s.Failed(w, r, err)
			return
		}
		visitOf(r.Context()).person = p
		next.ServeHTTP(w, r)
	}))
}

// LogIn sends the browser to the log-in; after it the page that was asked for is shown.
func (s *Site) LogIn(w http.ResponseWriter, r *http.Request) {
	at := LoginPath
	if r.Method == http.MethodGet && r.URL.Path != LoginPath {
		at += "?" + url.Values{"next": {without(r.URL, "lang")}}.Encode()
	}
	See(w, r, at)
}

// Next is where to go after the log-in: an address of ours that "next" of the form or query
// names, else the portal. Whatever could lead elsewhere counts for nothing.
func Next(r *http.Request) string {
	const portal = "/portal"
	next := r.FormValue("next")
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsAny(next, "\\\r\n\t") || path.Clean(u.Path) != u.Path || u.Path != portal && !strings.HasPrefix(u.Path, portal+"/") {
		return portal
	}
	return u.RequestURI()
}
