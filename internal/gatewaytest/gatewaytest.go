// Package gatewaytest starts a whole gateway in the process of a test: real
// SoftHSM, real database, real mail server, a fresh PKI made at run time, and a
// clock the test can move.
package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Require skips the test when a program or library it needs is missing, and
// fails it when MOHOR_TEST_REQUIRE=all.
func Require(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is required and missing", missing)
	}
	t.Skipf("%s is missing", missing)
}

// Tool returns the path of a program, or Requires it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Require(t, name)
	}
	return path
}

// Clock is a time that a test moves; it stands still between moves.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// Gateway is a running gateway and what a test needs of it.
type Gateway struct {
	t       testing.TB
	Dir     string
	Server  *gateway.Server
	Dev     sandbox.DevFile
	Clock   *Clock
	Log     *Buffer
	URL     string
	handler *httptest.Server

	database string
}

// Buffer collects the log.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is everything logged so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// conf is the process's one SoftHSM configuration; each gateway has a token of
// its own in it.
var conf = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mohor-test-token-")
	if err != nil {
		return "", err
	}
	tokens := filepath.Join(dir, "tokens")
	path := filepath.Join(dir, "softhsm2.conf")
	err = os.Mkdir(tokens, 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600)
	}
	return path, err
})

// New starts a sandbox in a folder of its own and stops it with the test.
func New(t testing.TB) *Gateway {
	t.Helper()
	return NewOn(t, "")
}

// NewOn is New on a database that is there: a postgres:// address.
func NewOn(t testing.TB, database string) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Dir: t.TempDir(), database: database, Clock: &Clock{t: time.Now().Truncate(time.Second)}, Log: &Buffer{}}
	g.Start()
	t.Cleanup(g.Stop)
	return g
}

// Start opens the gateway in its folder; after Stop, again.
func (g *Gateway) Start() {
	g.t.Helper()
	path, err := conf()
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := os.Stat("/usr/lib/softhsm/libsofthsm2.so"); err != nil {
		if matches, _ := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so"); len(matches) == 0 {
			Require(g.t, "SoftHSM")
		}
	}
	log := slog.New(slog.NewTextHandler(g.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, l, dev, err := gateway.Dev(g.t.Context(), gateway.DevOptions{Dir: g.Dir, Database: g.database, Listen: "127.0.0.1:0", SoftHSMConf: path, CAKey: "ECDSA-P256", Now: g.Clock.Now, Log: log})
	if err != nil {
		g.t.Fatal(err)
	}
	g.Server, g.Dev = s, dev
	g.handler = &httptest.Server{Listener: l, Config: &http.Server{Handler: Contract(s.Handler(), func(what string) { g.t.Error(what) })}}
	g.handler.Start()
	g.URL = dev.BaseURL
}

// Stop closes the gateway in order; stopping twice is allowed.
func (g *Gateway) Stop() {
	if g.Server == nil {
		return
	}
	g.Server.EndStreams()
	g.handler.Close()
	if err := g.Server.CloseAll(); err != nil {
		g.t.Error(err)
	}
	g.Server = nil
}

// Reply is an answer of the gateway.
type Reply struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any // when it is a JSON object
}

// Code is the stable code of a problem, or "".
func (r *Reply) Code() string {
	s, _ := r.Body["code"].(string)
	return s
}

// Text is a string member of the answer, or "".
func (r *Reply) Text(member string) string {
	s, _ := r.Body[member].(string)
	return s
}

// Do sends a request with the sandbox's API key. body may be nil, []byte (sent
// as it is, with contentType) or anything that encodes as JSON.
func (g *Gateway) Do(method, path, contentType string, body any, header ...string) *Reply {
	g.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	default:
		p, err := json.Marshal(b)
		if err != nil {
			g.t.Fatal(err)
		}
		r, contentType = bytes.NewReader(p), "application/json"
	}
	req, err := http.NewRequestWithContext(context.Background(), method, g.URL+path, r)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", string(g.Dev.APIKey.Reveal()))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k := 0; k+1 < len(header); k += 2 {
		if header[k+1] == "" {
			req.Header.Del(header[k])
		} else {
			req.Header.Set(header[k], header[k+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := &Reply{Status: resp.StatusCode, Header: resp.Header}
	if out.Raw, err = io.ReadAll(resp.Body); err != nil {
		g.t.Fatal(err)
	}
	_ = json.Unmarshal(out.Raw, &out.Body) // not every answer is an object
	return out
}

// Ask makes a transaction for the first officer and returns the answer and the
// code that was mailed ("" when the answer is an error). Members of rest
// replace the defaults.
func (g *Gateway) Ask(rest map[string]any) (*Reply, string) {
	g.t.Helper()
	o := g.Dev.Officers[0]
	ask := map[string]any{"ic": o.IC, "system": g.Dev.System}
	for k, v := range rest {
		ask[k] = v
	}
	mark := g.Server.Mailbox.Mark()
	r := g.Do(http.MethodPost, "/v1/transactions", "", ask)
	if r.Status != http.StatusCreated {
		return r, ""
	}
	return r, g.Code(o.Email, mark)
}

// Code waits for the newest code mailed to an address after mark.
func (g *Gateway) Code(email string, mark uint64) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := g.Server.Mailbox.WaitFor(ctx, email, mark)
	if err != nil {
		g.t.Fatalf("waiting for the code: %v", err)
	}
	if m.Code == "" {
		g.t.Fatalf("no code in the mail:\n%s", m.Text)
	}
	return m.Code
}

// PIN is the first officer's.
func (g *Gateway) PIN() secret.Text { return g.Dev.Officers[0].PIN }

// Confirm submits PIN and code for a transaction; rest replaces members.
func (g *Gateway) Confirm(tx *Reply, code string, rest map[string]any) *Reply {
	g.t.Helper()
	body := map[string]any{"nonce": tx.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": code}
	for k, v := range rest {
		body[k] = v
	}
	return g.Do(http.MethodPost, "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", body)
}
