package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
)

// remote is where `sign` and `batch sign` find a gateway.
type remote struct {
	Server     string `help:"Gateway (default: base_url of dev.json)."`
	KeyFile    string `help:"File with the API key (default: api_key of dev.json)." type:"path"`
	Data       string `default:"var/mohor" help:"Data folder whose dev.json is used." type:"path"`
	IC         string `help:"Officer (default: the first of dev.json)."`
	System     string `help:"ICT system (default: that of dev.json)."`
	Credential string `help:"Credential (default: the officer's first)."`
	PINFile    string `help:"File with the PIN (default: ask)." type:"path"`
	Total      string `help:"What the documents amount to, for the officer to read: CURRENCY AMOUNT, such as 'MYR 29911.35'."`
	English    bool   `help:"Messages of the gateway in English."`
}

// client speaks the API for one app.
type client struct {
	base    string
	key     secret.Text
	pin     secret.Text // from a file, else none
	english bool
	http    *http.Client
}

func (r *remote) connect() (*client, error) {
	c := &client{base: strings.TrimSuffix(r.Server, "/"), english: r.English, http: &http.Client{CheckRedirect: stay}}
	dev, err := sandbox.ReadDevFile(filepath.Join(r.Data, gateway.DevFile))
	if err == nil {
		if c.base == "" {
			c.base = dev.BaseURL
		}
		if c.base == dev.BaseURL {
			c.key = dev.APIKey // a sandbox's key goes to its own gateway only
		}
		if r.System == "" {
			r.System = dev.System
		}
		if r.IC == "" && len(dev.Officers) > 0 {
			r.IC = dev.Officers[0].IC
		}
	}
	if r.KeyFile != "" {
		if c.key, err = secretFile(r.KeyFile); err != nil {
			return nil, err
		}
	}
	if r.PINFile != "" {
		if c.pin, err = secretFile(r.PINFile); err != nil {
			return nil, err
		}
	}
	u, uerr := url.Parse(c.base)
	switch {
	case c.base == "" || c.key.Len() == 0:
		return nil, hinted{errors.Join(errors.New("no gateway and API key known"), err), "start `mohor serve --dev --data " + r.Data + "`, or give --server and --key-file"}
	case uerr != nil || (u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname()))):
		return nil, fmt.Errorf("the gateway's address must be https (http only on this machine): %s", c.base)
	case r.IC == "" || r.System == "":
		return nil, errors.New("give --ic and --system")
	}
	return c, nil
}

// stay follows no redirect: key, PIN and code go to the gateway named and to
// nobody it points at. The redirect itself is the answer, an error.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// problem is an error answer of the gateway.
type problem struct {
	Status       int    `json:"status"`
	Code         string `json:"code"`
	Title        string `json:"title"`
	Detail       string `json:"detail"`
	Field        string `json:"field"`
	Row          int    `json:"row"`
	AttemptsLeft *int   `json:"attempts_left"`

	english bool
}

func (p *problem) Error() string {
	s := p.Title
	if p.Field != "" {
		s += ": " + p.Field
	}
	if p.Row > 0 {
		s += fmt.Sprintf(" (line %d)", p.Row)
	}
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.AttemptsLeft != nil {
		left := " (tinggal %d cubaan)"
		if p.english {
			left = " (%d tries left)"
		}
		s += fmt.Sprintf(left, *p.AttemptsLeft)
	}
	return s + " [" + p.Code + "]"
}

// send makes a request and returns its open answer, or a *problem. headers are
// names and values in turn.
func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway: %w", err)
	}
	req.Header.Set("X-API-Key", string(c.key.Reveal()))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.english {
		req.Header.Set("Accept-Language", "en")
	}
	for k := 0; k+1 < len(headers); k += 2 {
		req.Header.Set(headers[k], headers[k+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &problem{Status: resp.StatusCode, Title: resp.Status, english: c.english}
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(p) // the status alone is an answer, too
	return nil, p
}

// call sends JSON (or nothing) and reads JSON (or nothing).
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
		body, contentType = bytes.NewReader(b), "application/json"
	}
	return c.upload(ctx, method, path, contentType, body, out)
}

// upload sends a body of any type and reads JSON.
func (c *client) upload(ctx context.Context, method, path, contentType string, body io.Reader, out any, headers ...string) error {
	resp, err := c.send(ctx, method, path, contentType, body, headers...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return nil
}

// openFile opens a document and gives its size.
func openFile(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, opening(name, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		return nil, 0, errors.Join(opening(name, err), f.Close())
	}
	return f, st.Size(), nil
}

// opening names a file once.
func opening(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("opening %s: %w", name, err)
}

// ready refuses, before anybody is asked for anything, a document that cannot
// be read and a result that cannot be written or would replace the document.
func ready(file, out string) error {
	f, _, err := openFile(file)
	if err != nil {
		return err
	}
	defer f.Close()
	from, err := f.Stat()
	if err != nil {
		return opening(file, err)
	}
	if to, err := os.Stat(out); err == nil && (to.IsDir() || os.SameFile(from, to)) {
		return hinted{fmt.Errorf("%s is a folder or the document itself", out), "give another file with --out"}
	}
	probe, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".part-*")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return hinted{fmt.Errorf("writing %s: %w", out, err), "give another file with --out"}
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// download writes an answer to a file, whole or not at all.
func (c *client) download(ctx context.Context, path, file string) (err error) {
	resp, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	_, err = io.Copy(f, resp.Body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", file, err), os.Remove(f.Name()))
	}
	return nil
}

// total is what documents are said to amount to.
type total struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// transaction is what the client reads of a transaction.
type transaction struct {
	ID          string `json:"transaction_id"`
	Nonce       string `json:"nonce"`
	Status      string `json:"status"`
	Count       int    `json:"count"`
	Fingerprint string `json:"fingerprint"`
	Total       *total `json:"total"`
	BatchID     string `json:"batch_id"`
	OTP         struct {
		SentTo    string    `json:"sent_to"`
		ExpiresAt time.Time `json:"expires_at"`
	} `json:"otp"`
	Signatures []struct {
		Name       string `json:"name"`
		Signature  string `json:"signature"`
		ContentURL string `json:"content_url"`
		Code       string `json:"code"`
		Detail     string `json:"detail"`
	} `json:"signatures"`
	Information *struct {
		Subject      string     `json:"subject"`
		SerialNumber string     `json:"serial_number"`
		SignedAt     time.Time  `json:"signed_at"`
		Timestamp    *time.Time `json:"timestamp,omitempty"`
	} `json:"signature_information"`
}

// batchInfo is what the client reads of a batch.
type batchInfo struct {
	ID          string  `json:"batch_id"`
	Status      string  `json:"status"`
	Count       int     `json:"count"`
	Signed      int     `json:"signed"`
	Refused     int     `json:"refused"`
	Pending     int     `json:"pending"`
	Fingerprint string  `json:"fingerprint"`
	Rate        float64 `json:"rate"`

	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// signed says whether every document has its outcome.
func (b *batchInfo) signed() bool { return b.Status == "SIGNED" || b.Status == "SIGNED_WITH_REFUSALS" }
