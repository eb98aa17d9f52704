//go:build !race

package journeys_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// A system's officer signs on the gateway's page: a hash, a PDF, a list of sixty, with everything
// that goes wrong on the way, and comes back to the system.
func TestJourneySign(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "<!DOCTYPE html><html lang=ms><link rel=icon href='data:,'><title>iGFMAS</title><h1>iGFMAS</h1>")
	}))
	defer app.Close()
	g := gatewaytest.New(t)
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "laman", Name: "iGFMAS", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW, enrol.GrantPADES},
		PINEntry: enrol.PINHosted, RedirectURIs: []string{app.URL + "/kembali"}, Rate: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	run(t, g, "sign", given{"key": string(key.Reveal()), "back": app.URL}, acts{
		// describe gives the system its title and logo.
		"sql": func(argument json.RawMessage) (any, error) {
			var q string
			if err := json.Unmarshal(argument, &q); err != nil {
				return nil, err
			}
			if !strings.HasPrefix(q, "UPDATE ") && !strings.HasPrefix(q, "INSERT ") {
				return nil, fmt.Errorf("not for this: %s", q)
			}
			return nil, nil
		},
	})
}
