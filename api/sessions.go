package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

type loginInput struct {
	Body struct {
		IC       string      `json:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
		Password secret.Text `json:"password"`
	}
}

type loginBody struct {
	SessionID string    `json:"session_id" doc:"Names this log-in until its second step; it opens nothing"`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when the second step can be taken"`
	Detail    string    `json:"detail" doc:"The same for known and unknown people, right and wrong passwords"`
}

type loginOutput struct{ Body loginBody }

type codeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Code  secret.Text `json:"code" doc:"Six digits: from the mail, or of an administrator's authenticator app"`
		Token string      `json:"token,omitempty" enum:"cookie,bearer" default:"cookie" doc:"How the session is held: a browser's cookie, or the answer's token for a device"`
	}
}

type sessionBody struct {
	ID        string     `json:"session_id"`
	Current   bool       `json:"current" doc:"The session of this request"`
	Method    string     `json:"method" enum:"password+code,password+totp,webauthn"`
	Token     string     `json:"token" enum:"cookie,bearer"`
	Address   string     `json:"address"`
	Agent     string     `json:"agent" doc:"What the browser or device calls itself"`
	CreatedAt time.Time  `json:"created_at"`
	SeenAt    time.Time  `json:"seen_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends unless it is used"`
}

type openedOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      struct {
		Session sessionBody `json:"session"`
		Token   string      `json:"token,omitempty" doc:"Only when a bearer token was asked for"`
	}
}

type ceremonyOutput struct {
	Body struct {
		SessionID string          `json:"session_id"`
		ExpiresAt time.Time       `json:"expires_at"`
		Options   json.RawMessage `json:"options" doc:"For navigator.credentials.get() or create(), as PublicKeyCredential.parseRequestOptionsFromJSON and parseCreationOptionsFromJSON take it"`
	}
}

type assertionInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Credential json.RawMessage `json:"credential" doc:"PublicKeyCredential.toJSON()"`
		Token      string          `json:"token,omitempty" enum:"cookie,bearer" default:"cookie"`
	}
}

type setupInput struct {
	Body struct {
		Code secret.Text `json:"code" doc:"The set-up code that was mailed, or that mohor admin printed"`
	}
}

type setupOutput struct {
	Body struct {
		Name    string `json:"name"`
		OTPAuth string `json:"otpauth" doc:"otpauth:// address, to be shown as a QR code"`
		Secret  string `json:"secret" doc:"The same seed for typing"`
	}
}

type completeInput struct {
	Body struct {
		Code     secret.Text `json:"code"`
		Password secret.Text `json:"password" doc:"10 to 64 characters"`
		TOTP     secret.Text `json:"totp" doc:"Six digits of the authenticator app"`
	}
}

// maxPersonal bounds the bodies of these routes, in bytes.
const maxPersonal = 64 << 10

func (s *server) sessions(h huma.API) {
	visit := func(id, path, summary string, codes ...int) huma.Operation {
		o := op("Sessions", id, http.MethodPost, path, summary, codes...)
		o.MaxBodyBytes = maxPersonal
		return o
	}
	begin := visit("logIn", "/v1/sessions", "Begin to log in; a code is sent if there is such an officer and the password is right")
	begin.DefaultStatus = http.StatusAccepted
	huma.Register(h, begin, s.logIn)
	huma.Register(h, visit("logInCode", "/v1/sessions/{id}/code", "Finish with the code: a session", http.StatusConflict, http.StatusGone), s.logInCode)
	huma.Register(h, visit("logInPasskey", "/v1/sessions/webauthn", "Begin to log in with a passkey", http.StatusConflict), s.logInPasskey)
	huma.Register(h, visit("finishPasskey", "/v1/sessions/{id}/webauthn", "Finish with the passkey: a session", http.StatusConflict, http.StatusNotFound), s.finishPasskey)
	huma.Register(h, visit("setup", "/v1/setup", "An administrator's set-up: a new TOTP seed for a set-up code", http.StatusNotFound), s.setup)
	done := visit("completeSetup", "/v1/setup/complete", "An administrator's set-up: password and first TOTP; spends the set-up code", http.StatusNotFound)
	done.DefaultStatus = http.StatusNoContent
	huma.Register(h, done, s.completeSetup)
}

func (s *server) logIn(ctx context.Context, in *loginInput) (*loginOutput, error) {
	defer in.Body.Password.Wipe()
	if _, err := mykad.Parse(in.Body.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	v := visitorOf(ctx)
	l, err := s.Accounts.Begin(ctx, enrol.Attempt{IC: in.Body.IC, Password: in.Body.Password, Device: v.device, Peer: v.peer})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &loginOutput{loginBody{l.ID, l.ExpiresAt.UTC(), pick(english(ctx),
		"If the IC and password are right, a code was sent to the registered e-mail address; administrators use their authenticator app. Enter it here.",
		"Jika No. Kad Pengenalan dan kata laluan betul, kod telah dihantar ke e-mel yang didaftarkan; pentadbir menggunakan aplikasi pengesah. Masukkan kod itu di sini.")}}, nil
}

func (s *server) logInCode(ctx context.Context, in *codeInput) (*openedOutput, error) {
	defer in.Body.Code.Wipe()
	o, err := s.Accounts.Finish(ctx, in.ID, in.Body.Code, in.Body.Token == "bearer", visitorOf(ctx).peer, requestIDOf(ctx))
	return s.opened(ctx, o, unknownLogin(err))
}

// unknownLogin: a log-in that was forgotten is one whose code has expired.
func unknownLogin(err error) error {
	if err == enrol.ErrUnknown { //nolint:errorlint // the verdict itself, not what wraps it
		return otp.ErrUnknown
	}
	return err
}

// opened is the answer that hands a session over.
func (s *server) opened(ctx context.Context, o enrol.Opened, err error) (*openedOutput, error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &openedOutput{}
	out.Body.Session = sessionOut(&o.Session, o.Session.ID)
	out.SetCookie = []http.Cookie{s.cookie("device", string(o.Device.Reveal()), int(enrol.DeviceFor.Seconds()))}
	if o.Session.Bearer {
		out.Body.Token = string(o.Token.Reveal())
	} else {
		// A cookie of the browser's session: it ends by the gateway's limits, or with it.
		out.SetCookie = append(out.SetCookie, s.cookie("session", string(o.Token.Reveal()), 0))
	}
	return out, nil
}

func sessionOut(x *enrol.Session, current string) sessionBody {
	b := sessionBody{ID: x.ID, Current: x.ID == current, Method: x.Method, Token: "cookie", Address: x.Address, Agent: x.Agent, CreatedAt: x.CreatedAt.UTC(), SeenAt: x.SeenAt.UTC()}
	if x.Bearer {
		b.Token = "bearer"
	}
	if !x.ExpiresAt.IsZero() {
		at := x.ExpiresAt.UTC()
		b.ExpiresAt = &at
	}
	return b
}

func (s *server) logInPasskey(ctx context.Context, _ *struct{}) (*ceremonyOutput, error) {
	l, options, err := s.Accounts.BeginWithPasskey(ctx)
	return s.ceremony(ctx, l, options, err)
}

func (s *server) ceremony(ctx context.Context, l enrol.Login, options []byte, err error) (*ceremonyOutput, error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &ceremonyOutput{}
	out.Body.SessionID, out.Body.ExpiresAt, out.Body.Options = l.ID, l.ExpiresAt.UTC(), options
	return out, nil
}

func (s *server) finishPasskey(ctx context.Context, in *assertionInput) (*openedOutput, error) {
	o, err := s.Accounts.FinishWithPasskey(ctx, in.ID, in.Body.Credential, in.Body.Token == "bearer", visitorOf(ctx).peer, requestIDOf(ctx))
	return s.opened(ctx, o, err)
}

func (s *server) setup(ctx context.Context, in *setupInput) (*setupOutput, error) {
	defer in.Body.Code.Wipe()
	seed, err := s.Accounts.BeginSetup(ctx, in.Body.Code, requestIDOf(ctx))
	return s.seed(ctx, &seed, err)
}

// seed is the answer that hands a TOTP seed over.
func (s *server) seed(ctx context.Context, seed *enrol.Seed, err error) (*setupOutput, error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &setupOutput{}
	out.Body.Name, out.Body.OTPAuth, out.Body.Secret = seed.Account.Name, string(seed.URL.Reveal()), string(seed.Base32.Reveal())
	return out, nil
}

func (s *server) completeSetup(ctx context.Context, in *completeInput) (*struct{}, error) {
	defer in.Body.Password.Wipe()
	if _, err := s.Accounts.CompleteSetup(ctx, in.Body.Code, in.Body.Password, in.Body.TOTP, requestIDOf(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
