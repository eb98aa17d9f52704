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
	Standing    string     `json:"state" enum:"AWAITING,COMING,IN_FORCE,ENDED" doc:"COMING: confirmed, and begins later"`
	ProposedBy  string     `json:"proposed_by" doc:"account:… or cli:…"`
	Proposer    string     `json:"proposed_by_name,omitempty" doc:"Of an account"`
	EndedBy     string     `json:"ended_by,omitempty"`
	Ender       string     `json:"ended_by_name,omitempty"`
}

// AppointedBody is appointedBody, to be embedded.
type AppointedBody = appointedBody

type setupMailBody struct {
	MailedAt *time.Time `json:"mailed_at,omitempty"`
	Reply    string     `json:"mail_reply,omitempty" doc:"Of the mail server, when it did not take the last one"`
	Due      bool       `json:"due" doc:"One is under way"`
}

type oneAppointedOutput struct {
	Body struct {
		AppointedBody
		Setup *setupMailBody `json:"setup_mail,omitempty" doc:"What became of the mail with the set-up code; of an account that is not set up"`
	}
}

type appointedInput struct {
	Role   string `query:"role" enum:"JDN,SAP,SA,AP,AUDITOR"`
	Agency string `query:"agency" maxLength:"32" doc:"Of an SA the own one, also when it is not given"`
	System string `query:"system" maxLength:"32"`
	IC     string `query:"ic" maxLength:"12" doc:"Of the person"`
	State  string `query:"state" enum:"IN_FORCE,AWAITING,ENDED,ANY" doc:"IN_FORCE: also those that begin later; AWAITING a second person; when it is not given those that have not ended"`
	After  string `query:"after" maxLength:"96" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
}

type appointedOutput struct {
	Body struct {
		Appointments []appointedBody `json:"appointments" doc:"Those that began last, first"`
		Next         string          `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type resetWishBody struct {
	Account string    `json:"account_id"`
	IC      string    `json:"ic"`
	Name    string    `json:"name"`
	Email   string    `json:"email" doc:"To which the set-up code will go"`
	AskedBy string    `json:"asked_by" doc:"account:…"`
	Asker   string    `json:"asked_by_name,omitempty"`
	AskedAt time.Time `json:"asked_at"`
	Until   time.Time `json:"confirm_until"`
	Reason  string    `json:"reason"`
}

type resetsOutput struct {
	Body struct {
		Resets []resetWishBody `json:"resets" doc:"The newest first"`
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
	huma.Register(h, administer(tag, "appointment", http.MethodGet, "/v1/admin/appointments/{id}", "An appointment, with what became of the set-up mail"), s.appointment)
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
	huma.Register(h, administer(tag, "resets", http.MethodGet, "/v1/admin/resets", "Resets of accounts that await a second JDN (JDN, AUDITOR)"), s.resets)
	never := administer(tag, "cancelReset", http.MethodDelete, "/v1/admin/accounts/{id}/reset", "Cancel a reset that was asked for (JDN)")
	never.DefaultStatus = http.StatusNoContent
	huma.Register(h, never, s.cancelReset)
	end := administer(tag, "endAppointment", http.MethodDelete, "/v1/admin/appointments/{id}", "End an appointment, now or at a date")
	end.DefaultStatus = http.StatusNoContent
	huma.Register(h, end, s.endAppointment)
	huma.Register(h, administer(tag, "agenciesWithoutAP", http.MethodGet, "/v1/admin/vacancies", "Agencies whose officers have no AP to help them"), s.vacancies)
}

func (s *server) appointedOut(x *enrol.Appointed, name callers) (appointedBody, error) {
	a, p := &x.Account, &x.Appointment
	b := appointedBody{ID: p.ID, Account: a.ID, State: a.State, Ready: a.Kind == enrol.AdministratorAccount && a.State == enrol.AccountActive, IC: a.IC, Name: a.Name, Email: a.Email, Role: string(p.Role),
		Agency: p.Agency, System: p.System, From: p.From.UTC(), Until: when(p.Until), Document: p.Document, EndDocument: p.EndDocument, Awaits: p.Awaits, ProposedBy: p.By, EndedBy: p.EndedBy}
	now := s.Now()
	switch {
	case !p.Until.IsZero() && !now.Before(p.Until):
		b.Standing = "ENDED"
	case p.Awaits:
		b.Standing = "AWAITING"
	case now.Before(p.From):
		b.Standing = "COMING"
	default:
		b.Standing = "IN_FORCE"
	}
	var err error
	if b.Proposer, err = name(p.By); err == nil {
		b.Ender, err = name(p.EndedBy)
	}
	return b, err
}

// callers gives the name of who acted, "" where it is no account's.
type callers func(actor string) (string, error)

func (s *server) callers(ctx context.Context) callers {
	known := map[string]string{}
	return func(actor string) (string, error) {
		id, account := strings.CutPrefix(actor, "account:")
		if !account {
			return "", nil
		}
		if name, ok := known[id]; ok {
			return name, nil
		}
		a, _, err := s.Accounts.Records.Account(ctx, id)
		if err != nil && !errors.Is(err, enrol.ErrUnknown) {
			return "", err
		}
		known[id] = a.Name
		return a.Name, nil
	}
}

func (s *server) held(ctx context.Context, in *appointedInput) (*appointedOutput, error) {
	f := enrol.AppointmentFilter{Role: enrol.Role(in.Role), Agency: in.Agency, System: in.System, IC: in.IC, State: in.State, Limit: in.Limit}
	if in.After != "" {
		at, id, _ := strings.Cut(in.After, ".")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || id == "" {
			return nil, s.fail(ctx, fixed("after", "It must be next of the page before.", "Ia mesti next bagi halaman sebelumnya."))
		}
		f.BeforeFrom, f.BeforeID = time.UnixMicro(n), id
	}
	list, err := s.Accounts.Appointments(ctx, personOf(ctx).Actor, f)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out, name := &appointedOutput{}, s.callers(ctx)
	out.Body.Appointments = make([]appointedBody, len(list))
	for k := range list {
		if out.Body.Appointments[k], err = s.appointedOut(&list[k], name); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	if n := len(list); n == in.Limit {
		last := &list[n-1].Appointment
		out.Body.Next = fmt.Sprintf("%d.%s", last.From.UnixMicro(), last.ID)
	}
	return out, nil
}

func (s *server) appointment(ctx context.Context, in *byIDInput) (*oneAppointedOutput, error) {
	x, err := s.Accounts.AppointmentByID(ctx, personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &oneAppointedOutput{}
	if out.Body.AppointedBody, err = s.appointedOut(&x, s.callers(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	if x.Setup != (enrol.SetupMail{}) {
		out.Body.Setup = &setupMailBody{when(x.Setup.MailedAt), x.Setup.Reply, x.Setup.Due}
	}
	return out, nil
}

func (s *server) resets(ctx context.Context, _ *struct{}) (*resetsOutput, error) {
	list, err := s.Accounts.Resets(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out, name := &resetsOutput{}, s.callers(ctx)
	out.Body.Resets = make([]resetWishBody, len(list))
	for k := range list {
		x := &list[k]
		asker, err := name(x.By)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Resets[k] = resetWishBody{x.Account.ID, x.Account.IC, x.Account.Name, x.Account.Email, x.By, asker, x.At.UTC(), x.At.Add(enrol.ResetFor).UTC(), x.Why}
	}
	return out, nil
}

func (s *server) cancelReset(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Accounts.CancelReset(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
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
	if out.Body.Appointment, err = s.appointedOut(&made, s.callers(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
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
