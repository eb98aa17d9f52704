package api

import "context"

// Deadlines lets a test choose the time.
var Deadlines = deadlines

// ProblemOf is what a client is told about err.
func ProblemOf(err error) (code string, status, retryAfter int, left *int) {
	p := newProblem(context.Background(), err)
	return p.Code, p.Status, p.RetryAfter, p.AttemptsLeft
}
