package page

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

type contextKey int

const visitKey contextKey = iota

// visit is one request for a page: what its parts are made with.
type visit struct {
	site    *Site
	words   *words
	path    string // to which a switch of the language comes back
	request string
	proof   func() string // of forms; its cookie is set when there is one
	person  *Person
}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey).(*visit)
	if v == nil { // a part that is shown outside a visit
		return &visit{site: &Site{Title: "Mohor", Now: time.Now}, words: wordsOf(Malay), proof: func() string { return "" }}
	}
	return v
}

// Languages of pages.
const (
	Malay   = "ms"
	English = "en"
)

// LanguageCookie remembers the language that was chosen.
const LanguageCookie = "mohor-lang"

// visited prepares a request for a page: its language, and the proof for its forms. ?lang= chooses
// the language from then on.
func (s *Site) visited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		language := Malay
		if c, err := r.Cookie(LanguageCookie); err == nil && c.Value == English {
			language = English
		}
		if chosen := r.URL.Query().Get("lang"); chosen == Malay || chosen == English {
			language = chosen
			http.SetCookie(w, &http.Cookie{Name: LanguageCookie, Value: chosen, Path: "/", MaxAge: 365 * 24 * 60 * 60, HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteLaxMode})
			if r.Method == http.MethodGet {
				w.Header().Set("Cache-Control", "no-store")
				http.Redirect(w, r, without(r.URL, "lang"), http.StatusSeeOther)
				return
			}
		}
		v := &visit{site: s, words: wordsOf(language), path: r.URL.Path, request: requestID(w), proof: sync.OnceValue(func() string { return s.proof(w, r) })}
		if r.Method == http.MethodGet {
			v.path = without(r.URL, "lang")
		}
		w.Header().Set("Content-Language", language)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey, v)))
	})
}

// Linked is the middleware of pages to which the links of mails lead, in place of [Site.Pages]: what is
// secret in their addresses no answer repeats, and who looks is given no cookie.
func (s *Site) Linked(next http.Handler) http.Handler {
	return Protect(s.visited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("Set-Cookie")
		Returning(r, "")
		next.ServeHTTP(w, r)
	})))
}

// without is the address of u, within this site, without a part of its query.
func without(u *url.URL, name string) string {
	q := u.Query()
	q.Del(name)
	// Two slashes would begin another site's address.
	at := url.URL{Path: "/" + strings.TrimLeft(u.Path, "/"), RawQuery: q.Encode()}
	return at.RequestURI()
}

// Returning changes the address to which a switch of the language comes back, for pages that
// answer a form. "" is the address at hand, for pages that may not repeat it.
func Returning(r *http.Request, path string) { visitOf(r.Context()).path = path }

// Language is the page's, "ms" or "en".
func Language(ctx context.Context) string { return visitOf(ctx).words.language }

// Now is the time at which the page is made.
func Now(ctx context.Context) time.Time { return visitOf(ctx).site.Now() }

// Cookies of the API, which prove a session and a browser in which somebody has logged in
// before, and the one that ties forms to a browser without a session.
func (s *Site) cookieName(what string) string {
	if s.SecureCookies {
		return "__Host-mohor-" + what // RFC 6265bis, Section 4.1.3.2: nobody else can set it
	}
	return "mohor-" + what
}

// Cookie is a cookie of the pages for this browser alone; seconds as MaxAge of [http.Cookie].
func (s *Site) Cookie(what, value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(what), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteStrictMode}
}

// CookieValue is the value of a cookie of [Site.Cookie], "" for none.
func (s *Site) CookieValue(r *http.Request, what string) string {
	if c, err := r.Cookie(s.cookieName(what)); err == nil {
		return c.Value
	}
	return ""
}

// formKey is what the forms of this browser are tied to: its session, or before there is one a
// cookie of its own; "" for neither. A session's forms are of no use to the next one.
func (s *Site) formKey(r *http.Request) string {
	if key := s.CookieValue(r, "session"); key != "" {
		return key
	}
	if key := s.CookieValue(r, "form"); len(key) >= 22 {
		return key
	}
	return ""
}

// Forget has the browser lose all that the pages keep in it, signing pages that were opened in it as
// well; that somebody logged in in it once, and the language, stay. So does what keep names; a name
// that ends in a stroke stands for all that begin with it.
func (s *Site) Forget(w http.ResponseWriter, r *http.Request, keep ...string) {
	keep = append(keep, "device", "lang")
	for _, c := range r.Cookies() {
		what, ours := strings.CutPrefix(c.Name, s.cookieName(""))
		kept := slices.ContainsFunc(keep, func(k string) bool {
			return what == k || strings.HasSuffix(k, "-") && strings.HasPrefix(what, k)
		})
		if ours && !kept {
			http.SetCookie(w, s.Cookie(what, "", -1))
		}
	}
}

// proof ties the forms of a page to the browser, which gets a cookie for it where it has none.
func (s *Site) proof(w http.ResponseWriter, r *http.Request) string {
	key := s.formKey(r)
	if key == "" {
		var b [16]byte
		_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
		key = base64.RawURLEncoding.EncodeToString(b[:])
		// Lax: the first page is often one to which another site's link leads.
		c := s.Cookie("form", key, 0)
		c.SameSite = http.SameSiteLaxMode
		http.SetCookie(w, c)
	}
	return proofOf(key)
}

func proofOf(key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("mohor form v1\n"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// proven says whether a form was made for this browser.
func proven(r *http.Request, form string) bool {
	key := visitOf(r.Context()).site.formKey(r)
	return key != "" && subtle.ConstantTimeCompare([]byte(form), []byte(proofOf(key))) == 1
}

// MaxForm bounds what a form without files may hold, in bytes.
const MaxForm = 64 << 10

// Form is the middleware of POSTs without files: a form of ours, for this browser, parsed.
func (s *Site) Form(next http.HandlerFunc) http.HandlerFunc { return s.LongForm(MaxForm, next) }

// LongForm is Form for one that brings more back: up to so many bytes.
func (s *Site) LongForm(most int64, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		if r.ParseForm() != nil || !proven(r, r.PostForm.Get("form")) {
			s.Stray(w, r)
			return
		}
		next(w, r)
	}
}
