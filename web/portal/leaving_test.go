package portal_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// heard notes what is asked of an API.
type heard struct {
	http.Handler
	asked []string
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked = append(h.asked, r.Method+" "+r.URL.Path)
	h.Handler.ServeHTTP(w, r)
}

var proof = regexp.MustCompile(`name="form" value="([^"]+)"`)

// formKey is what forms for the session of [visit] carry.
func formKey(t *testing.T) string {
	t.Helper()
	h := shop(t, said{"GET /v1/me": map[string]any{"ic": "1", "name": "A"}})
	m := proof.FindStringSubmatch(visit(h, "ms", "/portal/profile/password").Body.String())
	if m == nil {
		t.Fatal("no form")
	}
	return m[1]
}

// post sends a form of the session of [visit]; other cookies are of the pages.
func post(t *testing.T, h http.Handler, path string, form url.Values, cookies map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	form.Set("form", formKey(t))
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "mohor-session", Value: "x"})
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		r.AddCookie(&http.Cookie{Name: "mohor-" + name, Value: cookies[name]})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// However a session ends, the browser keeps nothing of what its officer had begun; a log-in anew
// for the same officer leaves signing pages and what was asked for.
func TestEndOfASessionForgets(t *testing.T) {
	const current = "GET /v1/me"
	me := map[string]any{"ic": "1", "name": "A", "session": map[string]any{"session_id": "se_now"}}
	all := []string{"asked", "join", "notes", "phone", "sign-abc"}
	for _, c := range []struct {
		what, path string
		form       url.Values
		api        said
		ends       string // what the page must have asked for
		gone       []string
	}{
		{"password", "/portal/profile/password", url.Values{"old": {"a"}, "new": {"b"}, "again": {"b"}}, said{"POST /v1/me/password": struct{}{}}, "POST /v1/me/password", all},
		{"deletion", "/portal/profile/delete/code", url.Values{"code": {"123456"}}, said{"POST /v1/me/deletion/de_x/confirm": struct{}{}}, "POST /v1/me/deletion/de_x/confirm", all},
		{"this session", "/portal/profile/sessions/end", url.Values{"id": {"se_now"}}, said{"DELETE /v1/me/sessions/se_now": struct{}{}}, "DELETE /v1/me/sessions/se_now", all},
		{"another session", "/portal/profile/sessions/end", url.Values{"id": {"se_other"}}, said{"DELETE /v1/me/sessions/se_other": struct{}{}}, "DELETE /v1/me/sessions/se_other", nil},
		{"reset", "/login/forgotten/reset", url.Values{"code": {"123456"}, "password": {"b"}}, said{"POST /v1/password/re_x/reset": map[string]any{"state": "DONE"}, "DELETE /v1/me/sessions/current": struct{}{}}, "DELETE /v1/me/sessions/current", all},
		{"again", "/portal/again", url.Values{}, said{"DELETE /v1/me/sessions/current": struct{}{}}, "DELETE /v1/me/sessions/current", []string{"notes", "phone"}},
	} {
		c.api[current] = me
		api := &heard{Handler: c.api}
		w := post(t, shop(t, api), c.path, c.form, map[string]string{"asked": "x", "join": "x", "notes": "x", "phone": "x", "sign-abc": "x", "delete": "de_x.9999999999", "reset": "re_x.9999999999"})
		var gone []string
		for _, k := range w.Result().Cookies() {
			if name := strings.TrimPrefix(k.Name, "mohor-"); k.MaxAge < 0 && slices.Contains(all, name) {
				gone = append(gone, name)
			}
		}
		if slices.Sort(gone); w.Code != http.StatusSeeOther || !slices.Equal(gone, c.gone) || !slices.Contains(api.asked, c.ends) {
			t.Errorf("%s: %d, gone: %q, asked: %q", c.what, w.Code, gone, api.asked)
		}
	}
}

// The page's own address, which a script shows, says where to go on only when it was asked to.
func TestLogInPageInTheOtherLanguage(t *testing.T) {
	for path, want := range map[string]string{"/login": `href="/login?lang=en"`, "/login?next=%2Fportal": `href="/login?lang=en"`, "/login?next=%2Fportal%2Fsign": `href="/login?lang=en&amp;next=%2Fportal%2Fsign"`} {
		if body := visit(shop(t, said{}), "ms", path).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s: no %s", path, want)
		}
	}
}
