package enrol

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Ends of an officer's account, or of one system in it.
const (
	DeleteAccount   Action = "officer.delete"
	AskDeletion     Action = "officer.delete.ask" // by an administrator, for who has left
	ConfirmDeletion Action = "officer.delete.confirm"
	RemoveSystem    Action = "officer.system.remove"
	SeeRequests     Action = "officer.requests"
	CancelRequest   Action = "officer.requests.cancel"
)

// Notices to officers; see notify.
const (
	NoticeDeleted       = "officer.deleted"
	NoticeDeletionAsked = "officer.deletion.asked"
)

// Kinds and states of an OfficerRequest.
const (
	RequestReset  = "RESET"  // of a forgotten password
	RequestDelete = "DELETE" // of an account

	RequestPending   = "PENDING"
	RequestDone      = "DONE"
	RequestCancelled = "CANCELLED"
	RequestExpired   = "EXPIRED"
)

// requestFor is how long a request waits for its second person.
const requestFor = 7 * 24 * time.Hour

// OfficerRequest concerns an officer and waits for a second person.
type OfficerRequest struct {
	ID       string // "rq_…"
	Kind     string
	IC       string
	Account  string
	Epoch    int64
	Password []byte // of hashPassword, for RequestReset; empty once it was decided
	State    string
	AskedBy  string
	AskedIC  string
	AskedAt  time.Time
	Until    time.Time // when it is given up
	Reason   string
	// Of RequestRevoke: whose certificate, its decimal serial number, and the name of a CRLReason.
	System, Serial, CRLReason string
}

// Leaving is what Leave ends.
type Leaving struct {
	IC      string
	System  string // "": everything, and the log-in with it
	Login   string // whose code is spent; "": none
	Subject string // whose count of mails is forgotten; "": none
	Request string // that is done with it; "": none
	At      time.Time
}

// LeavingRecords ends what officers have. Each call is durable, with its event and
// notices, or nothing of it is.
type LeavingRecords interface {
	// Leave revokes the officer's living certificates (cessationOfOperation) with their keys
	// destroyed, withdraws what is under way, drops the media and, where l.System is "",
	// deletes the log-in with its sessions: all of it or nothing. What was signed, and the
	// audit, stay. serials are those revoked. ErrUsed when l.Login was spent, ErrState when
	// l.Request is not pending, ErrExists when a certificate is being issued.
	Leave(ctx context.Context, l Leaving, ev audit.Event) (serials []string, err error)
	// PutRequest begins one, with a notice of this kind to the officer ("": none), and spends
	// the code of a log-in ("": none); ErrExists when one of that kind is pending, ErrUsed.
	PutRequest(ctx context.Context, r OfficerRequest, login, notice string, ev audit.Event) error
	// CancelOfficerRequest ends one that is pending; ErrState when it is none.
	CancelOfficerRequest(ctx context.Context, id string, ev audit.Event) error
	OfficerRequest(ctx context.Context, id string) (OfficerRequest, error)
	// PendingRevocation is the request for the revocation of an officer's certificate for a system
	// that waits at now, or ErrUnknown.
	PendingRevocation(ctx context.Context, ic, system string, now time.Time) (id string, err error)
	// PendingRequests lists requests that wait at now for a second person, the oldest first, behind
	// one of that time and id.
	PendingRequests(ctx context.Context, now, after time.Time, id string, limit int) ([]OfficerRequest, error)
	// RequestsOf lists an officer's, the newest first, at most 20.
	RequestsOf(ctx context.Context, ic string) ([]OfficerRequest, error)
	// ResetPassword makes hash the password of an officer's account if that has had no other
	// since epoch, ends its sessions and tells the officer. The code of a log-in, or a
	// request, is spent with it. ErrUsed, ErrState.
	ResetPassword(ctx context.Context, account string, epoch int64, hash []byte, login, request string, ev audit.Event) error
	// PutPhone keeps a mobile number, spends the code, and tells the officer; ErrUsed.
	PutPhone(ctx context.Context, ic, mobile string, l Login, ev audit.Event) error
	// Phone is the number that was changed last; ErrUnknown when none was.
	Phone(ctx context.Context, ic string) (mobile string, at time.Time, err error)
}

// Loss is what a deletion would end.
type Loss struct {
	Media []Medium    // with the certificates that are revoked
	Open  []Enrolment // that are withdrawn
}

// stillValid says whether a medium's certificate has not ended.
func (d *Desk) stillValid(m *Medium) bool {
	cert, err := x509.ParseCertificate(m.DER)
	return err == nil && d.Now().Before(cert.NotAfter)
}

// loss reads what leaving would end.
func (d *Desk) loss(ctx context.Context, ic, system string) (out Loss, err error) {
	_, media, err := d.Registrar.Records.Officer(ctx, ic)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return out, fmt.Errorf("reading officer: %w", err)
	}
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return out, fmt.Errorf("reading enrolments: %w", err)
	}
	for _, m := range media {
		if system == "" || m.System == system {
			out.Media = append(out.Media, m)
		}
	}
	for _, e := range all {
		if e.State.Open() && (system == "" || e.System == system) {
			out.Open = append(out.Open, e)
		}
	}
	return out, nil
}

// AskToLeave is the first step in which an officer deletes the own account: in a session
// just opened, with [Proof]. It says what will end and mails the code for the second
// step. Administrators do not: their appointments are ended first.
func (d *Desk) AskToLeave(ctx context.Context, acc *Accounts, p Person, of Proof) (Login, Loss, error) {
	ev, err := d.decide(ctx, person(&p), DeleteAccount, officer(p.Account.IC, ""))
	if err != nil {
		return Login{}, Loss{}, err
	}
	if p.Account.Kind != OfficerAccount {
		return Login{}, Loss{}, d.refuse(ctx, ev, refusal("appointed", ErrState))
	}
	if err := acc.Fresh(&p); err != nil {
		return Login{}, Loss{}, err
	}
	if err := d.proven(ctx, acc, &p, ev, of); err != nil {
		return Login{}, Loss{}, err
	}
	out, err := d.loss(ctx, p.Account.IC, "")
	if err != nil {
		return Login{}, Loss{}, err
	}
	ev.Verdict, ev.Detail["step"] = audit.Noted, "asked"
	if err := d.Records.Audit(ctx, ev); err != nil {
		return Login{}, Loss{}, err
	}
	l, err := acc.askCode(ctx, &p, ForDeletion, "")
	return l, out, err
}

// Leave deletes p's account with the code that was mailed: see [LeavingRecords.Leave].
// A *CodeError, ErrUnknown, ErrUsed, a *[Refusal], ErrStale.
func (d *Desk) Leave(ctx context.Context, acc *Accounts, p Person, id string, code secret.Text) error {
	ev, err := d.decide(ctx, person(&p), DeleteAccount, officer(p.Account.IC, ""))
	if err != nil {
		return err
	}
	if p.Account.Kind != OfficerAccount { // appointed since it was asked
		return d.refuse(ctx, ev, refusal("appointed", ErrState))
	}
	l, _, err := acc.ownCode(ctx, &p, id, ForDeletion, code)
	if err != nil {
		return err
	}
	return d.leave(ctx, p.Actor.Name, Leaving{IC: p.Account.IC, Login: l.ID, Subject: l.Subject, At: d.Now()}, ev)
}

// leave ends it, and has the CRL tell at once: if that cannot be, the gateway's
// publisher does within a minute.
func (d *Desk) leave(ctx context.Context, by string, l Leaving, ev audit.Event) error {
	serials, err := d.Records.Leave(ctx, l, ev)
	switch {
	case errors.Is(err, ErrExists):
		return d.refuse(ctx, ev, refusal("certificate_coming", ErrState))
	case errors.Is(err, ErrState):
		return d.refuse(ctx, ev, refusal("enrolment_changed", ErrState))
	case err != nil:
		return err
	}
	for _, s := range serials {
		_ = d.CA.Revoke(ctx, by, s, ca.ReasonCode("cessationOfOperation")) // it was, and says so
	}
	return nil
}

// Remove ends p's certificate for one system, in a session just opened, with the PIN, or
// the password of who holds none that can sign: it is revoked, the key destroyed, what
// is under way withdrawn, the medium gone.
func (d *Desk) Remove(ctx context.Context, acc *Accounts, p Person, system string, of Proof) error {
	ev, err := d.decide(ctx, person(&p), RemoveSystem, officer(p.Account.IC, system))
	if err != nil {
		return err
	}
	out, err := d.loss(ctx, p.Account.IC, system)
	if err != nil {
		return err
	}
	if len(out.Media) == 0 {
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	if err := acc.Fresh(&p); err != nil {
		return err
	}
	of.System = system
	if err := d.proven(ctx, acc, &p, ev, of); err != nil {
		return err
	}
	return d.leave(ctx, p.Actor.Name, Leaving{IC: p.Account.IC, System: system, At: d.Now()}, ev)
}

// AskDeletion begins to delete the account of an officer who has left; reason, of 5 to 200
// characters, says how that is known. The officer is told, and another administrator
// confirms.
func (d *Desk) AskDeletion(ctx context.Context, a Actor, ic, reason string) (OfficerRequest, error) {
	ev, err := d.Permit(ctx, a, AskDeletion, ic)
	if err != nil {
		return OfficerRequest{}, err
	}
	if no := reasonGiven(&reason, auditReason); no != nil {
		return OfficerRequest{}, d.refuse(ctx, ev, no)
	}
	r := OfficerRequest{ID: ident.New("rq", 16), Kind: RequestDelete, IC: ic, State: RequestPending, AskedBy: a.Name, AskedIC: a.IC, AskedAt: d.Now().UTC(), Until: d.Now().UTC().Add(requestFor), Reason: reason}
	ev.Detail["request"], ev.Detail["why"] = r.ID, reason
	err = d.Records.PutRequest(ctx, r, "", NoticeDeletionAsked, ev)
	if errors.Is(err, ErrExists) {
		err = d.refuse(ctx, ev, refusal("request_pending", ErrState))
	}
	return r, err
}

// Requests lists what waits, or waited, for a second person about an officer.
func (d *Desk) Requests(ctx context.Context, a Actor, ic string) ([]OfficerRequest, error) {
	ev, err := d.Permit(ctx, a, SeeRequests, ic)
	if err != nil {
		return nil, err
	}
	list, err := d.Records.RequestsOf(ctx, ic)
	if err != nil {
		return nil, fmt.Errorf("reading requests: %w", err)
	}
	seen := list[:0]
	r, _ := d.reach(&a)
	for k := range list {
		switch theirs, err := d.shows(ctx, &a, &r, &list[k]); {
		case err != nil:
			return nil, err
		case theirs:
			seen = append(seen, list[k])
		}
	}
	list = seen
	for k := range list {
		list[k].Password = nil
		if list[k].State == RequestPending && !d.Now().Before(list[k].Until) {
			list[k].State = RequestExpired
		}
	}
	return list, d.Records.Audit(ctx, ev)
}

// shows says whether a request is one that a may see: a revocation with the certificate's system and
// the agency there, all else, which are passwords and accounts, with the officer's agency.
func (d *Desk) shows(ctx context.Context, a *Actor, r *reach, q *OfficerRequest) (bool, error) {
	if r.all {
		return true, nil
	}
	act, system := CancelRequest, ""
	if q.Kind == RequestRevoke {
		act, system = CancelRevocation, q.System
	}
	o, err := d.ofSystem(ctx, a, act, q.IC, system)
	return o.system != "", err
}

// OpenRequests lists what waits for a second person about officers within somebody's scope, the
// oldest first, behind one of that
// time and id. The audit tells that it was looked at.
func (d *Desk) OpenRequests(ctx context.Context, a Actor, after time.Time, id string, limit int) (out []OfficerRequest, err error) {
	r, o := d.reach(&a)
	o.name = "officer-requests"
	ev, err := d.decide(ctx, a, SeeRequests, o)
	if err != nil {
		return nil, err
	}
	for len(out) < limit {
		list, err := d.Records.PendingRequests(ctx, d.Now(), after, id, limit)
		if err != nil {
			return nil, fmt.Errorf("reading requests: %w", err)
		}
		for _, q := range list {
			after, id, q.Password = q.AskedAt, q.ID, nil
			theirs, err := d.shows(ctx, &a, &r, &q)
			if err != nil {
				return nil, err
			}
			if theirs && len(out) < limit {
				out = append(out, q)
			}
		}
		if len(list) < limit {
			break
		}
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, d.Records.Audit(ctx, ev)
}

// CancelRequest ends a request that nobody should confirm, for whoever may see it.
func (d *Desk) CancelRequest(ctx context.Context, a Actor, id string) error {
	r, err := d.Records.OfficerRequest(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("reading request: %w", err)
	}
	act, system, o, unknown := CancelRequest, "", object{name: id}, err != nil
	if r.Kind == RequestRevoke { // the certificate's system is what counts, and the agency there
		act, system = CancelRevocation, r.System
	}
	if !unknown {
		if o, err = d.ofSystem(ctx, &a, act, r.IC, system); err != nil {
			return err
		}
		o.name = id
	}
	ev, err := d.decide(ctx, a, act, o)
	if err == nil && unknown {
		err = d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	if err != nil {
		return err
	}
	return d.stands(ctx, ev, d.Records.CancelOfficerRequest(ctx, id, ev))
}

// allTheirs refuses an administrator who may not end all that an officer signs with: what an
// officer has of another agency is ended by that agency, or everything by JDN. ev is the deed's.
func (d *Desk) allTheirs(ctx context.Context, ev audit.Event, a *Actor, ic string) error {
	_, media, err := d.Registrar.Records.Officer(ctx, ic)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("reading officer: %w", err)
	}
	for _, m := range media {
		if m.KeyStatus != "ACTIVE" && m.KeyStatus != "SUSPENDED" {
			continue
		}
		o, err := d.ofSystem(ctx, a, ConfirmDeletion, ic, m.System)
		if err != nil {
			return err
		}
		if by, _ := d.judge(a, rules()[ConfirmDeletion], &o); by == "" {
			return d.refuse(ctx, ev, refusal("certificates_elsewhere", ErrForbidden))
		}
	}
	return nil
}

// ConfirmRequest is the word of an administrator who did not ask, is not the officer, and did
// not choose the mailbox that a password was asked for from, nor is one hand with these: the account is deleted, or the officer has the password. how, of 5 to 200 characters,
// says how that was made sure. A certificate is revoked, as it was asked for: late is as that of
// [Desk.Revoke].
func (d *Desk) ConfirmRequest(ctx context.Context, a Actor, id, how string) error {
	r, err := d.Records.OfficerRequest(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("reading request: %w", err)
	}
	if err == nil && r.Kind == RequestRevoke {
		return d.confirmRevocation(ctx, a, &r, how)
	}
	act, o, unknown := ConfirmDeletion, object{name: id}, err != nil
	if r.Kind == RequestReset {
		act = VouchPassword
	}
	if !unknown {
		if o, err = d.of(ctx, &a, act, r.IC); err != nil {
			return err
		}
		o.name = id
		if r.AskedIC != r.IC {
			o.validator = r.AskedIC
		}
	}
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return err
	}
	switch no := reasonGiven(&how, auditReason); {
	case unknown:
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	case no != nil:
		return d.refuse(ctx, ev, no)
	case r.State != RequestPending || !d.Now().Before(r.Until):
		return d.refuse(ctx, ev, refusal("enrolment_changed", ErrState))
	}
	if r.Kind == RequestDelete && r.AskedIC != r.IC {
		if err := d.allTheirs(ctx, ev, &a, r.IC); err != nil {
			return err
		}
	}
	others := []string{r.AskedBy}
	if r.Kind == RequestReset { // which a mailed code began
		chose, err := d.Records.Mailbox(ctx, r.IC)
		if err != nil {
			return fmt.Errorf("reading who chose the address: %w", err)
		}
		others = append(others, chose...)
	}
	if err := oneHand(ctx, d.Records, ev, &a, others...); err != nil {
		return err
	}
	ev.Detail["how"] = how
	if r.Kind == RequestDelete {
		return d.leave(ctx, a.Name, Leaving{IC: r.IC, Request: r.ID, At: d.Now()}, ev)
	}
	err = d.Records.ResetPassword(ctx, r.Account, r.Epoch, r.Password, "", r.ID, ev)
	if errors.Is(err, ErrState) || errors.Is(err, ErrUsed) {
		err = d.refuse(ctx, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}
