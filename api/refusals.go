package api

import (
	"errors"
	"fmt"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/table"
)

// Fault is one thing among several that cannot be accepted.
type Fault struct {
	Row    int    `json:"row,omitempty" doc:"Of a list; its header is row 1"`
	Column string `json:"column,omitempty" doc:"As the list spells it"`
	Field  string `json:"field,omitempty" doc:"Of a form"`
	Code   string `json:"code" doc:"As docs/enrolment.md lists them"`
	Detail string `json:"detail" doc:"What is wrong"`
}

// rowFaults are those of a list in one language.
func rowFaults(told []*enrol.Refusal, en bool) []Fault {
	out := faults(told)
	for k, no := range told {
		out[k].Detail = pick(en, no.EN, no.MS)
	}
	return out
}

func faults(told []*enrol.Refusal) []Fault {
	out := make([]Fault, len(told))
	for k, no := range told {
		out[k] = Fault{Row: no.Row, Code: no.Code, Detail: no.Error(), Field: no.Field}
		if no.Row > 0 {
			out[k].Field, out[k].Column = "", no.Field
		}
	}
	return out
}

// refusals gives every refusal that err holds, in order.
func refusals(err error) []*enrol.Refusal {
	switch e := err.(type) { //nolint:errorlint // this is the walk itself
	case *enrol.Refusal:
		return []*enrol.Refusal{e}
	case interface{ Unwrap() []error }:
		var out []*enrol.Refusal
		for _, x := range e.Unwrap() {
			out = append(out, refusals(x)...)
		}
		return out
	case interface{ Unwrap() error }:
		return refusals(e.Unwrap())
	}
	return nil
}

// explainEnrolment adds what enrolment's errors know: the first refusal is the
// problem, and all stand beside it when there are several.
func (p *Problem) explainEnrolment(err error, en bool) {
	var (
		pin  *enrol.PINError
		list *table.Error
	)
	if errors.As(err, &pin) {
		p.Code, p.Field, p.Detail = pin.Reason, "pin", pick(en, pin.EN, pin.MS)
	}
	if errors.As(err, &list) {
		p.Row, p.Detail = list.Line, pick(en, list.Detail, list.DetailMS)
		if list.Column > 0 {
			p.Detail = fmt.Sprintf(pick(en, "column %d: ", "lajur %d: "), list.Column) + p.Detail
		}
	}
	all := refusals(err)
	if len(all) == 0 {
		return
	}
	no := all[0]
	// Of somebody who is not there the API says not_found, whoever asks.
	if !errors.Is(no, enrol.ErrUnknown) {
		p.Code = no.Code
	}
	p.Field, p.Row, p.Detail = no.Field, no.Row, pick(en, no.EN, no.MS)
	if no.After > 0 {
		p.RetryAfter = seconds(no.After)
	}
	if len(all) > 1 {
		p.Errors = faults(all)
		for k, no := range all {
			if no.Row == 0 {
				p.Errors[k].Detail = pick(en, no.EN, no.MS)
			}
		}
	}
}
