package api

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/signer"
)

type lookupInput struct {
	IC string `path:"ic" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
}

type heldBody struct {
	Medium       string     `json:"medium" enum:"TOKEN,SOFTCERT,ROAMING,ROAMING_OTP"`
	Status       string     `json:"status"`
	System       string     `json:"system"`
	Credential   string     `json:"credential_id,omitempty"`
	Algorithm    string     `json:"algorithm,omitempty"`
	KeyStatus    string     `json:"key_status,omitempty" doc:"ACTIVE, SUSPENDED, REVOKED, or EXPIRED"`
	SerialNumber string     `json:"serial_number,omitempty" doc:"Decimal"`
	NotBefore    *time.Time `json:"not_before,omitempty"`
	NotAfter     *time.Time `json:"not_after,omitempty"`
	RevokedAt    *time.Time `json:"revocation_at,omitempty" doc:"A revocation to come"`
}

type doorBody struct {
	Account  string     `json:"account,omitempty" enum:"NEW,ACTIVE,ENDED,DELETED" doc:"Left out: there is none"`
	Until    *time.Time `json:"refused_until,omitempty" doc:"Failed log-ins hold it up"`
	Sessions int        `json:"sessions" doc:"That are open"`
}

type lastSignedBody struct {
	Transaction string     `json:"transaction_id"`
	App         string     `json:"app"`
	System      string     `json:"system"`
	Process     string     `json:"process,omitempty"`
	Count       int        `json:"count" doc:"Documents; their titles are not told"`
	Status      string     `json:"status"`
	Code        string     `json:"code,omitempty" doc:"Why it ended unsigned, where it is one of the error codes"`
	AskedAt     time.Time  `json:"asked_at"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

type adviceBody struct {
	Code   string `json:"code" doc:"Stable, for programs"`
	Text   string `json:"text" doc:"In the language of the request"`
	Action string `json:"action,omitempty" enum:"unlock,unlock_login,email,vouch,codes,release,revoke,suspend,replace,retire,transfer,delete,confirm,enrolment,list,export,revocations" doc:"What it leads to"`
	System string `json:"system,omitempty"`
	Object string `json:"object,omitempty" doc:"Id of the enrolment, request or change, or serial number, that it is about"`
}

type lookupOutput struct {
	Body struct {
		IC         string           `json:"ic"`
		Name       string           `json:"name"`
		Email      string           `json:"email"`
		Withheld   bool             `json:"withheld" doc:"Another agency's officer: name and your own enrolments alone"`
		Media      []heldBody       `json:"media"`
		Enrolments []enrolmentBody  `json:"enrolments"`
		Status     string           `json:"status,omitempty" enum:"ISSUED,NEW,WAITING_FOR_VERIFICATION,RENEW,EXPIRED,SUSPENDED,REVOKED,NO_CERTIFICATE,NOT_REGISTERED" doc:"The best of the certificates"`
		CanSign    bool             `json:"can_sign"`
		NextStep   string           `json:"next_step,omitempty" doc:"The officer's, in the language of the request"`
		PIN        *pinStateBody    `json:"pin,omitempty"`
		Door       *doorBody        `json:"log_in,omitempty"`
		Signatures []lastSignedBody `json:"signatures,omitempty" doc:"The last 10, of the systems that you see"`
		Codes      []sentBody       `json:"codes,omitempty" doc:"The last 10, for who may see them (JDN, SA, AP)"`
		Requests   []requestBody    `json:"requests,omitempty" doc:"That wait for a second person, or waited"`
		Changes    []addressBody    `json:"address_changes,omitempty" doc:"The one under way"`
		Advice     []adviceBody     `json:"advice,omitempty" doc:"What to do, the most pressing first"`
		May        []string         `json:"may,omitempty" doc:"Actions that are yours to take; each is decided when it is taken"`
	}
}

// shownLately is how many signatures and codes answer a call.
const shownLately = 10

// lookUp is all that answers a call, in one look: the audit has one event for it.
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
	b.IC, b.Name, b.Email, b.Withheld, b.May = p.Officer.IC, p.Officer.Name, p.Officer.Email, p.Withheld, p.May
	b.Media, b.Enrolments = make([]heldBody, len(p.Media)), make([]enrolmentBody, len(p.Enrolments))
	for k, m := range p.Media {
		b.Media[k] = heldBody{Medium: m.Medium, Status: m.Status, System: m.System, Credential: m.Credential, Algorithm: m.Algorithm, KeyStatus: m.KeyStatus, SerialNumber: m.Serial}
	}
	for k := range p.Enrolments {
		b.Enrolments[k] = enrolmentOut(&p.Enrolments[k])
	}
	if p.Withheld {
		return out, nil
	}
	if err := s.answerCall(ctx, &p, out); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

// answerCall adds what an administrator sees of an officer who is theirs to help.
func (s *server) answerCall(ctx context.Context, p *enrol.Found, out *lookupOutput) error {
	b, ic := &out.Body, p.Officer.IC
	found, err := s.mediaOf(ctx, ic, p.Sees)
	switch {
	case err == nil:
		b.Status, b.CanSign, b.NextStep = found.Body.Status, found.Body.CanSign, found.Body.NextStep
		if b.Status == "SUSPENDED" {
			b.NextStep = pick(english(ctx), "Wait: the certificate is suspended until an administrator decides.", "Tunggu: sijil digantung sehingga pentadbir membuat keputusan.")
		}
	case !errors.Is(err, enrol.ErrUnknown):
		return err
	case len(p.Enrolments) > 0: // nothing was issued yet
		last := &p.Enrolments[len(p.Enrolments)-1]
		b.Status = statusOf(last.State)
		b.NextStep, _ = last.Next(english(ctx))
	}
	sit, err := s.Desk.SituationOf(ctx, p)
	if err != nil {
		return err
	}
	if err := s.stateOf(ctx, ic, sit, out); err != nil {
		return err
	}
	if b.Signatures, err = s.lastSignatures(ctx, p); err != nil {
		return err
	}
	if p.Mays(enrol.DoCodes) {
		if err := s.lastCodes(ctx, ic, sit, out); err != nil {
			return err
		}
	}
	s.certificatesOf(p, sit, out)
	for k := range sit.Requests {
		r, err := s.requestOut(ctx, &sit.Requests[k])
		if err != nil {
			return err
		}
		b.Requests = append(b.Requests, r)
	}
	if sit.Change != nil {
		b.Changes = []addressBody{addressOut(sit.Change)}
	}
	for _, x := range s.Desk.Advise(sit) {
		text := pick(english(ctx), x.EN, x.MS)
		do := x.Do
		if do != "" && do != enrol.DoEnrolment && do != enrol.DoRevision && !p.Mays(do) {
			do = ""
		}
		b.Advice = append(b.Advice, adviceBody{x.Code, text, do, x.System, x.Object})
	}
	return nil
}

// stateOf is how PIN and log-in are.
func (s *server) stateOf(ctx context.Context, ic string, sit *enrol.Situation, out *lookupOutput) error {
	st, err := s.Signer.Records.PINState(ctx, ic)
	if err != nil {
		return err
	}
	sit.PIN = enrol.PINCount{Wrong: st.Total, LockedUntil: st.LockedUntil, Blocked: st.Blocked}
	pin := s.pinOut(&st)
	out.Body.PIN = &pin
	door, err := s.Accounts.Door(ctx, ic)
	if err != nil {
		return err
	}
	sit.DoorUntil = door.Until
	out.Body.Door = &doorBody{door.State, when(door.Until), door.Sessions}
	return nil
}

func (s *server) pinOut(st *signer.PINState) pinStateBody {
	b := pinStateBody{State: "OPEN", Wrong: st.Total}
	switch {
	case st.Blocked:
		b.State = "BLOCKED"
	case s.Now().Before(st.LockedUntil):
		b.State, b.LockedUntil = "LOCKED", when(st.LockedUntil)
	}
	return b
}

// lastSignatures are the newest transactions of systems within sight. What the documents are called
// is nobody's business here.
func (s *server) lastSignatures(ctx context.Context, p *enrol.Found) ([]lastSignedBody, error) {
	most := shownLately
	if !p.All {
		most *= 5 // some are of systems that are not shown
	}
	list, err := s.Signer.Records.OwnTransactions(ctx, signer.Mine{Officer: p.Officer.IC, Limit: most})
	if err != nil {
		return nil, err
	}
	var out []lastSignedBody
	for k := range list {
		t := &list[k]
		if !p.Sees(t.System) || len(out) == shownLately {
			continue
		}
		out = append(out, lastSignedBody{Transaction: t.ID, App: t.SystemName, System: t.System, Process: t.Process, Count: int(t.Count), Status: string(t.Status), Code: codeOf(t.Ended),
			AskedAt: t.CreatedAt.UTC(), FinishedAt: when(t.FinishedAt)})
	}
	return out, nil
}

func (s *server) lastCodes(ctx context.Context, ic string, sit *enrol.Situation, out *lookupOutput) error {
	list, err := s.Codes(ctx, ic, shownLately)
	if err != nil {
		return err
	}
	for _, x := range list {
		out.Body.Codes = append(out.Body.Codes, sentOut(&x))
	}
	if len(list) > 0 {
		x := &list[0]
		sit.Code = &enrol.CodeSent{At: x.IssuedAt, Until: x.ExpiresAt, State: x.Delivery.State, Reply: x.Delivery.Reply, Used: x.Redeemed}
	}
	return nil
}

// certificatesOf completes the media with the times of their certificates.
func (s *server) certificatesOf(p *enrol.Found, sit *enrol.Situation, out *lookupOutput) {
	for k := range p.Media {
		m, b := &p.Media[k], &out.Body.Media[k]
		cert, err := x509.ParseCertificate(m.DER)
		if err != nil {
			continue // there is none
		}
		b.NotBefore, b.NotAfter = when(cert.NotBefore), when(cert.NotAfter)
		if b.KeyStatus == "ACTIVE" && !s.Now().Before(cert.NotAfter) {
			b.KeyStatus = enrol.Ended
		}
		for _, x := range sit.Leaving {
			if x.Serial == m.Serial {
				b.RevokedAt = when(x.At)
			}
		}
	}
}
