package api

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

type changePINInput struct {
	Body struct {
		Credential string      `json:"credential_id,omitempty" maxLength:"64" doc:"Of which key; left out where there is one"`
		Old        secret.Text `json:"old_pin"`
		New        secret.Text `json:"new_pin"`
		NewAgain   secret.Text `json:"new_pin_again"`
	}
}

type changePINOutput struct {
	Body struct {
		Credential string   `json:"credential_id" doc:"Whose PIN is the new one"`
		Others     []string `json:"others" doc:"Credentials of other keys of the officer: each has a PIN of its own, which stays"`
	}
}

func (s *server) pins(h huma.API) {
	o := op("Me", "changePIN", http.MethodPost, "/v1/me/pin", "Change the PIN of the own key; who has forgotten it asks for a new key",
		http.StatusConflict, http.StatusUnprocessableEntity, http.StatusLocked)
	o.Description = "In this order: PIN lock and certificate; the new PIN; the old one, which is counted as on the signing page. Until the answer the old PIN opens the key, after it the new one."
	o.MaxBodyBytes = maxPersonal
	huma.Register(h, o, s.changePIN)
}

// changePIN: the session says who asks, and the old PIN proves it once more.
func (s *server) changePIN(ctx context.Context, in *changePINInput) (*changePINOutput, error) {
	b, p := &in.Body, personOf(ctx)
	defer b.Old.Wipe()
	defer b.New.Wipe()
	defer b.NewAgain.Wipe()
	for name, pin := range map[string]secret.Text{"old_pin": b.Old, "new_pin": b.New} {
		if n := pin.Len(); n == 0 || n > 256 {
			return nil, s.fail(ctx, fixed(name, "It must have 1 to 64 characters.", "Ia mesti 1 hingga 64 aksara."))
		}
	}
	if subtle.ConstantTimeCompare(b.New.Reveal(), b.NewAgain.Reveal()) != 1 {
		return nil, s.fail(ctx, fixed("new_pin_again", "It is not the new PIN.", "Ia bukan PIN baharu itu."))
	}
	m, others, err := s.keyOf(ctx, p.Account.IC, b.Credential)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	// What is decided is stored though the browser has gone.
	done, err := s.Signer.ChangePIN(context.WithoutCancel(ctx), signer.PINChange{Officer: p.Account.IC, System: m.System, Credential: m.Credential, Old: b.Old, New: b.New,
		Via: "session:" + p.Session.ID, RequestID: requestIDOf(ctx)})
	switch {
	case errors.Is(err, signer.ErrPINPolicy), errors.Is(err, signer.ErrPINSame):
		err = &ofField{"new_pin", err}
	case errors.Is(err, signer.ErrPINWrong):
		err = &ofField{"old_pin", err}
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &changePINOutput{}
	out.Body.Credential, out.Body.Others = done.Credential, others
	return out, nil
}

// keyOf finds the person's key that is meant, and those that are not.
func (s *server) keyOf(ctx context.Context, ic, credential string) (m enrol.Medium, others []string, err error) {
	_, media, err := s.People.Officer(ctx, ic)
	if err != nil && !errors.Is(err, enrol.ErrUnknown) {
		return m, nil, fmt.Errorf("reading media: %w", err)
	}
	others = []string{}
	live := 0
	for _, x := range media {
		switch {
		case x.Credential == "" || x.KeyStatus == "REVOKED":
		case credential == x.Credential || credential == "" && live == 0:
			m, live = x, live+1
		default:
			others, live = append(others, x.Credential), live+1
		}
	}
	switch {
	case m.Credential == "":
		return m, nil, signer.ErrNoCredential
	case credential == "" && live > 1:
		return m, nil, fixed("credential_id", "There are several keys: say whose PIN is meant.", "Terdapat beberapa kunci: nyatakan PIN kunci yang mana.")
	}
	return m, others, nil
}
