package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/internal/mykad"
)

type askStatusInput struct {
	Body struct {
		IC string `json:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
	}
}

type askStatusOutput struct {
	Body struct {
		Detail string `json:"detail" doc:"The same for known and unknown people"`
	}
}

// asked is what anybody may ask of how far an officer is.
func (s *server) asked(h huma.API) {
	ask := op("Public", "askStatus", http.MethodPost, "/v1/public/status", "How far an application is: the answer goes to the registered e-mail address, if there is one")
	ask.MaxBodyBytes, ask.DefaultStatus = maxPersonal, http.StatusAccepted
	huma.Register(h, ask, s.askStatus)
}

func (s *server) askStatus(ctx context.Context, in *askStatusInput) (*askStatusOutput, error) {
	if _, err := mykad.Parse(in.Body.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	if err := s.Accounts.AskStatus(ctx, in.Body.IC, visitorOf(ctx).peer); err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &askStatusOutput{}
	out.Body.Detail = pick(english(ctx), "If this number is registered, status, next step and whom to ask are being sent to the registered e-mail address.",
		"Jika nombor ini berdaftar, status, langkah seterusnya dan siapa yang boleh ditanya sedang dihantar ke e-mel yang didaftarkan.")
	return out, nil
}
