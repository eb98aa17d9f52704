package api

import (
	"context"
	"net/http"

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

// Network is what requests without an app are counted by.
var Network = network

// Attachment is a Content-Disposition.
var Attachment = attachment
