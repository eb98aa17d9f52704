package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// Problem is an error answer of the API (RFC 9457), in the language of the page.
type Problem struct {
	Status       int     `json:"status"`
	Code         string  `json:"code"`
	Title        string  `json:"title"`
	Detail       string  `json:"detail"`
	Field        string  `json:"field"`
	AttemptsLeft *int    `json:"attempts_left"`
	RetryAfter   int     `json:"retry_after"` // seconds
	Row          int     `json:"row"`
	Medium       string  `json:"medium"`
	Errors       []Wrong `json:"errors"`
}

// Wrong is one of several things that are wrong.
type Wrong struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Code) }

// Of is the problem in err, or nil.
func Of(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxAnswer bounds what a page takes of the API into memory, in bytes.
const maxAnswer = 16 << 20

var errLong = errors.New("the API's answer is too long for a page")

// request is one of a page's to the API: with this browser's cookies, address and language.
func (s *Site) request(r *http.Request, method, path, contentType string, body io.Reader) (*http.Request, error) {
	ctx := r.Context()
	if s.Inner != nil {
		ctx = s.Inner(ctx)
	}
	ctx = context.WithValue(ctx, chi.RouteCtxKey, nil) // the router begins anew
	q, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the API for %s: %w", path, err)
	}
	if q.Body == nil {
		q.Body = http.NoBody // as a server's request has it
	}
	q.Host, q.RemoteAddr, q.TLS, q.RequestURI = r.Host, r.RemoteAddr, r.TLS, path
	v := visitOf(ctx)
	q.Header = http.Header{"Accept-Language": {v.words.language}, "User-Agent": r.Header["User-Agent"], "X-Forwarded-For": r.Header["X-Forwarded-For"], "X-Request-Id": {v.request}}
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	for _, name := range []string{"session", "device"} {
		// Two of one name stay two, and the API refuses them.
		for _, c := range r.CookiesNamed(s.cookieName(name)) {
			q.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
		}
	}
	return q, nil
}

// Ask makes a request of the API and gives whatever it answers. Its error is one that no answer
// has: the API could not be asked, or answered too long.
func (s *Site) Ask(r *http.Request, method, path, contentType string, body io.Reader) (*Answer, error) {
	return s.Send(r, method, path, http.Header{"Content-Type": {contentType}}, body)
}

// Send is Ask with any headers of the request's own, such as X-PDF-Password.
func (s *Site) Send(r *http.Request, method, path string, header http.Header, body io.Reader) (*Answer, error) {
	q, err := s.request(r, method, path, header.Get("Content-Type"), body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		if name != "Content-Type" {
			q.Header[name] = values
		}
	}
	w := &keeper{header: http.Header{}}
	s.API.ServeHTTP(w, q)
	if w.long {
		return nil, errLong
	}
	return &Answer{max(w.status, http.StatusOK), w.header, w.body.Bytes()}, nil
}

// Call makes a request of the API with in as JSON (nil: no body) and decodes the answer into out
// (nil: not looked at). The error of a refusal is a *[Problem].
func (s *Site) Call(r *http.Request, method, path string, in, out any) error {
	_, err := s.call(r, method, path, in, out)
	return err
}

// CallFor is Call for what sets cookies: the browser gets them with w.
func (s *Site) CallFor(w http.ResponseWriter, r *http.Request, method, path string, in, out any) error {
	a, err := s.call(r, method, path, in, out)
	if a != nil {
		for _, c := range a.Header.Values("Set-Cookie") {
			w.Header().Add("Set-Cookie", c)
		}
	}
	return err
}

func (s *Site) call(r *http.Request, method, path string, in, out any) (*Answer, error) {
	var body io.Reader
	kind := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding for %s: %w", path, err)
		}
		defer clear(b) // it may hold a PIN
		body, kind = bytes.NewReader(b), "application/json"
	}
	a, err := s.Ask(r, method, path, kind, body)
	if err != nil {
		return nil, err
	}
	return a, a.Decode(out)
}

// Decode gives the answer's JSON in out (nil: not looked at), or its *[Problem].
func (a *Answer) Decode(out any) error {
	if a.Status >= 400 {
		p := &Problem{Status: a.Status}
		if err := json.Unmarshal(a.Body, p); err != nil {
			return fmt.Errorf("reading the API's problem (%d): %w", a.Status, err)
		}
		return p
	}
	if out == nil || len(a.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("reading the API's answer: %w", err)
	}
	return nil
}

// Relay hands the API's answer to a GET on to the browser as it comes: a file, or a stream of
// events. Of its headers only those pass that describe it. A refusal is shown as a page.
func (s *Site) Relay(w http.ResponseWriter, r *http.Request, path string) {
	q, err := s.request(r, http.MethodGet, path, "", nil)
	if err != nil {
		s.Failed(w, r, err)
		return
	}
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "Last-Event-Id"} {
		if v := r.Header.Get(name); v != "" {
			q.Header.Set(name, v)
		}
	}
	p := &passer{to: w, header: http.Header{}}
	s.API.ServeHTTP(p, q)
	if p.refused {
		a := &Answer{p.status, p.header, p.problem.Bytes()}
		s.Failed(w, r, a.Decode(nil))
	}
}

// keeper keeps an answer in memory.
type keeper struct {
	header http.Header
	status int
	body   bytes.Buffer
	long   bool
}

func (k *keeper) Header() http.Header { return k.header }

func (k *keeper) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *keeper) Write(p []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	if k.body.Len()+len(p) > maxAnswer {
		k.long = true
		return 0, errLong
	}
	return k.body.Write(p)
}

// passer passes an answer on, but for refusals.
type passer struct {
	to      http.ResponseWriter
	header  http.Header
	status  int
	refused bool
	problem bytes.Buffer
}

func (p *passer) Header() http.Header { return p.header }

func (p *passer) WriteHeader(status int) {
	if p.status != 0 {
		return
	}
	p.status = status
	if p.refused = status >= 400 && strings.HasPrefix(p.header.Get("Content-Type"), "application/problem+json"); p.refused {
		return
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified", "Retry-After"} {
		if v := p.header.Get(name); v != "" {
			p.to.Header().Set(name, v)
		}
	}
	p.to.Header().Set("Content-Security-Policy", Inert)
	p.to.WriteHeader(status)
}

func (p *passer) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.refused {
		return p.problem.Write(b[:min(len(b), max(0, maxAnswer-p.problem.Len()))])
	}
	return p.to.Write(b)
}

// Unwrap and Flush are for streams ([http.ResponseController]).
func (p *passer) Unwrap() http.ResponseWriter { return p.to }

func (p *passer) Flush() {
	p.WriteHeader(http.StatusOK)
	if !p.refused {
		_ = http.NewResponseController(p.to).Flush()
	}
}

// retryAfter says when to come again.
func retryAfter(w http.ResponseWriter, p *Problem) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
}

// RetryAfter says when to come again, in whole seconds.
func RetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Round(time.Second).Seconds())))
}
