package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

type appointmentBody struct {
	Role   string     `json:"role" enum:"JDN,SAP,SA,AP,AUDITOR"`
	Agency string     `json:"agency,omitempty"`
	System string     `json:"system,omitempty"`
	From   time.Time  `json:"from"`
	Until  *time.Time `json:"until,omitempty"`
}

type meOutput struct {
	Body struct {
		Account      string            `json:"account_id"`
		IC           string            `json:"ic"`
		Name         string            `json:"name"`
		Email        string            `json:"email"`
		Kind         string            `json:"kind" enum:"officer,administrator"`
		Appointments []appointmentBody `json:"appointments" doc:"Those in force, with a second factor"`
		Factorless   bool              `json:"second_factor_needed" doc:"Appointed, and without effect until there is a second factor: /v1/me/second-factor"`
		Alarms       *int              `json:"open_alarms,omitempty" doc:"How many alarms last that nobody has acknowledged, as of the last seconds; absent for who may not see them"`
		Session      sessionBody       `json:"session"`
	}
}

type sessionsOutput struct {
	Body struct {
		Sessions []sessionBody `json:"sessions"`
	}
}

type closeInput struct {
	ID string `path:"id" maxLength:"64" doc:"A session's id, or current"`
}

type closedOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

type closedOthersOutput struct {
	Body struct {
		Closed int `json:"closed" doc:"How many sessions were closed: all but this one"`
	}
}

type passwordInput struct {
	Body struct {
		Old secret.Text `json:"old"`
		New secret.Text `json:"new" doc:"10 to 64 characters"`
	}
}

type passkeyBody struct {
	ID        string     `json:"id" doc:"Base64url"`
	Label     string     `json:"label"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
}

type passkeysOutput struct {
	Body struct {
		Passkeys []passkeyBody `json:"passkeys"`
	}
}

type passkeyInput struct {
	Body struct {
		SessionID  string          `json:"session_id" maxLength:"64" doc:"From /v1/me/passkeys/begin"`
		Label      string          `json:"label" maxLength:"64"`
		Credential json.RawMessage `json:"credential" doc:"PublicKeyCredential.toJSON()"`
	}
}

type passkeyOutput struct{ Body passkeyBody }

type dropPasskeyInput struct {
	ID string `path:"id" maxLength:"1400"`
}

func (s *server) me(h huma.API) {
	mine := func(id, method, path, summary string, codes ...int) huma.Operation {
		o := op("Me", id, method, path, summary, codes...)
		o.MaxBodyBytes = maxPersonal
		return o
	}
	huma.Register(h, mine("me", http.MethodGet, "/v1/me", "Who is logged in, and in what roles"), s.whoAmI)
	huma.Register(h, mine("sessions", http.MethodGet, "/v1/me/sessions", "Where one is logged in"), s.mySessions)
	huma.Register(h, mine("closeOthers", http.MethodDelete, "/v1/me/sessions", "Log out everywhere else"), s.closeOthers)
	huma.Register(h, mine("closeSession", http.MethodDelete, "/v1/me/sessions/{id}", "Log out", http.StatusNotFound), s.closeSession)
	huma.Register(h, mine("changePassword", http.MethodPost, "/v1/me/password", "Change the password; every session ends, this one too"), s.changePassword)
	huma.Register(h, unkept(mine("secondFactor", http.MethodPost, "/v1/me/second-factor", "A TOTP seed for an officer who was appointed, within ten minutes of a log-in", http.StatusConflict)), s.secondFactor)
	factor := mine("completeSecondFactor", http.MethodPost, "/v1/me/second-factor/complete", "The first TOTP: from the next log-in on the officer is an administrator; every session ends", http.StatusConflict)
	factor.DefaultStatus = http.StatusNoContent
	huma.Register(h, factor, s.completeSecondFactor)
	huma.Register(h, mine("passkeys", http.MethodGet, "/v1/me/passkeys", "The own passkeys"), s.passkeys)
	huma.Register(h, mine("beginPasskey", http.MethodPost, "/v1/me/passkeys/begin", "Begin to register a passkey, within ten minutes of a log-in", http.StatusConflict), s.beginPasskey)
	add := mine("addPasskey", http.MethodPost, "/v1/me/passkeys", "Register the passkey that the browser made", http.StatusConflict, http.StatusNotFound)
	add.DefaultStatus = http.StatusCreated
	huma.Register(h, add, s.addPasskey)
	drop := mine("dropPasskey", http.MethodDelete, "/v1/me/passkeys/{id}", "Remove a passkey; the other sessions end", http.StatusNotFound)
	drop.DefaultStatus = http.StatusNoContent
	huma.Register(h, drop, s.dropPasskey)
}

func (s *server) whoAmI(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p, out := personOf(ctx), &meOutput{}
	b := &out.Body
	b.IC, b.Name, b.Email, b.Kind, b.Session = p.Account.IC, p.Account.Name, p.Account.Email, p.Account.Kind, sessionOut(&p.Session, p.Session.ID)
	b.Account, b.Factorless, b.Appointments = p.Account.ID, p.Account.Factorless(s.Now()), []appointmentBody{}
	if len(p.Actor.Appointments) > 0 && s.Alarms.Sees(p.Actor) {
		n := s.Health.Open() // the monitor has counted them: no question to the database
		b.Alarms = &n
	}
	for _, x := range p.Actor.Appointments {
		b.Appointments = append(b.Appointments, appointmentBody{string(x.Role), x.Agency, x.System, x.From.UTC(), when(x.Until)})
	}
	return out, nil
}

// when is nil for the zero time.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *server) mySessions(ctx context.Context, _ *struct{}) (*sessionsOutput, error) {
	p, out := personOf(ctx), &sessionsOutput{}
	list, err := s.Accounts.Sessions(ctx, *p)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for _, x := range list {
		out.Body.Sessions = append(out.Body.Sessions, sessionOut(&x, p.Session.ID))
	}
	return out, nil
}

func (s *server) closeSession(ctx context.Context, in *closeInput) (*closedOutput, error) {
	p, out := personOf(ctx), &closedOutput{}
	if in.ID == "current" {
		in.ID = p.Session.ID
	}
	if err := s.Accounts.Close(ctx, *p, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	if in.ID == p.Session.ID && !p.Session.Bearer {
		out.SetCookie = []http.Cookie{s.cookie("session", "", -1)}
	}
	return out, nil
}

func (s *server) closeOthers(ctx context.Context, _ *struct{}) (*closedOthersOutput, error) {
	out := &closedOthersOutput{}
	var err error
	if out.Body.Closed, err = s.Accounts.CloseOthers(ctx, *personOf(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

func (s *server) changePassword(ctx context.Context, in *passwordInput) (*closedOutput, error) {
	defer in.Body.Old.Wipe()
	defer in.Body.New.Wipe()
	err := s.Accounts.ChangePassword(ctx, *personOf(ctx), in.Body.Old, in.Body.New)
	var refused *enrol.PasswordError
	if errors.As(err, &refused) {
		err = &ofField{"new", err}
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &closedOutput{[]http.Cookie{s.cookie("session", "", -1)}}, nil
}

type factorInput struct {
	Body struct {
		TOTP secret.Text `json:"totp" doc:"Six digits of the authenticator app"`
	}
}

func (s *server) secondFactor(ctx context.Context, _ *struct{}) (*setupOutput, error) {
	seed, err := s.Accounts.BeginSecondFactor(ctx, *personOf(ctx))
	return s.seed(ctx, &seed, err)
}

func (s *server) completeSecondFactor(ctx context.Context, in *factorInput) (*closedOutput, error) {
	defer in.Body.TOTP.Wipe()
	if err := s.Accounts.CompleteSecondFactor(ctx, *personOf(ctx), in.Body.TOTP); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &closedOutput{[]http.Cookie{s.cookie("session", "", -1)}}, nil
}

func passkeyOut(k *enrol.Passkey) passkeyBody {
	return passkeyBody{base64.RawURLEncoding.EncodeToString(k.ID), k.Label, k.CreatedAt.UTC(), when(k.UsedAt)}
}

func (s *server) passkeys(ctx context.Context, _ *struct{}) (*passkeysOutput, error) {
	out := &passkeysOutput{}
	out.Body.Passkeys = []passkeyBody{}
	list, err := s.Accounts.Passkeys(ctx, *personOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for _, k := range list {
		out.Body.Passkeys = append(out.Body.Passkeys, passkeyOut(&k))
	}
	return out, nil
}

func (s *server) beginPasskey(ctx context.Context, _ *struct{}) (*ceremonyOutput, error) {
	l, options, err := s.Accounts.BeginPasskey(ctx, *personOf(ctx))
	return s.ceremony(ctx, l, options, err)
}

func (s *server) addPasskey(ctx context.Context, in *passkeyInput) (*passkeyOutput, error) {
	k, err := s.Accounts.AddPasskey(ctx, *personOf(ctx), in.Body.SessionID, in.Body.Label, in.Body.Credential)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &passkeyOutput{passkeyOut(&k)}, nil
}

func (s *server) dropPasskey(ctx context.Context, in *dropPasskeyInput) (*struct{}, error) {
	id, err := base64.RawURLEncoding.DecodeString(in.ID)
	if err != nil {
		return nil, s.fail(ctx, enrol.ErrUnknown)
	}
	if err := s.Accounts.DropPasskey(ctx, *personOf(ctx), id); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
