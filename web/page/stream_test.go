package page_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// The API's events arrive as parts of a page, however they were cut up on the way, one by one; a
// refusal is a page as ever.
func TestStreamTellsEvents(t *testing.T) {
	status := http.StatusOK
	more := make(chan string)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status != http.StatusOK {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"title":"TIADA","code":"not_found"}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for text := range more {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	})
	s := &page.Site{API: api, Title: "Mohor", Now: time.Now}
	g := httptest.NewServer(s.Pages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Stream(w, r, "/v1/x", func(e page.Event) (string, templ.Component) {
			switch e.Name {
			case "end":
				return "over", nil
			case "aside":
				return "", nil
			}
			return "", templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
				_, err := io.WriteString(w, "<p>"+templ.EscapeString(string(e.Data))+"\n</p>")
				return err
			})
		})
	})))
	defer g.Close()
	got := make(chan *http.Response)
	go func() {
		r, err := http.Get(g.URL)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	more <- "id: 1\nevent: pro"
	r := <-got
	defer r.Body.Close()
	if r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%v", r.Header)
	}
	take := func(want string) {
		t.Helper()
		b := make([]byte, len(want))
		if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != want {
			t.Fatalf("%q, %v; not %q", b, err, want)
		}
	}
	more <- "gress\ndata: <1>\ndata: 2\n\nevent: aside\ndata: x\n\n"
	take("data: <p>&lt;1&gt;\ndata: 2\ndata: </p>\n\n")
	more <- "event: end\ndata: {}\n\n"
	take("event: over\ndata: \n\n")
	close(more)
	if rest, err := io.ReadAll(r.Body); err != nil || len(rest) > 0 {
		t.Errorf("behind the end: %q %v", rest, err)
	}

	status = http.StatusNotFound
	r, err := http.Get(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || !strings.Contains(string(b), "<h1>TIADA</h1>") {
		t.Errorf("a refusal: %d %v %s", r.StatusCode, err, b)
	}
}
