// Package api is the JSON API of the gateway ("Ultimate API", /v1) and the
// public PKI, health and OpenAPI routes. Handlers decode, call signer, batch,
// ca or enrol, and encode; they decide nothing. docs/api.md is the contract in
// words, /openapi.json the one for machines.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

// Config is what the API calls. All fields are required unless said otherwise.
type Config struct {
	Signer    *signer.Signer
	Runner    *batch.Runner
	Batches   *batch.Service
	Documents batch.Documents
	CA        *ca.Authorities
	Apps      *enrol.Apps
	Accounts  *enrol.Accounts
	Desk      *enrol.Desk
	Kept      *enrol.Kept
	Auditors  *enrol.Auditors
	Webhooks  *enrol.Webhooks
	// Subject knows everything about a person.
	Subject enrol.SubjectRecords
	People  enrol.Records
	// Codes gives the newest codes sent to an officer, at most limit.
	Codes   func(ctx context.Context, ic string, limit int) ([]otp.Send, error)
	Replies Replies
	// Certificates are the eCertificates, as the public asks about them.
	Certificates Certificates
	// Trust says whom /v1/verify trusts now: our root, with current CRLs.
	Trust func(ctx context.Context) (verify.Options, error)
	// Fingerprint is HMAC-SHA-256 under an HSM key over a request body, so that
	// a stored fingerprint tells nothing about a PIN in it.
	Fingerprint func(ctx context.Context, data []byte) ([]byte, error)
	// Ready proves that the HSM, the database and the mailer work; nil error
	// means ready. The names are those of the parts.
	Ready func(ctx context.Context) map[string]error
	// Stopping is closed when the gateway stops, so that event streams end.
	Stopping <-chan struct{}
	// SigningURL is the address of the page with a token.
	SigningURL func(token string) string
	// Version is the product's version.
	Version string
	// MaxPDF bounds a PDF in bytes, MaxUpload any upload; TempDir spools uploads.
	MaxPDF, MaxUpload int64
	// MaxPublic bounds a PDF that anybody may have checked.
	MaxPublic int64
	TempDir   string
	// SecureCookies: browsers reach the gateway by https. Without it, in a sandbox, the
	// cookies of people lose what only https gives them.
	SecureCookies bool
	// Limits counts for all nodes; nil: this one is alone.
	Limits Limits
	// TrustedProxies are the only peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// CertificateHeader is where these hand on a client's certificate; "": nowhere.
	CertificateHeader string
	Log               *slog.Logger
	Now               func() time.Time
}

// server is the API at work.
type server struct {
	Config
	limits  *limiter
	peers   *limiter // requests without an app, by address
	failed  failures
	streams streams
	// operations by method and pattern, for who must know of one before it is called.
	operations map[string]*huma.Operation
	cross      *http.CrossOriginProtection
	units      chan struct{} // holds one for each request being answered by a unit
	checks     chan struct{} // holds one for each signature being verified
	visits     visits        // PDFs that the public sends
	glances    chan struct{} // holds one for each of these being verified
	public     *limiter      // what the public asks, by network and by IC

	settling atomic.Int32 // claims of keys, see settle
}

// New builds the API's handler on a new router and returns both it and the
// OpenAPI 3.1 description. More routes (pages) can be added to the router.
func New(c Config) (*chi.Mux, *huma.OpenAPI) {
	s := &server{Config: c, limits: newLimiter(c.Now), peers: newLimiter(c.Now), units: make(chan struct{}, unitWidth), checks: make(chan struct{}, runtime.GOMAXPROCS(0)),
		glances: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), public: newLimiter(c.Now)}
	s.cross = s.crossOrigin()
	useProblems()
	r := chi.NewRouter()
	r.Use(s.requestID, s.recoverPanic, s.origin, s.logRequest, secureHeaders, cutStalled, s.authenticate, s.accounted, s.idempotent)
	r.NotFound(s.notFound)
	r.MethodNotAllowed(s.methodNotAllowed)
	h := humachi.New(r, description(c.Version))
	s.sessions(h)
	s.me(h)
	s.mine(h)
	s.pins(h)
	s.ownCertificate(h)
	s.applications(h)
	s.enrolments(h)
	s.renewals(h)
	s.statuses(h)
	s.bulks(h)
	s.queues(h)
	s.reports(h)
	s.auditors(h)
	s.retention(h)
	s.webhooks(h)
	s.appointments(h)
	s.appDesk(h)
	s.systemDesk(h)
	s.help(h)
	s.addresses(h)
	s.leaving(h)
	s.officers(h)
	s.documents(h)
	s.transactions(h)
	s.templates(h)
	s.work(h)
	s.batches(h)
	s.verification(h)
	s.publicRoutes(h)
	s.pki(h)
	s.responders(r, h)
	s.oauth(h)
	s.health(h)
	describe(h.OpenAPI())
	s.operations = operationsByRoute(h.OpenAPI())
	return r, h.OpenAPI()
}

// description is the head of the OpenAPI document.
func description(version string) huma.Config {
	c := huma.DefaultConfig("Mohor", version)
	c.CreateHooks = nil // no $schema members in answers
	c.DocsPath, c.SchemasPath = "", ""
	c.OpenAPIPath = "/openapi"
	c.Info.Description = "GPKI Roaming + OTP signing gateway. Errors are RFC 9457 problems with a stable `code`; `Accept-Language: ms` (default) or `en` chooses their words. `x-error-codes` lists them, of each operation those that it answers with; `x-finer-codes` are those about people (docs/enrolment.md), each with a sentence of its own in `detail`. Any operation answers 405 `method_not_allowed`, with `Allow`, to a method that its path does not have, and any path that there is not 404 `not_found`."
	c.Info.License = nil
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"oauth2": {Type: "oauth2", Flows: &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: "/oauth2/token", Scopes: map[string]string{}}}},
		"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key"},
		"basic":  {Type: "http", Scheme: "basic"},
		"cookie": {Type: "apiKey", In: "cookie", Name: "__Host-mohor-session"},
		"device": {Type: "http", Scheme: "bearer"},
	}
	c.Tags = []*huma.Tag{
		{Name: "Officers", Description: "Which medium an officer holds and whether the officer can sign"},
		{Name: "Documents", Description: "PDFs to be signed, and signed"},
		{Name: "Transactions", Description: "One PIN and one code authorise one transaction"},
		{Name: "Work", Description: "Work processes: who signs in which role, and what waits for a role"},
		{Name: "Batches", Description: "Many documents under one transaction"},
		{Name: "Verification", Description: "Is a signature valid?"},
		{Name: "Public", Description: "What anybody may ask, without an app or a log-in"},
		{Name: "PKI", Description: "Certificates, revocation, time-stamps"},
		{Name: "Apps", Description: "Tokens for applications, and how administrators register them"},
		{Name: "Sessions", Description: "People log in: officers with password and mailed code, administrators with password and TOTP or a passkey"},
		{Name: "Me", Description: "What somebody who is logged in does with the own account"},
		{Name: "Enrolment", Description: "From a list to a certificate: what administrators do, each within the own appointment"},
		{Name: "Administration", Description: "What administrators and auditors do, each within the own scope"},
		{Name: "Administrators", Description: "Who is appointed to what, and help for officers"},
		{Name: "Retention", Description: "What is kept, held, exported and destroyed"},
		{Name: "Health", Description: "For load balancers and monitoring"},
	}
	return c
}

// secured is the security requirement of the operations of apps: one of three.
func secured() []map[string][]string {
	return []map[string][]string{{"oauth2": {}}, {"apiKey": {}}, {"basic": {}}}
}

// op describes one operation; codes are the HTTP statuses it can fail with.
func op(tag, id, method, path, summary string, codes ...int) huma.Operation {
	o := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag}, Errors: codes, Metadata: map[string]any{declared: codes}}
	if len(path) > 3 && path[:4] == "/v1/" {
		switch kindOf(path) {
		case "app":
			if o.Security = secured(); ownPath(path) {
				o.Security = append(o.Security, map[string][]string{"cookie": {}}, map[string][]string{"device": {}})
			}
		case "person", "administrator":
			o.Security = []map[string][]string{{"cookie": {}}, {"device": {}}}
		}
		o.Errors = append([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}, codes...)
	}
	return o
}
