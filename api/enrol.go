package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/internal/table"
)

// errList: a list of officers that cannot be read, which a list of candidates is told
// apart from.
var errList = errors.New("list refused")

// maxList bounds an uploaded list of officers in bytes; its rows have a bound of
// their own ([enrol.MaxListRows]).
const maxList = 64 << 20

const sheetType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

type agencyBody struct {
	Code         string `json:"agency"`
	Name         string `json:"name" maxLength:"120"`
	PersonalMail bool   `json:"personal_mail" doc:"Officers may be enrolled with a personal address"`
}

type agencyInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		Name         string `json:"name" maxLength:"120"`
		PersonalMail bool   `json:"personal_mail,omitempty" doc:"Officers may be enrolled with a personal address"`
	}
}

type agencyOutput struct{ Body agencyBody }

type agenciesOutput struct {
	Body struct {
		Agencies []agencyBody `json:"agencies"`
	}
}

type systemBody struct {
	Code      string     `json:"system"`
	Title     string     `json:"title" maxLength:"120"`
	Agency    string     `json:"agency" maxLength:"32" doc:"That owns it"`
	TokenEnds *time.Time `json:"token_ends,omitempty" doc:"When the system takes no more tokens"`
}

type systemInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		Title     string    `json:"title" maxLength:"120"`
		Agency    string    `json:"agency" maxLength:"32" doc:"That owns it"`
		TokenEnds time.Time `json:"token_ends,omitempty" doc:"When the system takes no more tokens"`
	}
}

type tokenEndsInput struct {
	Code string `path:"code" maxLength:"32"`
	Body struct {
		From *time.Time `json:"from" nullable:"true" doc:"null: it takes tokens until further notice"`
	}
}

type systemOutput struct{ Body systemBody }

type systemsOutput struct {
	Body struct {
		Systems []systemBody `json:"systems"`
	}
}

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

type listInput struct {
	upload
	ContentType string `header:"Content-Type"`
	Check       bool   `query:"check" doc:"Judge the list, change nothing"`
	GoodOnly    bool   `query:"good_only" doc:"Leave out the rows that are refused; else one refusal refuses all"`
	Rows        string `query:"rows" maxLength:"8192" doc:"Add these rows alone, numbered as in the list" example:"2,5-9"`
}

type listOutput struct {
	Body struct {
		Digest   string  `json:"digest" doc:"Hexadecimal SHA-256 of the file"`
		Rows     int     `json:"rows" doc:"That are not empty"`
		Good     int     `json:"good" doc:"That can be added"`
		Already  int     `json:"already" doc:"That an earlier, interrupted upload of the same file has added"`
		Accepted int     `json:"accepted" doc:"Added by this request"`
		Count    int     `json:"refused_count"`
		Refused  []Fault `json:"refused" doc:"The first thousand of them"`
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
	System string `query:"system" maxLength:"32" doc:"A SAP must name the own one"`
	Agency string `query:"agency" maxLength:"32" doc:"SA and AP must name the own one"`
	Days   int    `query:"days" minimum:"0" maximum:"3650" doc:"In the state for so many days, or longer"`
	After  string `query:"after" maxLength:"96" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type findOutput struct {
	Body struct {
		Enrolments []enrolmentBody `json:"enrolments" doc:"Those first that have been in the state longest"`
		Next       string          `json:"next,omitempty" doc:"For after, when there may be more"`
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
	}
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

func (s *server) agencies(ctx context.Context, _ *struct{}) (*agenciesOutput, error) {
	list, err := s.Desk.Records.Agencies(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &agenciesOutput{}
	out.Body.Agencies = make([]agencyBody, len(list))
	for k, g := range list {
		out.Body.Agencies[k] = agencyBody{g.Code, g.Name, g.PersonalMail}
	}
	return out, nil
}

func (s *server) putAgency(ctx context.Context, in *agencyInput) (*agencyOutput, error) {
	g := enrol.Agency{Code: in.Code, Name: in.Body.Name, PersonalMail: in.Body.PersonalMail}
	if err := s.Desk.PutAgency(ctx, personOf(ctx).Actor, g); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &agencyOutput{agencyBody{g.Code, g.Name, g.PersonalMail}}, nil
}

func (s *server) systems(ctx context.Context, _ *struct{}) (*systemsOutput, error) {
	list, err := s.Desk.Records.Systems(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &systemsOutput{}
	out.Body.Systems = make([]systemBody, len(list))
	for k, x := range list {
		out.Body.Systems[k] = systemBody{x.Code, x.Title, x.Agency, when(x.TokenEnds)}
	}
	return out, nil
}

func (s *server) putSystem(ctx context.Context, in *systemInput) (*systemOutput, error) {
	x := enrol.System{Code: in.Code, Title: in.Body.Title, Agency: in.Body.Agency, TokenEnds: in.Body.TokenEnds}
	if err := s.Desk.PutSystem(ctx, personOf(ctx).Actor, x); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &systemOutput{systemBody{x.Code, x.Title, x.Agency, when(x.TokenEnds)}}, nil
}

func (s *server) endTokens(ctx context.Context, in *tokenEndsInput) (*struct{}, error) {
	var at time.Time
	if in.Body.From != nil {
		at = *in.Body.From
	}
	if err := s.Desk.EndTokens(ctx, personOf(ctx).Actor, in.Code, at); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
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

func (s *server) addList(ctx context.Context, in *listInput) (*listOutput, error) {
	if t := mediaType(in.ContentType); t != "text/csv" && t != sheetType {
		return nil, s.fail(ctx, fixed("Content-Type", "It must be text/csv or "+sheetType+".", "Ia mesti text/csv atau "+sheetType+"."))
	}
	choice := enrol.ListChoice{GoodOnly: in.GoodOnly}
	var err error
	if choice.Rows, err = rowsOf(in.Rows); err != nil {
		return nil, s.fail(ctx, err)
	}
	f, size, err := s.spool(in.body, maxList)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer f.Close()
	var rep enrol.ListReport
	if in.Check {
		rep, err = s.Desk.CheckList(ctx, personOf(ctx).Actor, f, size)
	} else {
		rep, err = s.Desk.AddList(ctx, personOf(ctx).Actor, f, size, choice)
	}
	if errors.Is(err, table.ErrRefused) {
		err = fmt.Errorf("%w: %w", errList, err)
	}
	if err != nil {
		p := newProblem(ctx, s.logged(ctx, err))
		if errors.Is(err, enrol.ErrInput) { // the rows say why
			p.Errors = faults(rep.Told)
		}
		return nil, p
	}
	out := &listOutput{}
	b := &out.Body
	b.Digest, b.Rows, b.Good, b.Already, b.Accepted, b.Count, b.Refused = rep.Digest, rep.Rows, rep.Good, rep.Already, rep.Added, rep.Refused, faults(rep.Told)
	return out, nil
}

// spool keeps an upload in a file that has no name.
func (s *server) spool(body io.Reader, limit int64) (*os.File, int64, error) {
	return spool.Copy(s.TempDir, body, limit)
}

// rowsOf reads "2,5-9"; nil for "".
func rowsOf(text string) (map[int]bool, error) {
	if text == "" {
		return nil, nil
	}
	bad := fixed("rows", "It must be row numbers and ranges, such as 2,5-9.", "Ia mesti nombor baris dan julat, misalnya 2,5-9.")
	rows := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 31)
		to, terr := strconv.ParseUint(last, 10, 31)
		if err != nil || terr != nil || from > to || to-from >= enrol.MaxListRows {
			return nil, bad
		}
		for n := from; n <= to; n++ {
			rows[int(n)] = true
		}
		if len(rows) > enrol.MaxListRows {
			return nil, bad
		}
	}
	return rows, nil
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
	f := enrol.Filter{State: enrol.State(in.State), System: in.System, Agency: in.Agency, Limit: in.Limit, Until: s.Now().Add(-time.Duration(in.Days) * 24 * time.Hour)}
	if in.After != "" {
		at, id, _ := strings.Cut(in.After, ".")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || id == "" {
			return nil, s.fail(ctx, fixed("after", "It must be next of the page before.", "Ia mesti next bagi halaman sebelumnya."))
		}
		f.AfterSince, f.AfterID = time.UnixMicro(n), id
	}
	list, err := s.Desk.Find(ctx, personOf(ctx).Actor, f)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &findOutput{}
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
