package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/timewatch"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// replaceInConfig edits mohor.yaml of a stopped gateway and starts it.
func replaceInConfig(t *testing.T, g *gatewaytest.Gateway, old, next string) {
	t.Helper()
	reconfigure(t, g, func(text string) string {
		changed := strings.Replace(text, old, next, 1)
		if changed == text {
			t.Fatalf("no %q in the configuration", old)
		}
		return changed
	})
}

// sealed signs a voucher at a level.
func sealed(t *testing.T, g *gatewaytest.Gateway, level string) []byte {
	t.Helper()
	ask := pades(upload(t, g, voucher(t)))
	ask["pades"] = map[string]any{"level": level}
	tx, code := g.Ask(ask)
	want(t, tx, 201, "")
	done := g.Confirm(tx, code, nil)
	want(t, done, 200, "")
	signed := g.Do("GET", done.Body["signatures"].([]any)[0].(map[string]any)["content_url"].(string), "", nil)
	want(t, signed, 200, "")
	return signed.Raw
}

// believed is the verdict and level of the one signature.
func believed(t *testing.T, g *gatewaytest.Gateway, signed []byte) string {
	t.Helper()
	v := g.Do("POST", "/v1/verify", "application/pdf", signed)
	all, _ := v.Body["signatures"].([]any)
	if v.Status != 200 || len(all) != 1 {
		t.Fatalf("%d %s", v.Status, v.Raw)
	}
	level, _ := all[0].(map[string]any)["level"].(string)
	return v.Text("verdict") + " " + level
}

// Another installation stamps: its root makes time-stamps good, and no signature of
// its own officers.
func TestExternalTimestamps(t *testing.T) {
	g, other := gatewaytest.New(t), gatewaytest.New(t)
	theirs := sealed(t, other, "B-B")
	root := filepath.Join(other.Dir, "root.pem")
	replaceInConfig(t, g, "  hosts: []", `  hosts: ["127.0.0.1"]`) // their OCSP responder
	replaceInConfig(t, g, "  servers: []\n", "  servers:\n    - {url: \"http://127.0.0.1:1/tsa\", roots: \""+root+"\"}\n    - {url: \""+other.URL+"/tsa\", roots: \""+root+"\", max_bytes: 8192}\n")
	replaceInConfig(t, g, "  from: own\n", "  from: external\n")
	signed := make(map[string][]byte)
	for _, level := range []string{"B-T", "B-LT", "B-LTA"} {
		signed[level] = sealed(t, g, level)
		if got := believed(t, g, signed[level]); !strings.HasPrefix(got, "VALID ") || level != "B-T" && got != "VALID "+level {
			t.Errorf("%s: %s", level, got)
		}
	}
	if got := believed(t, other, theirs); got != "VALID B-B" {
		t.Errorf("their own officer's, there: %s", got)
	}
	if got := believed(t, g, theirs); !strings.HasPrefix(got, "INDETERMINATE") {
		t.Errorf("their own officer's, here: %s", got)
	}
	o, err := gateway.OfflineTrust(t.Context(), g.Dir, "", g.Clock.Now())
	if err != nil || o.TSARoots.Equal(o.Roots) {
		t.Errorf("offline: %v", err)
	}
	if o, err = gateway.OfflineTrust(t.Context(), g.Dir, root, g.Clock.Now()); err != nil || o.TSARoots != nil {
		t.Errorf("with roots of one's own: %v", err)
	}
	// The server is not listed any more: its time-stamps are believed by its root alone.
	replaceInConfig(t, g, "  from: external\n", "  from: own\n")
	if got := believed(t, g, signed["B-LTA"]); got != "VALID B-LTA" {
		t.Errorf("listed, not used: %s", got)
	}
	raw, err := os.ReadFile(filepath.Join(g.Dir, gateway.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	_, servers, _ := strings.Cut(string(raw), "\n  servers:\n")
	servers, _, _ = strings.Cut(servers, "  roots:")
	replaceInConfig(t, g, "\n  servers:\n"+servers, "\n  servers: []\n")
	if got := believed(t, g, signed["B-LTA"]); strings.HasSuffix(got, " B-LTA") {
		t.Errorf("not listed: %s", got)
	}
	replaceInConfig(t, g, "  servers: []\n  roots: []\n", "  servers: []\n  roots: [\""+root+"\"]\n")
	if got := believed(t, g, signed["B-LTA"]); got != "VALID B-LTA" {
		t.Errorf("a former root: %s", got)
	}
	if got := believed(t, g, theirs); !strings.HasPrefix(got, "INDETERMINATE") {
		t.Errorf("their own officer's, with a former root: %s", got)
	}
}

// With servers that are gone, the own unit stamps where the configuration says so.
func TestFallback(t *testing.T) {
	g := gatewaytest.New(t)
	root := filepath.Join(g.Dir, "root.pem")
	replaceInConfig(t, g, "  servers: []\n", "  servers: [{url: \"http://127.0.0.1:1/\", roots: \""+root+"\"}]\n")
	replaceInConfig(t, g, "  from: own\n", "  from: external\n")
	replaceInConfig(t, g, "  fallback: false\n", "  fallback: true\n")
	for range 3 {
		if got := believed(t, g, sealed(t, g, "B-LT")); got != "VALID B-LT" {
			t.Error(got)
		}
	}
	if !strings.Contains(g.Log.String(), `msg="a time-stamp server is left out for a while" server=127.0.0.1:1`) {
		t.Error("nothing of it in the log")
	}
}

func TestTimestampConfiguration(t *testing.T) {
	g := gatewaytest.New(t)
	root := filepath.Join(g.Dir, "root.pem")
	g.Stop()
	path := filepath.Join(g.Dir, gateway.ConfigFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(old, next string) error {
		t.Helper()
		text := strings.Replace(string(raw), old, next, 1)
		if text == string(raw) {
			t.Fatalf("no %q", old)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := gateway.LoadConfig(g.Dir)
		return err
	}
	server := func(more string) string { return "servers: [{roots: \"" + root + "\", " + more + "}]" }
	for name, c := range map[string]struct{ old, next, field string }{
		"right":              {"servers: []", server(`url: "https://tsa.example.my/", username: mohor, password_file: p, timeout: 3s`), ""},
		"a password at home": {"servers: []", server(`url: "http://127.0.0.1:8080/", username: mohor, password_file: p`), ""},
		"peers":              {"peers: []", `peers: [a.example.my, "b.example.my:1123", "2001:db8::1"]`, ""},
		"another word":       {"from: own", "from: foreign", "timestamps.from"},
		"no server":          {"from: own", "from: external", "timestamps.servers"},
		"no address":         {"servers: []", server(`url: "tsa.example.my"`), "timestamps.servers[0].url"},
		"a user in it":       {"servers: []", server(`url: "https://a:b@tsa.example.my/"`), "timestamps.servers[0].url"},
		"a password for all": {"servers: []", server(`url: "http://tsa.example.my/", username: mohor, password_file: p`), "timestamps.servers[0].url"},
		"a name alone":       {"servers: []", server(`url: "https://tsa.example.my/", username: mohor`), "username and password_file"},
		"no roots":           {"servers: []", `servers: [{url: "https://tsa.example.my/"}]`, "timestamps.servers[0].roots"},
		"an hour":            {"servers: []", server(`url: "https://tsa.example.my/", timeout: 1h`), "timestamps.servers[0].timeout"},
		"a megabyte":         {"servers: []", server(`url: "https://tsa.example.my/", max_bytes: 1000000`), "timestamps.servers[0].max_bytes"},
		"a storm":            {"servers: []", server(`url: "https://tsa.example.my/", parallel: 1000`), "timestamps.servers[0].parallel"},
		"few at once":        {"servers: []", server(`url: "https://tsa.example.my/", parallel: 2`), ""},
		"another outage":     {"outage: wait", "outage: finish", "timestamps.outage"},
		"finish":             {"outage: wait", "outage: finish_at_b", ""},
		"days of patience":   {"patience: 1m", "patience: 48h", "timestamps.patience"},
		"unknown":            {"servers: []", server(`url: "https://tsa.example.my/", proxy: x`), "field proxy not found"},
		"peer with a scheme": {"peers: []", `peers: ["ntp://a.example.my"]`, "ca.time.peers"},
		"peer twice":         {"peers: []", `peers: [a.example.my, a.example.my]`, "ca.time.peers"},
		"offset":             {"max_offset: 500ms", "max_offset: 1s", "ca.time.max_offset"},
		"age":                {"max_age: 30m", "max_age: 1s", "ca.time.max_age"},
	} {
		if err := try(c.old, c.next); c.field == "" && err != nil || c.field != "" && (!errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), c.field)) {
			t.Errorf("%s: %v, want %q", name, err, c.field)
		}
	}
	// Roots that are none stop the start, named; a key in them is not read.
	if err := try("roots: []", "roots: ["+gateway.ConfigFile+"]"); err != nil {
		t.Fatal(err)
	}
	if _, err := proven(t, g); !errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), gateway.ConfigFile+" holds none") {
		t.Errorf("roots that are none: %v", err)
	}
}

// A clock that was set: timeNotAvailable, on record, until a time service has seen
// to it.
func TestClockIsWatched(t *testing.T) {
	g := gatewaytest.New(t)
	var mu sync.Mutex
	now := timewatch.Reading{Wall: time.Date(2026, 7, 15, 9, 0, 0, 0, time.UTC)}
	set := func(d time.Duration, synchronised bool) {
		mu.Lock()
		defer mu.Unlock()
		now.Wall, now.Synchronised = now.Wall.Add(d), synchronised
	}
	poll := gateway.WatchTime(g.Server, func() timewatch.Reading { mu.Lock(); defer mu.Unlock(); return now })
	token := func() error {
		_, err := cms.ParseTimestampResponse(g.Do(http.MethodPost, "/tsa", "application/timestamp-query", tsQuery(t)).Raw)
		return err
	}
	if err := token(); err != nil {
		t.Error(err)
	}
	set(time.Minute, false)
	poll(context.Background())
	var refusal *cms.TimestampRefusal
	if err := token(); !errors.As(err, &refusal) || refusal.Failure != "timeNotAvailable" {
		t.Errorf("set by a minute: %v", err)
	}
	told := func(verdict, detail string) (n int) {
		for _, e := range events(t, g, "tsa.time") {
			if e.object == "tsa" && e.verdict == verdict && strings.Contains(e.detail, detail) {
				n++
			}
		}
		return n
	}
	if n := told("refused", "set by 1m0s"); n != 1 || !strings.Contains(g.Log.String(), "no time-stamps are made") {
		t.Errorf("%d events", n)
	}
	set(0, true)
	poll(context.Background())
	if err := token(); err != nil {
		t.Errorf("seen to: %v", err)
	}
	if n := told("accepted", ""); n != 1 {
		t.Errorf("%d events", n)
	}
}
