package web

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
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/secret"
)

// What [Signing] says of a page that shows nothing; ErrUnknown is the third.
var (
	ErrUnopened  = errors.New("nobody has opened the page yet")
	ErrElsewhere = errors.New("the page was opened in another browser")
)

// Visit is a browser at the address of a signing page.
type Visit struct {
	Token   secret.Text // in the address
	Session secret.Text // in its cookie; may be empty

	Agent, RequestID string
}

// SigningPage is what the browser that opened the page is shown of its transaction. It was all
// fixed when the transaction was made, but for the code and what became of it.
type SigningPage struct {
	Transaction string
	Status      string // as the API names it
	Owner       string // title of the ICT system, in its own words
	System      string // name by which the code was announced
	Logo        bool   // there is one
	Notice      Notice
	DataHeader, Classification,
	Process, Role string
	Total       string // "MYR 29911.35", in the system's words
	Payees      int    // different ones, in the system's words; 0: it named none
	FirstPayees []string
	Unseen      bool // the gateway has digests alone, and has not looked into the documents
	Count       int
	Fingerprint string // as in the mail, XXXX-XXXX
	Root        string // base64
	Documents   []SigningDocument
	Next        int // index after which the next page of documents begins; -1: this is the last
	ExpiresAt   time.Time

	// While WAITING.
	Nonce                  string // base64
	Tries                  int    // left for the code
	SentTo                 string // masked
	CodeSent               time.Time
	CodeUntil, ResendAfter time.Time
	Locked                 bool // the PIN: nothing can be confirmed now
	LockedUntil            time.Time

	// While SIGNING, and afterwards.
	Signed, Refused int
	Information     *SignatureInformation
	Back            string // where the browser goes then; "" nowhere
}

// Notice chooses the words of the legal notice.
type Notice struct {
	Token  bool   // TOKEN, not SIJIL DIGITAL
	System string // code of the ICT system whose documents it speaks of
}

// SigningDocument is a document as it is authorised.
type SigningDocument struct {
	Index  int
	Name   string
	Alg    string // "SHA-256"
	Digest string // base64
	View   bool   // its bytes can be had
}

// SignatureInformation is what the screen tells once all is signed.
type SignatureInformation struct {
	IC, Subject, Serial           string
	NotBefore, NotAfter, SignedAt time.Time
}

// Confirmation is what the officer gave, and what the page had shown.
type Confirmation struct {
	Nonce, Root string // base64
	Tries       int
	PIN, Code   secret.Text
}

// Refusal is why something was not done, in words of our own.
type Refusal struct {
	Status     int    // of HTTP
	Field      string // "pin", "otp", or "code": another one must be asked for; "" concerns all of it
	MS, EN     string // sentences
	Left       int    // tries left, -1 where that is not the question
	RetryAfter int    // seconds; 0 where waiting does not help
}

func (r *Refusal) Error() string { return r.EN }

// Signing is the transactions that are confirmed here. All methods but Stray
// give ErrUnknown, ErrUnopened and ErrElsewhere as Page does; and but Page, Open and Logo a *Refusal.
type Signing interface {
	// Page changes nothing. Documents begin after the index given, from -1.
	Page(ctx context.Context, v Visit, after int) (SigningPage, error)
	// Open gives the page to v's browser, which shows nothing after until. The same seed, of a
	// button pressed twice, gives the same session.
	Open(ctx context.Context, v Visit, seed secret.Text) (session secret.Text, until time.Time, err error)
	// Stray notes a form that no page made for v's browser, where there is such a page. Its only
	// error is that it could not.
	Stray(ctx context.Context, v Visit) error
	// Confirm signs, or for a batch begins to.
	Confirm(ctx context.Context, v Visit, c Confirmation) error
	Resend(ctx context.Context, v Visit) error
	Cancel(ctx context.Context, v Visit) error
	// Logo is a PNG or JPEG of the ICT system.
	Logo(ctx context.Context, v Visit) (contentType string, data []byte, err error)
	// Document opens the PDF at an index: the very bytes that are authorised. The caller
	// closes it.
	Document(ctx context.Context, v Visit, index int) (r io.ReadCloser, size int64, err error)
}

// maxForm bounds what a form may hold, in bytes.
const maxForm = 16 << 10

// signingRoutes adds the pages below /sign/{token}. GET shows and changes nothing; only the
// browser whose POST was the first is shown anything.
func (s *site) signingRoutes(r chi.Router) {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(s.visited(s.stray))
	r = r.With(private, cross.Handler)
	// No HEAD: what was shown is noted, and its digest is taken first.
	r.Get("/sign/{token}/documents/{index}", s.visited(s.signingDocument))
	for path, h := range map[string]func(http.ResponseWriter, *http.Request, Visit){"/sign/{token}": s.signing, "/sign/{token}/logo": s.signingLogo} {
		r.Get(path, s.visited(h))
		r.Head(path, s.visited(h))
	}
	r.Post("/sign/{token}", s.visited(s.openSigning))
	r.Post("/sign/{token}/confirm", s.visited(s.form(s.confirmSigning)))
	r.Post("/sign/{token}/code", s.visited(s.form(s.resendCode)))
	r.Post("/sign/{token}/cancel", s.visited(s.form(s.cancelSigning)))
}

// aToken is what tokens and seeds look like: 128 bits in base64url.
var aToken = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// visited finds out who is there.
func (s *site) visited(h func(http.ResponseWriter, *http.Request, Visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := chi.URLParam(r, "token")
		if !aToken.MatchString(token) {
			s.signingFailed(w, r, ErrUnknown)
			return
		}
		v := Visit{Token: secret.New(token), Agent: r.UserAgent(), RequestID: w.Header().Get("X-Request-Id")}
		if c, err := r.Cookie(s.signingCookie(token)); err == nil {
			v.Session = secret.New(c.Value)
		}
		h(w, r, v)
	}
}

// signingCookie is named after the page, so that one browser can have several open.
func (s *site) signingCookie(token string) string {
	sum := sha256.Sum256([]byte(token))
	return s.cookiePrefix() + base64.RawURLEncoding.EncodeToString(sum[:9])
}

func (s *site) cookiePrefix() string {
	if s.SecureCookies {
		return "__Host-mohor-sign-" // RFC 6265bis, Section 4.1.3.2: nobody else can set it
	}
	return "mohor-sign-"
}

func signingPath(v *Visit) string { return "/sign/" + string(v.Token.Reveal()) }

// proof ties a form to the cookie of the browser that was shown it, and to its transaction.
func proof(v *Visit) string {
	mac := hmac.New(sha256.New, v.Session.Reveal())
	mac.Write(append([]byte("mohor signing form v1\n"), v.Token.Reveal()...))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// form lets only forms through that this page made for this browser.
func (s *site) form(h func(http.ResponseWriter, *http.Request, Visit)) func(http.ResponseWriter, *http.Request, Visit) {
	return func(w http.ResponseWriter, r *http.Request, v Visit) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if r.ParseForm() != nil || v.Session.Len() == 0 || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("form")), []byte(proof(&v))) != 1 {
			s.stray(w, r, v)
			return
		}
		h(w, r, v)
	}
}

// stray answers a form that no page made for this browser.
func (s *site) stray(w http.ResponseWriter, r *http.Request, v Visit) {
	if err := s.Signing.Stray(context.WithoutCancel(r.Context()), v); err != nil {
		s.signingFailed(w, r, err)
		return
	}
	s.show(w, http.StatusForbidden, "signNotice", notSigned())
}

// signingView is the page as the template sees it.
type signingView struct {
	SigningPage
	Path, Form string
	Refusal    *Refusal
	First      bool // of the pages of documents
	Now        time.Time
}

// Live says whether PIN and code can be given.
func (v *signingView) Live() bool { return v.Status == "WAITING" && !v.Locked }

// CodeDead says that no confirmation can succeed before another code is sent.
func (v *signingView) CodeDead() bool { return v.Tries == 0 || v.Now.After(v.CodeUntil) }

// Last is the index of the last document listed.
func (v *signingView) Last() int { return v.Documents[len(v.Documents)-1].Index }

// Single is the only document, or nil.
func (v *signingView) Single() *SigningDocument {
	if v.Count == 1 && len(v.Documents) == 1 {
		return &v.Documents[0]
	}
	return nil
}

// Wrong is the refusal, if it concerns a field.
func (v *signingView) Wrong(field string) *Refusal {
	if v.Refusal == nil || v.Refusal.Field != field {
		return nil
	}
	return v.Refusal
}

func (s *site) signing(w http.ResponseWriter, r *http.Request, v Visit) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil || after < 0 {
		after = -1
	}
	s.showSigning(w, r, v, after, nil)
}

// showSigning shows what there is; no is what went wrong just now.
func (s *site) showSigning(w http.ResponseWriter, r *http.Request, v Visit, after int, no *Refusal) {
	p, err := s.Signing.Page(r.Context(), v, after)
	switch {
	case errors.Is(err, ErrUnopened):
		s.show(w, http.StatusOK, "signOpen", seed())
	case err != nil:
		s.signingFailed(w, r, err)
	default:
		status := http.StatusOK
		if no != nil {
			status = no.Status
		}
		if no != nil && no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		s.show(w, status, "sign", &signingView{SigningPage: p, Path: signingPath(&v), Form: proof(&v), Refusal: no, First: after < 0, Now: s.Now()})
	}
}

func seed() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// signingFailed shows why a page is not shown.
func (s *site) signingFailed(w http.ResponseWriter, r *http.Request, err error) {
	var no *Refusal
	switch {
	case errors.Is(err, ErrUnknown):
		s.show(w, http.StatusNotFound, "signNotice", noSigning())
	case errors.Is(err, ErrElsewhere), errors.Is(err, ErrUnopened):
		s.show(w, http.StatusConflict, "signNotice", openedElsewhere())
	case r.Context().Err() != nil: // nobody is there
	case errors.As(err, &no):
		if no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		s.show(w, no.Status, "signNotice", notice{"bad", "TIDAK DAPAT DILAKUKAN", "THAT CANNOT BE DONE", no.MS, no.EN})
	default:
		s.Log.ErrorContext(r.Context(), "a signing page could not be shown", "request_id", w.Header().Get("X-Request-Id"), "error", err)
		w.Header().Set("Retry-After", "5")
		s.show(w, http.StatusServiceUnavailable, "signNotice", notice{"wait", "SILA CUBA SEBENTAR LAGI", "PLEASE TRY AGAIN SHORTLY",
			"Halaman ini tidak dapat ditunjukkan sekarang. Muat semula sebentar lagi; ia akan memberitahu sama ada dokumen telah ditandatangani.",
			"This page cannot be shown now. Reload it shortly; it will tell whether the documents were signed."})
	}
}

func (s *site) openSigning(w http.ResponseWriter, r *http.Request, v Visit) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	given := r.PostFormValue("seed")
	if !aToken.MatchString(given) {
		s.stray(w, r, v)
		return
	}
	// What the browser had before counts for nothing: the session is made now.
	session, until, err := s.Signing.Open(context.WithoutCancel(r.Context()), v, secret.New(given))
	if err != nil {
		s.signingFailed(w, r, err)
		return
	}
	// Lax: who comes back to this address from the system's page is still the same browser.
	c := http.Cookie{Name: s.signingCookie(string(v.Token.Reveal())), Value: string(session.Reveal()), Path: "/", HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteLaxMode,
		MaxAge: max(1, int(until.Sub(s.Now()).Seconds()))}
	http.SetCookie(w, &c)
	// The oldest come first (RFC 6265, Section 5.4).
	for old := s.signingCookies(r, c.Name); len(old) >= maxPages; old = old[1:] {
		c.Name, c.Value, c.MaxAge = old[0], "", -1
		http.SetCookie(w, &c)
	}
	http.Redirect(w, r, signingPath(&v), http.StatusSeeOther)
}

// maxPages is how many pages one browser keeps: their cookies go with each request to this host,
// and proxies take some 8 KB of header.
const maxPages = 32

// signingCookies are the names of the other pages' cookies that r brings, in its order.
func (s *site) signingCookies(r *http.Request, but string) (names []string) {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, s.cookiePrefix()) && c.Name != but {
			names = append(names, c.Name)
		}
	}
	return names
}

// did answers a deed: the page anew, or with what was wrong.
func (s *site) did(w http.ResponseWriter, r *http.Request, v Visit, err error) {
	var no *Refusal
	switch {
	case err == nil:
		http.Redirect(w, r, signingPath(&v), http.StatusSeeOther)
	case errors.As(err, &no):
		s.showSigning(w, r, v, -1, no)
	default:
		s.signingFailed(w, r, err)
	}
}

func (s *site) confirmSigning(w http.ResponseWriter, r *http.Request, v Visit) {
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
		s.showSigning(w, r, v, -1, no)
		return
	}
	// Who closes the page after pressing the button has signed all the same.
	s.did(w, r, v, s.Signing.Confirm(context.WithoutCancel(r.Context()), v, c))
}

// unreadable is what is wrong with the fields before anything is tried.
func unreadable(c *Confirmation) *Refusal {
	switch n := c.PIN.Len(); {
	case n == 0:
		return &Refusal{http.StatusBadRequest, "pin", "Masukkan PIN sijil anda.", "Enter the PIN of your certificate.", -1, 0}
	case n > 256:
		return &Refusal{http.StatusBadRequest, "pin", "PIN tidak sepanjang itu.", "A PIN is not as long as that.", -1, 0}
	}
	if c.Code.Len() != 6 || strings.Trim(string(c.Code.Reveal()), "0123456789") != "" {
		return &Refusal{http.StatusBadRequest, "otp", "Masukkan enam digit kod yang dihantar kepada anda.", "Enter the six digits of the code that was sent to you.", -1, 0}
	}
	return nil
}

func (s *site) resendCode(w http.ResponseWriter, r *http.Request, v Visit) {
	s.did(w, r, v, s.Signing.Resend(context.WithoutCancel(r.Context()), v))
}

func (s *site) cancelSigning(w http.ResponseWriter, r *http.Request, v Visit) {
	s.did(w, r, v, s.Signing.Cancel(context.WithoutCancel(r.Context()), v))
}

func (s *site) signingLogo(w http.ResponseWriter, r *http.Request, v Visit) {
	kind, data, err := s.Signing.Logo(r.Context(), v)
	if err == nil && kind != "image/png" && kind != "image/jpeg" {
		err = ErrUnknown
	}
	if err != nil {
		s.signingFailed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", inert)
	_, _ = w.Write(data) // an error means that the reader has gone
}

// inert is the policy of what is no page of ours: it may do nothing.
const inert = "default-src 'none'; frame-ancestors 'none'; sandbox"

func (s *site) signingDocument(w http.ResponseWriter, r *http.Request, v Visit) {
	index, err := strconv.Atoi(chi.URLParam(r, "index"))
	if err != nil || index < 0 {
		s.signingFailed(w, r, ErrUnknown)
		return
	}
	doc, size, err := s.Signing.Document(r.Context(), v, index)
	if err != nil {
		s.signingFailed(w, r, err)
		return
	}
	defer doc.Close()
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="dokumen-`+strconv.Itoa(index+1)+`.pdf"`)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Security-Policy", inert)
	_, _ = io.Copy(w, doc) // an error means that the reader has gone
}

func noSigning() notice {
	return notice{"wait", "HALAMAN INI TIDAK BOLEH DIGUNAKAN", "THIS PAGE CANNOT BE USED",
		"Ia tidak dikenali, atau permintaannya telah tamat. Kembali ke sistem anda dan mula semula di situ.",
		"It is unknown, or its request has ended. Go back to your system and begin again there."}
}

func openedElsewhere() notice {
	return notice{"bad", "HALAMAN INI TELAH DIBUKA DI PELAYAR LAIN", "THIS PAGE WAS OPENED IN ANOTHER BROWSER",
		"Setiap pautan boleh dibuka sekali sahaja. Teruskan di pelayar yang membukanya. Jika bukan anda yang membukanya, kembali ke sistem anda, batalkan permintaan itu dan mula semula; tiada apa-apa ditandatangani tanpa PIN dan kod anda.",
		"Each link can be opened once. Go on in the browser that opened it. If that was not you, go back to your system, cancel the request and begin again; nothing is signed without your PIN and code."}
}

func notSigned() notice {
	return notice{"bad", "TIADA APA-APA DILAKUKAN", "NOTHING WAS DONE",
		"Permintaan itu bukan dari halaman tandatangan dalam pelayar ini. Buka semula halaman tandatangan dari sistem anda, dengan kuki dibenarkan, dan tekan butang di situ.",
		"The request did not come from the signing page in this browser. Open the signing page from your system again, with cookies allowed, and press the button there."}
}
