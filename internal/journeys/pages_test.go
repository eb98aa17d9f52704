//go:build !race

package journeys_test

import (
	"net/http"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// Pages without a session, in both languages, on a phone and on a desktop.
func TestJourneyPages(t *testing.T) {
	g := gatewaytest.New(t)
	with := given{}
	for _, where := range []string{"ms-phone", "ms-desktop", "en-phone", "en-desktop"} {
		with["sign-"+where] = hosted(t, g, where)
	}
	r := run(t, g, "pages", with, nil)
	for where, want := range map[string][3]float64{"ms-desktop": {3, 2, 9}, "en-phone": {1, 0, 7}} {
		c, _ := r["clicks-"+where].(map[string]any)
		if got := [3]any{c["clicks"], c["typed"], c["pages"]}; got != [3]any{want[0], want[1], want[2]} {
			t.Errorf("%s: counted %v", where, c)
		}
	}
}

// hosted is the address of a signing page for one of the first officer's transactions, asked
// for by an app of its own.
func hosted(t *testing.T, g *gatewaytest.Gateway, id string) string {
	t.Helper()
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: id, Name: "iGFMAS", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW},
		PINEntry: enrol.PINHosted, RedirectURIs: []string{"https://igfmas.example/kembali"}, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	digest := map[string]any{"name": "Baucar 1", "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}
	tx := g.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digest}}, "X-API-Key", string(key.Reveal()))
	if tx.Status != http.StatusCreated {
		t.Fatalf("%s", tx.Raw)
	}
	return tx.Text("signing_url")
}
