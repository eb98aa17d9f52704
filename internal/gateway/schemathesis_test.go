//go:build !race

package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

var (
	schemathesisExamples = flag.Int("schemathesis.examples", 8, "cases that schemathesis makes up for each operation, besides those of the document and of the bounds of its schemas")
	schemathesisSeed     = flag.String("schemathesis.seed", "20260430", "seed of what it makes up")
)

// schemathesis returns the program that `make schemathesis` installs.
func schemathesis(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/schemathesis/bin/schemathesis")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		gatewaytest.Require(t, "schemathesis (make schemathesis)")
	}
	return path
}

// front stands before a gateway: it gives each request the credential that its route asks
// for, and each takes 25 ms of the gateway's time, so that no bound on requests a second
// is reached and every run is alike.
type front struct {
	*gatewaytest.Gateway
	officer, jdn *browser

	mu   sync.Mutex
	seen map[string]int // for each operation a bit for each hundred of the statuses that it answered

	contract http.Handler
	real     *strings.Replacer // from the ids of the document's examples to some that there are
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Clock.Advance(25 * time.Millisecond)
	as := func(b *browser) {
		for _, c := range b.cookies {
			r.AddCookie(c)
		}
	}
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/v1/me"):
		as(f.officer)
	case strings.HasPrefix(p, "/v1/admin"):
		as(f.jdn)
	case strings.HasPrefix(p, "/v1/sessions"), strings.HasPrefix(p, "/v1/setup"), strings.HasPrefix(p, "/v1/account"), strings.HasPrefix(p, "/v1/password"):
	case strings.HasPrefix(p, "/v1/"):
		r.Header.Set("X-API-Key", string(f.Dev.APIKey.Reveal()))
	}
	r.URL.Path, r.URL.RawPath = f.real.Replace(r.URL.Path), ""
	if body, err := io.ReadAll(r.Body); err == nil {
		r.Body = io.NopCloser(strings.NewReader(f.real.Replace(string(body))))
		r.ContentLength = -1
	}
	// A stream of a batch that nothing happens to would never end.
	if strings.HasSuffix(r.URL.Path, "/events") {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		r = r.WithContext(ctx)
	}
	seen := &statusOf{ResponseWriter: w}
	defer func() {
		if routes, ok := f.Server.Handler().(chi.Routes); ok {
			f.seen[r.Method+" "+routes.Find(chi.NewRouteContext(), r.Method, r.URL.Path)] |= 1 << (seen.status / 100)
		}
	}()
	f.contract.ServeHTTP(seen, r)
}

type statusOf struct {
	http.ResponseWriter
	status int
}

func (w *statusOf) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap implements the interface of http.ResponseController.
func (w *statusOf) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestOpenAPIHolds has another program read the OpenAPI document and ask the gateway, in
// every way the document allows and in many it does not: types, bounds, missing and unknown
// members, NUL, nesting, other methods and media types. No answer may be an error of the
// server, or have a status, media type, header or body that the document does not say.
func TestOpenAPIHolds(t *testing.T) {
	program, g := schemathesis(t), gatewaytest.New(t)
	f := &front{Gateway: g, seen: map[string]int{}}
	f.contract = gatewaytest.Contract(g.Server.Handler(), func(what string) { t.Error(what) })
	f.jdn = appointed(t, g, "700101105551", enrol.JDN, "", "")
	f.officer = loggedIn(t, g)
	f.real = living(t, g)
	s := httptest.NewServer(f)
	defer s.Close()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	// Not asked for: ignored_auth, as the front authenticates (TestRoutesByCaller does it);
	// positive_data_acceptance, as no document can say which ids there are.
	cmd := exec.CommandContext(ctx, program, "run", s.URL+"/openapi.json", "--url", s.URL, "--no-color", "--warnings", "off",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance",
		"--phases", "examples,coverage,fuzzing", "--mode", "all", "--max-examples", fmt.Sprint(*schemathesisExamples), "--seed", *schemathesisSeed,
		"--generation-database", "none", "--generation-with-security-parameters", "false", "--suppress-health-check", "all", "--no-shrink", "--continue-on-failure",
		"--request-timeout", "20", "--report", "json", "--report-json-path", report)
	hooks, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SCHEMATHESIS_HOOKS=schemathesis_hooks", "PYTHONPATH="+hooks, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	var never []string
	for o, statuses := range f.seen {
		if statuses&(1<<2) == 0 {
			never = append(never, o)
		}
	}
	slices.Sort(never)
	t.Logf("of %d operations %d never answered with success: %s", len(f.seen), len(never), strings.Join(never, ", "))
}

// living makes a thing of each kind that examples speak of.
func living(t *testing.T, g *gatewaytest.Gateway) *strings.Replacer {
	t.Helper()
	tx, _ := g.Ask(raw("satu"))
	want(t, tx, 201, "")
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "digest"})
	want(t, b, 201, "")
	return strings.NewReplacer("tx_6q2v7cpnlkz5dwyt4ahb3mse2e", tx.Text("transaction_id"), "ba_c3wz6n2kq7hy4tx5vdlm2baope", b.Text("batch_id"),
		"do_m5b2h7q3xvwz4kc6tyn2ad3lre", upload(t, g, voucher(t)), "800101149999", g.Dev.Officers[0].IC, "274877906944001", certificate(t, g, g.Dev.Officers[0].Credentials[0].CredentialID).SerialNumber.String())
}

// loggedIn is the sandbox's first officer in a browser.
func loggedIn(t *testing.T, g *gatewaytest.Gateway) *browser {
	t.Helper()
	setPassword(t, g, officerPassword)
	b := newBrowser(t, g)
	id, code := b.begin(g.Dev.Officers[0].IC, officerPassword, true)
	want(t, b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code}), 200, "")
	return b
}
