package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Operations that are granted to an app. RAW, pades_digest and csc_explicit come on top of signing: a
// bare digest can stand for anything, that of a prepared PDF for one that is known here and cannot be
// recognised, and an explicit code names no documents.
const (
	GrantSign     = "sign"   // documents, transactions, batches
	GrantLookup   = "lookup" // officers and certificates
	GrantVerify   = "verify"
	GrantRAW      = "RAW"
	GrantPrepared = "pades_digest" // PADES of a PDF that stays with the app
	GrantExplicit = "csc_explicit"
)

// operations are those that an app has unless it was registered with some of them.
func operations() []string { return []string{GrantSign, GrantLookup, GrantVerify} }

// Where the officer enters the PIN.
const (
	PINHosted = "hosted" // on the gateway's own page (default)
	PINInApp  = "app"    // in the app, which is trusted with it
)

// States of an app. Nothing of one that is not active works.
const (
	AppProposed  = "PROPOSED" // awaits a second person
	AppActive    = "ACTIVE"
	AppSuspended = "SUSPENDED"
	AppEnded     = "ENDED"
)

// App is an application that asks for signatures.
type App struct {
	ID       string // client_id
	Name     string // registered name, shown to officers
	Systems  []string
	Grants   []string
	PINEntry string
	Rate     float64 // requests a second
	// RedirectURIs are compared as strings (RFC 6749, Section 3.1.2; RFC 9700, Section 2.1).
	RedirectURIs []string
	Webhook      string // https URL that events go to; "" for none
	State        string // AppActive …
	// MTLS: no credential and no token works but over a connection with a client certificate
	// that the app is bound to (RFC 8705).
	MTLS bool
	// Person is the account whose own app it is, see [Apps.Own]; "" for a program.
	Person    string       `json:"-"`
	Proposal  *AppProposal `json:"-"` // what awaits a second person; nil for nothing
	Revision  int64        `json:"-"` // counts its changes
	CreatedAt time.Time

	via   string    // the credential that it proved itself with
	until time.Time // when that ends; zero: never
	bound [32]byte  // SHA-256 of the certificate it came with; zero: none was needed
}

// AppProposal is what an app is to become once a second person has confirmed it.
type AppProposal struct {
	ID  string // another for each proposal
	By  string `json:"-"` // Actor's Name
	App App
	// Unbinds says that MTLS is to end.
	Unbinds bool
	// Webhook is where events went when it was made: the address changes only where App has
	// another one.
	Webhook string
}

// Serves says whether the app may speak for system.
func (a *App) Serves(system string) bool { return slices.Contains(a.Systems, system) }

// Granted says whether the app holds a grant.
func (a *App) Granted(g string) bool { return slices.Contains(a.Grants, g) }

// Credential is the id of what the app proved itself with; "" for one that did not.
func (a *App) Credential() string { return a.via }

// Kinds of credentials.
const (
	KindSecret      = "client_secret"   // at the token endpoint (RFC 6749, Section 2.3.1)
	KindJWT         = "private_key_jwt" // there, too (RFC 7523, Section 2.2)
	KindKey         = "api_key"         // with each request, X-API-Key
	KindBasic       = "basic"           // with each request (RFC 7617)
	KindCertificate = "certificate"     // what the others are bound to (RFC 8705)
)

// AppCredential is one of what an app proves itself with. Secrets are random with 256 bits, so
// a plain SHA-256 of each is kept.
type AppCredential struct {
	ID, App, Kind string
	Hash          [32]byte // SHA-256 of the secret, or of the certificate's DER; else zero
	// Public is a JWK set (RFC 7517, Section 5), or a certificate's subject as in RFC 4514
	// where any certificate of the configured CA with that subject will do.
	Public    string
	By        string // who made it: Actor's Name
	Awaits    bool   // not in force until a second person has confirmed it
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time
	LastUsed  time.Time // the day, UTC; zero: never
	// Replaces is the credential that ends at ReplacesUntil once this one is in force; "".
	Replaces      string
	ReplacesUntil time.Time
}

// live says whether a credential is in force.
func (c *AppCredential) live(now time.Time) bool {
	return !c.Awaits && c.RevokedAt.IsZero() && (c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt))
}

// AppToken is a bearer token as it is kept: by its hash, with the credential it dies with.
type AppToken struct {
	Hash, Bound     [32]byte // Bound: x5t#S256 of RFC 8705, Section 3.1; zero for none
	App, Credential string
	ExpiresAt       time.Time
}

// AppRecords is the register of apps. Each call is durable, with its event, when it returns
// nil.
type AppRecords interface {
	recorder
	Systems(ctx context.Context) ([]System, error)
	Hand(ctx context.Context, ic string) ([]string, error)
	// Officer gives an officer with the media, or ErrUnknown.
	Officer(ctx context.Context, ic string) (Officer, []Medium, error)
	// PutApp inserts an app with its first credentials; ErrExists when its id is taken.
	PutApp(ctx context.Context, a App, credentials []AppCredential, ev audit.Event) error
	// SetApp stores a as it is now, and with awaits makes all its credentials await a second
	// person; ErrState when it is not the revision that was read. With one that has ended what
	// it was still to be told is dropped.
	SetApp(ctx context.Context, a App, awaits bool, ev audit.Event) error
	// AppByID, AppBySecret and AppByToken find an app, in whatever state, or ErrUnknown.
	AppByID(ctx context.Context, id string) (App, error)
	AppBySecret(ctx context.Context, kind string, hash [32]byte) (App, AppCredential, error)
	AppByToken(ctx context.Context, hash [32]byte, now time.Time) (a App, c AppCredential, bound [32]byte, err error)
	// ListApps gives at most limit apps behind an id, by id; none of a person.
	ListApps(ctx context.Context, after string, limit int) ([]App, error)
	// SumAppCredentials sums up, by app, the credentials of those behind after, up to last.
	SumAppCredentials(ctx context.Context, after, last string, now time.Time) (map[string]CredentialSum, error)
	// AppCredentials lists all of an app's, also those that have ended, the oldest first.
	AppCredentials(ctx context.Context, app string) ([]AppCredential, error)
	// PutAppCredential and ConfirmAppCredential put one into force, or keep it until it is
	// confirmed; with one of KindCertificate in force the app's MTLS is set. RevokeAppCredential
	// ends it with its tokens. ErrUnknown for one that is not there, or not for that.
	PutAppCredential(ctx context.Context, c AppCredential, ev audit.Event) error
	ConfirmAppCredential(ctx context.Context, app, id string, ev audit.Event) error
	RevokeAppCredential(ctx context.Context, app, id string, ev audit.Event) error
	// UsedAppCredential notes the day of its newest use.
	UsedAppCredential(ctx context.Context, id string, day time.Time) error
	// UseAssertion takes the id of an assertion until it expires; ErrExists when it was taken.
	UseAssertion(ctx context.Context, app string, id [32]byte, now, until time.Time) error
	// PutToken keeps a bearer token until it expires.
	PutToken(ctx context.Context, t AppToken, now time.Time) error
}

// Apps registers and authenticates applications. All fields are required unless said otherwise.
type Apps struct {
	Records  AppRecords
	Now      func() time.Time
	TokenFor time.Duration // lifetime of a bearer token
	// ClientCAs are those whose certificates an app can be bound to by subject; nil: none.
	ClientCAs *x509.CertPool
	// Audiences are what an assertion may be made out to: the token endpoint and the issuer.
	// Empty: assertions are refused.
	Audiences []string
	// Receiver is an error for an address that no event may go to; nil: [CheckWebhook] alone.
	Receiver func(url string) error
	// Sandbox allows redirect URIs with http to a loopback address.
	Sandbox bool
	// Portal is where the signing page leads back to those who asked with a session.
	Portal string
}

// Register stores a new app with a client secret, good as Basic, too, and an API key, which are
// shown once. Nobody is asked whether actor may: it is for the gateway itself, at its first start.
func (s *Apps) Register(ctx context.Context, actor string, a App) (App, secret.Text, secret.Text, error) {
	a, err := s.filled(a)
	if err != nil {
		return App{}, secret.Text{}, secret.Text{}, err
	}
	clientSecret, apiKey := ident.New("mcs", 32), ident.New("mak", 32)
	a.State = AppActive
	made := func(kind, text string) AppCredential {
		return AppCredential{ID: ident.New("ak", 16), App: a.ID, Kind: kind, Hash: sha256.Sum256([]byte(text)), By: actor, CreatedAt: a.CreatedAt}
	}
	ev := audit.Event{At: s.Now(), Actor: actor, Action: "enrol.app", Object: "app:" + a.ID, Verdict: audit.Accepted, Detail: map[string]string{"pin_entry": a.PINEntry}}
	err = s.Records.PutApp(ctx, a, []AppCredential{made(KindSecret, clientSecret), made(KindBasic, clientSecret), made(KindKey, apiKey)}, ev)
	if err != nil {
		return App{}, secret.Text{}, secret.Text{}, fmt.Errorf("storing app: %w", err)
	}
	return a, secret.New(clientSecret), secret.New(apiKey), nil
}

// filled is a with what it has by default; ErrInvalid for what no app may be.
func (s *Apps) filled(a App) (App, error) {
	if !validID(a.ID) || a.Name == "" || len(a.Systems) == 0 {
		return a, fmt.Errorf("%w: an app needs an id, a name and a system", ErrInvalid)
	}
	if a.PINEntry != PINHosted && a.PINEntry != PINInApp {
		return a, fmt.Errorf("%w: pin_entry must be %q or %q", ErrInvalid, PINHosted, PINInApp)
	}
	if a.Rate <= 0 {
		a.Rate = 50
	}
	if !slices.ContainsFunc(operations(), a.Granted) {
		a.Grants = append(operations(), a.Grants...)
	}
	if a.CreatedAt.IsZero() {
		a.CreatedAt = s.Now().UTC()
	}
	return a, nil
}

// ByKey authenticates an API key; ErrUnknown otherwise. certs is the client certificate of the
// connection, the leaf first; nil for none.
func (s *Apps) ByKey(ctx context.Context, key string, certs []*x509.Certificate) (App, error) {
	return s.bySecret(ctx, KindKey, "", key, certs)
}

// ByBasic authenticates an id and password that came with a request (RFC 7617); see ByKey.
func (s *Apps) ByBasic(ctx context.Context, id, password string, certs []*x509.Certificate) (App, error) {
	return s.bySecret(ctx, KindBasic, id, password, certs)
}

// BySecret authenticates client_id and client_secret at the token endpoint; ErrUnknown for a
// wrong one of either. See ByKey.
func (s *Apps) BySecret(ctx context.Context, id, clientSecret string, certs []*x509.Certificate) (App, error) {
	return s.bySecret(ctx, KindSecret, id, clientSecret, certs)
}

func (s *Apps) bySecret(ctx context.Context, kind, id, text string, certs []*x509.Certificate) (App, error) {
	a, c, err := s.Records.AppBySecret(ctx, kind, sha256.Sum256([]byte(text)))
	if err != nil {
		return App{}, err
	}
	if kind != KindKey && a.ID != id {
		return App{}, ErrUnknown
	}
	return s.admit(ctx, a, &c, certs)
}

// admit lets an app in by a credential of its own that was right.
func (s *Apps) admit(ctx context.Context, a App, c *AppCredential, certs []*x509.Certificate) (App, error) {
	now := s.Now()
	if a.State != AppActive || !c.live(now) {
		return App{}, ErrUnknown
	}
	if a.MTLS {
		ok, err := s.bindsTo(ctx, a.ID, certs, now)
		if err != nil {
			return App{}, err
		}
		if !ok {
			return App{}, ErrUnknown
		}
		a.bound = sha256.Sum256(certs[0].Raw)
	}
	if day := now.UTC().Truncate(24 * time.Hour); c.LastUsed.Before(day) {
		if err := s.Records.UsedAppCredential(ctx, c.ID, day); err != nil {
			return App{}, fmt.Errorf("noting the use of a credential: %w", err)
		}
	}
	a.via, a.until = c.ID, c.ExpiresAt
	return a, nil
}

// Token issues a bearer token (RFC 6749, Section 4.4) for an app that was authenticated. It is
// bound to the certificate that came with that, and ends with the credential, if not before.
func (s *Apps) Token(ctx context.Context, a App) (token string, expiresIn time.Duration, err error) {
	if a.via == "" {
		return "", 0, errors.New("making a token: the app did not prove itself")
	}
	token, now := ident.New("mat", 32), s.Now()
	until := now.Add(s.TokenFor)
	if !a.until.IsZero() && a.until.Before(until) {
		until = a.until
	}
	if err := s.Records.PutToken(ctx, AppToken{Hash: sha256.Sum256([]byte(token)), Bound: a.bound, App: a.ID, Credential: a.via, ExpiresAt: until}, now); err != nil {
		return "", 0, fmt.Errorf("storing token: %w", err)
	}
	return token, until.Sub(now), nil
}

// ByToken authenticates a bearer token; ErrUnknown when wrong or expired, when its credential
// has ended, or when it is bound to another certificate (RFC 8705, Section 3).
func (s *Apps) ByToken(ctx context.Context, token string, certs []*x509.Certificate) (App, error) {
	a, c, bound, err := s.Records.AppByToken(ctx, sha256.Sum256([]byte(token)), s.Now())
	if err != nil {
		return App{}, err
	}
	if a.MTLS || bound != [32]byte{} {
		if len(certs) == 0 || sha256.Sum256(certs[0].Raw) != bound {
			return App{}, ErrUnknown
		}
	}
	return s.admit(ctx, a, &c, certs)
}
