package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
)

type addInput struct {
	Body struct {
		IC     string `json:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
		Name   string `json:"name" maxLength:"64" doc:"As on the MyKad"`
		Email  string `json:"email" maxLength:"254"`
		Agency string `json:"agency" maxLength:"32"`
		System string `json:"system" maxLength:"32"`
		Office string `json:"office,omitempty" maxLength:"64" doc:"Accounting office (pejabat perakaunan)"`
		Phase  string `json:"phase,omitempty" maxLength:"32" doc:"Of the rollout"`
		Ticket string `json:"ticket,omitempty" maxLength:"64" doc:"Of the help desk"`
		Medium string `json:"medium,omitempty" enum:"TOKEN,SOFTCERT,ROAMING,ROAMING_OTP" default:"ROAMING_OTP" doc:"All but ROAMING_OTP are recorded without an application"`
	}
}

type addOutput struct {
	Body struct {
		ID    string `json:"enrolment_id,omitempty"`
		State string `json:"state,omitempty" enum:"LISTED,CONFIRMING" doc:"LISTED waits for JDN to add the medium"`
	}
}

type enrolmentBody struct {
	ID          string     `json:"enrolment_id"`
	IC          string     `json:"ic"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	System      string     `json:"system"`
	Agency      string     `json:"agency"`
	Office      string     `json:"office,omitempty"`
	Phase       string     `json:"phase,omitempty"`
	Ticket      string     `json:"ticket,omitempty"`
	Kind        string     `json:"kind" enum:"FIRST,RENEWAL,REKEY,REPLACEMENT,TRANSFER" doc:"REKEY: the PIN is forgotten; REPLACEMENT: the certificate was revoked and the officer enrolled anew"`
	Replaces    string     `json:"replaces,omitempty" doc:"Credential whose key dies with the new one's certificate"`
	Follows     string     `json:"replaces_serial_number,omitempty" doc:"Of the certificate there was, decimal"`
	State       string     `json:"state" enum:"LISTED,CONFIRMING,CONFIRMED,APPLIED,VALIDATED,APPROVED,ISSUED,RETURNED,REJECTED,WITHDRAWN,EXPIRED"`
	Since       time.Time  `json:"since" doc:"In this state"`
	ListedBy    string     `json:"listed_by"`
	ListedAt    time.Time  `json:"listed_at"`
	MailedAt    *time.Time `json:"mailed_at,omitempty" doc:"The newest link or code"`
	Reply       string     `json:"mail_reply,omitempty" doc:"Of the mail server, when it did not take that mail"`
	LinkUntil   *time.Time `json:"link_until,omitempty"`
	CodeUntil   *time.Time `json:"code_until,omitempty"`
	Reason      string     `json:"reason,omitempty" doc:"Of a return, rejection or withdrawal"`
	ValidatedBy string     `json:"validated_by,omitempty"`
	ValidatedAt *time.Time `json:"validated_at,omitempty"`
	ApprovedBy  string     `json:"approved_by,omitempty"`
	ApprovedAt  *time.Time `json:"approved_at,omitempty"`
}

type findInput struct {
	State  string `query:"state" required:"true" enum:"LISTED,CONFIRMING,CONFIRMED,APPLIED,VALIDATED,APPROVED,ISSUED,RETURNED,REJECTED,WITHDRAWN,EXPIRED"`
	System string `query:"system" maxLength:"32" doc:"Who looks after one alone need not name it"`
	Agency string `query:"agency" maxLength:"32" doc:"Who looks after one alone need not name it"`
	Office string `query:"office" maxLength:"64" doc:"Accounting office, as it was listed"`
	Phase  string `query:"phase" maxLength:"32" doc:"Of the rollout"`
	Kind   string `query:"kind" enum:"FIRST,RENEWAL,REKEY,REPLACEMENT,TRANSFER,NOT_REKEY" doc:"NOT_REKEY: all but forgotten PINs, which wait for a step of their own"`
	Days   int    `query:"days" minimum:"0" maximum:"3650" doc:"In the state for so many days, or longer"`
	After  string `query:"after" maxLength:"96" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Count  bool   `query:"count" doc:"Say how many there are, for what is decided about all of them"`
}

type findOutput struct {
	Body struct {
		Enrolments []enrolmentBody `json:"enrolments" doc:"Those first that have been in the state longest"`
		Next       string          `json:"next,omitempty" doc:"For after, when there may be more"`
		Count      *int            `json:"count,omitempty" doc:"With count: how many match, from the first"`
		Until      *time.Time      `json:"until,omitempty" doc:"With count: when they were counted, for filter.until of a bulk step"`
	}
}

type enrolmentInput struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
}

type reasonInput struct {
	ID   string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
	Body struct {
		Reason string `json:"reason" maxLength:"2000" doc:"5 to 500 characters; the officer reads it"`
	}
}

type correctInput struct {
	ID   string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

type dossierOutput struct {
	Body struct {
		Enrolment enrolmentBody `json:"enrolment"`
		Form      *enrol.Form   `json:"form,omitempty" doc:"Once there is an application"`
		MyKad     bool          `json:"mykad" doc:"There is a copy to be looked at"`
		Steps     []stepBody    `json:"steps" doc:"What was done, by whom, the oldest first, as the audit chain tells it"`
		Can       []canBody     `json:"can" doc:"What the person who asks could do now, the next step first"`
	}
}

type canBody struct {
	Step   string `json:"step" enum:"admit,validate,rekey/confirm,approve,return,reject,resend,correct,withdraw,mykad" doc:"What follows /v1/admin/enrolments/{id}/"`
	Code   string `json:"code,omitempty" doc:"Why not, where this person cannot"`
	Detail string `json:"detail,omitempty"`
	After  int    `json:"retry_after,omitempty" doc:"Seconds until it can be done"`
}

type stepBody struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	By     string    `json:"by" doc:"account:…, officer:…, cli:… or gateway"`
	Name   string    `json:"by_name,omitempty" doc:"Of an account"`
	Role   string    `json:"role,omitempty" doc:"On what ground: a role, officer, machine or gateway"`
	Why    string    `json:"why,omitempty"`
}

type approveOutput struct {
	Body struct {
		State        string    `json:"state" enum:"ISSUED"`
		SerialNumber string    `json:"serial_number" doc:"Decimal"`
		NotAfter     time.Time `json:"not_after"`
	}
}

type lookupInput struct {
	IC string `path:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
}

type heldBody struct {
	Medium       string `json:"medium" enum:"TOKEN,SOFTCERT,ROAMING,ROAMING_OTP"`
	Status       string `json:"status"`
	System       string `json:"system"`
	Credential   string `json:"credential_id,omitempty"`
	Algorithm    string `json:"algorithm,omitempty"`
	KeyStatus    string `json:"key_status,omitempty"`
	SerialNumber string `json:"serial_number,omitempty" doc:"Decimal"`
}

type lookupOutput struct {
	Body struct {
		IC         string          `json:"ic"`
		Name       string          `json:"name"`
		Email      string          `json:"email"`
		Media      []heldBody      `json:"media"`
		Enrolments []enrolmentBody `json:"enrolments"`
	}
}

func (s *server) enrolments(h huma.API) {
	admin := func(id, method, path, summary string, codes ...int) huma.Operation {
		o := op("Enrolment", id, method, "/v1/admin"+path, summary, codes...)
		o.MaxBodyBytes = maxPersonal
		return o
	}
	const (
		absent, state, entered = http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity
	)
	huma.Register(h, admin("agencies", http.MethodGet, "/agencies", "Registered agencies"), s.agencies)
	huma.Register(h, admin("putAgency", http.MethodPut, "/agencies/{code}", "Register or change an agency (JDN)", entered), s.putAgency)
	huma.Register(h, admin("offices", http.MethodGet, "/agencies/{code}/offices", "Accounting offices of an agency; lists may name others, too", absent), s.offices)
	huma.Register(h, admin("putOffice", http.MethodPut, "/agencies/{code}/offices/{office}", "Register or change an accounting office (JDN)", absent, entered), s.putOffice)
	dropOffice := admin("dropOffice", http.MethodDelete, "/agencies/{code}/offices/{office}", "Take an accounting office off the register (JDN)", absent)
	dropOffice.DefaultStatus = http.StatusNoContent
	huma.Register(h, dropOffice, s.dropOffice)
	huma.Register(h, admin("systems", http.MethodGet, "/systems", "Registered ICT systems"), s.systems)
	huma.Register(h, admin("putSystem", http.MethodPut, "/systems/{code}", "Register or change an ICT system (JDN)", entered), s.putSystem)
	tokens := admin("endTokens", http.MethodPut, "/systems/{code}/token-ends", "From when a system takes no more tokens (JDN)", absent)
	tokens.DefaultStatus = http.StatusNoContent
	huma.Register(h, tokens, s.endTokens)
	add := admin("addEnrolment", http.MethodPost, "/enrolments", "Add one officer (JDN, SAP)", state, entered)
	add.DefaultStatus = http.StatusCreated
	huma.Register(h, add, s.addEnrolment)
	huma.Register(h, streamed(admin("addList", http.MethodPost, "/enrolments/list", "Add a list of officers, or check it (JDN, SAP)", state, http.StatusRequestEntityTooLarge, entered),
		"text/csv", sheetType), s.addList)
	huma.Register(h, admin("findEnrolments", http.MethodGet, "/enrolments", "Enrolments of one state"), s.findEnrolments)
	huma.Register(h, admin("enrolment", http.MethodGet, "/enrolments/{id}", "An enrolment with its application", absent), s.dossier)
	huma.Register(h, binary(admin("enrolmentMyKad", http.MethodGet, "/enrolments/{id}/mykad", "The MyKad copy of an application", absent), "image/jpeg", "The copy"), s.myKad)
	huma.Register(h, admin("lookUpOfficer", http.MethodGet, "/officers/{ic}", "An officer with media and enrolments, as far as they are yours to see", absent), s.lookUp)

	step := func(name, summary string, codes ...int) huma.Operation {
		o := admin(name+"Enrolment", http.MethodPost, "/enrolments/{id}/"+name, summary, append(codes, absent, state)...)
		o.DefaultStatus = http.StatusNoContent
		return o
	}
	huma.Register(h, step("admit", "Add the medium: the link is mailed (JDN)"), s.plainStep(s.Desk.Admit))
	huma.Register(h, step("resend", "Mail another link or code"), s.plainStep(s.Desk.Resend))
	huma.Register(h, step("validate", "Confirm for the agency (SAP, SA, AP)"), s.plainStep(s.Desk.Validate))
	huma.Register(h, step("return", "Give the application back; its key is destroyed", entered), s.reasonedStep(s.Desk.Return))
	huma.Register(h, step("reject", "Refuse the application; its key is destroyed", entered), s.reasonedStep(s.Desk.Reject))
	huma.Register(h, step("withdraw", "End the enrolment; a key is destroyed", entered), s.reasonedStep(s.Desk.Withdraw))
	huma.Register(h, step("correct", "Correct an address that was never proved", entered), s.correct)
	approve := step("approve", "Approve: the certificate is issued (JDN); may be repeated")
	approve.DefaultStatus = http.StatusOK
	huma.Register(h, approve, s.approve)
}

func (s *server) plainStep(do func(context.Context, enrol.Actor, string) error) func(context.Context, *enrolmentInput) (*struct{}, error) {
	return func(ctx context.Context, in *enrolmentInput) (*struct{}, error) {
		if err := do(ctx, personOf(ctx).Actor, in.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, nil
	}
}

func (s *server) reasonedStep(do func(context.Context, enrol.Actor, string, string) error) func(context.Context, *reasonInput) (*struct{}, error) {
	return func(ctx context.Context, in *reasonInput) (*struct{}, error) {
		if err := do(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
			return nil, s.fail(ctx, err)
		}
		return nil, nil
	}
}

func (s *server) correct(ctx context.Context, in *correctInput) (*struct{}, error) {
	if err := s.Desk.Correct(ctx, personOf(ctx).Actor, in.ID, in.Body.Email); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) approve(ctx context.Context, in *enrolmentInput) (*approveOutput, error) {
	// An approval that stands is completed though the browser has gone.
	cert, err := s.Desk.Approve(context.WithoutCancel(ctx), personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &approveOutput{}
	out.Body.State, out.Body.SerialNumber, out.Body.NotAfter = string(enrol.Issued), cert.SerialNumber.String(), cert.NotAfter.UTC()
	return out, nil
}

func (s *server) addEnrolment(ctx context.Context, in *addInput) (*addOutput, error) {
	b := &in.Body
	e, err := s.Desk.Add(ctx, personOf(ctx).Actor, enrol.Row{Officer: enrol.Officer{IC: b.IC, Name: b.Name, Email: b.Email}, Agency: b.Agency, Office: b.Office,
		System: b.System, Phase: b.Phase, Ticket: b.Ticket, Medium: b.Medium})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &addOutput{}
	if out.Body.ID = e.ID; e.ID != "" {
		out.Body.State = string(e.State)
	}
	return out, nil
}

func enrolmentOut(e *enrol.Enrolment) enrolmentBody {
	kind := string(e.Kind)
	if e.Kind == enrol.First {
		kind = cmp.Or(e.Origin, "FIRST")
	}
	return enrolmentBody{ID: e.ID, Kind: kind, Replaces: e.Replaces, Follows: e.Follows, IC: e.IC, Name: e.Name, Email: e.Email, System: e.System, Agency: e.Agency, Office: e.Office, Phase: e.Phase, Ticket: e.Ticket,
		State: string(e.State), Since: e.Since.UTC(), ListedBy: e.ListedBy, ListedAt: e.ListedAt.UTC(), MailedAt: when(e.MailedAt), Reply: e.Reply,
		LinkUntil: when(e.LinkUntil), CodeUntil: when(e.CodeUntil), Reason: e.Reason, ValidatedBy: e.ValidatedBy, ValidatedAt: when(e.ValidatedAt),
		ApprovedBy: e.ApprovedBy, ApprovedAt: when(e.ApprovedAt)}
}

func (s *server) findEnrolments(ctx context.Context, in *findInput) (*findOutput, error) {
	f := enrol.Filter{State: enrol.State(in.State), System: in.System, Agency: in.Agency, Office: in.Office, Phase: in.Phase, Kind: in.Kind, Limit: in.Limit, Until: s.Now().Add(-time.Duration(in.Days) * 24 * time.Hour)}
	if in.After != "" {
		at, id, _ := strings.Cut(in.After, ".")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || id == "" {
			return nil, s.fail(ctx, fixed("after", "It must be next of the page before.", "Ia mesti next bagi halaman sebelumnya."))
		}
		f.AfterSince, f.AfterID = time.UnixMicro(n), id
	}
	list, count, err := s.Desk.Find(ctx, personOf(ctx).Actor, f, in.Count)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &findOutput{}
	if in.Count {
		out.Body.Count, out.Body.Until = &count, when(f.Until)
	}
	out.Body.Enrolments = make([]enrolmentBody, len(list))
	for k := range list {
		out.Body.Enrolments[k] = enrolmentOut(&list[k])
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = fmt.Sprintf("%d.%s", list[n-1].Since.UnixMicro(), list[n-1].ID)
	}
	return out, nil
}

func (s *server) dossier(ctx context.Context, in *enrolmentInput) (*dossierOutput, error) {
	d, err := s.Desk.Open(ctx, personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &dossierOutput{}
	out.Body.Enrolment, out.Body.MyKad = enrolmentOut(&d.Enrolment), d.HasCopy
	if d.Form != (enrol.Form{}) {
		out.Body.Form = &d.Form
	}
	out.Body.Can = canOut(ctx, d.Can)
	names := map[string]string{}
	out.Body.Steps = make([]stepBody, len(d.Steps))
	for k, x := range d.Steps {
		id, account := strings.CutPrefix(x.By, "account:")
		if _, known := names[id]; account && !known {
			a, _, err := s.Accounts.Records.Account(ctx, id)
			if err != nil && !errors.Is(err, enrol.ErrUnknown) {
				return nil, s.fail(ctx, err)
			}
			names[id] = a.Name
		}
		out.Body.Steps[k] = stepBody{x.At.UTC(), string(x.Action), x.By, names[id], x.Role, x.Why}
	}
	return out, nil
}

func (s *server) myKad(ctx context.Context, in *enrolmentInput) (*huma.StreamResponse, error) {
	photo, err := s.Desk.MyKad(ctx, personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "image/jpeg")
		hc.SetHeader("Content-Length", strconv.Itoa(len(photo)))
		hc.SetHeader("Content-Security-Policy", "default-src 'none'; sandbox")
		_, _ = hc.BodyWriter().Write(photo) // the client is gone if this fails
	}}, nil
}

func (s *server) lookUp(ctx context.Context, in *lookupInput) (*lookupOutput, error) {
	if _, err := mykad.Parse(in.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	p, err := s.Desk.Lookup(ctx, personOf(ctx).Actor, in.IC)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &lookupOutput{}
	b := &out.Body
	b.IC, b.Name, b.Email, b.Media, b.Enrolments = p.Officer.IC, p.Officer.Name, p.Officer.Email, make([]heldBody, len(p.Media)), make([]enrolmentBody, len(p.Enrolments))
	for k, m := range p.Media {
		b.Media[k] = heldBody{m.Medium, m.Status, m.System, m.Credential, m.Algorithm, m.KeyStatus, m.Serial}
	}
	for k := range p.Enrolments {
		b.Enrolments[k] = enrolmentOut(&p.Enrolments[k])
	}
	return out, nil
}
