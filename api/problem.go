package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// Problem is an error answer: RFC 9457 with a stable code.
type Problem struct {
	Type         string `json:"type" doc:"A URI that names the code" example:"urn:mohor:problem:otp_wrong"`
	Title        string `json:"title" doc:"What happened, in the language of Accept-Language"`
	Status       int    `json:"status" doc:"HTTP status"`
	Detail       string `json:"detail,omitempty" doc:"What is wrong, where, and what to do"`
	Instance     string `json:"instance" doc:"Request id, as in X-Request-Id"`
	Code         string `json:"code" doc:"Stable code" example:"otp_wrong"`
	AttemptsLeft *int   `json:"attempts_left,omitempty" doc:"Tries left for the PIN or code"`
	RetryAfter   int    `json:"retry_after,omitempty" doc:"Seconds to wait"`
	Field        string `json:"field,omitempty" doc:"The field that is wrong"`
	Row          int    `json:"row,omitempty" doc:"The row that is wrong, from 1"`
	Object       string `json:"object,omitempty" doc:"request_done: what the request was done to"`
	Medium       string `json:"medium,omitempty" doc:"The medium the officer holds"`

	// At most a thousand.
	Errors []Fault `json:"errors,omitempty" doc:"All that is wrong, when it is more than one thing"`

	language string // of title and detail
}

// Error implements error; GetStatus and ContentType make it huma's answer.
func (p *Problem) Error() string { return p.Code }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Content-Language": {p.language}}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	return h
}

// invalid is an invalid_request that names the field and what is wrong; the
// text is ours, never the client's.
type invalid struct{ field, en, ms string }

func (e *invalid) Error() string { return e.field + ": " + e.en }

// retry adds a waiting time to an error.
type retry struct {
	err   error
	after time.Duration
}

func (e *retry) Error() string { return e.err.Error() }
func (e *retry) Unwrap() error { return e.err }

// What is said of an error that is not in the map.
const (
	internalMS = "Sila maklumkan pentadbir dengan nombor permintaan ini."
	internalEN = "Please tell the administrator this request id."
)

// retryAfter is how many seconds to wait when nothing says better.
const retryAfter = 5

// newProblem builds the answer for err.
func newProblem(ctx context.Context, err error) *Problem {
	p := &Problem{Code: "internal_error", Status: 500, Title: "Ralat dalaman", Instance: requestIDOf(ctx),
		Detail: internalMS}
	err = sayable(err)
	en := english(ctx)
	if en {
		p.Title, p.Detail = "Internal error", internalEN
	}
	if m, ok := meaningOf(err); ok {
		p.Code, p.Status, p.Title, p.Detail = m.code, m.status, pick(en, m.en, m.ms), ""
	}
	p.explain(err, en)
	p.Type, p.language = "urn:mohor:problem:"+p.Code, pick(en, "en", "ms")
	if (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) && p.RetryAfter == 0 {
		p.RetryAfter = retryAfter
	}
	return p
}

// ofField is an error about a field that this request calls otherwise.
type ofField struct {
	field string
	error
}

func (e *ofField) Unwrap() error { return e.error }

// explain adds what the typed errors know. Only our own words and numbers are
// copied, never input.
func (p *Problem) explain(err error, en bool) {
	var (
		bad    *invalid
		left   *signer.AttemptsError
		locked *signer.LockedError
		medium *signer.MediumError
		way    *signer.ChannelError
		again  *otp.RetryError
		wait   *retry
		doc    *signer.DocumentError
		broken *pdf.Error
		csv    *ecert.CSVError
		upload *batch.InputError
		code   *enrol.CodeError
		later  *enrol.ThrottledError
		secret *enrol.PasswordError
		done   *doneError
		look   *ecert.LookError
	)
	if errors.As(err, &done) {
		p.Object = done.object
		p.Detail = pick(en, "Look at what became of it before you ask again with another key.", "Lihat keadaannya sebelum meminta lagi dengan kunci lain.")
	}
	if errors.As(err, &code) {
		p.AttemptsLeft = &code.Left
	}
	if errors.As(err, &later) {
		p.RetryAfter = seconds(later.After)
	}
	if errors.As(err, &secret) {
		p.Field, p.Detail = "password", pick(en, secret.EN, secret.MS)
	}
	if errors.As(err, &bad) {
		p.Field, p.Detail = bad.field, pick(en, bad.en, bad.ms)
	}
	if errors.As(err, &left) {
		p.AttemptsLeft = &left.Left
	}
	if errors.As(err, &locked) {
		p.Detail = pick(en, "An administrator must unlock it.", "Pentadbir perlu membukanya.")
		if !locked.Until.IsZero() {
			until := locked.Until.UTC().Format(time.RFC3339)
			p.Detail = pick(en, "Locked until "+until+".", "Dikunci sehingga "+until+".")
		}
	}
	if errors.As(err, &medium) {
		p.Medium = medium.Medium
	}
	if errors.As(err, &way) {
		p.Field, p.Detail = "channel", channelDetail(way, en)
	}
	if errors.As(err, &again) {
		p.RetryAfter = seconds(again.After)
	}
	if errors.As(err, &wait) {
		p.RetryAfter = seconds(wait.after)
	}
	if errors.As(err, &broken) {
		p.Detail = pick(en || broken.DetailMS == "", broken.Detail, broken.DetailMS)
		if broken.Offset >= 0 {
			p.Detail += fmt.Sprintf(" (offset %d)", broken.Offset)
		}
	}
	if errors.As(err, &doc) {
		p.Field = fmt.Sprintf("documents[%d]", doc.Index)
	}
	if name := fieldOf(err); strings.HasPrefix(name, ".") && p.Field != "" {
		p.Field += name
	} else if name != "" {
		p.Field = strings.TrimPrefix(name, ".")
	}
	p.explainEnrolment(err, en)
	var of *ofField
	if errors.As(err, &of) {
		p.Field = of.field
	}
	if errors.As(err, &look) {
		p.Field, p.Detail = look.Field, pick(en, look.EN, look.MS)
	}
	if errors.As(err, &upload) {
		p.Detail = pick(en, upload.EN, upload.MS)
		if upload.Field != "" {
			p.Field = upload.Field
		}
	}
	if errors.As(err, &csv) {
		p.Row, p.Detail = csv.Line, pick(en, csv.Detail, csv.DetailMS)
	}
}

// fieldOf is the field of a request that a sentinel is about; one with a point is the document's.
func fieldOf(err error) string {
	for _, r := range []struct {
		err   error
		field string
	}{{signer.ErrProcess, "process"}, {signer.ErrRole, "role"}, {signer.ErrReference, ".reference"}, {signer.ErrLastWord, "pades.certify"}, {signer.ErrNotBulk, "documents"}, {signer.ErrAlgorithm, "algorithm"}} {
		if errors.Is(err, r.err) {
			return r.field
		}
	}
	return ""
}

// channelDetail says why a channel is not available, and what is.
func channelDetail(e *signer.ChannelError, en bool) string {
	name := map[string]string{signer.Email: pick(en, "e-mail", "e-mel")}[e.Asked]
	if name == "" {
		name = e.Asked
	}
	var s string
	switch {
	case e.Denied:
		s = pick(en, "The agency's policy does not allow codes by "+name+" for this system.", "Polisi agensi tidak membenarkan kod melalui "+name+" bagi sistem ini.")
	case e.Asked == "auto":
		s = pick(en, "Of the channels that the agency's policy allows for this system, none reaches the officer.", "Tiada saluran yang dibenarkan oleh polisi agensi bagi sistem ini sampai kepada pegawai.")
	default:
		s = pick(en, "The officer has nothing registered for "+name+".", "Pegawai tidak mendaftarkan apa-apa bagi "+name+".")
	}
	if len(e.Offered) > 0 {
		return s + pick(en, " Available: ", " Yang tersedia: ") + strings.Join(e.Offered, ", ") + "."
	}
	return s + pick(en, " Ask the agency administrator.", " Hubungi pentadbir agensi.")
}

// Explain is what people are told of err, in both languages, outside a request.
func Explain(err error) (ms, en *Problem) {
	ctx := context.Background()
	return newProblem(ctx, err), newProblem(context.WithValue(ctx, keyLanguage, true), err)
}

func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

func pick(en bool, english, malay string) string {
	if en {
		return english
	}
	return malay
}

// fail logs what a client must not see and returns the problem.
func (s *server) fail(ctx context.Context, err error) error {
	return newProblem(ctx, s.logged(ctx, err))
}

// logged writes unmapped and 503 errors and alarms to the log, with the request id; that a client
// left before its answer is no fault.
func (s *server) logged(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		s.Log.Info("client left", "request_id", requestIDOf(ctx))
		return err
	}
	m, ok := meaningOf(err)
	if !ok || m.status == http.StatusServiceUnavailable || errors.Is(err, signer.ErrKeyVersion) {
		s.Log.Error("request failed", "request_id", requestIDOf(ctx), "error", err)
	}
	return err
}

func writeProblem(w http.ResponseWriter, ctx context.Context, err error) {
	p := newProblem(ctx, err)
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}
