package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
)

// unread is what huma says of a body that it could not read to its end.
const unread = "cannot read request body"

// problemsOnce: huma keeps its error constructor in a package variable.
var problemsOnce sync.Once

// useProblems makes huma's own errors (decoding, validation) problems, too.
func useProblems() {
	problemsOnce.Do(func() {
		huma.NewErrorWithContext = func(c huma.Context, status int, msg string, errs ...error) huma.StatusError {
			ctx := context.Background()
			if c != nil {
				ctx = c.Context()
			}
			if msg == unread {
				status = http.StatusBadRequest // it was cut off, or its chunks are none
			}
			p := validationProblem(ctx, status, errs)
			if c != nil { // huma sends the status and the body alone
				for k, v := range p.GetHeaders() {
					c.SetHeader(k, v[0])
				}
			}
			return p
		}
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return validationProblem(context.Background(), status, errs)
		}
	})
}

// validationProblem names the first bad field and the rule it broke. The value
// is dropped: it may be a PIN.
func validationProblem(ctx context.Context, status int, errs []error) *Problem {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return newProblem(ctx, batch.ErrTooLarge)
	case status >= 500 || status == http.StatusNotFound:
		return newProblem(ctx, errInternal)
	}
	bad := &invalid{field: "body", en: "The request cannot be read: it must be the JSON that the API describes.", ms: "Permintaan tidak dapat dibaca: ia mesti JSON seperti huraian API."}
	var p *Problem
	for _, err := range errs {
		if errors.As(err, &p) {
			return p
		}
		var d *huma.ErrorDetail
		if errors.As(err, &d) && d.Location != "" && d.Location != "body" {
			_, name, _ := strings.Cut(d.Location, ".") // after body, path, query or header
			bad = rule(name, d.Message)
			break
		}
	}
	return newProblem(ctx, bad)
}

// rule says in people's words what huma says of a field.
func rule(field, said string) *invalid {
	for _, r := range [][3]string{
		{"expected string to be RFC 3339 date-time", "it must be a time such as 2026-04-30T04:09:54Z (RFC 3339)%s", "ia mesti masa seperti 2026-04-30T04:09:54Z (RFC 3339)%s"},
		{"expected string to match pattern ", "it must match %s", "ia mesti sepadan dengan %s"},
		{"expected string to be base64 encoded", "it must be base64%s", "ia mesti base64%s"},
		{"expected string", "it must be text, in quotation marks%s", "ia mesti teks dalam tanda petik%s"},
		{"expected object", "it must be an object%s", "ia mesti objek%s"},
		{"expected array length <= ", "at most %s entries are allowed", "paling banyak %s entri dibenarkan"},
		{"expected array length >= ", "at least %s entries are needed", "sekurang-kurangnya %s entri diperlukan"},
		{"expected array items to be unique", "no entry may be there twice%s", "tiada entri boleh berulang%s"},
		{"expected array", "it must be a list%s", "ia mesti senarai%s"},
		{"expected boolean", "it must be true or false%s", "ia mesti true atau false%s"},
		{"expected integer", "it must be a whole number%s", "ia mesti nombor bulat%s"},
		{"expected length <= ", "at most %s characters are allowed", "paling banyak %s aksara dibenarkan"},
		{"expected length >= ", "at least %s characters are needed", "sekurang-kurangnya %s aksara diperlukan"},
		{"expected number <= ", "it must be at most %s", "ia mesti paling banyak %s"},
		{"expected number >= ", "it must be at least %s", "ia mesti sekurang-kurangnya %s"},
		{"expected number < ", "it must be less than %s", "ia mesti kurang daripada %s"},
		{"expected number > ", "it must be more than %s", "ia mesti lebih daripada %s"},
		{"expected number", "it must be a number%s", "ia mesti nombor%s"},
		{"expected value to be one of ", "it must be one of %s", "ia mesti salah satu daripada %s"},
		{"expected required property ", "missing: %s", "tiada: %s"},
		{"unexpected property", "there is no such field%s", "tiada medan sedemikian%s"},
		{"required ", "it must be given%s", "ia mesti diberi%s"},
		{"invalid integer", "it must be a whole number%s", "ia mesti nombor bulat%s"},
		{"invalid float", "it must be a number%s", "ia mesti nombor%s"},
		{"invalid boolean", "it must be true or false%s", "ia mesti true atau false%s"},
		{"invalid date/time", "it must be a time such as 2026-04-30T04:09:54Z (RFC 3339)%s", "ia mesti masa seperti 2026-04-30T04:09:54Z (RFC 3339)%s"},
	} {
		if rest, is := strings.CutPrefix(said, r[0]); is {
			if !strings.HasSuffix(r[0], " ") || r[0] == "required " {
				rest = "" // huma's own words
			}
			rest = strings.TrimSuffix(rest, " to be present")
			return &invalid{field: field, en: fmt.Sprintf(r[1], rest), ms: fmt.Sprintf(r[2], rest)}
		}
	}
	return &invalid{field: field, en: "it is not as the API describes it", ms: "ia tidak seperti huraian API"}
}
