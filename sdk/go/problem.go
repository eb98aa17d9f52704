package mohor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Problem is an error answer of the gateway (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"` // what happened, in the client's language
	Status int    `json:"status"`
	Detail string `json:"detail"` // what is wrong, where, and what to do
	// Instance is the request id, for the gateway's administrator.
	Instance string `json:"instance"`
	// Code is stable, such as "otp_wrong"; empty when the answer was not the gateway's.
	Code   string `json:"code"`
	Field  string `json:"field"`  // the field that is wrong
	Row    int    `json:"row"`    // the row that is wrong, from 1
	Medium string `json:"medium"` // the medium the officer holds
	Object string `json:"object"` // "request_done": what the request was done to
	// AttemptsLeft are the tries left for PIN or code; nil when it is not about them.
	AttemptsLeft *int `json:"attempts_left"`
	// RetryAfter is how long to wait before another try; 0 when none would help.
	RetryAfter time.Duration `json:"-"`

	english bool
}

// Error is one line with title, place, detail and code.
func (p *Problem) Error() string {
	s := p.Title
	if p.Field != "" {
		s += ": " + p.Field
	}
	if p.Row > 0 {
		s += fmt.Sprintf(" (line %d)", p.Row)
	}
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.AttemptsLeft != nil {
		left := " (tinggal %d cubaan)"
		if p.english {
			left = " (%d tries left)"
		}
		s += fmt.Sprintf(left, *p.AttemptsLeft)
	}
	return s + " [" + p.Code + "]"
}

// Code is the stable code of the [*Problem] in err, or empty.
func Code(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// maxProblem bounds an error answer in bytes.
const maxProblem = 1 << 20

// problem reads an error answer; of one that is not the gateway's the status alone.
func (c *Client) problem(resp *http.Response) *Problem {
	in := struct {
		*Problem
		RetryAfter int `json:"retry_after"`
	}{Problem: &Problem{Title: resp.Status, english: c.Language == "en"}}
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&in) // the status alone is an answer, too
	p := in.Problem
	p.Status = resp.StatusCode
	wait := in.RetryAfter
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil { // RFC 9110, Section 10.2.3
		wait = s
	}
	p.RetryAfter = time.Duration(min(max(wait, 0), 1<<20)) * time.Second
	return p
}
