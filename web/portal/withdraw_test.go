package portal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
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

// A request is made whole even when the browser goes meanwhile.
func TestAskedWhole(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	answers := said{
		"GET /v1/me": map[string]any{"ic": "1", "name": "A"}, "GET /v1/documents/do_abcdefgh": map[string]any{"document_id": "do_abcdefgh", "pages": 1},
		"GET /v1/me/certificate": map[string]any{"media": []any{map[string]any{"medium": "ROAMING_OTP", "status": "ACTIVE", "system": "S", "credential_id": "cr_x",
			"certificate": map[string]any{"status": "ACTIVE", "der": base64.StdEncoding.EncodeToString(der)}}}},
		"POST /v1/transactions": map[string]any{"transaction_id": "tx_abcdefgh", "status": "WAITING", "signing_url": "http://mohor.test/sign/x"},
	}
	ctx, leave := context.WithCancel(t.Context())
	made := false
	h := shop(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead: // it is not signed yet
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(struct{}{}) // into memory
			return
		case r.Method == http.MethodPost:
			leave()
			if made = true; r.Context().Err() != nil {
				t.Error("the request was left with the browser")
			}
		}
		answers.ServeHTTP(w, r)
	}))
	form := url.Values{"form": {formKey(t)}, "where": {"none"}, "credential": {"cr_x"}, "level": {"B-LTA"}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/portal/sign/do_abcdefgh", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "mohor-session", Value: "x"})
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); !made || w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign/x" {
		t.Errorf("%d to %s: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
}
