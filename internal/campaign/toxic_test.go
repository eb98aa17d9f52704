package campaign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// toxics are proxies between clients and a gateway, each of which breaks connections in its way,
// at its place.
type toxics struct {
	api       string
	addresses []string
}

// newToxics starts a toxiproxy with n proxies. A missing one skips the test, and fails it where
// everything is required.
func newToxics(t *testing.T, upstream string, n int) *toxics {
	t.Helper()
	bin := os.Getenv("MOHOR_TOXIPROXY")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin", "toxiproxy")
	}
	if _, err := os.Stat(bin); err != nil {
		gatewaytest.Require(t, "toxiproxy (make toxiproxy)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	must(t, l.Close())
	cmd := exec.Command(bin, "-host", "127.0.0.1", "-port", port)
	cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
	})
	x := &toxics{api: "http://127.0.0.1:" + port}
	x.wait(t)
	for k := range n {
		name := fmt.Sprintf("p%d", k)
		var made struct{ Listen string }
		x.post(t, "/proxies", map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
		x.addresses = append(x.addresses, made.Listen)
		x.post(t, "/proxies/"+name+"/toxics", toxic(k), nil)
	}
	return x
}

func (x *toxics) wait(t *testing.T) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if r, err := http.Get(x.api + "/version"); err == nil {
			must(t, r.Body.Close())
			return
		}
		<-tick.C
	}
	t.Fatal("toxiproxy does not answer")
}

func (x *toxics) post(t *testing.T, path string, body, out any) {
	t.Helper()
	p, err := json.Marshal(body)
	must(t, err)
	r, err := http.Post(x.api+path, "application/json", bytes.NewReader(p))
	must(t, err)
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	must(t, err)
	if r.StatusCode >= 300 {
		t.Fatalf("%s: %d %s", path, r.StatusCode, raw)
	}
	if out != nil {
		must(t, json.Unmarshal(raw, out))
	}
}

// toxic is one way to break a connection: after so many bytes of the request or of the answer,
// after so long, or hardly at all.
func toxic(k int) map[string]any {
	stream := []string{"upstream", "downstream"}[k/2%2]
	kind, with := "", map[string]any{}
	switch k % 6 {
	case 0, 1:
		kind, with = "limit_data", map[string]any{"bytes": 1 + rand.IntN(900)}
	case 2, 3:
		kind, with = "reset_peer", map[string]any{"timeout": rand.IntN(40)}
	case 4:
		kind, with = "slow_close", map[string]any{"delay": 1 + rand.IntN(200)}
	case 5:
		kind, with = "latency", map[string]any{"latency": rand.IntN(60), "jitter": rand.IntN(40)}
	}
	return map[string]any{"name": "t", "type": kind, "stream": stream, "toxicity": 1, "attributes": with}
}

// through is a client of which each request takes another proxy and a connection of its own.
func (x *toxics) through() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, x.addresses[rand.IntN(len(x.addresses))])
	}}}
}

// host of a base URL.
func host(base string) string { return strings.TrimPrefix(base, "http://") }
