package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/batch"
)

// Replies keeps the answers of requests that carried an Idempotency-Key, for
// 24 hours. Each call is durable when it returns. began is the time that the claim which a
// call is about was made with, and names it; one that is not there any more stays so. How long
// a claim holds is told by the database's clock.
type Replies interface {
	// BeginReply claims (app, key) for this request, for half a minute: fresh means that
	// nobody answers it. Then object is "" or what an earlier run of the same request was
	// noted to have done, which was cut off before its answer was kept. If it is not fresh,
	// what was kept comes back: the first request's fingerprint, and its status (0 while it
	// runs), headers and body.
	BeginReply(ctx context.Context, app, key string, fingerprint []byte, began time.Time) (fresh bool, object string, kept []byte, status int, headers string, body []byte, err error)
	// ClaimedReply is ctx for the work of a claim: the object of each accepted event that is
	// recorded with it is noted in the claim by the same commit. What is not refused fails when
	// another request has taken the claim. Without a key it is of no claim any more.
	ClaimedReply(ctx context.Context, app, key string, began time.Time) context.Context
	// ExtendReply says that the request is still being answered.
	ExtendReply(ctx context.Context, app, key string, began time.Time) error
	// FinishReply keeps the answer.
	FinishReply(ctx context.Context, app, key string, began time.Time, status int, headers string, body []byte) error
	// LeaveReply leaves a claim, with what was noted, to the next such request.
	LeaveReply(ctx context.Context, app, key string, began time.Time) error
}

// maxIdempotent bounds a JSON body that is fingerprinted, in bytes; uploads have their own
// bound. Of these what is longer than inMemory waits in a file; JSON, which may hold PIN and
// code, touches none.
const (
	maxIdempotent = 16 << 20
	inMemory      = 256 << 10
)

// replayed are the headers kept with an answer.
var replayed = []string{"Content-Type", "Content-Language", "Location"}

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
		if o := s.operation(r); scopeOf(ctx) == "" || o != nil && !repeatable(o) {
			writeProblem(w, ctx, fixed("Idempotency-Key", "It is not offered here: the answers hold secrets.", "Ia tidak ditawarkan di sini: jawapannya rahsia."))
			return
		}
		if len(key) > 128 || strings.ContainsFunc(key, func(c rune) bool { return c < 0x21 || c > 0x7e }) || len(r.Header.Values("Idempotency-Key")) > 1 {
			writeProblem(w, ctx, fixed("Idempotency-Key", "It must have 1 to 128 printable ASCII characters, and be there once.", "Ia mesti 1 hingga 128 aksara ASCII, dan sekali sahaja."))
			return
		}
		body, sum, err := s.takeIn(r)
		if err != nil {
			writeProblem(w, ctx, s.logged(ctx, err))
			return
		}
		defer body.Close()
		print, err := s.Fingerprint(ctx, append([]byte(strings.Join([]string{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("X-PDF-Password"), ""}, "\n")), sum...))
		if err != nil {
			writeProblem(w, ctx, s.logged(ctx, err))
			return
		}
		r.Body = body
		s.once(w, r, next, key, print)
	})
}

// takeIn takes in a body to its end, and gives its SHA-256.
func (s *server) takeIn(r *http.Request) (body io.ReadCloser, sum []byte, err error) {
	limit, memory, upload := s.MaxUpload, int64(inMemory), spooled(r.Header.Get("Content-Type"))
	if !upload {
		limit, memory = maxIdempotent, maxIdempotent+1
	}
	h := sha256.New()
	in := io.TeeReader(io.LimitReader(r.Body, limit+1), h)
	var head bytes.Buffer
	n, err := io.CopyN(&head, in, memory)
	switch {
	case errors.Is(err, io.EOF) && n <= limit:
		return io.NopCloser(&head), h.Sum(nil), nil
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", batch.ErrInput, err)
	case !upload:
		return nil, nil, batch.ErrTooLarge
	}
	f, _, err := s.spool(io.MultiReader(&head, in), limit)
	if err != nil {
		return nil, nil, err
	}
	return f, h.Sum(nil), nil
}

// spooled says whether a body of a Content-Type is a file that somebody uploads. Anything else
// is read as JSON, or refused as it is.
func spooled(contentType string) bool {
	return slices.Contains([]string{"application/pdf", "application/zip", "application/x-ndjson", "text/csv", sheetType}, mediaType(contentType))
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

// waitFor is how long a request waits for the same one before it, waitFirst its first pause.
const (
	waitFor   = 5 * time.Second
	waitFirst = 20 * time.Millisecond
)

// reply is what a claim found.
type reply struct {
	began   time.Time
	fresh   bool
	object  string
	print   []byte
	status  int
	headers string
	body    []byte
}

// claim claims a key, or has what is kept of it; while another request runs it waits for that.
func (s *server) claim(ctx context.Context, app, key string, print []byte) (k reply, err error) {
	deadline := time.Now().Add(waitFor)
	for pause := waitFirst; ; pause *= 2 {
		k.began = s.Now()
		k.fresh, k.object, k.print, k.status, k.headers, k.body, err = s.Replies.BeginReply(context.WithoutCancel(ctx), app, key, print, k.began)
		if err != nil || k.fresh || k.status != 0 || !bytes.Equal(k.print, print) || time.Now().Add(pause).After(deadline) {
			return k, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return k, ctx.Err()
		case <-s.Stopping:
			t.Stop()
			return k, nil
		}
	}
}

func (s *server) once(w http.ResponseWriter, r *http.Request, next http.Handler, key string, print []byte) {
	ctx, app := r.Context(), scopeOf(r.Context())
	k, err := s.claim(ctx, app, key, print)
	leave := func(ctx context.Context) error { return s.Replies.LeaveReply(ctx, app, key, k.began) }
	switch {
	case err != nil:
		if storeAway(err) {
			go s.settle(ctx, leave) // perhaps it was claimed and the answer lost
		}
		writeProblem(w, ctx, s.logged(ctx, err))
		return
	case !k.fresh && !bytes.Equal(k.print, print):
		writeProblem(w, ctx, errConflict)
		return
	case !k.fresh && k.status == 0:
		writeProblem(w, ctx, &retry{errInProgress, time.Second})
		return
	case !k.fresh:
		k.write(w)
		return
	}
	// From here on the request is answered to its end, whether or not the client is still there:
	// what it made would otherwise be made again.
	ctx = context.WithoutCancel(ctx)
	stop := s.extend(ctx, func(ctx context.Context) error { return s.Replies.ExtendReply(ctx, app, key, k.began) })
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		// Also when the handler panicked: a claim must not stay for ever.
		stop()
		keep := leave // what it did, if anything, is in the claim
		if rec.status != http.StatusTooManyRequests && rec.status < 500 && rec.wrote {
			keep = func(ctx context.Context) error {
				return s.Replies.FinishReply(ctx, app, key, k.began, rec.status, keptHeaders(w), rec.body.Bytes())
			}
		}
		if err := keep(ctx); err != nil {
			s.Log.Error("keeping reply", "request_id", requestIDOf(ctx), "error", err)
			if storeAway(err) {
				go s.settle(ctx, keep)
			}
		}
	}()
	r = r.WithContext(s.Replies.ClaimedReply(ctx, app, key, k.began))
	if k.object == "" || !s.answerAgain(rec, r, next, k.object) {
		next.ServeHTTP(rec, r)
	}
}

// write repeats a kept answer.
func (k *reply) write(w http.ResponseWriter) {
	var h map[string]string
	if json.Unmarshal([]byte(k.headers), &h) == nil {
		for name, v := range h {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(k.status)
	_, _ = w.Write(k.body) // the client is gone if this fails
}

// keptHeaders are the headers that are kept.
func keptHeaders(w http.ResponseWriter) string {
	h := map[string]string{}
	for _, k := range replayed {
		if v := w.Header().Get(k); v != "" {
			h[k] = v
		}
	}
	text, _ := json.Marshal(h) // a map of strings cannot fail
	return string(text)
}

// extendEvery is how often a request says that it is still being answered; a claim lasts
// three times as long.
const extendEvery = 10 * time.Second

func (s *server) extend(ctx context.Context, do func(context.Context) error) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		t := time.NewTicker(extendEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := do(ctx); err != nil && ctx.Err() == nil {
					s.Log.Warn("extending a claim", "request_id", requestIDOf(ctx), "error", err)
				}
			}
		}
	}()
	return stop
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
