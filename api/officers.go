package api

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

type mediumInput struct {
	IC string `path:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits" example:"800101149999"`
}

type certificateBody struct {
	SerialNumber string    `json:"serial_number" doc:"Decimal"`
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	Status       string    `json:"status" enum:"ACTIVE,SUSPENDED,REVOKED,EXPIRED"`
	DER          string    `json:"der" doc:"Base64 of the DER"`
	Chain        []string  `json:"chain" doc:"Issuing CA first; base64 of the DER"`
}

type keyBody struct {
	Alg string `json:"alg" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384"`
}

type mediumBody struct {
	Medium      string           `json:"medium" enum:"TOKEN,SOFTCERT,ROAMING,ROAMING_OTP"`
	Status      string           `json:"status"`
	System      string           `json:"system"`
	Credential  string           `json:"credential_id,omitempty"`
	Channels    []string         `json:"channels" doc:"By which a code would come, preferred first; those that the agency's policy denies are not among them"`
	Key         *keyBody         `json:"key,omitempty"`
	Certificate *certificateBody `json:"certificate,omitempty"`
}

type officerBody struct {
	IC       string       `json:"ic"`
	CanSign  bool         `json:"can_sign"`
	NextStep string       `json:"next_step" doc:"What the officer does next, in the language of the request"`
	Status   string       `json:"status" enum:"ISSUED,NEW,WAITING_FOR_VERIFICATION,RENEW,EXPIRED,SUSPENDED,REVOKED,NO_CERTIFICATE,NOT_REGISTERED"`
	Media    []mediumBody `json:"media"`
}

type officerOutput struct {
	Language string `header:"Content-Language"`
	Body     officerBody
}

func (s *server) officers(h huma.API) {
	huma.Register(h, granted(enrol.GrantLookup, op("Officers", "medium", http.MethodGet, "/v1/officers/{ic}/medium", "Which medium an officer holds", http.StatusNotFound)), s.medium)
}

// medium tells an app about an officer; each look-up stands in the audit, in vain or not.
func (s *server) medium(ctx context.Context, in *mediumInput) (*officerOutput, error) {
	if _, err := mykad.Parse(in.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	const action = "officer.lookup"
	err := onlyOwn(ctx, in.IC)
	var out *officerOutput
	if err == nil {
		out, err = s.mediaOf(ctx, in.IC, appOf(ctx).Serves)
	}
	if err != nil {
		return nil, s.refused(ctx, action, "officer:"+in.IC, err)
	}
	if err := s.audit(ctx, action, "officer:"+in.IC, audit.Accepted, ""); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

// mediaOf tells about an officer what concerns some systems.
func (s *server) mediaOf(ctx context.Context, ic string, serves func(system string) bool) (*officerOutput, error) {
	o, media, err := s.People.Officer(ctx, ic)
	if err != nil {
		return nil, err
	}
	open, err := s.openEnrolments(ctx, ic)
	if err != nil {
		return nil, err
	}
	ended, err := s.tokensEnded(ctx)
	if err != nil {
		return nil, err
	}
	b, issued, known := officerBody{IC: ic, Status: "NO_CERTIFICATE", Media: []mediumBody{}}, false, false
	for _, m := range media {
		if !serves(m.System) {
			continue
		}
		known = true
		if m.Medium == enrol.Token && ended[m.System] {
			continue // nobody is sent to a token any more
		}
		mb, status, err := s.mediumBody(ctx, &m, o.Email)
		if err != nil {
			return nil, err
		}
		b.Media = append(b.Media, mb)
		if status == "ISSUED" || status == "RENEW" {
			issued, b.CanSign = true, b.CanSign || len(mb.Channels) > 0
		}
		if e := open[m.System]; e != nil && status == "NO_CERTIFICATE" {
			status = statusOf(e.State)
			b.NextStep, _ = e.Next(english(ctx))
		}
		if b.Status == "NO_CERTIFICATE" || status == "ISSUED" || status == "RENEW" && b.Status != "ISSUED" {
			b.Status = status
		}
	}
	if !known {
		return nil, enrol.ErrUnknown
	}
	if b.NextStep == "" {
		b.NextStep = pick(english(ctx), "Apply for a roaming certificate or ask the agency administrator.", "Mohon sijil roaming atau hubungi pentadbir agensi.")
	}
	if issued {
		b.NextStep = pick(english(ctx), "No channel for codes is open to you: ask the agency administrator.", "Tiada saluran kod dibuka untuk anda: hubungi pentadbir agensi.")
	}
	if b.CanSign {
		b.NextStep = pick(english(ctx), "Ask for a code and sign.", "Minta kod dan tandatangan.")
	}
	if b.CanSign && b.Status == "RENEW" {
		b.NextStep = pick(english(ctx), "Sign, and renew the certificate soon: it is about to expire.", "Tandatangan, dan perbaharui sijil segera: ia hampir tamat tempoh.")
	}
	return &officerOutput{pick(english(ctx), "en", "ms"), b}, nil
}

// tokensEnded are the systems that take no more tokens.
func (s *server) tokensEnded(ctx context.Context) (map[string]bool, error) {
	systems, err := s.Desk.Records.Systems(ctx)
	ended := map[string]bool{}
	for _, x := range systems {
		ended[x.Code] = x.EndedTokens(s.Now())
	}
	return ended, err
}

// openEnrolments are those that can still lead to a certificate, by system.
func (s *server) openEnrolments(ctx context.Context, ic string) (map[string]*enrol.Enrolment, error) {
	all, err := s.Desk.Records.EnrolmentsOf(ctx, ic)
	open := map[string]*enrol.Enrolment{}
	for k := range all {
		if all[k].State.Open() {
			open[all[k].System] = &all[k]
		}
	}
	return open, err
}

func (s *server) mediumBody(ctx context.Context, m *enrol.Medium, email string) (b mediumBody, status string, err error) {
	b = mediumBody{Medium: m.Medium, Status: m.Status, System: m.System, Credential: m.Credential, Channels: []string{}}
	if m.Medium == enrol.RoamingOTP {
		b.Channels = s.Signer.ChannelsOf(&signer.Credential{System: m.System, Email: email})
	}
	if m.Credential == "" {
		return b, "NO_CERTIFICATE", nil
	}
	cert, err := x509.ParseCertificate(m.DER)
	if err != nil {
		return b, "", err
	}
	status, shown := "ISSUED", m.KeyStatus
	switch {
	case m.KeyStatus == "REVOKED", m.KeyStatus == "SUSPENDED":
		status = m.KeyStatus
	case s.Now().After(cert.NotAfter):
		status, shown = "EXPIRED", "EXPIRED"
	case s.Desk.Policy.Renewable(cert.NotAfter, s.Now()):
		status = "RENEW"
	}
	b.Key = &keyBody{m.Algorithm}
	b.Certificate = &certificateBody{SerialNumber: m.Serial, Subject: verify.Subject(cert), Issuer: verify.Issuer(cert), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), Status: shown,
		DER: base64.StdEncoding.EncodeToString(m.DER)}
	above, err := s.CA.Above(ctx, cert)
	if err != nil {
		return b, "", err
	}
	for _, c := range above {
		b.Certificate.Chain = append(b.Certificate.Chain, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return b, status, nil
}

func badIC(field string) error {
	return &invalid{field, "The IC must be 12 digits that begin with a valid date (YYMMDD).", "No. Kad Pengenalan mesti 12 digit yang bermula dengan tarikh sah (YYMMDD)."}
}
