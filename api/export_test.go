package api

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
)

// Deadlines lets a test choose the time.
var Deadlines = deadlines

// ProblemOf is what a client is told about err.
func ProblemOf(err error) (code string, status, retryAfter int, left *int) {
	p := newProblem(context.Background(), err)
	return p.Code, p.Status, p.RetryAfter, p.AttemptsLeft
}

// Idempotent is next behind the keys of requests, as app's.
func Idempotent(c Config, app enrol.App, next http.Handler) http.Handler {
	s := &server{Config: c}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.idempotent(next).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keyApp, &app)))
	})
}

// Logged writes an error of a request to the log.
func Logged(ctx context.Context, log *slog.Logger, err error) {
	_ = (&server{Config: Config{Log: log}}).logged(ctx, err)
}

// FieldOf is the field that a client is told of err, and the words.
func FieldOf(err error) (field, ms, en string) {
	p, q := Explain(err)
	return p.Field, p.Title, q.Title
}

// GrantOf is the grant that an app needs for an operation.
var GrantOf = grantOf

// Network is what requests without an app are counted by.
var Network = network

// Meaning is what an error is told as.
type Meaning struct {
	Code   string
	Status int
	MS, EN string
}

// Meanings are those of all errors.
func Meanings() (out []Meaning) {
	for _, m := range meanings() {
		out = append(out, Meaning{m.code, m.status, m.ms, m.en})
	}
	return out
}

// Rule is what is said of a field for what huma says.
func Rule(said string) (ms, en string) {
	r := rule("field", said)
	return r.ms, r.en
}

// Origin hands over what a request's origin is found to be: the client's certificates, and what
// is left of the header that they came in.
func Origin(c Config, f func(certs []*x509.Certificate, header string)) http.Handler {
	s := &server{Config: c}
	return s.origin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f(certificatesOf(r.Context()), r.Header.Get("Client-Cert"))
	}))
}

// Accounted is next as app asks for it.
func Accounted(c Config, app enrol.App, o *audit.Origin, next http.Handler) http.Handler {
	s := &server{Config: c}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(audit.WithOrigin(r.Context(), o), keyApp, &app)
		ctx = context.WithValue(ctx, chi.RouteCtxKey, chi.NewRouteContext())
		s.accounted(next).ServeHTTP(w, r.WithContext(ctx))
	})
}

// Attachment is a Content-Disposition.
var Attachment = attachment

// Visits are the uploads of the public that are under way.
type Visits struct{ v visits }

// Enter takes a place for a network, Leave gives it back.
func (v *Visits) Enter(from string) bool { return v.v.enter(from) }
func (v *Visits) Leave(from string)      { v.v.leave(from) }

// Hurried is a body that has to arrive by a time.
func Hurried(r io.Reader, until time.Time) io.Reader { return hurried{r, until} }
