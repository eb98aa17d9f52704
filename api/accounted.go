package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/audit"
)

// accounted sees to it that each request of an app stands in the audit: where its handler wrote
// no event of its own, one of the request is written before the first byte of the answer leaves.
// Without it there is no answer. What fails by our fault tells nothing and is for the log.
func (s *server) accounted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := audit.OriginOf(r.Context())
		if appOf(r.Context()) == nil || o == nil {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&witness{ResponseWriter: w, s: s, r: r, origin: o}, r)
	})
}

// maxPath bounds the path in an event, in bytes.
const maxPath = 160

// witness writes the event of a request when its answer begins.
type witness struct {
	http.ResponseWriter
	s      *server
	r      *http.Request
	origin *audit.Origin
	begun  bool
	failed bool
}

var errUnwitnessed = errors.New("answering: the request could not be recorded")

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(status int) {
	if w.begun || status < 200 {
		if !w.failed {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	w.begun = true
	if status < 500 && !w.origin.Recorded() {
		if err := w.record(status); err != nil {
			w.failed = true
			w.Header().Del("Content-Length")
			writeProblem(w.ResponseWriter, w.r.Context(), w.s.logged(w.r.Context(), err))
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) record(status int) error {
	ctx, path := context.WithoutCancel(w.r.Context()), strings.ToValidUTF8(w.r.URL.Path, "?")
	ev := audit.Event{At: w.s.Now(), Actor: "app:" + appOf(ctx).ID, Action: "app.request", Object: path[:min(len(path), maxPath)], Verdict: audit.Accepted, RequestID: requestIDOf(ctx),
		Detail: map[string]string{"method": w.r.Method, "route": chi.RouteContext(ctx).RoutePattern(), "status": strconv.Itoa(status)}}
	if status >= 400 {
		ev.Verdict = audit.Refused
	}
	if err := w.s.Signer.Records.Audit(ctx, ev); err != nil {
		return fmt.Errorf("recording the request: %w: %w", audit.ErrNotRecorded, err)
	}
	return nil
}

// Write implements http.ResponseWriter.
func (w *witness) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.failed {
		return 0, errUnwitnessed
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that files go the short way.
func (w *witness) ReadFrom(r io.Reader) (int64, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.failed {
		return 0, errUnwitnessed
	}
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap implements the interface of http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
