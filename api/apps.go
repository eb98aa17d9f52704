package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

// Registration is what an app is registered with; it and the next two are exported to be embedded.
type Registration struct {
	Name         string   `json:"name" maxLength:"120" doc:"Shown to officers" example:"iGFMAS pengeluaran"`
	Systems      []string `json:"systems" maxItems:"20" nullable:"false" doc:"It may speak for these alone"`
	Grants       []string `json:"grants,omitempty" maxItems:"8" nullable:"false" doc:"sign, lookup, verify (all three when none of them is named), RAW, pades_digest, csc_explicit"`
	PINEntry     string   `json:"pin_entry,omitempty" enum:"hosted,app" default:"hosted"`
	Rate         float64  `json:"rate,omitempty" default:"50" doc:"Requests a second"`
	RedirectURIs []string `json:"redirect_uris,omitempty" maxItems:"20" nullable:"false" doc:"https, compared byte by byte"`
	Webhook      string   `json:"webhook,omitempty" maxLength:"500" doc:"https address that events go to"`
	MTLS         bool     `json:"mtls,omitempty" doc:"Nothing of the app works without a client certificate that it is bound to"`
}

type proposalBody struct {
	ID string `json:"proposal_id"`
	MadeBy
	Registration
}

// MadeBy says who has made what a second person may have to confirm.
type MadeBy struct {
	By     string `json:"by,omitempty" doc:"account: and an id; somebody else confirms"`
	ByName string `json:"by_name,omitempty" doc:"Of that account, where one app is shown"`
	Yours  bool   `json:"yours,omitempty" doc:"Who asks made it"`
}

// AppBody is an app as it is shown.
type AppBody struct {
	ID string `json:"app_id" doc:"client_id"`
	Registration
	State     string        `json:"state" enum:"PROPOSED,ACTIVE,SUSPENDED,ENDED"`
	CreatedAt time.Time     `json:"created_at"`
	Proposal  *proposalBody `json:"proposal,omitempty" doc:"What awaits a second person"`
}

type appCredentialBody struct {
	ID     string `json:"credential_id"`
	Kind   string `json:"kind" enum:"client_secret,private_key_jwt,api_key,basic,certificate"`
	Awaits bool   `json:"awaits_confirmation" doc:"Not in force until a second person has confirmed it"`
	MadeBy
	CreatedAt time.Time       `json:"created_at"`
	ExpiresAt *time.Time      `json:"expires_at,omitempty"`
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`
	LastUsed  string          `json:"last_used,omitempty" format:"date" doc:"The day, UTC"`
	Replaces  string          `json:"replaces,omitempty"`
	OldUntil  *time.Time      `json:"old_until,omitempty" doc:"When what it replaces ends"`
	JWKS      json.RawMessage `json:"jwks,omitempty" doc:"Of private_key_jwt"`
	SHA256    string          `json:"sha256,omitempty" doc:"Of certificate: hexadecimal"`
	Subject   string          `json:"subject,omitempty" doc:"Of certificate: RFC 4514"`
}

// AppPath names an app in a path.
type AppPath struct {
	ID string `path:"id" maxLength:"32"`
}

type registerInput struct {
	Body struct {
		ID string `json:"app_id" maxLength:"32" doc:"client_id: letters, digits, - and _"`
		Registration
	}
}

type changeAppInput struct {
	AppPath
	Body struct {
		Name         *string   `json:"name,omitempty" maxLength:"120"`
		Systems      *[]string `json:"systems,omitempty" maxItems:"20"`
		Grants       *[]string `json:"grants,omitempty" maxItems:"8"`
		PINEntry     *string   `json:"pin_entry,omitempty" enum:"hosted,app"`
		Rate         *float64  `json:"rate,omitempty"`
		RedirectURIs *[]string `json:"redirect_uris,omitempty" maxItems:"20"`
		Webhook      *string   `json:"webhook,omitempty" maxLength:"500"`
		MTLS         *bool     `json:"mtls,omitempty"`
	}
}

type confirmAppInput struct {
	AppPath
	Body struct {
		Proposal string `json:"proposal_id" maxLength:"64" doc:"As GET shows it: what was seen is what is confirmed"`
	}
}

type appReasonInput struct {
	AppPath
	Body struct {
		Reason string `json:"reason" maxLength:"200" doc:"5 to 200 characters"`
	}
}

type addCredentialInput struct {
	AppPath
	Body struct {
		Kind      string          `json:"kind" enum:"client_secret,private_key_jwt,api_key,basic,certificate"`
		ExpiresAt time.Time       `json:"expires_at,omitempty" doc:"Never when it is not given"`
		Replaces  string          `json:"replaces,omitempty" maxLength:"64" doc:"One of the same kind, which goes on until old_until"`
		OldUntil  time.Time       `json:"old_until,omitempty" doc:"7 days when it is not given, at most 90"`
		JWKS      json.RawMessage `json:"jwks,omitempty" doc:"Of private_key_jwt: public keys (RFC 7517)"`
		SHA256    string          `json:"sha256,omitempty" maxLength:"64" doc:"Of certificate: SHA-256 of its DER, hexadecimal; or"`
		Subject   string          `json:"subject,omitempty" maxLength:"400" doc:"any of the configured CA with this subject (RFC 4514)"`
	}
}

type credentialInput struct {
	AppPath
	Credential string `path:"credential" maxLength:"64"`
}

type listAppsInput struct {
	System string `query:"system" maxLength:"32" doc:"That they serve"`
	State  string `query:"state" enum:"PROPOSED,ACTIVE,SUSPENDED,ENDED"`
	Awaits bool   `query:"awaits" doc:"Where a registration, a change or a credential awaits a second person"`
	Text   string `query:"q" maxLength:"120" doc:"A part of the name or id"`
	After  string `query:"after" maxLength:"32" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type appOutput struct{ Body AppBody }

type listedAppBody struct {
	AppBody
	Live     int        `json:"credentials_live" doc:"Credentials in force"`
	Awaiting int        `json:"credentials_awaiting" doc:"That await a second person"`
	EndsAt   *time.Time `json:"credential_ends_at,omitempty" doc:"The first end to come of one in force"`
	LastUsed string     `json:"last_used,omitempty" format:"date" doc:"The day, UTC, of the newest use of one"`
}

type appsOutput struct {
	Body struct {
		Apps []listedAppBody `json:"apps"`
		Next string          `json:"next,omitempty" doc:"after of the next page; absent on the last"`
	}
}

type shownAppOutput struct {
	Body struct {
		AppBody
		Credentials []appCredentialBody `json:"credentials" doc:"The oldest first, those that have ended, too"`
	}
}

type addedCredentialOutput struct {
	Body struct {
		Credential appCredentialBody `json:"credential"`
		Secret     string            `json:"secret,omitempty" doc:"Shown this once; none of private_key_jwt and certificate"`
	}
}

func (s *server) appDesk(h huma.API) {
	const tag, at = "Apps", "/v1/admin/apps"
	quiet := func(o huma.Operation) huma.Operation { o.DefaultStatus = http.StatusNoContent; return o }
	huma.Register(h, administer(tag, "apps", http.MethodGet, at, "Registered apps: JDN and AUDITOR see all, a SAP those of the own system; by id"), s.listApps)
	add := administer(tag, "registerApp", http.MethodPost, at, "Register an app; one with RAW, pades_digest, csc_explicit or pin_entry app, and one that a SAP asks for, awaits a second person")
	add.DefaultStatus = http.StatusCreated
	huma.Register(h, add, s.registerApp)
	huma.Register(h, administer(tag, "app", http.MethodGet, at+"/{id}", "An app with its credentials"), s.showApp)
	huma.Register(h, administer(tag, "changeApp", http.MethodPatch, at+"/{id}", "Change an app; what makes it more powerful awaits a second person"), s.changeApp)
	huma.Register(h, administer(tag, "confirmApp", http.MethodPost, at+"/{id}/confirm", "Confirm what was proposed, as the second person (JDN)"), s.confirmApp)
	for name, do := range map[string]func(context.Context, enrol.Actor, string, string) (enrol.App, error){"suspend": s.suspendApp, "resume": s.resumeApp, "end": s.endApp} {
		words := map[string]string{"suspend": "Refuse all credentials and tokens of an app from now on", "resume": "Take them again (JDN)", "end": "End an app for good (JDN)"}
		huma.Register(h, administer(tag, name+"App", http.MethodPost, at+"/{id}/"+name, words[name]), s.turnApp(do))
	}
	key := unkept(administer(tag, "addAppCredential", http.MethodPost, at+"/{id}/credentials", "Give an app another credential; its secret is shown once. Without Idempotency-Key"))
	key.DefaultStatus = http.StatusCreated
	huma.Register(h, key, s.addAppCredential)
	huma.Register(h, quiet(administer(tag, "confirmAppCredential", http.MethodPost, at+"/{id}/credentials/{credential}/confirm", "Confirm a credential as the second person (JDN)")), s.confirmAppCredential)
	huma.Register(h, quiet(administer(tag, "revokeAppCredential", http.MethodDelete, at+"/{id}/credentials/{credential}", "Revoke a credential at once, with its tokens")), s.revokeAppCredential)
}

func registrationOut(a *enrol.App) Registration {
	full := func(list []string) []string { return append([]string{}, list...) }
	return Registration{a.Name, full(a.Systems), full(a.Grants), a.PINEntry, a.Rate, full(a.RedirectURIs), a.Webhook, a.MTLS}
}

func appOut(a *enrol.App) AppBody {
	b := AppBody{ID: a.ID, Registration: registrationOut(a), State: a.State, CreatedAt: a.CreatedAt.UTC()}
	if p := a.Proposal; p != nil {
		n := a.Proposed()
		b.Proposal = &proposalBody{p.ID, MadeBy{By: p.By}, registrationOut(&n)}
	}
	return b
}

func appCredentialOut(c *enrol.AppCredential) appCredentialBody {
	b := appCredentialBody{ID: c.ID, Kind: c.Kind, Awaits: c.Awaits, MadeBy: MadeBy{By: c.By}, CreatedAt: c.CreatedAt.UTC(), ExpiresAt: when(c.ExpiresAt), RevokedAt: when(c.RevokedAt), LastUsed: dayOf(c.LastUsed),
		Replaces: c.Replaces, OldUntil: when(c.ReplacesUntil)}
	switch {
	case c.Kind == enrol.KindJWT:
		b.JWKS = json.RawMessage(c.Public)
	case c.Kind == enrol.KindCertificate && c.Public != "":
		b.Subject = c.Public
	case c.Kind == enrol.KindCertificate:
		b.SHA256 = hex.EncodeToString(c.Hash[:])
	}
	return b
}

// dayOf is a day, "" for none.
func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// introduce names those who made what an app is to become, and its credentials: whoever confirms
// it must know whom to ask.
func (s *server) introduce(ctx context.Context, made ...*MadeBy) error {
	names := map[string]string{}
	for _, m := range made {
		m.Yours = m.By == personOf(ctx).Actor.Name
		id, ok := strings.CutPrefix(m.By, "account:")
		if _, known := names[id]; ok && !known {
			a, _, err := s.Accounts.Records.Account(ctx, id)
			if err != nil && !errors.Is(err, enrol.ErrUnknown) {
				return fmt.Errorf("reading who made it: %w", err)
			}
			names[id] = a.Name
		}
		m.ByName = names[id]
	}
	return nil
}

// appAnswer is the answer of what changes an app.
func (s *server) appAnswer(ctx context.Context, a enrol.App, err error) (*appOutput, error) {
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &appOutput{appOut(&a)}, nil
}

func (s *server) listApps(ctx context.Context, in *listAppsInput) (*appsOutput, error) {
	list, err := s.Apps.List(ctx, personOf(ctx).Actor, enrol.AppQuery{System: in.System, State: in.State, Awaits: in.Awaits, Text: in.Text, After: in.After, Limit: in.Limit})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &appsOutput{}
	out.Body.Apps = []listedAppBody{}
	for k := range list {
		c := &list[k].Credentials
		out.Body.Apps = append(out.Body.Apps, listedAppBody{appOut(&list[k].App), c.Live, c.Awaiting, when(c.EndsAt), dayOf(c.LastUsed)})
	}
	if n := len(list); n > 0 && n == in.Limit {
		out.Body.Next = list[n-1].ID
	}
	return out, nil
}

func (s *server) registerApp(ctx context.Context, in *registerInput) (*appOutput, error) {
	b := &in.Body
	a, err := s.Apps.Add(ctx, personOf(ctx).Actor, enrol.App{ID: b.ID, Name: b.Name, Systems: b.Systems, Grants: b.Grants, PINEntry: b.PINEntry, Rate: b.Rate,
		RedirectURIs: b.RedirectURIs, Webhook: b.Webhook, MTLS: b.MTLS})
	return s.appAnswer(ctx, a, err)
}

func (s *server) showApp(ctx context.Context, in *AppPath) (*shownAppOutput, error) {
	a, list, err := s.Apps.Show(ctx, personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &shownAppOutput{}
	out.Body.AppBody, out.Body.Credentials = appOut(&a), []appCredentialBody{}
	for k := range list {
		out.Body.Credentials = append(out.Body.Credentials, appCredentialOut(&list[k]))
	}
	made := []*MadeBy{}
	if p := out.Body.Proposal; p != nil {
		made = append(made, &p.MadeBy)
	}
	for k := range out.Body.Credentials {
		made = append(made, &out.Body.Credentials[k].MadeBy)
	}
	if err := s.introduce(ctx, made...); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

func (s *server) changeApp(ctx context.Context, in *changeAppInput) (*appOutput, error) {
	b := &in.Body
	a, err := s.Apps.Change(ctx, personOf(ctx).Actor, in.ID, func(a *enrol.App) {
		put(&a.Name, b.Name)
		put(&a.Systems, b.Systems)
		put(&a.Grants, b.Grants)
		put(&a.PINEntry, b.PINEntry)
		put(&a.Rate, b.Rate)
		put(&a.RedirectURIs, b.RedirectURIs)
		put(&a.Webhook, b.Webhook)
		put(&a.MTLS, b.MTLS)
	})
	return s.appAnswer(ctx, a, err)
}

// put sets what was given.
func put[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}

func (s *server) confirmApp(ctx context.Context, in *confirmAppInput) (*appOutput, error) {
	a, err := s.Apps.Confirm(ctx, personOf(ctx).Actor, in.ID, in.Body.Proposal)
	return s.appAnswer(ctx, a, err)
}

// These are looked up when they are called: the description of the API is made without apps.
func (s *server) suspendApp(ctx context.Context, by enrol.Actor, id, why string) (enrol.App, error) {
	return s.Apps.Suspend(ctx, by, id, why)
}

func (s *server) resumeApp(ctx context.Context, by enrol.Actor, id, why string) (enrol.App, error) {
	return s.Apps.Resume(ctx, by, id, why)
}

func (s *server) endApp(ctx context.Context, by enrol.Actor, id, why string) (enrol.App, error) {
	return s.Apps.End(ctx, by, id, why)
}

func (s *server) turnApp(do func(context.Context, enrol.Actor, string, string) (enrol.App, error)) func(context.Context, *appReasonInput) (*appOutput, error) {
	return func(ctx context.Context, in *appReasonInput) (*appOutput, error) {
		a, err := do(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason)
		return s.appAnswer(ctx, a, err)
	}
}

func (s *server) addAppCredential(ctx context.Context, in *addCredentialInput) (*addedCredentialOutput, error) {
	b := &in.Body
	n := enrol.NewCredential{Kind: b.Kind, Keys: b.JWKS, Subject: b.Subject, ExpiresAt: b.ExpiresAt, Replaces: b.Replaces, Until: b.OldUntil}
	if b.SHA256 != "" {
		sum, err := hex.DecodeString(strings.ReplaceAll(b.SHA256, ":", ""))
		if err != nil || len(sum) != 32 {
			return nil, s.fail(ctx, fixed("sha256", "It must be 64 hexadecimal digits.", "Ia mesti 64 digit perenambelasan."))
		}
		n.Thumbprint = [32]byte(sum)
	}
	c, text, err := s.Apps.AddCredential(ctx, personOf(ctx).Actor, in.ID, n)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer text.Wipe()
	out := &addedCredentialOutput{}
	out.Body.Credential, out.Body.Secret = appCredentialOut(&c), string(text.Reveal())
	return out, nil
}

func (s *server) confirmAppCredential(ctx context.Context, in *credentialInput) (*struct{}, error) {
	if err := s.Apps.ConfirmCredential(ctx, personOf(ctx).Actor, in.ID, in.Credential); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) revokeAppCredential(ctx context.Context, in *credentialInput) (*struct{}, error) {
	if err := s.Apps.RevokeCredential(ctx, personOf(ctx).Actor, in.ID, in.Credential); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
