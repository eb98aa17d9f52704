package joining_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/joining"
)

type confirmer struct {
	tokens []string
	err    error
}

func (c *confirmer) ConfirmAddress(_ context.Context, token, _ string) error {
	c.tokens = append(c.tokens, token)
	return c.err
}

// Looking confirms nothing and tells nothing; the button acts, on our own page alone; and
// no answer repeats the token or an error's words.
func TestOnlyTheButtonConfirms(t *testing.T) {
	c := &confirmer{}
	r := chi.NewRouter()
	joining.Routes(r, site(nil), joining.Links{Confirm: c})
	visit := func(method, token string, header ...string) *httptest.ResponseRecorder {
		q := httptest.NewRequest(method, "/e/"+token, nil)
		q.Host = hostName
		for k := 0; k+1 < len(header); k += 2 {
			q.Header.Set(header[k], header[k+1])
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		if strings.Contains(w.Body.String(), token) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the token is in the answer, or it may be kept: %v", method, w.Header())
		}
		return w
	}
	first := visit("GET", goodToken).Body.String()
	if first != visit("GET", strings.Repeat("x", 22)).Body.String() || !strings.Contains(first, `<form class="act" method="post">`) || len(c.tokens) != 0 {
		t.Errorf("looking tells tokens apart, or confirms: %v", c.tokens)
	}
	if english := visit("GET", goodToken, "Cookie", "mohor-lang=en").Body.String(); !strings.Contains(english, "Confirm this address") || strings.Contains(english, "Sahkan e-mel ini") {
		t.Errorf("in English: %s", english)
	}
	if w := visit("POST", goodToken, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); w.Code != 403 || len(c.tokens) != 0 {
		t.Errorf("another site's button: %d", w.Code)
	}
	if w := visit("POST", goodToken, "Sec-Fetch-Site", "same-origin"); w.Code != 200 || len(c.tokens) != 1 || c.tokens[0] != goodToken || !strings.Contains(w.Body.String(), "E-mel anda telah disahkan") {
		t.Errorf("the button: %d %v", w.Code, c.tokens)
	}
	c.err = joining.ErrUnknown
	if w := visit("POST", goodToken); w.Code != 404 || !strings.Contains(w.Body.String(), "Pautan ini tidak boleh digunakan") {
		t.Errorf("a used link: %d", w.Code)
	}
	c.err = errors.New("secret inside")
	if w := visit("POST", goodToken); w.Code != 503 || strings.Contains(w.Body.String(), "secret inside") || w.Header().Get("Retry-After") == "" {
		t.Errorf("a failure: %d", w.Code)
	}
}
