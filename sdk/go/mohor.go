// Package mohor is a client of the Mohor signing gateway's API for applications. It needs
// nothing but the standard library, and no cgo; package pades beside it prepares PDFs that
// stay with the caller.
//
//	c, err := mohor.New("https://mohor.example", mohor.ClientCredentials("app-1", secret))
//	t, err := c.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", Format: mohor.RAW,
//		Documents: []mohor.Document{{Name: "Arahan Bayaran 1", Digest: mohor.SHA256(order)}}})
//	// the officer reads the code, compares t.Fingerprint, and gives PIN and code
//	t, err = c.Sign(ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: code})
//	// t.Signatures[0].Signature
//
// What the gateway refuses is a [*Problem] with a stable code. A call whose answer was
// lost, or that came too early, is made again where that cannot do anything twice: those
// that read, and those that carry an Idempotency-Key, which each call that creates or
// signs makes for itself (see [WithIdempotencyKey]). Uploads are streams and go once; with a
// key of the caller's they may be repeated.
// Whoever receives the gateway's webhooks checks them with [VerifyWebhook].
// No redirect is followed: credentials, PIN and code go to the gateway named and to
// nobody it points at.
package mohor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Secret is a PIN, a one-time code, a password or a key. It prints as [redacted] through
// fmt, log/slog and encoding/json. Its method Reveal gives the bytes, Wipe overwrites them.
type Secret = secret.Text

// NewSecret keeps a copy of s.
func NewSecret(s string) Secret { return secret.New(s) }

// Client speaks the API for one application. Its fields are set before the first call;
// then it may be used by several goroutines.
type Client struct {
	// Language chooses the words of problems: "ms", as when empty, or "en".
	Language string
	// Transport carries the requests: for roots of one's own, or the certificate that
	// an application is tied to. nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Patience bounds the pauses between the tries of one call, together: 30 seconds
	// when 0; negative: nothing is tried twice.
	Patience time.Duration

	base       string
	credential Credential
}

// New returns a client of the gateway at base, such as "https://mohor.example". Plain http
// is for gateways on this machine (loopback) alone.
func New(base string, credential Credential) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the gateway's address is no URL such as https://mohor.example")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("the gateway's address must be https (http only on this machine): %s", base)
	}
	if credential == nil {
		return nil, errors.New("no credential for the gateway")
	}
	return &Client{base: strings.TrimRight(base, "/"), credential: credential}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Base is the gateway's address without a slash at the end.
func (c *Client) Base() string { return c.base }

// keyInContext carries the caller's Idempotency-Key.
type keyInContext struct{}

// WithIdempotencyKey has the next creating or signing call use key, 1 to 128 printable
// ASCII characters, in the place of one made for it: the gateway executes calls of one
// key and content once, and answers each alike for 24 hours. A program that may die
// between a call and its answer keeps the key first, and repeats the call with it.
// Uploads have a key only so; whoever gives one repeats a lost upload with the same bytes.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyInContext{}, key)
}

// request is one call of the API.
type request struct {
	method, path string
	contentType  string
	body         []byte    // sent anew with each try
	wiped        *wiped    // or overwritten after the last
	stream       io.Reader // or sent once
	header       map[string]string
	whole        bool // the answer is read before it counts as one
	once         bool // carries an Idempotency-Key, so that tries of it count as one
	confirms     bool // each execution may cost the officer a try
}

// get asks for JSON.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, &request{method: http.MethodGet, path: path}, nil, out)
}

// post sends JSON, or nothing, once however often it is tried, and reads JSON, or nothing.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, &request{method: http.MethodPost, path: path, once: true}, in, out)
}

// cancel sends DELETE.
func (c *Client) cancel(ctx context.Context, path string) error {
	return c.call(ctx, &request{method: http.MethodDelete, path: path}, nil, nil)
}

// answer is what was read, or the error alone.
func answer[T any](t *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (c *Client) call(ctx context.Context, r *request, in, out any) error {
	if in != nil {
		var err error
		if r.body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
		r.contentType = "application/json"
	}
	r.whole = true
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err = json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return nil
}

// Bounds of trying again.
const (
	patience   = 30 * time.Second
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
	maxTries   = 8
)

// send makes a request, again where that is safe, and returns its open answer or the
// *Problem.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	if r.once {
		key, given := ctx.Value(keyInContext{}).(string)
		if r.header == nil {
			r.header = map[string]string{}
		}
		if given || r.stream == nil { // a stream goes once: a key that nobody knows is of no use
			r.header["Idempotency-Key"] = cmp.Or(key, rand.Text())
		}
	}
	left, renewed := c.Patience, false
	if left == 0 {
		left = patience
	}
	for try := 1; ; try++ {
		resp, stale, err := c.try(ctx, r)
		switch {
		case err == nil:
			return resp, nil
		case stale && !renewed && r.stream == nil:
			renewed = true // with another token, at once: nothing was done
			continue
		case try == maxTries || ctx.Err() != nil || !r.again(err):
			return nil, err
		}
		pause := min(firstPause<<(try-1), maxPause)
		pause += mathrand.N(pause) // those that failed together do not come back together
		var p *Problem
		if errors.As(err, &p) {
			pause = max(pause, p.RetryAfter)
		}
		if left -= pause; left < 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// again says whether another try may succeed, and cannot do anything twice.
func (r *request) again(err error) bool {
	if r.stream != nil || r.method != http.MethodGet && !r.once {
		return false
	}
	var p *Problem
	var away *lost
	switch {
	case !errors.As(err, &p):
		return errors.As(err, &away)
	case p.Code == "rate_limited" || p.Code == "request_in_progress":
		return true
	case p.Status == http.StatusBadGateway || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout:
		// What the gateway itself could not finish may have cost a try.
		return !r.confirms || p.Code == ""
	}
	return p.Status == http.StatusTooManyRequests && p.Code == ""
}

// try makes a request once. stale says that its token was refused and another can be had.
func (c *Client) try(ctx context.Context, r *request) (resp *http.Response, stale bool, err error) {
	body := r.stream
	if _, closes := body.(io.Closer); closes {
		body = io.NopCloser(body) // the caller's to close
	}
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return nil, false, fmt.Errorf("asking the gateway: %w", err)
	}
	if r.wiped != nil {
		req.Body, req.ContentLength = r.wiped.reader(), int64(len(r.wiped.b))
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	refused, err := c.credential.authorize(ctx, c, req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // nobody else will, and it has no error to tell
		}
		return nil, false, err
	}
	if resp, err = c.do(req); err != nil {
		return nil, false, err
	}
	if resp.StatusCode < 300 && !r.whole {
		return resp, false, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 {
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return nil, false, &lost{fmt.Errorf("reading the gateway's answer: %w", err)}
		}
		resp.Body = io.NopCloser(bytes.NewReader(b))
		return resp, false, nil
	}
	return nil, resp.StatusCode == http.StatusUnauthorized && refused(), c.problem(resp)
}

// do makes a request and follows no redirect: that itself is the answer, an error.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	if c.Language != "" {
		req.Header.Set("Accept-Language", c.Language)
	}
	h := http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := h.Do(req)
	if err != nil {
		return nil, &lost{fmt.Errorf("asking the gateway: %w", err)}
	}
	return resp, nil
}

// maxAnswer bounds an answer that is no file, in bytes.
const maxAnswer = 256 << 20

// lost is a request of which nobody knows whether it was executed: no answer came, or
// only part of one.
type lost struct{ error }

func (e *lost) Unwrap() error { return e.error }

// open returns an answer that is a file. The caller closes it; a transfer that was cut
// off ends with io.ErrUnexpectedEOF.
func (c *Client) open(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, &request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// upload streams a body and reads JSON.
func (c *Client) upload(ctx context.Context, path, contentType string, body io.Reader, password Secret, out any) error {
	r := &request{method: http.MethodPost, path: path, contentType: contentType, stream: body, once: true}
	if password.Len() > 0 {
		r.header = map[string]string{"X-PDF-Password": string(password.Reveal())}
	}
	return c.call(ctx, r, nil, out)
}
