package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// errDone means that a request was carried out and its answer is lost.
var errDone = errors.New("request was carried out and its answer is lost")

// doneError is errDone with what the request was done to.
type doneError struct{ object string }

func (e *doneError) Error() string { return errDone.Error() }
func (e *doneError) Unwrap() error { return errDone }

// viewOf is where the state of what a POST made or changed is to be read, which answers
// the same POST when its own answer was lost; "" when nothing does.
func viewOf(path, object string) string {
	p := strings.Split(path, "/") // "", v1, …
	switch {
	case path == "/v1/transactions", path == "/v1/batches", path == "/v1/documents":
		return path + "/" + url.PathEscape(object)
	case len(p) == 5 && p[2] == "transactions" && (p[4] == "otp" || p[4] == "sign"), len(p) == 5 && p[2] == "batches" && slices.Contains([]string{"seal", "pause", "resume", "retry"}, p[4]):
		return strings.Join(p[:4], "/")
	}
	return ""
}

// answerAgain answers a request that was cut off after it had done something to object: by
// what became of that. It answers nothing and is false when the request is to be judged anew.
func (s *server) answerAgain(w http.ResponseWriter, r *http.Request, next http.Handler, object string) bool {
	view := viewOf(r.URL.Path, object)
	if view == "" {
		writeProblem(w, r.Context(), &doneError{object})
		return true
	}
	got := within(r, next, http.MethodGet, view)
	if r.URL.Path == "/v1/transactions" && got.code() == codeFor(otp.ErrUnknown) {
		// It was cut off before the officer was sent a code.
		channel, err := askedChannel(r)
		if err != nil {
			writeProblem(w, r.Context(), s.logged(r.Context(), err))
			return true
		}
		if sent := within(r, next, http.MethodPost, view+"/otp", channel...); sent.status != http.StatusOK {
			sent.write(w)
			return true
		}
		got = within(r, next, http.MethodGet, view)
	}
	if got.status == http.StatusNotFound {
		return false
	}
	if r.URL.Path == "/v1/transactions" && got.status == http.StatusOK {
		switch lost, err := s.lostPage(r.Context(), object); {
		case err != nil:
			writeProblem(w, r.Context(), s.logged(r.Context(), err))
			return true
		case lost:
			if gone := within(r, next, http.MethodDelete, view); gone.status != http.StatusNoContent {
				gone.write(w)
				return true
			}
			return false
		}
	}
	if got.status == http.StatusOK {
		var now struct {
			Status signer.Status `json:"status"`
			Code   string        `json:"code"`
		}
		_ = json.Unmarshal(got.body.Bytes(), &now) // a view without one has ""
		var again bool
		if got.status, again = statusAgain(r.URL.Path, now.Status, now.Code); !again {
			return false
		}
	}
	got.write(w)
	return true
}

// lostPage says whether a transaction waits on a page whose address nobody was told, for only its
// SHA-256 is kept: it is to end, and the officer to be asked again.
func (s *server) lostPage(ctx context.Context, id string) (bool, error) {
	r, err := s.Signer.Request(ctx, appOf(ctx).ID, id)
	return err == nil && r.Status == signer.Waiting && r.Page != nil && r.Page.OpenedAt.IsZero(), err
}

// askedChannel reads from the body of a request for a transaction the body of one for its code, and
// leaves it as it was.
func askedChannel(r *http.Request) ([]byte, error) {
	whole, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(whole))
	var asked struct {
		Channel string `json:"channel,omitempty"`
	}
	_ = json.Unmarshal(whole, &asked) // it was judged before the transaction was made
	return json.Marshal(asked)
}

// statusAgain is the HTTP status of a POST whose object has come to a state, for a reason with a code;
// false when that is not one to which the POST leads.
func statusAgain(path string, now signer.Status, why string) (int, bool) {
	switch {
	case strings.HasSuffix(path, "/sign"):
		switch now {
		case signer.Signed, signer.SignedWithRefusals, signer.Failed:
			return http.StatusOK, true
		case signer.Signing:
			return http.StatusAccepted, true
		}
		return 0, false
	case path == "/v1/transactions":
		// One whose code could not be sent was cancelled: the officer is to be asked again. Nobody is
		// about one that somebody has ended.
		return http.StatusCreated, now != signer.Cancelled || why != codeFor(otp.ErrNotSent)
	case path == "/v1/batches", path == "/v1/documents":
		return http.StatusCreated, true
	}
	return http.StatusOK, true
}

// codeFor is the stable code of a sentinel. That of otp.ErrUnknown tells a transaction for which no
// code was ever issued.
func codeFor(err error) string {
	m, _ := meaningOf(err)
	return m.code
}

// inner is an answer in memory.
type inner struct {
	recorder
	header http.Header
}

// Header implements http.ResponseWriter.
func (i *inner) Header() http.Header { return i.header }

// within has the router answer another request in the place of r, with its credentials and claim.
func within(r *http.Request, next http.Handler, method, path string, body ...byte) *inner {
	routes := chi.NewRouteContext()
	if c := chi.RouteContext(r.Context()); c != nil {
		routes.Routes = c.Routes
	}
	q := r.Clone(context.WithValue(r.Context(), chi.RouteCtxKey, routes))
	q.Method, q.URL, q.RequestURI, q.Body, q.ContentLength = method, &url.URL{Path: path}, path, http.NoBody, 0
	q.Header.Del("Content-Type")
	if len(body) > 0 {
		q.Header.Set("Content-Type", "application/json")
		q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	i := &inner{header: http.Header{}}
	i.status, i.ResponseWriter = http.StatusOK, &nowhere{i.header}
	next.ServeHTTP(i, q)
	return i
}

// code is the stable code of a problem, or "".
func (i *inner) code() string {
	var p Problem
	if json.Unmarshal(i.body.Bytes(), &p) != nil {
		return ""
	}
	return p.Code
}

// write gives the answer to the client.
func (i *inner) write(w http.ResponseWriter) {
	for _, k := range append([]string{"Retry-After"}, replayed...) {
		if v := i.header.Get(k); v != "" {
			w.Header().Set(k, v)
		}
	}
	w.WriteHeader(i.status)
	_, _ = w.Write(i.body.Bytes()) // the client is gone if this fails
}

// nowhere is a client that takes nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
