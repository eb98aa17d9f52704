package api

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/pdf/verify"
)

type fileOutput struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	LastModified string `header:"Last-Modified"`
	Expires      string `header:"Expires"`
	Body         []byte
}

type nameInput struct {
	Name string `path:"name" maxLength:"64" doc:"An authority, such as root or issuing, with its suffix" example:"issuing.crl"`
}

type serialInput struct {
	Serial string `path:"serial" maxLength:"64" doc:"Decimal"`
}

type certificateOutput struct{ Body certificateBody }

func (s *server) pki(h huma.API) {
	huma.Register(h, binary(op("PKI", "caChain", http.MethodGet, "/ca/chain.pem", "Issuing CAs and roots, PEM"), "application/pem-certificate-chain", "The chain"), s.caChain)
	huma.Register(h, binary(op("PKI", "caCertificate", http.MethodGet, "/ca/{name}", "A CA's certificate, DER: root.cer, issuing.cer", http.StatusNotFound), "application/pkix-cert", "The certificate"), s.caCertificate)
	huma.Register(h, binary(op("PKI", "crl", http.MethodGet, "/crl/{name}", "A CA's revocation list, DER: root.crl, issuing.crl", http.StatusNotFound), "application/pkix-crl", "The CRL"), s.crl)
	huma.Register(h, granted(enrol.GrantLookup, op("PKI", "certificate", http.MethodGet, "/v1/certificates/{serial}", "An officer's certificate and its status", http.StatusNotFound)), s.certificate)
}

const aDay = "public, max-age=86400"

func (s *server) caChain(context.Context, *struct{}) (*fileOutput, error) {
	var out []byte
	for _, x := range s.CA.Trusted() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.CA.Certificate(x.Name).Raw})...)
	}
	return &fileOutput{ContentType: "application/pem-certificate-chain", CacheControl: aDay, Body: out}, nil
}

func (s *server) caCertificate(ctx context.Context, in *nameInput) (*fileOutput, error) {
	name, ok := strings.CutSuffix(in.Name, ".cer")
	c := s.CA.Certificate(name)
	if !ok || c == nil {
		return nil, s.fail(ctx, errNotFound)
	}
	// RFC 2585, Section 4.1.
	return &fileOutput{ContentType: "application/pkix-cert", CacheControl: aDay, Body: c.Raw}, nil
}

func (s *server) crl(ctx context.Context, in *nameInput) (*fileOutput, error) {
	name, ok := strings.CutSuffix(in.Name, ".crl")
	if !ok {
		return nil, s.fail(ctx, errNotFound)
	}
	c, err := s.CA.PublishedCRL(ctx, name)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	// A mirror may keep it for a quarter of its life, but not beyond its end (RFC 5280,
	// Section 5.1.2.5); a revocation is to be seen before that by who asks anew.
	age := int(min(c.NextUpdate.Sub(c.ThisUpdate)/4, c.NextUpdate.Sub(s.Now())).Seconds())
	return &fileOutput{ContentType: "application/pkix-crl", CacheControl: "public, max-age=" + strconv.Itoa(age),
		LastModified: c.ThisUpdate.Format(http.TimeFormat), Expires: c.NextUpdate.Format(http.TimeFormat), Body: c.DER}, nil
}

func (s *server) certificate(ctx context.Context, in *serialInput) (*certificateOutput, error) {
	row, err := s.certificateOf(ctx, in.Serial)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b := certificateBody{SerialNumber: row.Serial, Subject: verify.Subject(cert), NotBefore: row.NotBefore, NotAfter: row.NotAfter, Status: row.Status,
		DER: base64.StdEncoding.EncodeToString(row.DER)}
	if row.Status == ca.Active && s.Now().After(row.NotAfter) {
		b.Status = "EXPIRED"
	}
	above, err := s.CA.Above(ctx, cert)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for _, c := range above {
		b.Chain = append(b.Chain, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return &certificateOutput{b}, nil
}

// certificateOf finds an officer's certificate that the calling app may see:
// one of an officer with a medium for one of its systems; a person the own ones.
func (s *server) certificateOf(ctx context.Context, serial string) (ca.Certificate, error) {
	row, err := s.CA.BySerial(ctx, serial)
	if err != nil {
		return row, err
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil || row.Status == ca.Reserved || strings.HasPrefix(row.Credential, "authority:") {
		return row, ca.ErrUnknown
	}
	if onlyOwn(ctx, cert.Subject.SerialNumber) != nil {
		return row, ca.ErrUnknown
	}
	_, media, err := s.People.Officer(ctx, cert.Subject.SerialNumber)
	if err != nil {
		return row, ca.ErrUnknown
	}
	for _, m := range media {
		if m.Credential == row.Credential && appOf(ctx).Serves(m.System) {
			return row, nil
		}
	}
	return row, ca.ErrUnknown
}

type tokenInput struct {
	upload
	Authorization string `header:"Authorization"` // for the description: header has it
	ContentType   string `header:"Content-Type"`
	header        http.Header
}

// Resolve implements huma.Resolver: a header that is there twice is seen to be.
func (in *tokenInput) Resolve(ctx huma.Context) []error {
	in.header = http.Header{}
	ctx.EachHeader(in.header.Add)
	return in.upload.Resolve(ctx)
}

type tokenOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	RetryAfter   string `header:"Retry-After"`
	Challenge    string `header:"WWW-Authenticate"`
	Body         tokenBody
}

// tokenBody is both answers of RFC 6749, Sections 5.1 and 5.2.
type tokenBody struct {
	AccessToken      string `json:"access_token,omitempty"`
	TokenType        string `json:"token_type,omitempty" example:"Bearer"`
	ExpiresIn        int    `json:"expires_in,omitempty" doc:"Seconds"`
	Error            string `json:"error,omitempty" enum:"invalid_request,invalid_client,unsupported_grant_type,temporarily_unavailable"`
	ErrorDescription string `json:"error_description,omitempty"`
}

func (s *server) oauth(h huma.API) {
	o := streamed(op("Apps", "token", http.MethodPost, "/oauth2/token", "OAuth 2.0 client credentials (RFC 6749, Section 4.4)"),
		"application/x-www-form-urlencoded")
	huma.Register(h, o, s.token)
	in := h.OpenAPI().Paths[o.Path].Post
	for status, codes := range map[int]string{http.StatusBadRequest: "invalid_request, unsupported_grant_type", http.StatusUnauthorized: "invalid_client", http.StatusServiceUnavailable: "temporarily_unavailable"} {
		alsoWith(in, status, "error (RFC 6749, Section 5.2): "+codes)
	}
	// The schema comes after: huma would otherwise want to read the form itself.
	o.RequestBody.Content["application/x-www-form-urlencoded"].Schema = &huma.Schema{Type: "object", Required: []string{"grant_type"}, Properties: map[string]*huma.Schema{
		"grant_type": {Type: "string", Enum: []any{"client_credentials"}}, "client_id": {Type: "string"}, "client_secret": {Type: "string", Format: "password"},
		"client_assertion_type": {Type: "string", Enum: []any{assertionType}}, "client_assertion": {Type: "string", Description: "A JWT that a key of the app's has signed (RFC 7523)"}}}
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// client authenticates whoever asks for a token, in one way and not in two (RFC 6749, Section
// 2.3): a secret in the header or the form, or an assertion.
func (s *server) client(ctx context.Context, r *http.Request) (app enrol.App, err error) {
	form, certs := r.PostForm, certificatesOf(ctx)
	name, pass, basic := r.BasicAuth()
	id := form.Get("client_id")
	if basic {
		// RFC 6749, Section 2.3.1: both are encoded as in a form. An id has nothing to encode,
		// and neither has a secret of ours.
		if id != "" && id != name {
			return app, enrol.ErrUnknown
		}
		id = name
	}
	for _, values := range form {
		if len(values) > 1 {
			return app, enrol.ErrUnknown
		}
	}
	// Of two headers a proxy may have read the other one.
	ways := len(r.Header.Values("Authorization"))
	for _, used := range []bool{form.Has("client_secret"), form.Has("client_assertion")} {
		if used {
			ways++
		}
	}
	switch {
	case ways != 1:
		return app, enrol.ErrUnknown
	case form.Has("client_assertion"):
		if form.Get("client_assertion_type") != assertionType {
			return app, enrol.ErrUnknown
		}
		return s.Apps.ByAssertion(ctx, id, form.Get("client_assertion"), certs)
	case basic:
		return s.Apps.BySecret(ctx, id, pass, certs)
	}
	return s.Apps.BySecret(ctx, id, form.Get("client_secret"), certs)
}

func tokenError(status int, code, text string) *tokenOutput {
	o := &tokenOutput{Status: status, CacheControl: "no-store", Body: tokenBody{Error: code, ErrorDescription: text}}
	switch status {
	case http.StatusUnauthorized:
		o.Challenge = `Basic realm="mohor"`
	case http.StatusServiceUnavailable:
		o.RetryAfter = strconv.Itoa(retryAfter)
	}
	return o
}

func (s *server) token(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	r := &http.Request{Method: http.MethodPost, Header: in.header, Body: http.MaxBytesReader(nil, readCloser{in.body}, 16<<10)}
	if err := r.ParseForm(); err != nil || mediaType(in.ContentType) != "application/x-www-form-urlencoded" {
		return tokenError(http.StatusBadRequest, "invalid_request", "the body must be a form"), nil
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		return tokenError(http.StatusBadRequest, "unsupported_grant_type", "grant_type must be client_credentials"), nil
	}
	app, err := s.client(ctx, r)
	switch {
	case isUnknown(err):
		if err := s.unauthenticated(ctx); err != nil {
			return nil, s.fail(ctx, err)
		}
		return tokenError(http.StatusUnauthorized, "invalid_client", "the client is unknown, or what it proves itself with is wrong"), nil
	case err != nil:
		_ = s.logged(ctx, err)
		return tokenError(http.StatusServiceUnavailable, "temporarily_unavailable", "try again"), nil
	}
	ctx = authenticated(ctx, &app)
	if wait, ok := s.allow(ctx, &app); !ok {
		return nil, s.fail(ctx, &retry{errRateLimited, wait})
	}
	token, life, err := s.Apps.Token(ctx, app)
	if err == nil {
		err = s.audit(ctx, "app.token", "app:"+app.ID, audit.Accepted, "")
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &tokenOutput{Status: http.StatusOK, CacheControl: "no-store", Body: tokenBody{AccessToken: token, TokenType: "Bearer", ExpiresIn: int(life / time.Second)}}, nil
}
