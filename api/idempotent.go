package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// Replies keeps the answers of requests that carried an Idempotency-Key, for
// 24 hours. Each call is durable when it returns. began is the now of the claim that
// a call is about; one that is not there any more stays so.
type Replies interface {
	// BeginReply claims (app, key) for this request: fresh means that it is the
	// first. Otherwise it returns what was kept: the first request's
	// fingerprint, and its status (0 while it runs), headers and body.
	BeginReply(ctx context.Context, app, key string, fingerprint []byte, now time.Time) (fresh bool, kept []byte, status int, headers string, body []byte, err error)
	// FinishReply keeps the answer.
	FinishReply(ctx context.Context, app, key string, began time.Time, status int, headers string, body []byte) error
	// DropReply forgets a claim whose answer must not be repeated.
	DropReply(ctx context.Context, app, key string, began time.Time) error
}

// maxIdempotent bounds a body that is fingerprinted, in bytes; uploads are not.
const maxIdempotent = 16 << 20

// replayed are the headers kept with an answer.
var replayed = []string{"Content-Type", "Location"}

// idempotent repeats the kept answer of the same request: same key and same
// body → same answer; another body → 409. 429 and 5xx are not kept.
func (s *server) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if scopeOf(ctx) == "" || holdsSecret(r.URL.Path) {
			writeProblem(w, ctx, fixed("Idempotency-Key", "It is not offered here: the answers hold secrets.", "Ia tidak ditawarkan di sini: jawapannya rahsia."))
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxIdempotent+1))
		switch {
		case len(key) > 128 || strings.ContainsFunc(key, func(c rune) bool { return c < 0x21 || c > 0x7e }):
			err = fixed("Idempotency-Key", "It must have 1 to 128 printable ASCII characters.", "Ia mesti 1 hingga 128 aksara ASCII.")
		case err == nil && len(body) > maxIdempotent:
			err = fixed("Idempotency-Key", "It is not offered for uploads of this size.", "Ia tidak ditawarkan bagi muat naik sebesar ini.")
		}
		var print []byte
		if err == nil {
			print, err = s.Fingerprint(ctx, append([]byte(r.Method+" "+r.URL.RequestURI()+"\n"), body...))
		}
		if err != nil {
			writeProblem(w, ctx, s.logged(ctx, err))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.once(w, r, next, key, print)
	})
}

const secondFactorPath = "/v1/me/second-factor"

// holdsSecret says where the answer holds a seed or the secret of an app, which must be kept
// nowhere.
func holdsSecret(path string) bool {
	return path == secondFactorPath || strings.HasPrefix(path, "/v1/admin/apps/") && strings.HasSuffix(strings.TrimRight(path, "/"), "/credentials")
}

// scopeOf is whose the key is; "" when it is nobody's who is known.
func scopeOf(ctx context.Context) string {
	if p := personOf(ctx); p != nil {
		return "account:" + p.Account.ID // no app's id has a colon
	}
	if app := appOf(ctx); app != nil {
		return app.ID
	}
	return ""
}

func (s *server) once(w http.ResponseWriter, r *http.Request, next http.Handler, key string, print []byte) {
	ctx, app := r.Context(), scopeOf(r.Context())
	began := s.Now()
	drop := func(ctx context.Context) error { return s.Replies.DropReply(ctx, app, key, began) }
	fresh, kept, status, headers, body, err := s.Replies.BeginReply(ctx, app, key, print, began)
	switch {
	case err != nil:
		if storeAway(err) {
			go s.settle(ctx, drop) // perhaps it was claimed and the answer lost
		}
		writeProblem(w, ctx, s.logged(ctx, err))
		return
	case !fresh && !bytes.Equal(kept, print):
		writeProblem(w, ctx, errConflict)
		return
	case !fresh && status == 0:
		writeProblem(w, ctx, errInProgress)
		return
	case !fresh:
		var h map[string]string
		if json.Unmarshal([]byte(headers), &h) == nil {
			for k, v := range h {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client is gone if this fails
		return
	}
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		// Also when the handler panicked: a claim must not stay for ever.
		ctx, keep := context.WithoutCancel(ctx), drop
		if rec.status != http.StatusTooManyRequests && rec.status < 500 && rec.wrote {
			h := map[string]string{}
			for _, k := range replayed {
				if v := w.Header().Get(k); v != "" {
					h[k] = v
				}
			}
			text, _ := json.Marshal(h) // a map of strings cannot fail
			keep = func(ctx context.Context) error {
				return s.Replies.FinishReply(ctx, app, key, began, rec.status, string(text), rec.body.Bytes())
			}
		}
		if err := keep(ctx); err != nil {
			s.Log.Error("keeping reply", "request_id", requestIDOf(ctx), "error", err)
			if storeAway(err) {
				go s.settle(ctx, keep)
			}
		}
	}()
	next.ServeHTTP(rec, r)
}

// settlePause is the time between tries to settle a claim, settleFor that of all,
// settleWidth how many are settled at once. What is left over the store forgets by
// its age.
const (
	settlePause = time.Second
	settleFor   = time.Hour
	settleWidth = 100
)

// settle does for a claim what could not be done while the database was away: until
// then each try of the client is told that the first one runs. What stops before,
// the next start clears.
func (s *server) settle(ctx context.Context, do func(context.Context) error) {
	if s.settling.Add(1) > settleWidth {
		s.settling.Add(-1)
		return
	}
	defer s.settling.Add(-1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	t := time.NewTicker(settlePause)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.Stopping:
			return
		case <-ctx.Done():
			return
		}
		if err := do(ctx); err == nil || !storeAway(err) {
			return
		}
	}
}

// recorder keeps a copy of the answer while it is sent.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.wrote = true
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap implements the interface of http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
