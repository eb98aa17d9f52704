package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What an officer asked for in the portal can be ended from the history while it waits, and nothing else.
func TestWithdrawFromHistory(t *testing.T) {
	const at = "/portal/history/tx_abcdefgh/cancel"
	me := map[string]any{"ic": "1", "name": "A"}
	for _, c := range []struct {
		status string
		own    bool
		offers bool
	}{{"WAITING", true, true}, {"WAITING", false, false}, {"SIGNING", true, false}, {"CANCELLED", true, false}} {
		h := shop(t, said{"GET /v1/me": me, "GET /v1/me/transactions/tx_abcdefgh": map[string]any{"transaction_id": "tx_abcdefgh", "status": c.status, "own": c.own, "count": 1}})
		w := visit(h, "ms", strings.TrimSuffix(at, "/cancel"))
		if offers := strings.Contains(w.Body.String(), `action="`+at+`"`); w.Code != http.StatusOK || offers != c.offers {
			t.Errorf("%+v: %d, offers it: %v", c, w.Code, offers)
		}
	}
	for what, api := range map[string]said{"it waits": {"GET /v1/me": me, "DELETE /v1/transactions/tx_abcdefgh": struct{}{}}, "it is gone": {"GET /v1/me": me}} {
		asked := &heard{Handler: api}
		w := post(t, shop(t, asked), at, url.Values{}, nil)
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to+"/cancel" != at || !slices.Contains(asked.asked, "DELETE /v1/transactions/tx_abcdefgh") {
			t.Errorf("%s: %d to %s after %q", what, w.Code, to, asked.asked)
		}
	}
}
