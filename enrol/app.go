package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Operations that need a grant of their own: a bare digest can stand for
// anything.
const GrantRAW = "RAW"

// Where the officer enters the PIN.
const (
	PINHosted = "hosted" // on the gateway's own page (default)
	PINInApp  = "app"    // in the app, which is trusted with it
)

// App is an application that asks for signatures. Its secrets are random with
// 256 bits, so a plain SHA-256 of each is kept.
type App struct {
	ID         string // client_id
	Name       string // registered name, shown to officers
	Systems    []string
	Grants     []string
	PINEntry   string
	Rate       float64 // requests a second
	SecretHash [32]byte
	KeyHash    [32]byte
	CreatedAt  time.Time
}

// Serves says whether the app may speak for system.
func (a *App) Serves(system string) bool { return slices.Contains(a.Systems, system) }

// Granted says whether the app holds a grant.
func (a *App) Granted(g string) bool { return slices.Contains(a.Grants, g) }

// Apps registers and authenticates applications. All fields are required.
type Apps struct {
	Records  Records
	Now      func() time.Time
	TokenFor time.Duration // lifetime of a bearer token
}

// Register stores a new app and returns its client secret and API key, which
// are shown once.
func (s *Apps) Register(ctx context.Context, actor string, a App) (App, secret.Text, secret.Text, error) {
	if !validID(a.ID) || a.Name == "" || len(a.Systems) == 0 {
		return App{}, secret.Text{}, secret.Text{}, fmt.Errorf("%w: an app needs an id, a name and a system", ErrInvalid)
	}
	if a.PINEntry != PINHosted && a.PINEntry != PINInApp {
		return App{}, secret.Text{}, secret.Text{}, fmt.Errorf("%w: pin_entry must be %q or %q", ErrInvalid, PINHosted, PINInApp)
	}
	if a.Rate <= 0 {
		a.Rate = 50
	}
	clientSecret, apiKey := ident.New("mcs", 32), ident.New("mak", 32)
	a.SecretHash, a.KeyHash, a.CreatedAt = sha256.Sum256([]byte(clientSecret)), sha256.Sum256([]byte(apiKey)), s.Now().UTC()
	ev := audit.Event{At: s.Now(), Actor: actor, Action: "enrol.app", Object: "app:" + a.ID, Verdict: audit.Accepted, Detail: map[string]string{"pin_entry": a.PINEntry}}
	if err := s.Records.PutApp(ctx, a, ev); err != nil {
		return App{}, secret.Text{}, secret.Text{}, fmt.Errorf("storing app: %w", err)
	}
	return a, secret.New(clientSecret), secret.New(apiKey), nil
}

// ByKey authenticates an API key; ErrUnknown otherwise.
func (s *Apps) ByKey(ctx context.Context, key string) (App, error) {
	return s.Records.AppByKey(ctx, sha256.Sum256([]byte(key)))
}

// BySecret authenticates client_id and client_secret; ErrUnknown for a wrong
// one of either.
func (s *Apps) BySecret(ctx context.Context, id, clientSecret string) (App, error) {
	a, err := s.Records.AppByID(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return App{}, err
	}
	got := sha256.Sum256([]byte(clientSecret))
	if subtle.ConstantTimeCompare(got[:], a.SecretHash[:]) != 1 || err != nil {
		return App{}, ErrUnknown
	}
	return a, nil
}

// Token issues a bearer token (RFC 6749, Section 4.4) for an authenticated app.
func (s *Apps) Token(ctx context.Context, a App) (token string, expiresIn time.Duration, err error) {
	token = ident.New("mat", 32)
	if err := s.Records.PutToken(ctx, sha256.Sum256([]byte(token)), a.ID, s.Now(), s.Now().Add(s.TokenFor)); err != nil {
		return "", 0, fmt.Errorf("storing token: %w", err)
	}
	return token, s.TokenFor, nil
}

// ByToken authenticates a bearer token; ErrUnknown when wrong or expired.
func (s *Apps) ByToken(ctx context.Context, token string) (App, error) {
	return s.Records.AppByToken(ctx, sha256.Sum256([]byte(token)), s.Now())
}
