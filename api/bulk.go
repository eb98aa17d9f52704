package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

// bulkFor is after which time no further enrolment of a list is begun: the answer comes
// before a proxy gives up.
const bulkFor = 45 * time.Second

type bulkFilter struct {
	System string    `json:"system,omitempty" maxLength:"32" doc:"A SAP must name the own one"`
	Agency string    `json:"agency,omitempty" maxLength:"32" doc:"SA and AP must name the own one"`
	Office string    `json:"office,omitempty" maxLength:"64"`
	Phase  string    `json:"phase,omitempty" maxLength:"32"`
	Kind   string    `json:"kind,omitempty" enum:"FIRST,RENEWAL,REKEY,REPLACEMENT,TRANSFER,NOT_REKEY" doc:"As in the list that was seen"`
	Until  time.Time `json:"until" doc:"When the list was seen: what came later is left out"`
	Count  int       `json:"count" minimum:"1" doc:"How many match, as a confirmation; next time, remaining"`
	After  string    `json:"after,omitempty" maxLength:"96" doc:"next of the answer before"`
}

type bulkInput struct {
	Body struct {
		Step   string      `json:"step" enum:"admit,validate,return,reject,approve"`
		Reason string      `json:"reason,omitempty" maxLength:"2000" doc:"5 to 500 characters, each one's; of a return or rejection the officers read it. admit needs none"`
		IDs    []string    `json:"enrolment_ids,omitempty" maxItems:"1000"`
		Filter *bulkFilter `json:"filter,omitempty" doc:"In the place of ids: LISTED for admit, APPLIED for validate, return and reject, VALIDATED for approve; a thousand at a time"`
	}
}

type verdictBody struct {
	ID     string `json:"enrolment_id"`
	Done   bool   `json:"done"`
	State  string `json:"state,omitempty" doc:"Afterwards"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

type bulkOutput struct {
	Body struct {
		Done      int           `json:"done"`
		Refused   int           `json:"refused"`
		Remaining int           `json:"remaining" doc:"With a filter: that match still, refused ones included; with ids: that were not tried"`
		Next      string        `json:"next,omitempty" doc:"For filter.after, when there may be more"`
		Results   []verdictBody `json:"results"`
	}
}

func (s *server) bulks(h huma.API) {
	o := administer("Enrolment", "bulk", http.MethodPost, "/v1/admin/enrolments/bulk", "Admit, approve (JDN), validate, return or reject (SAP, SA, AP) many at once, each judged alone")
	o.MaxBodyBytes = 128 << 10
	huma.Register(h, o, s.bulk)
}

func (s *server) bulk(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	b, by := &in.Body, personOf(ctx).Actor
	act := map[string]enrol.Action{"admit": enrol.Admit, "validate": enrol.Validate, "return": enrol.Return, "reject": enrol.Reject, "approve": enrol.Approve}[b.Step]
	if (len(b.IDs) > 0) == (b.Filter != nil) {
		return nil, s.fail(ctx, fixed("enrolment_ids", "Either enrolment_ids or filter is needed.", "Sama ada enrolment_ids atau filter diperlukan."))
	}
	limit, cancel := context.WithTimeout(ctx, bulkFor)
	defer cancel()
	var done enrol.Bulked
	var err error
	if b.Filter == nil {
		done.Verdicts, err = s.Desk.Bulk(limit, by, act, b.IDs, b.Reason)
		done.Remaining = len(b.IDs) - len(done.Verdicts)
	} else {
		f := enrol.BulkFilter{System: b.Filter.System, Agency: b.Filter.Agency, Office: b.Filter.Office, Phase: b.Filter.Phase, Kind: b.Filter.Kind, Until: b.Filter.Until, Count: b.Filter.Count}
		if b.Filter.After != "" {
			at, id, _ := strings.Cut(b.Filter.After, ".")
			n, perr := strconv.ParseInt(at, 10, 64)
			if perr != nil || id == "" {
				return nil, s.fail(ctx, fixed("filter.after", "It must be next of the answer before.", "Ia mesti next bagi jawapan sebelumnya."))
			}
			f.AfterSince, f.AfterID = time.UnixMicro(n), id
		}
		done, err = s.Desk.BulkAll(limit, by, act, f, b.Reason)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &bulkOutput{}
	out.Body.Remaining, out.Body.Results = done.Remaining, make([]verdictBody, len(done.Verdicts))
	if done.Next != nil {
		out.Body.Next = fmt.Sprintf("%d.%s", done.Next.Since.UnixMicro(), done.Next.ID)
	}
	for k, v := range done.Verdicts {
		r := verdictBody{ID: v.ID, Done: v.Err == nil, State: string(v.State)}
		if v.Err == nil {
			out.Body.Done++
		} else {
			p := newProblem(ctx, s.logged(ctx, v.Err))
			out.Body.Refused++
			r.Code, r.Detail = p.Code, p.Detail
			var no *enrol.Refusal
			if !errors.As(v.Err, &no) {
				r.Detail = p.Title
			}
		}
		out.Body.Results[k] = r
	}
	return out, nil
}
