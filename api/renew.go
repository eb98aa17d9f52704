package api

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

type renewInput struct {
	Body struct {
		System      string      `json:"system" maxLength:"32"`
		PIN         secret.Text `json:"pin" doc:"Of the key there is"`
		NewPIN      secret.Text `json:"new_pin,omitempty" doc:"Of the new key; left out, it is the same"`
		NewPINAgain secret.Text `json:"new_pin_again,omitempty"`
		Algorithm   string      `json:"algorithm,omitempty" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" doc:"Of the new key; left out, as the key there is"`
	}
}

type forgottenInput struct {
	Body struct {
		System string `json:"system" maxLength:"32"`
	}
}

type rekeyInput struct {
	Body struct {
		Code      secret.Text `json:"code" doc:"From the mail"`
		PIN       secret.Text `json:"pin" doc:"Of the new key"`
		PINAgain  secret.Text `json:"pin_again"`
		Algorithm string      `json:"algorithm,omitempty" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384"`
	}
}

type confirmRekeyInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		How string `json:"how" maxLength:"2000" doc:"How it was made sure that it is the officer who asks, 5 to 500 characters; it stands in the audit"`
	}
}

type replaceBody struct {
	System string `json:"system" maxLength:"32"`
	Reason string `json:"reason" enum:"keyCompromise,superseded,unspecified" doc:"CRLReason (RFC 5280, Section 5.3.1)"`
	Why    string `json:"why" maxLength:"2000" doc:"5 to 500 characters; it stands in the audit"`
}

type replaceMineInput struct{ Body replaceBody }

type replaceInput struct {
	IC   string `path:"ic" maxLength:"64"`
	Body replaceBody
}

type renewedOutput struct {
	Status int
	Body   struct {
		ID       string     `json:"enrolment_id"`
		State    string     `json:"state" enum:"CONFIRMING,CONFIRMED,APPLIED,APPROVED,ISSUED"`
		Serial   string     `json:"serial_number,omitempty" doc:"Decimal, once issued"`
		NotAfter *time.Time `json:"not_after,omitempty"`
	}
}

// renewals are the routes of what follows a first certificate.
func (s *server) renewals(h huma.API) {
	verb := func(tag, id, path, summary string, status int, codes ...int) huma.Operation {
		o := op(tag, id, http.MethodPost, path, summary, append(codes, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity)...)
		o.MaxBodyBytes, o.DefaultStatus = maxPersonal, status
		return o
	}
	huma.Register(h, verb("Me", "renewCertificate", "/v1/me/certificate/renew", "Another key and certificate under the PIN: at once (200), or when it is approved (202)", http.StatusOK, http.StatusLocked), s.renew)
	huma.Register(h, verb("Me", "forgotPIN", "/v1/me/pin/forgotten", "Have a code mailed for a new key under a new PIN", http.StatusAccepted), s.forgotPIN)
	huma.Register(h, verb("Me", "rekey", "/v1/me/pin/rekey", "Make the new key with that code; the agency confirms it", http.StatusAccepted, http.StatusGone), s.rekey)
	huma.Register(h, verb("Me", "replaceMine", "/v1/me/certificate/replace", "Revoke the own certificate and enrol anew", http.StatusAccepted), s.replaceMine)
	huma.Register(h, verb("Enrolment", "confirmRekey", "/v1/admin/enrolments/{id}/rekey/confirm", "Confirm for the agency who has forgotten the PIN: the certificate is issued with the same end (SAP, SA, AP)", http.StatusOK), s.confirmRekey)
	huma.Register(h, verb("Enrolment", "replaceCertificate", "/v1/admin/officers/{ic}/certificate/replace", "Revoke an officer's certificate and enrol anew", http.StatusAccepted), s.replace)
}

func renewedOut(status int, e *enrol.Enrolment, cert *x509.Certificate) *renewedOutput {
	out := &renewedOutput{Status: status}
	out.Body.ID, out.Body.State = e.ID, string(e.State)
	if cert != nil {
		out.Body.Serial, out.Body.NotAfter = cert.SerialNumber.String(), when(cert.NotAfter)
	}
	return out
}

func (s *server) renew(ctx context.Context, in *renewInput) (*renewedOutput, error) {
	b := &in.Body
	defer b.PIN.Wipe()
	defer b.NewPIN.Wipe()
	defer b.NewPINAgain.Wipe()
	// What stands is completed though the browser has gone.
	e, cert, err := s.Desk.Renew(context.WithoutCancel(ctx), personOf(ctx).Actor, enrol.RenewalRequest{System: b.System, PIN: b.PIN, NewPIN: b.NewPIN, NewPINAgain: b.NewPINAgain, Algorithm: b.Algorithm})
	switch {
	case err != nil && e.State == enrol.Approved:
		// It stands: the gateway issues the certificate when it can.
		_ = s.logged(ctx, err)
		return renewedOut(http.StatusAccepted, &e, nil), nil
	case err != nil:
		return nil, s.fail(ctx, err)
	case cert == nil:
		return renewedOut(http.StatusAccepted, &e, nil), nil
	}
	return renewedOut(http.StatusOK, &e, cert), nil
}

func (s *server) forgotPIN(ctx context.Context, in *forgottenInput) (*renewedOutput, error) {
	e, err := s.Desk.ForgotPIN(ctx, personOf(ctx).Actor, in.Body.System)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return renewedOut(http.StatusAccepted, &e, nil), nil
}

func (s *server) rekey(ctx context.Context, in *rekeyInput) (*renewedOutput, error) {
	b := &in.Body
	defer b.Code.Wipe()
	defer b.PIN.Wipe()
	defer b.PINAgain.Wipe()
	e, err := s.Desk.Rekey(ctx, personOf(ctx).Actor, enrol.RekeyRequest{Code: b.Code, PIN: b.PIN, PINAgain: b.PINAgain, Algorithm: b.Algorithm})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return renewedOut(http.StatusAccepted, &e, nil), nil
}

func (s *server) confirmRekey(ctx context.Context, in *confirmRekeyInput) (*renewedOutput, error) {
	cert, err := s.Desk.ConfirmRekey(context.WithoutCancel(ctx), personOf(ctx).Actor, in.ID, in.Body.How)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return renewedOut(http.StatusOK, &enrol.Enrolment{ID: in.ID, State: enrol.Issued}, cert), nil
}

func (s *server) replaceMine(ctx context.Context, in *replaceMineInput) (*renewedOutput, error) {
	return s.replaced(ctx, personOf(ctx).Actor.IC, &in.Body)
}

func (s *server) replace(ctx context.Context, in *replaceInput) (*renewedOutput, error) {
	return s.replaced(ctx, in.IC, &in.Body)
}

func (s *server) replaced(ctx context.Context, ic string, b *replaceBody) (*renewedOutput, error) {
	e, err := s.Desk.Replace(context.WithoutCancel(ctx), personOf(ctx).Actor, ic, b.System, b.Reason, b.Why)
	if err != nil && e.ID == "" {
		return nil, s.fail(ctx, err)
	}
	if err != nil { // revoked and enrolled; the CRL or another CA follows
		_ = s.logged(ctx, err)
	}
	return renewedOut(http.StatusAccepted, &e, nil), nil
}
