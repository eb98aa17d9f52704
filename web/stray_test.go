package web_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// An address that takes forms alone is, to a browser that reloads it or changes the language, a page
// that there is not, with a way home; programs are told which methods there are.
func TestFormsHaveNoPage(t *testing.T) {
	c, _ := config()
	c.API = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ic":"1","name":"A"}`) // of GET /v1/me
	})
	for _, path := range []string{"/logout", "/portal/again", "/portal/profile/sessions/end", "/portal/profile/passkeys/drop", "/portal/profile/email/cancel", "/portal/batches/ba_x/list"} {
		w := visit(c, "GET", path, "text/html")
		if body := w.Body.String(); w.Code != http.StatusNotFound || !strings.Contains(body, "HALAMAN TIDAK DIJUMPAI") || !strings.Contains(body, `<a href="/">`) || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %s", path, w.Code, body)
		}
		if w := visit(c, "GET", path+"?lang=en", "text/html"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != path {
			t.Errorf("%s in English: %d to %s", path, w.Code, w.Header().Get("Location"))
		}
		for method, accept := range map[string]string{"GET": "application/json", "PUT": "text/html"} {
			if w := visit(c, method, path, accept); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s as %s: %d", method, path, accept, w.Code)
			}
		}
	}
	if w := visit(c, "GET", "/portal/batches/ba_x/none", "text/html"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "HALAMAN TIDAK DIJUMPAI") {
		t.Errorf("below a batch: %d", w.Code)
	}
	if w := visit(c, "GET", "/v1/x", "text/html"); strings.Contains(w.Body.String(), "<html") {
		t.Error("the API answers with a page")
	}
}
