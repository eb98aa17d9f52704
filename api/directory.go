package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type searchInput struct {
	Q      string `query:"q" maxLength:"128" doc:"A whole IC or its leading digits, a certificate's serial number in decimal or hexadecimal, a part of the e-mail address, or words of the name"`
	System string `query:"system" maxLength:"32"`
	Agency string `query:"agency" maxLength:"32"`
	Office string `query:"office" maxLength:"64" doc:"Accounting office, as it was listed"`
	Medium string `query:"medium" enum:",TOKEN,SOFTCERT,ROAMING,ROAMING_OTP"`
	Status string `query:"status" enum:",ACTIVE,RENEW,SUSPENDED,REVOKED,EXPIRED,NO_CERTIFICATE" doc:"Of the certificate; RENEW: active, and to be renewed"`
	After  string `query:"after" maxLength:"12" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type listedLineBody struct {
	System       string     `json:"system"`
	Agency       string     `json:"agency,omitempty"`
	Office       string     `json:"office,omitempty"`
	Medium       string     `json:"medium,omitempty"`
	Status       string     `json:"status,omitempty" doc:"Of the certificate, or of a medium without one; left out where it is not yours to see"`
	SerialNumber string     `json:"serial_number,omitempty" doc:"Decimal"`
	NotAfter     *time.Time `json:"not_after,omitempty"`
	Enrolment    string     `json:"enrolment_state,omitempty" doc:"Of the one under way"`
}

type listedOfficerBody struct {
	IC       string           `json:"ic"`
	Name     string           `json:"name"`
	Email    string           `json:"email,omitempty"`
	Withheld bool             `json:"withheld,omitempty" doc:"Another agency's officer, of whom you see the name and your own enrolments alone"`
	Systems  []listedLineBody `json:"systems"`
}

type searchOutput struct {
	Body struct {
		Officers []listedOfficerBody `json:"officers" doc:"By name"`
		Next     string              `json:"next,omitempty" doc:"For after, when there are more"`
	}
}

type openRequestsInput struct {
	After string `query:"after" maxLength:"96" doc:"next of the page before"`
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type openRequestsOutput struct {
	Body struct {
		Requests []officerRequestBody `json:"requests" doc:"The oldest first"`
		Next     string               `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type officerRequestBody struct {
	IC   string `json:"ic"`
	Name string `json:"name"`
	RequestBody
}

// RequestBody is requestBody, to be embedded.
type RequestBody = requestBody

// directory is how administrators find officers, and what they see of one.
func (s *server) directory(h huma.API) {
	const tag = "Enrolment"
	huma.Register(h, administer(tag, "searchOfficers", http.MethodGet, "/v1/admin/officers", "Officers within one's scope, by name; each search is in the audit"), s.searchOfficers)
	look := op(tag, "lookUpOfficer", http.MethodGet, "/v1/admin/officers/{ic}", "An officer with all that answers a call, as far as it is yours to see", http.StatusNotFound)
	look.MaxBodyBytes = maxPersonal
	huma.Register(h, look, s.lookUp)
	huma.Register(h, administer("Administrators", "openRequests", http.MethodGet, "/v1/admin/officer-requests", "What waits for a second person about officers within one's scope"), s.openRequests)
}

func (s *server) searchOfficers(ctx context.Context, in *searchInput) (*searchOutput, error) {
	list, more, err := s.Desk.SearchOfficers(ctx, personOf(ctx).Actor, enrol.OfficerQuery{Text: in.Q, System: in.System, Agency: in.Agency, Office: in.Office, Medium: in.Medium, Status: in.Status, After: in.After, Limit: in.Limit})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &searchOutput{}
	out.Body.Officers = make([]listedOfficerBody, len(list))
	for k := range list {
		o := &list[k]
		b := listedOfficerBody{IC: o.IC, Name: o.Name, Email: o.Email, Withheld: o.Withheld, Systems: make([]listedLineBody, len(o.Lines))}
		for n, l := range o.Lines {
			b.Systems[n] = listedLineBody{l.System, l.Agency, l.Office, l.Medium, l.Status, l.Serial, when(l.NotAfter), string(l.Open)}
		}
		out.Body.Officers[k] = b
	}
	if more {
		out.Body.Next = list[len(list)-1].IC
	}
	return out, nil
}

func (s *server) openRequests(ctx context.Context, in *openRequestsInput) (*openRequestsOutput, error) {
	var at time.Time
	micros, id, _ := strings.Cut(in.After, ".")
	if in.After != "" {
		n, err := strconv.ParseInt(micros, 10, 64)
		if err != nil || id == "" {
			return nil, s.fail(ctx, fixed("after", "It must be next of the page before.", "Ia mesti next bagi halaman sebelumnya."))
		}
		at = time.UnixMicro(n)
	}
	list, err := s.Desk.OpenRequests(ctx, personOf(ctx).Actor, at, id, in.Limit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &openRequestsOutput{}
	out.Body.Requests = make([]officerRequestBody, len(list))
	for k := range list {
		o, _, err := s.People.Officer(ctx, list[k].IC)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		body, err := s.requestOut(ctx, &list[k])
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Requests[k] = officerRequestBody{o.IC, o.Name, body}
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = strconv.FormatInt(list[n-1].AskedAt.UnixMicro(), 10) + "." + list[n-1].ID
	}
	return out, nil
}
