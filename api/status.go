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

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
)

type holdBody struct {
	System string `json:"system" maxLength:"32"`
	Why    string `json:"why" maxLength:"2000" doc:"5 to 200 characters; it is kept, and stands in the audit"`
}

type revokeBody struct {
	System string     `json:"system" maxLength:"32"`
	Why    string     `json:"why" maxLength:"2000" doc:"5 to 200 characters; it is kept, and stands in the audit"`
	Reason string     `json:"reason" enum:"unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation,privilegeWithdrawn" doc:"CRLReason (RFC 5280, Section 5.3.1); privilegeWithdrawn is for administrators"`
	At     *time.Time `json:"at,omitempty" doc:"When it takes effect; left out, at once"`
}

type retireBody struct {
	System string     `json:"system,omitempty" maxLength:"32" doc:"Left out: all systems that are yours to end"`
	Why    string     `json:"why" maxLength:"2000" doc:"5 to 200 characters; it is kept, and stands in the audit"`
	At     *time.Time `json:"at,omitempty" doc:"When it takes effect; left out, at once"`
}

type transferBody struct {
	System string     `json:"system" maxLength:"32"`
	Why    string     `json:"why" maxLength:"2000" doc:"5 to 200 characters; it is kept, and stands in the audit"`
	Agency string     `json:"agency" maxLength:"32" doc:"The new one"`
	At     *time.Time `json:"at,omitempty" doc:"When the certificate of the old agency ends; left out, at once"`
}

type ofOfficer[T any] struct {
	IC   string `path:"ic" maxLength:"12" doc:"No. Kad Pengenalan, 12 digits"`
	Body T
}

type mineOf[T any] struct{ Body T }

type statusOutput struct {
	Body struct {
		Serials   []string   `json:"serial_numbers" doc:"Decimal, of the certificates that it is about"`
		At        *time.Time `json:"at,omitempty" doc:"When they are revoked; left out: it is done"`
		LocalOnly bool       `json:"local_only" doc:"Another CA issued the certificate: nobody signs with it here, but that CA's CRL and OCSP go on calling it good"`
		Enrolment string     `json:"enrolment_id,omitempty" doc:"In the new agency"`
		Request   string     `json:"request_id,omitempty" doc:"It waits for a second administrator to confirm it: the certificate is suspended meanwhile"`
		Published bool       `json:"published" doc:"false: it is in force here, and the gateway tells CRL or the other CA as soon as it can"`
	}
}

type leavingBody struct {
	Serial string    `json:"serial_number" doc:"Decimal"`
	IC     string    `json:"ic"`
	Name   string    `json:"name"`
	System string    `json:"system"`
	Agency string    `json:"agency,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Why    string    `json:"why,omitempty"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

type leavingInput struct {
	System string `query:"system" maxLength:"32" doc:"A SAP must name the own one"`
	Agency string `query:"agency" maxLength:"32" doc:"SA and AP must name the own one"`
	After  string `query:"after" maxLength:"96" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type leavingOutput struct {
	Body struct {
		Revocations []leavingBody `json:"revocations" doc:"The next ones first"`
		Next        string        `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type unscheduleInput struct {
	Serial string `path:"serial" maxLength:"64" pattern:"^[0-9]+$"`
	Why    string `query:"why" required:"true" maxLength:"2000" doc:"5 to 200 characters; it is kept, and stands in the audit"`
}

// statuses are the routes that change the status of certificates there are.
func (s *server) statuses(h huma.API) {
	const officer = "/v1/admin/officers/{ic}"
	huma.Register(h, administer("Enrolment", "revokeCertificate", http.MethodPost, officer+"/certificate/revoke", "Revoke an officer's certificate, now or at a time (JDN, SAP, SA, AP)"),
		func(ctx context.Context, in *ofOfficer[revokeBody]) (*statusOutput, error) {
			return s.revoke(ctx, in.IC, &in.Body)
		})
	huma.Register(h, administer("Enrolment", "suspendCertificate", http.MethodPost, officer+"/certificate/suspend", "Suspend an officer's certificate (JDN, SAP, SA, AP)"),
		func(ctx context.Context, in *ofOfficer[holdBody]) (*statusOutput, error) {
			return s.order(ctx, s.Desk.Suspend, enrol.StatusOrder{IC: in.IC, System: in.Body.System, Why: in.Body.Why}, nil)
		})
	huma.Register(h, administer("Enrolment", "releaseCertificate", http.MethodPost, officer+"/certificate/release", "End a suspension (JDN, SAP, SA, AP)"),
		func(ctx context.Context, in *ofOfficer[holdBody]) (*statusOutput, error) {
			return s.order(ctx, s.Desk.Release, enrol.StatusOrder{IC: in.IC, System: in.Body.System, Why: in.Body.Why}, nil)
		})
	huma.Register(h, administer("Enrolment", "retireOfficer", http.MethodPost, officer+"/retire", "Revoke the certificates of an officer who leaves, now or at a time, and withdraw applications (JDN, SAP, SA, AP)"),
		func(ctx context.Context, in *ofOfficer[retireBody]) (*statusOutput, error) {
			return s.order(ctx, s.Desk.Retire, enrol.StatusOrder{IC: in.IC, System: in.Body.System, Why: in.Body.Why}, in.Body.At)
		})
	huma.Register(h, administer("Enrolment", "transferOfficer", http.MethodPost, officer+"/transfer", "Move an officer to another agency: the certificate ends, now or at a time, and enrolment there begins at once (JDN, SAP, SA, AP)"),
		func(ctx context.Context, in *ofOfficer[transferBody]) (*statusOutput, error) {
			to := func(ctx context.Context, a enrol.Actor, r enrol.StatusOrder) (enrol.StatusOutcome, error) {
				return s.Desk.Transfer(ctx, a, r, in.Body.Agency)
			}
			return s.order(ctx, to, enrol.StatusOrder{IC: in.IC, System: in.Body.System, Why: in.Body.Why}, in.Body.At)
		})
	huma.Register(h, administer("Enrolment", "scheduledRevocations", http.MethodGet, "/v1/admin/revocations", "Revocations to come"), s.scheduled)
	cancel := administer("Enrolment", "cancelRevocation", http.MethodDelete, "/v1/admin/revocations/{serial}", "Cancel a revocation to come (JDN, SAP, SA, AP)")
	cancel.DefaultStatus = http.StatusNoContent
	huma.Register(h, cancel, s.unschedule)
	huma.Register(h, administer("Me", "revokeMine", http.MethodPost, "/v1/me/certificate/revoke", "Revoke the own certificate, now or at a time; with the last one this session ends"),
		func(ctx context.Context, in *mineOf[revokeBody]) (*statusOutput, error) {
			return s.revoke(ctx, personOf(ctx).Actor.IC, &in.Body)
		})
	huma.Register(h, administer("Me", "suspendMine", http.MethodPost, "/v1/me/certificate/suspend", "Suspend the own certificate; the agency releases it"),
		func(ctx context.Context, in *mineOf[holdBody]) (*statusOutput, error) {
			return s.order(ctx, s.Desk.Suspend, enrol.StatusOrder{IC: personOf(ctx).Actor.IC, System: in.Body.System, Why: in.Body.Why}, nil)
		})
}

func (s *server) revoke(ctx context.Context, ic string, b *revokeBody) (*statusOutput, error) {
	return s.order(ctx, s.Desk.Revoke, enrol.StatusOrder{IC: ic, System: b.System, Reason: b.Reason, Why: b.Why}, b.At)
}

func (s *server) order(ctx context.Context, do func(context.Context, enrol.Actor, enrol.StatusOrder) (enrol.StatusOutcome, error), r enrol.StatusOrder, at *time.Time) (*statusOutput, error) {
	if _, err := mykad.Parse(r.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	if at != nil {
		r.At = at.UTC().Truncate(time.Second)
	}
	// An order that stands is carried out though the browser has gone.
	done, err := do(context.WithoutCancel(ctx), personOf(ctx).Actor, r)
	later := errors.Is(err, ca.ErrNotPublished) || errors.Is(err, ca.ErrUnavailable)
	if err != nil && (done.Serials == nil || !later) {
		return nil, s.fail(ctx, err)
	}
	if err != nil {
		_ = s.logged(ctx, err)
	}
	out := &statusOutput{}
	b := &out.Body
	b.Serials, b.At, b.LocalOnly, b.Enrolment, b.Request, b.Published = done.Serials, when(done.At), done.LocalOnly, done.Enrolment, done.Request, err == nil
	return out, nil
}

func (s *server) scheduled(ctx context.Context, in *leavingInput) (*leavingOutput, error) {
	f := enrol.ScheduledFilter{System: in.System, Agency: in.Agency, Limit: in.Limit}
	if in.After != "" {
		at, serial, _ := strings.Cut(in.After, ".")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || serial == "" {
			return nil, s.fail(ctx, fixed("after", "It must be next of the page before.", "Ia mesti next bagi halaman sebelumnya."))
		}
		f.AfterAt, f.AfterSerial = time.UnixMicro(n), serial
	}
	list, err := s.Desk.Scheduled(ctx, personOf(ctx).Actor, f)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &leavingOutput{}
	out.Body.Revocations = make([]leavingBody, len(list))
	for k, l := range list {
		out.Body.Revocations[k] = leavingBody{l.Serial, l.IC, l.Name, l.System, l.Agency, l.At.UTC(), ca.ReasonName(l.Reason), l.Why, l.By, l.Since.UTC()}
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = fmt.Sprintf("%d.%s", list[n-1].At.UnixMicro(), list[n-1].Serial)
	}
	return out, nil
}

func (s *server) unschedule(ctx context.Context, in *unscheduleInput) (*struct{}, error) {
	if err := s.Desk.Unschedule(ctx, personOf(ctx).Actor, in.Serial, in.Why); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
