package page

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Person is who is logged in in this browser.
type Person struct {
	Account string `json:"account_id"`
	IC      string `json:"ic"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Kind    string `json:"kind"` // "officer" or "administrator"
	Session struct {
		ID        string    `json:"session_id"`
		Method    string    `json:"method"` // "password+code", "password+totp" or "webauthn"
		CreatedAt time.Time `json:"created_at"`
	} `json:"session"`
	Appointments []Appointment `json:"appointments"`         // of administrators
	Factorless   bool          `json:"second_factor_needed"` // an officer who was appointed and has none
	Alarms       int           `json:"open_alarms"`          // that nobody has seen to; 0 for who may not see them
}

// Appointment is what an administrator may decide about.
type Appointment struct {
	Role   string     `json:"role"`
	Agency string     `json:"agency"`
	System string     `json:"system"`
	Until  *time.Time `json:"until"`
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

// LoginPath is the page to log in at, Portal the first one after it.
const (
	LoginPath = "/login"
	Portal    = "/portal"
)

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
	at, asked := LoginPath, r.URL
	if htmx(r) { // a part of a page is none to come back to
		if u, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil {
			asked = u
		}
	}
	if r.Method == http.MethodGet && asked.Path != LoginPath {
		at += "?" + url.Values{"next": {without(asked, "lang")}}.Encode()
	}
	See(w, r, at)
}

// Next is where to go after the log-in: an address of ours that "next" of the form or query
// names, else the portal. Whatever could lead elsewhere counts for nothing.
func Next(r *http.Request) string {
	next := r.PostForm.Get("next") // parsed by [Site.Form]: not r.FormValue, which takes any body
	if next == "" {
		next = r.URL.Query().Get("next")
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsAny(next, "\\\r\n\t") || path.Clean(u.Path) != u.Path || !below(Portal, u.Path) && !below(ConsolePath, u.Path) {
		return Portal
	}
	return u.RequestURI()
}

func below(root, path string) bool { return path == root || strings.HasPrefix(path, root+"/") }
