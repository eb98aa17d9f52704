package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

// OfficerBody is officerBody, to be embedded.
type OfficerBody = officerBody

type pinStateBody struct {
	State       string     `json:"state" enum:"OPEN,LOCKED,BLOCKED" doc:"LOCKED opens by itself, BLOCKED an administrator opens"`
	Wrong       int        `json:"wrong" doc:"Since the last right PIN"`
	LockedUntil *time.Time `json:"locked_until,omitempty"`
}

type wayBody struct {
	System  string `json:"system"`
	Channel string `json:"channel" enum:"email,push"`
	SentTo  string `json:"sent_to" example:"s•••@jpk.gov.my"`
}

type ownCertificateOutput struct {
	Body struct {
		OfficerBody
		Name string       `json:"name"`
		Ask  string       `json:"ask,omitempty" doc:"Whom to ask"`
		PIN  pinStateBody `json:"pin" doc:"One counter for all keys"`
		Ways []wayBody    `json:"ways" doc:"Where codes go, by system, preferred first"`
	}
}

func (s *server) ownCertificate(h huma.API) {
	huma.Register(h, op("Me", "myCertificate", http.MethodGet, "/v1/me/certificate", "The own certificates, keys and code channels, and what to do next"), s.myCertificate)
}

// myCertificate is what [server.medium] tells an app of its systems, of all, with what concerns the
// officer alone.
func (s *server) myCertificate(ctx context.Context, _ *struct{}) (*ownCertificateOutput, error) {
	p, out := personOf(ctx), &ownCertificateOutput{}
	b := &out.Body
	b.OfficerBody, b.Name, b.Ways, b.PIN.State = officerBody{IC: p.Account.IC, Status: "NOT_REGISTERED", Media: []mediumBody{}}, p.Account.Name, []wayBody{}, "OPEN"
	b.NextStep = pick(english(ctx), "Ask to be listed, if you need a certificate.", "Minta disenaraikan jika anda memerlukan sijil.")
	found, err := s.mediaOf(ctx, p.Account.IC, func(string) bool { return true })
	if errors.Is(err, enrol.ErrUnknown) { // an administrator who signs nothing
		return out, nil
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b.OfficerBody = found.Body
	if err := s.ownState(ctx, p, out); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

func (s *server) ownState(ctx context.Context, p *enrol.Person, out *ownCertificateOutput) error {
	b := &out.Body
	o, _, err := s.People.Officer(ctx, p.Account.IC)
	if err != nil {
		return err
	}
	for _, m := range b.Media {
		if m.Medium != enrol.RoamingOTP {
			continue
		}
		for _, w := range s.Signer.Ways(&signer.Credential{System: m.System, Email: o.Email}) {
			b.Ways = append(b.Ways, wayBody{m.System, w.Channel, w.SentTo})
		}
	}
	st, err := s.Signer.Records.PINState(ctx, p.Account.IC)
	if err != nil {
		return err
	}
	b.PIN = s.pinOut(&st)
	b.Ask, err = s.whomToAsk(ctx, p.Account.IC)
	return err
}

// whomToAsk names the administrators who can help an officer: those of the newest application.
func (s *server) whomToAsk(ctx context.Context, ic string) (string, error) {
	all, err := s.Desk.Records.EnrolmentsOf(ctx, ic)
	if err != nil || len(all) == 0 {
		return pick(english(ctx), "the agency administrator", "pentadbir agensi"), err
	}
	newest := &all[0]
	for k := range all {
		if all[k].Since.After(newest.Since) {
			newest = &all[k]
		}
	}
	_, ask := newest.Next(english(ctx))
	return ask, nil
}
