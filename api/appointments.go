package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type appointedBody struct {
	ID          string     `json:"appointment_id"`
	Account     string     `json:"account_id"`
	State       string     `json:"account_state" enum:"NEW,ACTIVE,ENDED" doc:"NEW until the person has set the account up"`
	Ready       bool       `json:"second_factor" doc:"The person has one: without it the appointment has no effect"`
	IC          string     `json:"ic"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Role        string     `json:"role" enum:"JDN,SAP,SA,AP,AUDITOR"`
	Agency      string     `json:"agency,omitempty"`
	System      string     `json:"system,omitempty"`
	From        time.Time  `json:"from"`
	Until       *time.Time `json:"until,omitempty"`
	Document    string     `json:"document,omitempty"`
	EndDocument string     `json:"end_document,omitempty"`
	Awaits      bool       `json:"awaits_confirmation" doc:"Not in force until a second person has confirmed it"`
}

type appointedInput struct {
	Ended bool `query:"ended" doc:"Those that have ended, too"`
}

type appointedOutput struct {
	Body struct {
		Appointments []appointedBody `json:"appointments"`
	}
}

type appointInput struct {
	Body struct {
		IC       string     `json:"ic" maxLength:"12"`
		Name     string     `json:"name" maxLength:"64"`
		Email    string     `json:"email" maxLength:"254"`
		Role     string     `json:"role" enum:"JDN,SAP,SA,AP,AUDITOR"`
		Agency   string     `json:"agency,omitempty" maxLength:"32" doc:"Of SA and AP"`
		System   string     `json:"system,omitempty" maxLength:"32" doc:"Of SAP"`
		From     *time.Time `json:"from,omitempty" doc:"Now when it is not given"`
		Until    *time.Time `json:"until,omitempty" doc:"Until it is ended when it is not given"`
		Document string     `json:"document" maxLength:"120" doc:"Reference of the letter or form that appoints"`
	}
}

type appointOutput struct {
	Body struct {
		Appointment appointedBody `json:"appointment"`
	}
}

type endInput struct {
	ID       string    `path:"id" maxLength:"64"`
	Until    time.Time `query:"until" doc:"When it ends; now when it is not given"`
	Document string    `query:"document" required:"true" maxLength:"120" doc:"Reference of the letter or form that ends it"`
}

type byIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

type resetInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Of the account"`
	Body struct {
		Reason string `json:"reason" maxLength:"200" doc:"How it is known, 5 to 200 characters"`
	}
}

type vacanciesOutput struct {
	Body struct {
		Agencies []vacancyBody `json:"agencies"`
	}
}

type vacancyBody struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// administer describes an operation of administrators.
func administer(tag, id, method, path, summary string, codes ...int) huma.Operation {
	o := op(tag, id, method, path, summary, append([]int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, codes...)...)
	o.MaxBodyBytes = maxPersonal
	return o
}

func (s *server) appointments(h huma.API) {
	const tag = "Administrators"
	huma.Register(h, administer(tag, "appointments", http.MethodGet, "/v1/admin/appointments", "Who is appointed: JDN and AUDITOR see all, an SA those of the agency"), s.held)
	add := administer(tag, "appoint", http.MethodPost, "/v1/admin/appointments", "Propose an appointment: an SA to AP of the own agency, JDN to all else; it awaits a second person")
	add.DefaultStatus = http.StatusCreated
	huma.Register(h, add, s.appoint)
	yes := administer(tag, "confirmAppointment", http.MethodPost, "/v1/admin/appointments/{id}/confirm", "Confirm an appointment as the second person: JDN, for an AP another SA of the agency too")
	yes.DefaultStatus = http.StatusNoContent
	huma.Register(h, yes, s.confirmAppointment)
	again := administer(tag, "resendSetup", http.MethodPost, "/v1/admin/appointments/{id}/resend", "Mail another set-up code to somebody whose appointment was confirmed", http.StatusTooManyRequests)
	again.DefaultStatus = http.StatusNoContent
	huma.Register(h, again, s.resendSetup)
	reset := administer(tag, "askReset", http.MethodPost, "/v1/admin/accounts/{id}/reset", "Ask that an administrator's lost password and second factor be taken; it awaits a second JDN")
	reset.DefaultStatus = http.StatusNoContent
	huma.Register(h, reset, s.askReset)
	sure := administer(tag, "confirmReset", http.MethodPost, "/v1/admin/accounts/{id}/reset/confirm", "Confirm that as the second JDN: a set-up code is mailed to the account's address")
	sure.DefaultStatus = http.StatusNoContent
	huma.Register(h, sure, s.confirmReset)
	end := administer(tag, "endAppointment", http.MethodDelete, "/v1/admin/appointments/{id}", "End an appointment, now or at a date")
	end.DefaultStatus = http.StatusNoContent
	huma.Register(h, end, s.endAppointment)
	huma.Register(h, administer(tag, "agenciesWithoutAP", http.MethodGet, "/v1/admin/vacancies", "Agencies whose officers have no AP to help them"), s.vacancies)
}

func appointedOut(x *enrol.Appointed) appointedBody {
	a, p := &x.Account, &x.Appointment
	return appointedBody{p.ID, a.ID, a.State, a.Kind == enrol.AdministratorAccount && a.State == enrol.AccountActive, a.IC, a.Name, a.Email, string(p.Role), p.Agency, p.System, p.From.UTC(), when(p.Until), p.Document, p.EndDocument, p.Awaits}
}

func (s *server) held(ctx context.Context, in *appointedInput) (*appointedOutput, error) {
	list, err := s.Accounts.Appointments(ctx, personOf(ctx).Actor, in.Ended)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &appointedOutput{}
	out.Body.Appointments = []appointedBody{}
	for _, x := range list {
		out.Body.Appointments = append(out.Body.Appointments, appointedOut(&x))
	}
	return out, nil
}

func (s *server) appoint(ctx context.Context, in *appointInput) (*appointOutput, error) {
	b := &in.Body
	x := enrol.Appointment{Role: enrol.Role(b.Role), Agency: b.Agency, System: b.System, From: s.Now(), Document: b.Document}
	if b.From != nil {
		x.From = *b.From
	}
	if b.Until != nil {
		x.Until = *b.Until
	}
	made, _, err := s.Accounts.Appoint(ctx, personOf(ctx).Actor, enrol.Officer{IC: b.IC, Name: b.Name, Email: b.Email}, x)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &appointOutput{}
	out.Body.Appointment = appointedOut(&made)
	return out, nil
}

func (s *server) confirmAppointment(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Accounts.Confirm(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) resendSetup(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Accounts.SendSetup(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) askReset(ctx context.Context, in *resetInput) (*struct{}, error) {
	if err := s.Accounts.AskReset(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) confirmReset(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Accounts.ConfirmReset(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) endAppointment(ctx context.Context, in *endInput) (*struct{}, error) {
	if err := s.Accounts.EndAppointment(ctx, personOf(ctx).Actor, in.ID, in.Until, in.Document); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) vacancies(ctx context.Context, _ *struct{}) (*vacanciesOutput, error) {
	list, err := s.Accounts.WithoutAP(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &vacanciesOutput{}
	out.Body.Agencies = []vacancyBody{}
	for _, g := range list {
		out.Body.Agencies = append(out.Body.Agencies, vacancyBody{g.Code, g.Name})
	}
	return out, nil
}
