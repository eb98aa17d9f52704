package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/secret"
)

type proofBody struct {
	System   string      `json:"system,omitempty" maxLength:"32" doc:"Whose certificate the PIN is of; left out, any"`
	PIN      secret.Text `json:"pin,omitempty" doc:"Of a certificate that can sign"`
	Password secret.Text `json:"password,omitempty" doc:"Of the log-in, of who has no certificate that can sign"`
}

func (p *proofBody) wipe() {
	p.PIN.Wipe()
	p.Password.Wipe()
}

type proofInput struct{ Body proofBody }

type removeInput struct {
	Code string `path:"system" maxLength:"32"`
	Body struct {
		PIN      secret.Text `json:"pin,omitempty" doc:"Of the certificate, if it can sign"`
		Password secret.Text `json:"password,omitempty" doc:"Of the log-in, if it cannot"`
	}
}

type codedOutput struct {
	Body struct {
		ID        string    `json:"confirmation_id" doc:"Names what the code in the mail is for"`
		ExpiresAt time.Time `json:"expires_at"`
	}
}

type endBody struct {
	System string `json:"system"`
	Medium string `json:"medium"`
	Serial string `json:"serial_number,omitempty" doc:"Of the certificate that is revoked, or was"`
}

type lossOutput struct {
	Body struct {
		ID        string    `json:"confirmation_id" doc:"Names what the code in the mail is for"`
		ExpiresAt time.Time `json:"expires_at"`
		Ends      []endBody `json:"ends" doc:"Media that go, with their keys"`
		Withdrawn []string  `json:"withdrawn" doc:"Applications under way, which are withdrawn"`
		Detail    string    `json:"detail"`
	}
}

type confirmCodeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Code secret.Text `json:"code" doc:"Six digits, from the mail"`
	}
}

type phoneBody struct {
	Mobile string `json:"mobile" maxLength:"64"`
}

type phoneInput struct{ Body phoneBody }

type phoneOutput struct{ Body phoneBody }

type confirmPhoneInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Code   secret.Text `json:"code" doc:"Six digits, from the mail"`
		Mobile string      `json:"mobile" maxLength:"64" doc:"The number it was asked for"`
	}
}

type mySystemBody struct {
	Code   string `json:"system"`
	Title  string `json:"title"`
	Medium string `json:"medium,omitempty" doc:"The own, if there is one"`
	Status string `json:"status,omitempty"`
	Serial string `json:"serial_number,omitempty" doc:"Of the newest certificate"`
}

type mySystemsOutput struct {
	Body struct {
		Systems []mySystemBody `json:"systems" doc:"All that are registered"`
	}
}

type addSystemInput struct {
	Body struct {
		System      string      `json:"system" maxLength:"32"`
		From        string      `json:"from" maxLength:"32" doc:"A system for which there is a certificate that can sign"`
		PIN         secret.Text `json:"pin" doc:"Of that certificate"`
		NewPIN      secret.Text `json:"new_pin" doc:"Of the new key; it may be the same"`
		NewPINAgain secret.Text `json:"new_pin_again"`
		Algorithm   string      `json:"algorithm,omitempty" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" doc:"Of the new key; left out, as the key there is"`
		Declaration string      `json:"declaration" maxLength:"64" doc:"Version of the declaration that was accepted, as GET /v1/me/application gives it"`
	}
}

type forgotPasswordInput struct {
	Body struct {
		IC string `json:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
	}
}

type forgotPasswordOutput struct {
	Body struct {
		ID        string    `json:"reset_id" doc:"Names this request; it opens nothing"`
		ExpiresAt time.Time `json:"expires_at"`
		Detail    string    `json:"detail" doc:"The same for known and unknown people"`
	}
}

type resetPasswordInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Code     secret.Text `json:"code" doc:"Six digits, from the mail"`
		Password secret.Text `json:"password" doc:"10 to 64 characters"`
		System   string      `json:"system,omitempty" maxLength:"32" doc:"Whose certificate the PIN is of; left out, any"`
		PIN      secret.Text `json:"pin,omitempty" doc:"Of a certificate that can sign. Left out, the agency has to confirm"`
	}
}

type resetPasswordOutput struct {
	Status int
	Body   struct {
		State  string `json:"state" enum:"DONE,PENDING" doc:"PENDING: an administrator of the agency has to confirm"`
		Detail string `json:"detail"`
	}
}

type requestBody struct {
	ID      string    `json:"request_id"`
	Kind    string    `json:"kind" enum:"RESET,DELETE,REVOKE" doc:"RESET of a forgotten password, DELETE of the account, REVOKE of a certificate, which is suspended meanwhile"`
	State   string    `json:"state" enum:"PENDING,DONE,CANCELLED,EXPIRED"`
	AskedBy string    `json:"asked_by"`
	Asker   string    `json:"asked_by_name,omitempty" doc:"Of an account"`
	Own     bool      `json:"own" doc:"You asked for it: somebody else confirms"`
	AskedAt time.Time `json:"asked_at"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason,omitempty"`
	System  string    `json:"system,omitempty" doc:"Of a revocation"`
	Serial  string    `json:"serial_number,omitempty" doc:"Decimal, of the certificate"`
	CRL     string    `json:"revocation_reason,omitempty" doc:"CRLReason (RFC 5280, Section 5.3.1)"`
}

type requestOutput struct{ Body requestBody }

type requestsOutput struct {
	Body struct {
		Requests []requestBody `json:"requests" doc:"The newest first"`
	}
}

type confirmRequestInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		How string `json:"how" maxLength:"2000" doc:"How it was made sure, 5 to 200 characters; it stands in the audit"`
	}
}

// leaving are the routes of what officers change and end of their own, and of what
// administrators do for who cannot.
func (s *server) leaving(h huma.API) {
	mine := func(id, method, path, summary string, status int, codes ...int) huma.Operation {
		o := administer("Me", id, method, path, summary, append(codes, http.StatusGone, http.StatusLocked)...)
		o.DefaultStatus = status
		return o
	}
	const post, accepted, done = http.MethodPost, http.StatusAccepted, http.StatusNoContent
	huma.Register(h, mine("deleteMe", post, "/v1/me/deletion", "Delete the own account: what ends, and a code by mail; within ten minutes of a log-in", accepted), s.askToLeave)
	huma.Register(h, mine("confirmDeletion", post, "/v1/me/deletion/{id}/confirm", "Delete it, with the code: certificates revoked, keys destroyed, log-in closed", done), s.leave)
	huma.Register(h, mine("myPhone", http.MethodGet, "/v1/me/phone", "The own mobile number", http.StatusOK), s.myPhone)
	huma.Register(h, mine("changeMyPhone", post, "/v1/me/phone", "Ask for another mobile number: a code is mailed; within ten minutes of a log-in", accepted), s.askPhone)
	huma.Register(h, mine("confirmMyPhone", post, "/v1/me/phone/{id}/confirm", "Change it, with the code", done), s.confirmPhone)
	huma.Register(h, mine("mySystems", http.MethodGet, "/v1/me/systems", "ICT systems, and the own media", http.StatusOK), s.mySystems)
	huma.Register(h, mine("addMySystem", post, "/v1/me/systems", "Apply for a certificate for another system, with the PIN of one there is", accepted), s.addSystem)
	huma.Register(h, mine("removeMySystem", post, "/v1/me/systems/{system}/remove", "End the certificate for a system; within ten minutes of a log-in", done), s.removeSystem)

	visit := op("Sessions", "forgotPassword", post, "/v1/password/forgotten", "A forgotten log-in password: a code is mailed if there is such an officer")
	visit.MaxBodyBytes, visit.DefaultStatus = maxPersonal, accepted
	huma.Register(h, visit, s.forgotPassword)
	reset := op("Sessions", "resetPassword", post, "/v1/password/{id}/reset", "Another password, with the code and the PIN (200), or when the agency has confirmed (202)", http.StatusConflict, http.StatusGone, http.StatusLocked)
	reset.MaxBodyBytes = maxPersonal
	huma.Register(h, reset, s.resetPassword)
	alsoWith(h.OpenAPI().Paths[reset.Path].Post, accepted, "It waits for the agency's word")

	const tag = "Administrators"
	ask := administer(tag, "askDeletion", post, "/v1/admin/officers/{ic}/deletion", "Have the account of an officer deleted who has left; another administrator confirms (JDN, SA, AP)")
	ask.DefaultStatus = accepted
	huma.Register(h, ask, s.askDeletion)
	huma.Register(h, administer(tag, "officerRequests", http.MethodGet, "/v1/admin/officers/{ic}/requests", "What waits for a second person about an officer"), s.officerRequests)
	confirm := administer(tag, "confirmOfficerRequest", post, "/v1/admin/officer-requests/{id}/confirm", "Confirm a forgotten password or a deletion (JDN, SA, AP), or a revocation (SAP, too); not by who asked")
	confirm.DefaultStatus = done
	huma.Register(h, confirm, s.confirmRequest)
	end := administer(tag, "cancelOfficerRequest", http.MethodDelete, "/v1/admin/officer-requests/{id}", "Cancel what nobody should confirm (JDN, SA, AP)")
	end.DefaultStatus = done
	huma.Register(h, end, s.cancelRequest)
}

func (s *server) askToLeave(ctx context.Context, in *proofInput) (*lossOutput, error) {
	b := &in.Body
	defer b.wipe()
	l, loss, err := s.Desk.AskToLeave(ctx, s.Accounts, *personOf(ctx), enrol.Proof{System: b.System, PIN: b.PIN, Password: b.Password})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &lossOutput{}
	o := &out.Body
	o.ID, o.ExpiresAt, o.Ends, o.Withdrawn = l.ID, l.ExpiresAt.UTC(), []endBody{}, []string{}
	o.Detail = pick(english(ctx), "Your certificates are revoked and their keys destroyed, for good; the log-in is closed. What you signed with a time-stamp stays valid, and its records are kept. The code in the mail confirms it.",
		"Sijil anda dibatalkan dan kuncinya dimusnahkan untuk selama-lamanya; log masuk ditutup. Apa yang telah ditandatangani dengan cap masa kekal sah, dan rekodnya disimpan. Kod dalam e-mel mengesahkannya.")
	for _, m := range loss.Media {
		o.Ends = append(o.Ends, endBody{m.System, m.Medium, m.Serial})
	}
	for _, e := range loss.Open {
		o.Withdrawn = append(o.Withdrawn, e.ID)
	}
	return out, nil
}

func (s *server) leave(ctx context.Context, in *confirmCodeInput) (*closedOutput, error) {
	defer in.Body.Code.Wipe()
	if err := s.Desk.Leave(context.WithoutCancel(ctx), s.Accounts, *personOf(ctx), in.ID, in.Body.Code); err != nil {
		return nil, s.fail(ctx, unknownLogin(err))
	}
	return &closedOutput{[]http.Cookie{s.cookie("session", "", -1), s.cookie("device", "", -1)}}, nil
}

func (s *server) myPhone(ctx context.Context, _ *struct{}) (*phoneOutput, error) {
	number, err := s.Desk.Phone(ctx, *personOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &phoneOutput{phoneBody{number}}, nil
}

func (s *server) askPhone(ctx context.Context, in *phoneInput) (*codedOutput, error) {
	l, err := s.Desk.AskPhone(ctx, s.Accounts, *personOf(ctx), in.Body.Mobile)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &codedOutput{}
	out.Body.ID, out.Body.ExpiresAt = l.ID, l.ExpiresAt.UTC()
	return out, nil
}

func (s *server) confirmPhone(ctx context.Context, in *confirmPhoneInput) (*struct{}, error) {
	defer in.Body.Code.Wipe()
	if err := s.Desk.ConfirmPhone(ctx, s.Accounts, *personOf(ctx), in.ID, in.Body.Code, in.Body.Mobile); err != nil {
		return nil, s.fail(ctx, unknownLogin(err))
	}
	return nil, nil
}

func (s *server) mySystems(ctx context.Context, _ *struct{}) (*mySystemsOutput, error) {
	p := personOf(ctx)
	found, err := s.Desk.Lookup(ctx, enrol.Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request}, p.Account.IC)
	if err != nil && !errors.Is(err, enrol.ErrUnknown) {
		return nil, s.fail(ctx, err)
	}
	systems, err := s.Desk.Records.Systems(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &mySystemsOutput{}
	for _, x := range systems {
		out.Body.Systems = append(out.Body.Systems, mySystemBody{Code: x.Code, Title: x.Title})
		b := &out.Body.Systems[len(out.Body.Systems)-1]
		for _, m := range found.Media {
			if m.System == x.Code && !(m.Medium == enrol.Token && x.EndedTokens(s.Now())) {
				b.Medium, b.Status, b.Serial = m.Medium, m.Status, m.Serial
				if m.KeyStatus != "" {
					b.Status = m.KeyStatus
				}
			}
		}
	}
	return out, nil
}

func (s *server) addSystem(ctx context.Context, in *addSystemInput) (*renewedOutput, error) {
	b := &in.Body
	defer b.PIN.Wipe()
	defer b.NewPIN.Wipe()
	defer b.NewPINAgain.Wipe()
	p := personOf(ctx)
	e, err := s.Desk.AddSystem(ctx, enrol.Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request},
		enrol.SystemRequest{System: b.System, From: b.From, PIN: b.PIN, NewPIN: b.NewPIN, NewPINAgain: b.NewPINAgain, Algorithm: b.Algorithm, Declaration: b.Declaration})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return renewedOut(http.StatusAccepted, &e, nil), nil
}

func (s *server) removeSystem(ctx context.Context, in *removeInput) (*struct{}, error) {
	defer in.Body.PIN.Wipe()
	defer in.Body.Password.Wipe()
	if err := s.Desk.Remove(context.WithoutCancel(ctx), s.Accounts, *personOf(ctx), in.Code, enrol.Proof{PIN: in.Body.PIN, Password: in.Body.Password}); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) forgotPassword(ctx context.Context, in *forgotPasswordInput) (*forgotPasswordOutput, error) {
	if _, err := mykad.Parse(in.Body.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	l, err := s.Accounts.ForgotPassword(ctx, in.Body.IC, visitorOf(ctx).peer)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &forgotPasswordOutput{}
	out.Body.ID, out.Body.ExpiresAt = l.ID, l.ExpiresAt.UTC()
	out.Body.Detail = pick(english(ctx), "If this officer has an account, a code was sent to the registered e-mail address. Give it here with a new password, and the PIN of your certificate if you have one. Administrators ask another administrator.",
		"Jika pegawai ini mempunyai akaun, kod telah dihantar ke e-mel yang didaftarkan. Berikannya di sini dengan kata laluan baharu, dan PIN sijil anda jika ada. Pentadbir meminta bantuan pentadbir lain.")
	return out, nil
}

func (s *server) resetPassword(ctx context.Context, in *resetPasswordInput) (*resetPasswordOutput, error) {
	b := &in.Body
	defer b.Code.Wipe()
	defer b.Password.Wipe()
	defer b.PIN.Wipe()
	done, err := s.Desk.ResetPassword(ctx, s.Accounts, enrol.Reset{ID: in.ID, Code: b.Code, Password: b.Password, System: b.System, PIN: b.PIN, Request: requestIDOf(ctx)})
	if err != nil {
		return nil, s.fail(ctx, unknownLogin(err))
	}
	out := &resetPasswordOutput{Status: http.StatusAccepted}
	out.Body.State, out.Body.Detail = "PENDING", pick(english(ctx), "An administrator (SA or AP) of your agency has to confirm; until then the old password holds.", "Pentadbir (SA atau AP) agensi anda perlu mengesahkannya; sehingga itu kata laluan lama kekal.")
	if done {
		out.Status, out.Body.State = http.StatusOK, "DONE"
		out.Body.Detail = pick(english(ctx), "The password is changed; log in with it.", "Kata laluan telah ditukar; log masuk dengannya.")
	}
	return out, nil
}

func (s *server) requestOut(ctx context.Context, r *enrol.OfficerRequest) (requestBody, error) {
	b := requestBody{ID: r.ID, Kind: r.Kind, State: r.State, AskedBy: r.AskedBy, AskedAt: r.AskedAt.UTC(), Until: r.Until.UTC(), Reason: r.Reason, System: r.System, Serial: r.Serial, CRL: r.CRLReason}
	p := personOf(ctx)
	b.Own = p != nil && (r.AskedBy == p.Actor.Name || p.Actor.IC != "" && r.AskedIC == p.Actor.IC)
	if id, account := strings.CutPrefix(r.AskedBy, "account:"); account {
		a, _, err := s.Accounts.Records.Account(ctx, id)
		if err != nil && !errors.Is(err, enrol.ErrUnknown) {
			return b, err
		}
		b.Asker = a.Name
	}
	return b, nil
}

func (s *server) askDeletion(ctx context.Context, in *helpInput) (*requestOutput, error) {
	r, err := s.Desk.AskDeletion(ctx, personOf(ctx).Actor, in.IC, in.Body.Reason)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b, err := s.requestOut(ctx, &r)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &requestOutput{b}, nil
}

func (s *server) officerRequests(ctx context.Context, in *icInput) (*requestsOutput, error) {
	list, err := s.Desk.Requests(ctx, personOf(ctx).Actor, in.IC)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &requestsOutput{}
	out.Body.Requests = []requestBody{}
	for k := range list {
		b, err := s.requestOut(ctx, &list[k])
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Requests = append(out.Body.Requests, b)
	}
	return out, nil
}

func (s *server) confirmRequest(ctx context.Context, in *confirmRequestInput) (*struct{}, error) {
	err := s.Desk.ConfirmRequest(context.WithoutCancel(ctx), personOf(ctx).Actor, in.ID, in.Body.How)
	if errors.Is(err, ca.ErrNotPublished) || errors.Is(err, ca.ErrUnavailable) {
		_ = s.logged(ctx, err) // it is in force here, and the gateway tells the others
		err = nil
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) cancelRequest(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Desk.CancelRequest(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
