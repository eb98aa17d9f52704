package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

type accountInput struct {
	Body struct {
		Code     secret.Text `json:"code" doc:"The verification code, from the mail"`
		Password secret.Text `json:"password" doc:"10 to 64 characters"`
	}
}

type accountOutput struct {
	Body struct {
		Name     string `json:"name"`
		System   string `json:"system"`
		NextStep string `json:"next_step"`
	}
}

type applicationInput struct {
	Body struct {
		Code        secret.Text `json:"code" doc:"The verification code, from the mail"`
		PIN         secret.Text `json:"pin"`
		PINAgain    secret.Text `json:"pin_again"`
		Algorithm   string      `json:"algorithm,omitempty" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" default:"RSA-2048" doc:"Of the key"`
		Address     string      `json:"address" maxLength:"1000" doc:"Of the office"`
		Postcode    string      `json:"postcode" maxLength:"20"`
		State       string      `json:"state" maxLength:"64" doc:"As GET lists them"`
		Phone       string      `json:"phone" maxLength:"64"`
		Fax         string      `json:"fax,omitempty" maxLength:"64"`
		Mobile      string      `json:"mobile" maxLength:"64"`
		MailKind    string      `json:"mail_kind" maxLength:"20" doc:"official or personal"`
		Image       string      `json:"image" maxLength:"64" doc:"Security image, as GET lists them"`
		Declaration string      `json:"declaration" maxLength:"64" doc:"Version of the declaration that was accepted, as GET gives it"`
		MyKad       string      `json:"mykad,omitempty" doc:"Base64 of a JPEG or PNG of at most 2 MiB"`
	}
}

type appliedOutput struct {
	Body applicationBody
}

type applicationBody struct {
	ID        string     `json:"enrolment_id"`
	System    string     `json:"system"`
	Agency    string     `json:"agency"`
	Kind      string     `json:"kind,omitempty" enum:"RENEWAL,REKEY" doc:"Absent for a first certificate"`
	State     string     `json:"state" enum:"LISTED,CONFIRMING,CONFIRMED,APPLIED,VALIDATED,APPROVED,ISSUED,RETURNED,REJECTED,WITHDRAWN,EXPIRED"`
	Status    string     `json:"status" enum:"ISSUED,NEW,WAITING_FOR_VERIFICATION,NO_CERTIFICATE" doc:"As the look-up of applications says it"`
	Since     *time.Time `json:"since,omitempty"`
	Reason    string     `json:"reason,omitempty" doc:"Why it was returned, rejected or withdrawn"`
	NextStep  string     `json:"next_step"`
	Ask       string     `json:"ask" doc:"Whom to ask"`
	CodeUntil *time.Time `json:"code_until,omitempty" doc:"Until when the verification code is good"`
	// What the form needs to be shown.
	SystemTitle  string         `json:"system_title,omitempty"`
	AgencyName   string         `json:"agency_name,omitempty"`
	PersonalMail bool           `json:"personal_mail,omitempty" doc:"The agency takes personal addresses"`
	Given        *givenFormBody `json:"form,omitempty" doc:"Of an application that was returned: what was sent in last"`
}

// givenFormBody is a form as its officer gave it, but for what is asked anew: PIN, declaration, copy.
type givenFormBody struct {
	Address  string `json:"address"`
	Postcode string `json:"postcode"`
	State    string `json:"state"`
	Phone    string `json:"phone"`
	Fax      string `json:"fax,omitempty"`
	Mobile   string `json:"mobile"`
	MailKind string `json:"mail_kind"`
	Image    string `json:"image"`
}

type applicationsOutput struct {
	Body struct {
		Applications []applicationBody `json:"applications" doc:"The oldest first"`
		Declaration  struct {
			Version string `json:"version"`
			Text    string `json:"text"`
		} `json:"declaration"`
		States []string `json:"states"`
		Images []string `json:"images"`
		PIN    struct {
			Shortest int `json:"min_length"`
			Longest  int `json:"max_length"`
		} `json:"pin" doc:"How long a PIN is"`
		MyKad bool `json:"mykad_required" doc:"An application needs a copy of the MyKad"`
	}
}

type withdrawInput struct {
	Body struct {
		ID     string `json:"enrolment_id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
		Reason string `json:"reason" maxLength:"2000" doc:"5 to 500 characters"`
	}
}

func (s *server) applications(h huma.API) {
	open := op("Me", "openAccount", http.MethodPost, "/v1/account", "An officer's first step: a password for the verification code", http.StatusConflict, http.StatusGone)
	open.MaxBodyBytes = maxPersonal
	huma.Register(h, open, s.openAccount)
	apply := op("Me", "apply", http.MethodPost, "/v1/me/application", "Apply for a certificate: form, PIN and verification code", http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
	apply.MaxBodyBytes, apply.DefaultStatus = enrol.MaxCopy*4/3+maxPersonal, http.StatusCreated
	huma.Register(h, apply, s.apply)
	huma.Register(h, op("Me", "applications", http.MethodGet, "/v1/me/application", "Where the own applications are, what comes next, whom to ask"), s.myApplications)
	withdraw := op("Me", "withdraw", http.MethodPost, "/v1/me/application/withdraw", "Withdraw an application; its key is destroyed", http.StatusConflict, http.StatusUnprocessableEntity)
	withdraw.MaxBodyBytes, withdraw.DefaultStatus = maxPersonal, http.StatusNoContent
	huma.Register(h, withdraw, s.withdraw)
	s.asked(h)
}

func (s *server) openAccount(ctx context.Context, in *accountInput) (*accountOutput, error) {
	defer in.Body.Code.Wipe()
	defer in.Body.Password.Wipe()
	e, err := s.Desk.OpenAccount(ctx, s.Accounts, in.Body.Code, in.Body.Password, requestIDOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &accountOutput{}
	out.Body.Name, out.Body.System = e.Name, e.System
	out.Body.NextStep = pick(english(ctx), "Log in with your IC and this password, then apply.", "Log masuk dengan No. Kad Pengenalan dan kata laluan ini, kemudian mohon.")
	return out, nil
}

func (s *server) apply(ctx context.Context, in *applicationInput) (*appliedOutput, error) {
	b := &in.Body
	defer b.Code.Wipe()
	defer b.PIN.Wipe()
	defer b.PINAgain.Wipe()
	photo, err := decodeBase64(b.MyKad)
	if err != nil {
		return nil, s.fail(ctx, fixed("mykad", "It must be base64.", "Ia mesti base64."))
	}
	defer clear(photo)
	e, err := s.Desk.Apply(ctx, enrol.Application{Code: b.Code, By: personOf(ctx).Actor, PIN: b.PIN, PINAgain: b.PINAgain, Algorithm: b.Algorithm, MyKad: photo, Request: requestIDOf(ctx),
		Form: enrol.Form{Address: b.Address, Postcode: b.Postcode, State: b.State, Phone: b.Phone, Fax: b.Fax, Mobile: b.Mobile, MailKind: b.MailKind, Image: b.Image, Declaration: b.Declaration}})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &appliedOutput{applicationOut(ctx, &e)}, nil
}

func (s *server) myApplications(ctx context.Context, _ *struct{}) (*applicationsOutput, error) {
	p, out := personOf(ctx), &applicationsOutput{}
	b := &out.Body
	b.Applications = []applicationBody{}
	b.States, b.Images = enrol.MalaysianStates(), enrol.SecurityImages()
	b.Declaration.Version, b.Declaration.Text = enrol.DeclarationVersion, pick(english(ctx), enrol.DeclarationEN, enrol.DeclarationMS)
	b.PIN.Shortest, b.PIN.Longest = s.Desk.PIN.Lengths()
	b.MyKad = s.Desk.Policy.MyKad
	by := enrol.Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request}
	found, err := s.Desk.Lookup(ctx, by, p.Account.IC)
	if errors.Is(err, enrol.ErrUnknown) { // an administrator who signs nothing
		return out, nil
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for k := range found.Enrolments {
		e := &found.Enrolments[k]
		one := applicationOut(ctx, e)
		g, err := s.Desk.Guide(ctx, by, e)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		one.SystemTitle, one.AgencyName, one.PersonalMail = g.System, g.Agency, g.PersonalMail
		if f := g.Form; f != nil {
			one.Given = &givenFormBody{f.Address, f.Postcode, f.State, f.Phone, f.Fax, f.Mobile, f.MailKind, f.Image}
		}
		b.Applications = append(b.Applications, one)
	}
	return out, nil
}

func (s *server) withdraw(ctx context.Context, in *withdrawInput) (*struct{}, error) {
	p := personOf(ctx)
	// As an officer: what the person is appointed to is no ground here.
	by := enrol.Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request}
	if err := s.Desk.Withdraw(ctx, by, in.Body.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func applicationOut(ctx context.Context, e *enrol.Enrolment) applicationBody {
	en := english(ctx)
	b := applicationBody{ID: e.ID, System: e.System, Agency: e.Agency, Kind: string(e.Kind), State: string(e.State), Status: statusOf(e.State), Since: when(e.Since), Reason: e.Reason}
	b.NextStep, b.Ask = e.Next(en)
	if e.State == enrol.Confirmed || e.State == enrol.Returned {
		b.CodeUntil = when(e.CodeUntil)
	}
	return b
}

// statusOf is what the look-up of applications calls a state.
func statusOf(s enrol.State) string {
	switch s {
	case enrol.Listed, enrol.Confirming, enrol.Confirmed, enrol.Returned:
		return "NEW"
	case enrol.Applied, enrol.Validated, enrol.Approved:
		return "WAITING_FOR_VERIFICATION"
	case enrol.Issued:
		return "ISSUED"
	}
	return "NO_CERTIFICATE"
}
