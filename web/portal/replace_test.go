package portal_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A list that cannot be put in the place of another, whatever the reason, leaves its clerk with the form,
// what was in it, and the word that the first batch is gone.
func TestReplacingFails(t *testing.T) {
	const title = "TIDAK DAPAT SEKARANG"
	key := formKey(t)
	for status, want := range map[int]int{http.StatusServiceUnavailable: 503, http.StatusConflict: 409, http.StatusUnauthorized: 303} {
		var asked []string
		h := shop(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			switch {
			case r.Method == http.MethodPost:
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": title, "code": "x"})
			case r.Method == http.MethodGet && r.URL.Path == "/v1/batches/ba_x" && len(asked) > 3: // not after that
				w.WriteHeader(http.StatusInternalServerError)
			default:
				_, _ = io.WriteString(w, `{"ic":"1","name":"Sijil Julai","batch_id":"ba_x","kind":"pdf","status":"OPEN"}`)
			}
		}))
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for name, value := range map[string]string{"form": key, "how": "replace"} {
			if err := m.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		f, err := m.CreateFormFile("file", "senarai.zip")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(f, "PK") // into memory
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/portal/batches/ba_x/list", &b)
		r.Header.Set("Content-Type", m.FormDataContentType())
		r.AddCookie(&http.Cookie{Name: "mohor-session", Value: "x"})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body := w.Body.String()
		if got := strings.Join(asked, ", "); w.Code != want || !strings.Contains(got, "DELETE /v1/batches/ba_x, POST /v1/batches") {
			t.Errorf("%d: %d after %s", status, w.Code, got)
		}
		if to := w.Header().Get("Location"); want == http.StatusSeeOther && to != "/login?next=%2Fportal%2Fbatches%2Fba_x" {
			t.Errorf("%d: leads to %s", status, to)
		}
		for _, text := range []string{"Kelompok asal telah dibatalkan", `value="Sijil Julai"`, title} {
			if want != http.StatusSeeOther && !strings.Contains(body, text) {
				t.Errorf("%d: no %q in %s", status, text, body)
			}
		}
	}
}
