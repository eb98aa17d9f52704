//go:build !race

package journeys_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// faults are pages and the words of the problem that each must be.
var faults = map[string]struct{ head, body, words string }{
	"/inline":    {"<script>document.title = 'x'</script>", "", "Content-Security-Policy: script-src-elem does not allow inline"},
	"/style":     {"", `<p style="color: red">merah</p>`, "Content-Security-Policy: style-src-attr does not allow inline"},
	"/eval":      {`<script src="/eval.js"></script>`, "", "Content-Security-Policy: script-src does not allow eval"},
	"/console":   {`<script src="/console.js"></script>`, "", "console: it does not work"},
	"/throws":    {`<script src="/throws.js"></script>`, "", "exception: Error: thrown"},
	"/rejects":   {`<script src="/rejects.js"></script>`, "", "exception: Error: rejected"},
	"/label":     {"", `<input>`, "axe: critical label"},
	"/contrast":  {"", `<p class="pale">pucat</p>`, "axe: serious color-contrast"},
	"/wide":      {"", `<p class="wide">lebar</p>`, "pixels too wide"},
	"/no-image":  {"", `<img src="/none.png" alt="">`, "404 for GET"},
	"/away":      {"", `<img src="AWAY/x.png" alt="">`, "asks another origin: "},
	"/not-found": {"", "", "404 for GET"},
	"/cut":       {"", "", "no answer: GET"},
}

var assets = map[string]string{
	"/x.css":      "body { font: 1rem/1.5 sans-serif; color: #222; background: #fff } .pale { color: #ddd } .wide { width: 900px }",
	"/eval.js":    "new Function('return 1')()",
	"/console.js": "console.error('it does not work')",
	"/throws.js":  "throw new Error('thrown')",
	"/rejects.js": "Promise.reject(new Error('rejected'))",
}

// control serves the faults, and one sound page.
func control(t *testing.T) *httptest.Server {
	t.Helper()
	away := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(away.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, fault := faults[r.URL.Path]
		asset, ok := assets[r.URL.Path]
		switch {
		case r.URL.Path == "/cut":
			panic(http.ErrAbortHandler)
		case ok:
			w.Header().Set("Content-Type", map[bool]string{true: "text/css", false: "text/javascript"}[strings.HasSuffix(r.URL.Path, ".css")])
			_, _ = w.Write([]byte(asset))
			return
		case r.URL.Path == "/":
			f.body = `<form method="post"><label for="n">Nama</label> <input id="n" name="n"> <button>Hantar</button></form> <a href="/expected">Lain</a>`
			if r.Method == http.MethodPost {
				lang, _ := r.Cookie("mohor-lang")
				f.body = "<h2>" + html.EscapeString(r.PostFormValue("n")) + `</h2><p data-testid="cookie">` + html.EscapeString(lang.String()) + "</p>"
			}
		case !fault && r.URL.Path != "/expected":
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "+away.URL+"; form-action 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/not-found" || r.URL.Path == "/expected" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintf(w, `<!DOCTYPE html><html lang="ms"><head><title>Kawalan</title><meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/x.css">%s</head><body><main><h1>Kawalan</h1>%s</main></body></html>`,
			f.head, strings.ReplaceAll(f.body, "AWAY", away.URL))
	}))
	t.Cleanup(s.Close)
	return s
}

// A page with a fault is found out, by words that name page and fault, and by nothing else.
func TestJourneyControl(t *testing.T) {
	base := control(t).URL
	var paths []string
	for path := range faults {
		paths = append(paths, path)
	}
	_, problems, err := play(t, "control", config{Given: given{"base": base, "paths": paths}}, nil)
	if err == nil {
		t.Error("a journey with problems ended well")
	}
	found := map[string]bool{}
	for _, p := range problems {
		where, _, _ := strings.Cut(strings.TrimPrefix(p, "ms-phone › "), ": ")
		path, _, _ := strings.Cut(where, " ›")
		f, ok := faults[path]
		switch {
		case ok && strings.Contains(p, f.words):
			found[path] = true
		case path == "/inline" || path == "/style" || path == "/eval" || path == "/away": // the console, or the answer, says it once more
		default:
			t.Errorf("found: %s", p)
		}
	}
	for path, f := range faults {
		if !found[path] {
			t.Errorf("not found: %s: %s", path, f.words)
		}
	}
}

// Firefox judges pages, too: what it can be seen to find.
func TestJourneyFirefox(t *testing.T) {
	base := control(t).URL
	r, problems, err := play(t, "control", config{Given: given{"base": base, "engine": "firefox"}}, nil)
	if err != nil || len(problems) != 0 || r["cookie"] != "mohor-lang=ms" || r["tabs"] != "Nama, Hantar, Lain" {
		t.Errorf("%v %q %v", err, problems, r)
	}
	paths := []string{"/inline", "/console", "/throws", "/label", "/wide", "/no-image", "/not-found"}
	_, problems, err = play(t, "control", config{Given: given{"base": base, "engine": "firefox", "paths": paths}}, nil)
	if err == nil {
		t.Error("a journey with problems ended well")
	}
	all := strings.Join(problems, "\n")
	for _, path := range paths {
		if !strings.Contains(all, "› "+path) || !strings.Contains(all, faults[path].words) {
			t.Errorf("not found: %s: %s in\n%s", path, faults[path].words, all)
		}
	}
}

// A sound page has no problem, with script and without; a script that fails says at which step.
func TestJourneySoundPage(t *testing.T) {
	base := control(t).URL
	for _, noJS := range []bool{false, true} {
		r, problems, err := play(t, "control", config{Given: given{"base": base, "noJS": noJS, "fail": noJS}}, nil)
		if noJS {
			if err == nil || len(problems) != 1 || !strings.HasPrefix(problems[0], "ms-phone › no such button: frame.click: Timeout") {
				t.Errorf("a failed step: %v %q", err, problems)
			}
		} else if err != nil || len(problems) != 0 {
			t.Errorf("%v %q", err, problems)
		}
		count, _ := r["count"].(map[string]any)
		if count["typed"] != 1.0 || count["clicks"] != 0.0 || count["pages"] != 3.0 {
			t.Errorf("counted %v", count)
		}
		if r["tabs"] != "Nama, Hantar, Lain" || r["cookie"] != "mohor-lang=ms" {
			t.Errorf("%v", r)
		}
	}
}
