package signing

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/web/page"
)

// maxForm bounds what a form may hold, in bytes.
const maxForm = 16 << 10

// booth is the pages at work.
type booth struct {
	*page.Site
	signing Signing
}

// Routes adds the pages below /sign/{token}, and has s open them for browsers of its own
// ([page.Site.Sign]). GET shows and changes nothing; only the browser that opened a page is shown
// anything.
func Routes(r chi.Router, s *page.Site, with Signing) {
	b := &booth{s, with}
	s.OpenSigning = b.openFor
	r = r.With(page.Private, s.PagesDenying(b.visited(b.stray)))
	// No HEAD: what was shown is noted, and its digest is taken first.
	r.Get("/sign/{token}/documents/{index}", b.visited(b.document))
	r.Get("/sign/{token}/progress", b.visited(b.progress))
	for path, h := range map[string]func(http.ResponseWriter, *http.Request, Visit){"/sign/{token}": b.page, "/sign/{token}/logo": b.logo} {
		r.Get(path, b.visited(h))
		r.Head(path, b.visited(h))
	}
	r.Post("/sign/{token}", b.visited(b.open))
	r.Post("/sign/{token}/confirm", b.visited(b.form(b.confirm)))
	r.Post("/sign/{token}/code", b.visited(b.form(b.resend)))
	r.Post("/sign/{token}/cancel", b.visited(b.form(b.cancel)))
}

// aToken is what tokens and seeds look like: 128 bits in base64url.
var aToken = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// visited finds out who is there.
func (b *booth) visited(h func(http.ResponseWriter, *http.Request, Visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := chi.URLParam(r, "token")
		if !aToken.MatchString(token) {
			b.failed(w, r, ErrUnknown)
			return
		}
		v := b.visit(w, r, token)
		// What answers a form has no address of its own: the other language is that of the page.
		if r.Method != http.MethodGet {
			page.Returning(r, path(&v))
		}
		h(w, r, v)
	}
}

func (b *booth) visit(w http.ResponseWriter, r *http.Request, token string) Visit {
	v := Visit{Token: secret.New(token), Device: secret.New(b.CookieValue(r, "device")), Agent: r.UserAgent(), RequestID: w.Header().Get("X-Request-Id")}
	if c, err := r.Cookie(b.cookie(token)); err == nil {
		v.Session = secret.New(c.Value)
	}
	return v
}

// cookie is named after the page, so that one browser can have several open.
func (b *booth) cookie(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b.cookiePrefix() + base64.RawURLEncoding.EncodeToString(sum[:9])
}

func (b *booth) cookiePrefix() string {
	if b.SecureCookies {
		return "__Host-mohor-sign-" // RFC 6265bis, Section 4.1.3.2: nobody else can set it
	}
	return "mohor-sign-"
}

func path(v *Visit) string { return "/sign/" + string(v.Token.Reveal()) }

// proof ties a form to the cookie of the browser that was shown it, and to its transaction.
func proof(v *Visit) string {
	mac := hmac.New(sha256.New, v.Session.Reveal())
	mac.Write(append([]byte("mohor signing form v1\n"), v.Token.Reveal()...))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// form lets only forms through that this page made for this browser.
func (b *booth) form(h func(http.ResponseWriter, *http.Request, Visit)) func(http.ResponseWriter, *http.Request, Visit) {
	return func(w http.ResponseWriter, r *http.Request, v Visit) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if r.ParseForm() != nil || v.Session.Len() == 0 || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("form")), []byte(proof(&v))) != 1 {
			b.stray(w, r, v)
			return
		}
		h(w, r, v)
	}
}

// stray answers a form that no page made for this browser.
func (b *booth) stray(w http.ResponseWriter, r *http.Request, v Visit) {
	if err := b.signing.Stray(context.WithoutCancel(r.Context()), v); err != nil {
		b.failed(w, r, err)
		return
	}
	b.tell(w, r, http.StatusForbidden, page.Bad, "stray")
}

// tell shows a page that says one thing.
func (b *booth) tell(w http.ResponseWriter, r *http.Request, status int, tone, what string) {
	b.Show(w, r, status, page.Message(page.Notice{Tone: tone, Word: page.T(r.Context(), "sign.say."+what), Text: page.T(r.Context(), "sign.say."+what+".text")}))
}

func (b *booth) page(w http.ResponseWriter, r *http.Request, v Visit) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil || after < 0 {
		after = -1
	}
	b.show(w, r, v, after, nil)
}

// show shows what there is; no is what went wrong just now.
func (b *booth) show(w http.ResponseWriter, r *http.Request, v Visit, after int, no *Refusal) {
	p, err := b.signing.Page(r.Context(), v, after)
	switch {
	case errors.Is(err, ErrUnopened):
		b.Show(w, r, http.StatusOK, gate(path(&v), seed()))
	case err != nil:
		b.failed(w, r, err)
	default:
		status := http.StatusOK
		if no != nil {
			status = no.Status
		}
		if no != nil && no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		b.Show(w, r, status, whole(&view{Page: p, Path: path(&v), Form: proof(&v), Refusal: no, First: after < 0, Now: b.Now()}))
	}
}

// progress is the part of the page that changes while a batch is being signed; 204 once it is not.
func (b *booth) progress(w http.ResponseWriter, r *http.Request, v Visit) {
	p, err := b.signing.Page(r.Context(), v, -1)
	switch {
	case err != nil:
		b.failed(w, r, err)
	case p.Status != "SIGNING":
		w.WriteHeader(http.StatusNoContent)
	default:
		b.Show(w, r, http.StatusOK, work(&p))
	}
}

func seed() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// failed shows why a page is not shown.
func (b *booth) failed(w http.ResponseWriter, r *http.Request, err error) {
	var no *Refusal
	switch {
	case errors.Is(err, ErrUnknown):
		b.tell(w, r, http.StatusNotFound, page.Wait, "unknown")
	case errors.Is(err, ErrElsewhere), errors.Is(err, ErrUnopened):
		b.tell(w, r, http.StatusConflict, page.Bad, "elsewhere")
	case r.Context().Err() != nil: // nobody is there
	case errors.As(err, &no):
		if no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		b.Show(w, r, no.Status, page.Message(page.Notice{Tone: page.Bad, Word: page.T(r.Context(), "sign.say.refused"), Text: said(r.Context(), no)}))
	default:
		b.Log.ErrorContext(r.Context(), "a signing page could not be shown", "request_id", w.Header().Get("X-Request-Id"), "error", err)
		w.Header().Set("Retry-After", "5")
		b.tell(w, r, http.StatusServiceUnavailable, page.Wait, "later")
	}
}

func (b *booth) open(w http.ResponseWriter, r *http.Request, v Visit) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	given := r.PostFormValue("seed")
	if !aToken.MatchString(given) {
		b.stray(w, r, v)
		return
	}
	if err := b.give(w, r, v, given); err != nil {
		b.failed(w, r, err)
		return
	}
	http.Redirect(w, r, path(&v), http.StatusSeeOther)
}

// openFor is [page.Site.OpenSigning]: the browser that asked for the signature a moment ago is the
// first at its page.
func (b *booth) openFor(w http.ResponseWriter, r *http.Request, address string) error {
	token := strings.TrimPrefix(address, "/sign/")
	if !aToken.MatchString(token) {
		return ErrUnknown
	}
	return b.give(w, r, b.visit(w, r, token), seed())
}

// give makes the page this browser's. What the browser had before counts for nothing: the session
// is made now.
func (b *booth) give(w http.ResponseWriter, r *http.Request, v Visit, seed string) error {
	session, until, err := b.signing.Open(context.WithoutCancel(r.Context()), v, secret.New(seed))
	if err != nil {
		return err
	}
	// Lax: who comes back to this address from the system's page is still the same browser.
	c := http.Cookie{Name: b.cookie(string(v.Token.Reveal())), Value: string(session.Reveal()), Path: "/", HttpOnly: true, Secure: b.SecureCookies, SameSite: http.SameSiteLaxMode,
		MaxAge: max(1, int(until.Sub(b.Now()).Seconds()))}
	http.SetCookie(w, &c)
	// The oldest come first (RFC 6265, Section 5.4).
	for old := b.cookies(r, c.Name); len(old) >= maxPages; old = old[1:] {
		c.Name, c.Value, c.MaxAge = old[0], "", -1
		http.SetCookie(w, &c)
	}
	return nil
}

// maxPages is how many pages one browser keeps: their cookies go with each request to this host,
// and proxies take some 8 KB of header.
const maxPages = 32

// cookies are the names of the other pages' cookies that r brings, in its order.
func (b *booth) cookies(r *http.Request, but string) (names []string) {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, b.cookiePrefix()) && c.Name != but {
			names = append(names, c.Name)
		}
	}
	return names
}

// did answers a deed: the page anew, or with what was wrong.
func (b *booth) did(w http.ResponseWriter, r *http.Request, v Visit, err error) {
	var no *Refusal
	switch {
	case err == nil:
		http.Redirect(w, r, path(&v), http.StatusSeeOther)
	case errors.As(err, &no):
		b.show(w, r, v, -1, no)
	default:
		b.failed(w, r, err)
	}
}

func (b *booth) confirm(w http.ResponseWriter, r *http.Request, v Visit) {
	f := r.PostForm
	c := Confirmation{Nonce: f.Get("nonce"), Root: f.Get("root"), PIN: secret.New(f.Get("pin")), Code: secret.New(strings.Join(strings.Fields(f.Get("otp")), ""))}
	defer c.PIN.Wipe()
	defer c.Code.Wipe()
	c.Tries, _ = strconv.Atoi(f.Get("tries"))
	f.Del("pin")
	f.Del("otp")
	r.Form.Del("pin")
	r.Form.Del("otp")
	if no := unreadable(&c); no != nil {
		b.show(w, r, v, -1, no)
		return
	}
	// Who closes the page after pressing the button has signed all the same.
	b.did(w, r, v, b.signing.Confirm(context.WithoutCancel(r.Context()), v, c))
}

// unreadable is what is wrong with the fields before anything is tried.
func unreadable(c *Confirmation) *Refusal {
	switch n := c.PIN.Len(); {
	case n == 0:
		return &Refusal{Status: http.StatusBadRequest, Field: "pin", MS: "Masukkan PIN sijil anda.", EN: "Enter the PIN of your certificate.", Left: -1}
	case n > 256:
		return &Refusal{Status: http.StatusBadRequest, Field: "pin", MS: "PIN tidak sepanjang itu.", EN: "A PIN is not as long as that.", Left: -1}
	}
	if c.Code.Len() != 6 || strings.Trim(string(c.Code.Reveal()), "0123456789") != "" {
		return &Refusal{Status: http.StatusBadRequest, Field: "otp", MS: "Masukkan enam digit kod yang dihantar kepada anda.", EN: "Enter the six digits of the code that was sent to you.", Left: -1}
	}
	return nil
}

func (b *booth) resend(w http.ResponseWriter, r *http.Request, v Visit) {
	b.did(w, r, v, b.signing.Resend(context.WithoutCancel(r.Context()), v))
}

func (b *booth) cancel(w http.ResponseWriter, r *http.Request, v Visit) {
	b.did(w, r, v, b.signing.Cancel(context.WithoutCancel(r.Context()), v))
}

func (b *booth) logo(w http.ResponseWriter, r *http.Request, v Visit) {
	kind, data, err := b.signing.Logo(r.Context(), v)
	if err == nil && kind != "image/png" && kind != "image/jpeg" {
		err = ErrUnknown
	}
	if err != nil {
		b.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(data) // an error means that the reader has gone
}

func (b *booth) document(w http.ResponseWriter, r *http.Request, v Visit) {
	index, err := strconv.Atoi(chi.URLParam(r, "index"))
	if err != nil || index < 0 {
		b.failed(w, r, ErrUnknown)
		return
	}
	doc, size, err := b.signing.Document(r.Context(), v, index)
	if err != nil {
		b.failed(w, r, err)
		return
	}
	defer doc.Close()
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="dokumen-`+strconv.Itoa(index+1)+`.pdf"`)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Security-Policy", page.Inert)
	_, _ = io.Copy(w, doc) // an error means that the reader has gone
}
