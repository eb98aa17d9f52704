//go:build !race

package journeys_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// receiver takes events, if they are signed with the secret that it was given.
type receiver struct {
	g      *gatewaytest.Gateway
	mu     sync.Mutex
	secret string
	taken  int
}

func (a *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := mohor.VerifyWebhook(r.Header.Get("Mohor-Signature"), body, a.secret, a.g.Clock.Now()); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.taken++
	w.WriteHeader(http.StatusNoContent)
}

// running has the gateway do by itself what it does beside answering, until the test ends.
func running(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Server.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
	})
}

// A SAP registers an app and JDN confirms it; its credentials are made, used, rotated and revoked; its
// events arrive; and the system is dressed as officers then see it.
func TestJourneyConsoleApps(t *testing.T) {
	g := gatewaytest.New(t)
	o := newOffice(t, g)
	running(t, g)
	hook := &receiver{g: g}
	takes := httptest.NewServer(hook)
	defer takes.Close()
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "laman", Name: "iGFMAS pengeluaran", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW},
		PINEntry: enrol.PINHosted, RedirectURIs: []string{takes.URL + "/kembali"}, Rate: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	logo := filepath.Join(t.TempDir(), "jata.png")
	if err := os.WriteFile(logo, crest(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	status := func(header, value string) (any, error) {
		return g.Do(http.MethodGet, "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil, "X-API-Key", "", header, value).Status, nil
	}
	text := func(argument json.RawMessage) string {
		var s string
		_ = json.Unmarshal(argument, &s)
		return s
	}
	acts := acts{
		"totp": func(argument json.RawMessage) (any, error) { return o.totp(text(argument)) },
		// call is a request of the app's with an API key: its status.
		"call": func(argument json.RawMessage) (any, error) {
			secrets = append(secrets, text(argument))
			return status("X-API-Key", text(argument))
		},
		"secret": func(argument json.RawMessage) (any, error) {
			secrets = append(secrets, text(argument))
			hook.mu.Lock()
			defer hook.mu.Unlock()
			hook.secret = text(argument)
			return true, nil
		},
		"taken": func(json.RawMessage) (any, error) {
			hook.mu.Lock()
			defer hook.mu.Unlock()
			return hook.taken, nil
		},
	}
	run(t, g, "console_apps", given{"jdn": o.who("700101105551"), "sap": o.who("700101105552"), "ap": o.who("700101105554"), "hook": takes.URL + "/acara", "back": takes.URL + "/kembali",
		"key": string(key.Reveal()), "logo": logo}, acts)
	log := g.Log.String()
	for _, s := range secrets {
		if strings.Contains(log, s) {
			t.Errorf("a secret is in the log")
		}
	}
	if len(secrets) == 0 {
		t.Error("no secret was used")
	}
}
