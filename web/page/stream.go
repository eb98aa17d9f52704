package page

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/a-h/templ"
)

// Event is one of a stream that the API sends (WHATWG HTML, Section 9.2).
type Event struct {
	Name string
	Data []byte
}

// Stream hands the API's stream of events at path on to the browser, in the form that each gives
// to them: a part of a page, which htmx puts in its place, or without one a name alone, of which
// scripts hear. An event for which each has neither is passed over. Without a session the stream is the
// one event "done": a browser's script asks again and again for a stream that is refused, and follows
// no way to the log-in; the page that "done" loads anew does.
func (s *Site) Stream(w http.ResponseWriter, r *http.Request, path string, each func(Event) (name string, part templ.Component)) {
	q, err := s.request(r, http.MethodGet, path, "", nil)
	if err != nil {
		s.Failed(w, r, err)
		return
	}
	t := &teller{passer: passer{to: w, header: http.Header{}}, r: r, each: each}
	s.API.ServeHTTP(t, q)
	if t.refused && t.status == http.StatusUnauthorized && htmx(r) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: done\ndata: \n\n") // an error means that the reader has gone
		return
	}
	if t.refused {
		a := &Answer{t.status, t.header, t.problem.Bytes()}
		s.Failed(w, r, a.Decode(nil))
	}
}

// teller is a passer that tells events in other words.
type teller struct {
	passer
	r    *http.Request
	each func(Event) (string, templ.Component)
	rest bytes.Buffer // of an event that is not whole yet
}

func (t *teller) WriteHeader(status int) {
	if t.status == 0 {
		t.header.Del("Content-Length")
		t.to.Header().Set("X-Accel-Buffering", "no") // a proxy that keeps events back keeps people waiting
	}
	t.passer.WriteHeader(status)
}

func (t *teller) Write(b []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	if t.refused {
		return t.passer.Write(b)
	}
	t.rest.Write(b)
	for {
		whole, _, ok := bytes.Cut(t.rest.Bytes(), []byte("\n\n"))
		if !ok {
			return len(b), nil
		}
		if err := t.tell(parsed(string(whole))); err != nil {
			return 0, err
		}
		t.rest.Next(len(whole) + 2)
	}
}

// tell sends an event on.
func (t *teller) tell(e Event) error {
	name, part := t.each(e)
	if part == nil {
		if name == "" {
			return nil
		}
		_, err := fmt.Fprintf(t.to, "event: %s\ndata: \n\n", name)
		return err
	}
	text := templ.GetBuffer()
	defer templ.ReleaseBuffer(text)
	if err := part.Render(t.r.Context(), text); err != nil {
		return fmt.Errorf("making a part of a page: %w", err)
	}
	_, err := fmt.Fprintf(t.to, "data: %s\n\n", strings.ReplaceAll(strings.TrimSpace(text.String()), "\n", "\ndata: "))
	return err
}

// parsed reads an event.
func parsed(text string) (e Event) {
	for _, line := range strings.Split(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.Name = value
		case "data":
			if e.Data != nil {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
		}
	}
	return e
}

// Flush is for [http.ResponseController].
func (t *teller) Flush() {
	t.WriteHeader(http.StatusOK)
	t.passer.Flush()
}
