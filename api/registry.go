package api

import (
	"context"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

type agencyBody struct {
	Code         string `json:"agency"`
	Name         string `json:"name" maxLength:"120"`
	PersonalMail bool   `json:"personal_mail" doc:"Officers may be enrolled with a personal address"`
}

type agencyInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		Name         string `json:"name" maxLength:"120"`
		PersonalMail bool   `json:"personal_mail,omitempty" doc:"Officers may be enrolled with a personal address"`
	}
}

type agencyOutput struct{ Body agencyBody }

type agenciesOutput struct {
	Body struct {
		Agencies []agencyBody `json:"agencies"`
	}
}

type officeBody struct {
	Code  string `json:"office" example:"PUTRAJAYA"`
	Name  string `json:"name" maxLength:"64" example:"Pejabat Perakaunan Putrajaya"`
	Phase string `json:"phase,omitempty" maxLength:"32" doc:"Of the rollout"`
}

type strayOfficeBody struct {
	Name     string `json:"name"`
	Officers int64  `json:"count" doc:"Enrolments that name it so"`
}

type officesInput struct {
	Code string `path:"code" maxLength:"32"`
}

type officesOutput struct {
	Body struct {
		Offices []officeBody      `json:"offices"`
		Strays  []strayOfficeBody `json:"unregistered" doc:"What enrolments call offices that are registered neither by that code nor by that name, at most 200; for JDN, AUDITOR, and SA and AP of the agency"`
	}
}

type officeInput struct {
	Code   string `path:"code" maxLength:"32"`
	Office string `path:"office" maxLength:"32"`
	Body   struct {
		Name  string `json:"name" maxLength:"64"`
		Phase string `json:"phase,omitempty" maxLength:"32" doc:"Of the rollout"`
	}
}

type dropOfficeInput struct {
	Code   string `path:"code" maxLength:"32"`
	Office string `path:"office" maxLength:"32"`
}

type officeOutput struct{ Body officeBody }

type systemBody struct {
	Code      string     `json:"system"`
	Title     string     `json:"title" maxLength:"120"`
	Agency    string     `json:"agency" maxLength:"32" doc:"That owns it"`
	TokenEnds *time.Time `json:"token_ends,omitempty" doc:"When the system takes no more tokens"`
}

type systemInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		Title     string    `json:"title" maxLength:"120"`
		Agency    string    `json:"agency" maxLength:"32" doc:"That owns it"`
		TokenEnds time.Time `json:"token_ends,omitempty" doc:"When the system takes no more tokens"`
	}
}

type tokenEndsInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		From *time.Time `json:"from" nullable:"true" doc:"null: it takes tokens until further notice"`
	}
}

type systemOutput struct{ Body systemBody }

type systemsOutput struct {
	Body struct {
		Systems []systemBody `json:"systems"`
	}
}

func (s *server) agencies(ctx context.Context, _ *struct{}) (*agenciesOutput, error) {
	list, err := s.Desk.Records.Agencies(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &agenciesOutput{}
	out.Body.Agencies = make([]agencyBody, len(list))
	for k, g := range list {
		out.Body.Agencies[k] = agencyBody{g.Code, g.Name, g.PersonalMail}
	}
	return out, nil
}

func (s *server) putAgency(ctx context.Context, in *agencyInput) (*agencyOutput, error) {
	g := enrol.Agency{Code: in.Code, Name: in.Body.Name, PersonalMail: in.Body.PersonalMail}
	if err := s.Desk.PutAgency(ctx, personOf(ctx).Actor, g); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &agencyOutput{agencyBody{g.Code, g.Name, g.PersonalMail}}, nil
}

func (s *server) offices(ctx context.Context, in *officesInput) (*officesOutput, error) {
	list, strays, err := s.Desk.Offices(ctx, personOf(ctx).Actor, in.Code)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &officesOutput{}
	out.Body.Offices, out.Body.Strays = make([]officeBody, len(list)), make([]strayOfficeBody, len(strays))
	for k, o := range list {
		out.Body.Offices[k] = officeBody{o.Code, o.Name, o.Phase}
	}
	for k, o := range strays {
		out.Body.Strays[k] = strayOfficeBody(o)
	}
	return out, nil
}

func (s *server) putOffice(ctx context.Context, in *officeInput) (*officeOutput, error) {
	o := enrol.Office{Agency: in.Code, Code: in.Office, Name: in.Body.Name, Phase: in.Body.Phase}
	if err := s.Desk.PutOffice(ctx, personOf(ctx).Actor, o); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &officeOutput{officeBody{o.Code, o.Name, o.Phase}}, nil
}

func (s *server) dropOffice(ctx context.Context, in *dropOfficeInput) (*struct{}, error) {
	if err := s.Desk.DropOffice(ctx, personOf(ctx).Actor, in.Code, in.Office); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) systems(ctx context.Context, _ *struct{}) (*systemsOutput, error) {
	list, err := s.Desk.Records.Systems(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &systemsOutput{}
	out.Body.Systems = make([]systemBody, len(list))
	for k, x := range list {
		out.Body.Systems[k] = systemBody{x.Code, x.Title, x.Agency, when(x.TokenEnds)}
	}
	return out, nil
}

func (s *server) putSystem(ctx context.Context, in *systemInput) (*systemOutput, error) {
	x := enrol.System{Code: in.Code, Title: in.Body.Title, Agency: in.Body.Agency, TokenEnds: in.Body.TokenEnds}
	if err := s.Desk.PutSystem(ctx, personOf(ctx).Actor, x); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &systemOutput{systemBody{x.Code, x.Title, x.Agency, when(x.TokenEnds)}}, nil
}

func (s *server) endTokens(ctx context.Context, in *tokenEndsInput) (*struct{}, error) {
	var at time.Time
	if in.Body.From != nil {
		at = *in.Body.From
	}
	if err := s.Desk.EndTokens(ctx, personOf(ctx).Actor, in.Code, at); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
