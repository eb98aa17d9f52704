package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.Enrolments = (*DB)(nil)

// mediumNew is the status of a medium whose certificate is still to come.
const mediumNew = "NEW"

// PutAgency implements enrol.Enrolments.
func (d *DB) PutAgency(ctx context.Context, a enrol.Agency, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.PutAgency(ctx, sqlc.PutAgencyParams{Code: a.Code, Name: a.Name, PersonalMail: flag(a.PersonalMail), CreatedAt: micros(ev.At)})
	})
}

// PutOffice implements enrol.Enrolments.
func (d *DB) PutOffice(ctx context.Context, o enrol.Office, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.PutOffice(ctx, sqlc.PutOfficeParams{Agency: o.Agency, Code: o.Code, Name: o.Name, Phase: o.Phase, CreatedAt: micros(ev.At)})
	})
}

// DropOffice implements enrol.Enrolments.
func (d *DB) DropOffice(ctx context.Context, agency, code string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.DropOffice(ctx, sqlc.DropOfficeParams{Agency: agency, Code: code}))
	})
}

// Offices implements enrol.Enrolments.
func (d *DB) Offices(ctx context.Context, agency string) ([]enrol.Office, error) {
	rows, err := d.q.Offices(ctx, agency)
	out := make([]enrol.Office, len(rows))
	for k, r := range rows {
		out[k] = enrol.Office{Agency: r.Agency, Code: r.Code, Name: r.Name, Phase: r.Phase}
	}
	return out, err
}

// StrayOffices implements enrol.Enrolments.
func (d *DB) StrayOffices(ctx context.Context, agency string) ([]enrol.StrayOffice, error) {
	rows, err := d.q.StrayOffices(ctx, agency)
	out := make([]enrol.StrayOffice, len(rows))
	for k, r := range rows {
		out[k] = enrol.StrayOffice{Name: r.Office, Officers: r.Officers}
	}
	return out, err
}

// PutSystem implements enrol.Enrolments.
func (d *DB) PutSystem(ctx context.Context, s enrol.System, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.PutSystem(ctx, sqlc.PutSystemParams{Code: s.Code, Title: s.Title, Agency: s.Agency, TokenEnds: micros(s.TokenEnds), CreatedAt: micros(ev.At)})
	})
}

// EndTokens implements enrol.Enrolments.
func (d *DB) EndTokens(ctx context.Context, system string, at time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.EndTokens(ctx, sqlc.EndTokensParams{TokenEnds: micros(at), Code: system}))
	})
}

// Agencies implements enrol.Enrolments.
func (d *DB) Agencies(ctx context.Context) ([]enrol.Agency, error) {
	rows, err := d.q.Agencies(ctx)
	out := make([]enrol.Agency, len(rows))
	for k, r := range rows {
		out[k] = enrol.Agency{Code: r.Code, Name: r.Name, PersonalMail: r.PersonalMail == 1}
	}
	return out, err
}

// Systems implements enrol.Enrolments.
func (d *DB) Systems(ctx context.Context) ([]enrol.System, error) {
	rows, err := d.q.Systems(ctx)
	out := make([]enrol.System, len(rows))
	for k, r := range rows {
		out[k] = enrol.System{Code: r.Code, Title: r.Title, Agency: r.Agency, TokenEnds: instant(r.TokenEnds), Notice: r.Notice, HeaderTemplate: r.HeaderTemplate}
	}
	return out, err
}

// System implements enrol.Enrolments.
func (d *DB) System(ctx context.Context, code string) (enrol.System, error) {
	r, err := d.q.System(ctx, code)
	if err != nil {
		return enrol.System{}, absent(err, enrol.ErrUnknown)
	}
	s := enrol.System{Code: r.Code, Title: r.Title, Agency: r.Agency, TokenEnds: instant(r.TokenEnds), LogoType: r.LogoType, Notice: r.Notice, HeaderTemplate: r.HeaderTemplate}
	if len(r.Logo) > 0 {
		s.Logo = r.Logo
	}
	return s, nil
}

// ShowSystem implements enrol.Enrolments.
func (d *DB) ShowSystem(ctx context.Context, s enrol.System, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.ShowSystem(ctx, sqlc.ShowSystemParams{Title: s.Title, Notice: s.Notice, HeaderTemplate: s.HeaderTemplate, Code: s.Code}))
	})
}

// SetLogo implements enrol.Enrolments.
func (d *DB) SetLogo(ctx context.Context, code string, logo []byte, kind string, ev audit.Event) error {
	if logo == nil {
		logo = []byte{}
	}
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.SetLogo(ctx, sqlc.SetLogoParams{Logo: logo, LogoType: kind, Code: code}))
	})
}

// CountTokens implements enrol.Enrolments.
func (d *DB) CountTokens(ctx context.Context, system string) (int, error) {
	n, err := d.q.CountTokens(ctx, system)
	return int(n), err
}

// Standing implements enrol.Enrolments.
func (d *DB) Standing(ctx context.Context, ic, system string, now time.Time) (enrol.Standing, error) {
	r, err := d.q.Standing(ctx, sqlc.StandingParams{System: system, Now: micros(now), Ic: personal.IC(ic)})
	if errors.Is(err, sql.ErrNoRows) {
		if a, held, err := appointedPerson(ctx, d.q, ic, now); held || err != nil {
			return enrol.Standing{Name: string(a.Name), Email: string(a.Email)}, err
		}
	}
	if err != nil {
		return enrol.Standing{}, absent(err, enrol.ErrUnknown)
	}
	return enrol.Standing{Name: string(r.Name), Email: string(r.Email), Medium: r.Medium, Enrolment: r.ID, State: enrol.State(r.State), List: r.List, Live: r.Live > 0}, nil
}

// AddEntries implements enrol.Enrolments.
func (d *DB) AddEntries(ctx context.Context, entries []enrol.Entry) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		for _, e := range entries {
			if err := addEntry(ctx, q, &e); err != nil {
				return err
			}
			if err := appendEvent(ctx, q, e.Event); err != nil {
				return err
			}
		}
		return nil
	})
}

func addEntry(ctx context.Context, q *sqlc.Queries, e *enrol.Entry) error {
	o := e.Officer
	added, err := q.NewOfficer(ctx, sqlc.NewOfficerParams{Ic: personal.IC(o.IC), Name: personal.Name(o.Name), Email: personal.Address(o.Email), CreatedAt: micros(e.At)})
	if err == nil && added == 1 {
		var a sqlc.Account
		var held bool
		if a, held, err = appointedPerson(ctx, q, o.IC, e.At); held && (string(a.Name) != o.Name || string(a.Email) != o.Email) {
			err = enrol.ErrExists // proposed since the row was judged
		}
	}
	if err != nil {
		return err
	}
	medium := sqlc.NewMediumParams{Ic: personal.IC(o.IC), System: e.System, Medium: e.Medium, Status: "ACTIVE"}
	if e.ID != "" {
		medium.Status = mediumNew
	}
	n, err := q.NewMedium(ctx, medium)
	if err != nil {
		return err
	}
	if e.ID == "" {
		if n == 0 {
			return enrol.ErrExists
		}
		return nil
	}
	n, err = q.AddEnrolment(ctx, sqlc.AddEnrolmentParams{ID: e.ID, Ic: personal.IC(o.IC), System: e.System, Agency: e.Agency, Office: e.Office, Phase: e.Phase, Ticket: e.Ticket,
		List: e.List, State: string(e.State), Since: micros(e.At), ListedBy: personal.Actor(e.By), ListedAt: micros(e.At), DueAt: micros(e.Due), Origin: e.Origin, Follows: e.Follows})
	if err == nil && n == 0 {
		err = enrol.ErrExists
	}
	return err
}

// appointedPerson is the account of somebody who is an administrator, or is or may become
// one by an appointment that has not ended; false where there is none.
func appointedPerson(ctx context.Context, q *sqlc.Queries, ic string, now time.Time) (sqlc.Account, bool, error) {
	row, err := q.AccountByIC(ctx, orNull(ic))
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	a, _, err := account(ctx, q, row, err)
	if err != nil || a.State == enrol.AccountEnded || a.State == enrol.AccountDeleted {
		return row, false, err
	}
	return row, a.Kind == enrol.AdministratorAccount || a.Lasting(now), nil
}

func enrolment(e *sqlc.Enrolment, name, email string) enrol.Enrolment {
	return enrol.Enrolment{ID: e.ID, IC: string(e.Ic), Name: name, Email: email, System: e.System, Agency: e.Agency, Office: e.Office, Phase: e.Phase, Ticket: e.Ticket,
		List: e.List, Kind: enrol.Kind(e.Kind), Replaces: e.Replaces, Origin: e.Origin, Follows: e.Follows, State: enrol.State(e.State), Since: instant(e.Since), ListedBy: string(e.ListedBy), ListedAt: instant(e.ListedAt), DueAt: instant(e.DueAt),
		Attempts: int(e.Attempts), MailedAt: instant(e.MailedAt), Reply: string(e.Reply), LinkUntil: instant(e.LinkUntil), CodeUntil: instant(e.CodeUntil), Reason: string(e.Reason),
		ValidatedBy: string(e.ValidatedBy), ValidatedIC: string(e.ValidatedIc), ValidatedAt: instant(e.ValidatedAt), ApprovedBy: string(e.ApprovedBy), ApprovedIC: string(e.ApprovedIc), ApprovedAt: instant(e.ApprovedAt)}
}

// Enrolment implements enrol.Enrolments.
func (d *DB) Enrolment(ctx context.Context, id string) (enrol.Enrolment, error) {
	r, err := d.q.Enrolment(ctx, id)
	if err != nil {
		return enrol.Enrolment{}, absent(err, enrol.ErrUnknown)
	}
	return enrolment(&r.Enrolment, string(r.Name), string(r.Email)), nil
}

// EnrolmentByLink implements enrol.Enrolments.
func (d *DB) EnrolmentByLink(ctx context.Context, hash [32]byte) (enrol.Enrolment, error) {
	id, err := d.q.EnrolmentByLink(ctx, hash[:])
	if err != nil {
		return enrol.Enrolment{}, absent(err, enrol.ErrUnknown)
	}
	return d.Enrolment(ctx, id)
}

// EnrolmentByCode implements enrol.Enrolments.
func (d *DB) EnrolmentByCode(ctx context.Context, hash [32]byte) (enrol.Enrolment, error) {
	id, err := d.q.EnrolmentByCode(ctx, hash[:])
	if err != nil {
		return enrol.Enrolment{}, absent(err, enrol.ErrUnknown)
	}
	return d.Enrolment(ctx, id)
}

// EnrolmentsOf implements enrol.Enrolments.
func (d *DB) EnrolmentsOf(ctx context.Context, ic string) ([]enrol.Enrolment, error) {
	rows, err := d.q.EnrolmentsOf(ctx, personal.IC(ic))
	out := make([]enrol.Enrolment, len(rows))
	for k, r := range rows {
		out[k] = enrolment(&r.Enrolment, string(r.Name), string(r.Email))
	}
	return out, err
}

// Application implements enrol.Enrolments.
func (d *DB) Application(ctx context.Context, id string) (f enrol.Filed, sealed, request [32]byte, err error) {
	r, err := d.q.Application(ctx, id)
	if err != nil {
		return f, sealed, request, absent(err, enrol.ErrUnknown)
	}
	f = enrol.Filed{Credential: r.CredentialID, Algorithm: r.Algorithm, Version: uint32(r.Version), Sealed: r.Sealed, Request: r.Request.V, Form: r.Form, Image: r.Image, Copy: r.Copy, At: instant(r.AppliedAt)}
	events, err := d.q.KeyEvents(ctx, personal.Object(f.Credential))
	if err != nil {
		return f, sealed, request, fmt.Errorf("reading history of key: %w", err)
	}
	if len(events) == 1 {
		if v := version(events[0]); v.Version == f.Version && !v.Destroyed {
			e, _ := record(events[0]) // version could read it
			if sum, err := hex.DecodeString(e.Detail["request"]); err == nil && len(sum) == sha256.Size {
				sealed, request = v.Hash, [32]byte(sum)
			}
		}
	}
	return f, sealed, request, nil
}

// Decisions implements enrol.Enrolments.
func (d *DB) Decisions(ctx context.Context, id string) (out enrol.Decisions, err error) {
	events, err := d.q.DecisionEvents(ctx, personal.Object(id))
	if err != nil {
		return out, fmt.Errorf("reading decisions: %w", err)
	}
	var mailbox []sqlc.AuditEvent
	e, err := d.q.Enrolment(ctx, id)
	if err == nil {
		mailbox, err = d.mailbox(ctx, e.Enrolment.Ic, id)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return out, fmt.Errorf("reading who chose the address: %w", err)
	}
	for _, row := range append(events, mailbox...) {
		ev, err := record(row)
		if err != nil || !ev.Intact() {
			return enrol.Decisions{}, nil // edited: it tells nothing
		}
		switch enrol.Action(ev.Action) {
		case enrol.List, enrol.Replace, enrol.Correct, enrol.AskAddress, enrol.VouchAddress:
			out.Mailbox = append(out.Mailbox, ev.Actor)
		case enrol.Apply:
			out = enrol.Decisions{Mailbox: out.Mailbox}
		case enrol.Renew:
			out = enrol.Decisions{Mailbox: out.Mailbox, Kind: enrol.Renewal, Replaces: ev.Detail["replaces"]}
			if ev.Detail["approval"] == enrol.ApprovalNotNeeded {
				out.Alone, out.Approved = true, ev.Actor
			}
		case enrol.Forgot:
			out = enrol.Decisions{Mailbox: out.Mailbox, Kind: enrol.Rekey, Replaces: ev.Detail["replaces"]}
		case enrol.NewKey:
			out.Approved = ""
		case enrol.Validate:
			out.Validated = ev.Actor
		case enrol.Approve, enrol.Vouch:
			if out.Approved == "" { // whoever asked again has not decided
				out.Approved = ev.Actor
			}
		}
	}
	return out, nil
}

// Mailbox implements enrol.Enrolments.
func (d *DB) Mailbox(ctx context.Context, ic string) (out []string, err error) {
	rows, err := d.mailbox(ctx, personal.IC(ic), "")
	for _, row := range rows {
		ev, err := record(row)
		if err == nil && !ev.Intact() {
			err = &audit.BrokenError{Seq: row.Seq, What: "the hash is not that of the event"}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ev.Actor)
	}
	return out, err
}

// mailbox are the events by which an officer's address was chosen since the last
// certificate, save those of the enrolment but: the address is one for all of them.
func (d *DB) mailbox(ctx context.Context, ic personal.IC, but string) (out []sqlc.AuditEvent, err error) {
	ids, err := d.q.EnrolmentIDsOf(ctx, ic)
	if err != nil {
		return nil, err
	}
	last := int64(0)
	for _, id := range ids {
		seq, err := d.q.LastIssue(ctx, personal.Object(id))
		if err != nil {
			return nil, err
		}
		last = max(last, seq)
	}
	changes, err := d.q.AddressChangeIDsOf(ctx, ic)
	if err != nil {
		return nil, err
	}
	objects := slices.DeleteFunc(append(ids, changes...), func(x string) bool { return x == but })
	for _, object := range append(objects, "officer:"+string(ic)) {
		rows, err := d.q.MailboxEvents(ctx, sqlc.MailboxEventsParams{Object: personal.Object(object), After: last})
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// Hand implements enrol.Enrolments.
func (d *DB) Hand(ctx context.Context, ic string) ([]string, error) {
	by, err := d.q.AppointersOf(ctx, orNull(ic))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range by {
		out = append(out, string(name))
	}
	accounts, err := d.q.AppointedBy(ctx, personal.IC(ic))
	for _, id := range accounts {
		out = append(out, "account:"+id)
	}
	return out, err
}

// decision says which columns of a decision a state sets or keeps.
func decision(s enrol.State) string {
	switch s {
	case enrol.Validated:
		return "validated"
	case enrol.Approved:
		return "approved"
	case enrol.Issued, enrol.Rejected, enrol.Withdrawn:
		return "kept"
	}
	return ""
}

// Change implements enrol.Enrolments.
func (d *DB) Change(ctx context.Context, c enrol.Change) error {
	destroyed := false
	err := d.do(ctx, c.Event, func(q *sqlc.Queries) (err error) {
		destroyed, err = d.move(ctx, q, &c)
		return err
	})
	if err == nil && destroyed {
		d.scrub(ctx)
	}
	return err
}

// move takes a step; destroyed is follow's.
func (d *DB) move(ctx context.Context, q *sqlc.Queries, c *enrol.Change) (destroyed bool, err error) {
	step := decision(c.To)
	if c.To == c.From {
		step = "kept"
	}
	n, err := q.MoveEnrolment(ctx, sqlc.MoveEnrolmentParams{State: string(c.To), At: micros(c.At), DueAt: micros(c.Due), Reason: personal.Note(c.Reason), Step: step,
		Actor: personal.Actor(c.Event.Actor), ActorIc: personal.IC(c.ActorIC), ID: c.ID, Was: string(c.From)})
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, enrol.ErrState
	}
	if destroyed, err = d.follow(ctx, q, c); err != nil || c.Notice == "" {
		return destroyed, err
	}
	e, err := q.Enrolment(ctx, c.ID)
	if err != nil {
		return destroyed, err
	}
	return destroyed, addNotice(ctx, q, string(e.Enrolment.Ic), c.Notice, c.At, map[string]string{"system": e.Enrolment.System, "reason": c.Reason})
}

// follow does what a step brings with it; destroyed says that a key or a copy was
// overwritten.
func (d *DB) follow(ctx context.Context, q *sqlc.Queries, c *enrol.Change) (destroyed bool, err error) {
	switch c.To {
	case enrol.Confirmed:
		return false, q.SpendEnrolmentLink(ctx, c.ID)
	case enrol.Applied:
		if c.Filed == nil {
			return false, errors.New("storing an application: there is none")
		}
		return false, putApplication(ctx, q, c)
	case enrol.Issued:
		if c.Credential == nil {
			return false, errors.New("storing a credential: there is none")
		}
		kind := notify.CertificateIssued
		if c.Supersede != nil {
			if kind, err = d.supersede(ctx, q, c); err != nil {
				return false, err
			}
		}
		if err := d.putCredential(ctx, q, *c.Credential, kind, c.Event); err != nil {
			return false, err
		}
		if err := q.PutMedium(ctx, sqlc.PutMediumParams{Ic: personal.IC(c.Credential.IC), System: c.Credential.System, Medium: enrol.RoamingOTP}); err != nil {
			return false, err
		}
		copied, err := q.ApplicationCopy(ctx, c.ID)
		if err != nil {
			return false, err
		}
		// The key is the credential's now: what an old page still holds of it is not
		// gone before that is destroyed, which scrubs. The MyKad copy is gone.
		_, err = q.DropApplicationKey(ctx, c.ID)
		return copied > 0, err
	case enrol.Returned, enrol.Rejected, enrol.Withdrawn, enrol.Expired:
		if err := q.SpendEnrolmentLink(ctx, c.ID); err != nil {
			return false, err
		}
		if c.To == enrol.Returned && c.From == enrol.Returned {
			return false, nil
		}
		if err := q.SpendEnrolmentCode(ctx, c.ID); err != nil {
			return false, err
		}
		keys, err := q.DropApplicationKey(ctx, c.ID)
		if err != nil {
			return false, err
		}
		for _, k := range keys {
			if err := appendEvent(ctx, q, keyDestroyed(c.Event, k.CredentialID, k.Version)); err != nil {
				return false, err
			}
			if err := revokeOrphan(ctx, q, k.CredentialID, c.At); err != nil {
				return false, err
			}
		}
		return len(keys) > 0, nil
	}
	return false, nil
}

func putApplication(ctx context.Context, q *sqlc.Queries, c *enrol.Change) error {
	f := c.Filed
	if f.Copy == nil {
		f.Copy = []byte{}
	}
	err := q.PutApplication(ctx, sqlc.PutApplicationParams{EnrolmentID: c.ID, CredentialID: f.Credential, Algorithm: f.Algorithm, Version: int64(f.Version),
		Sealed: f.Sealed, Request: personal.Bytes{V: f.Request}, Form: f.Form, Image: f.Image, Copy: f.Copy, AppliedAt: micros(f.At)})
	if err != nil {
		return err
	}
	state, err := q.KEKOfApplication(ctx, f.Credential)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if state == KEKRetiring || state == KEKRetired {
		return fmt.Errorf("%w: the key was wrapped by one that is %s", ErrKEK, state)
	}
	ev := keyVersion(c.Event, f.Credential, int64(f.Version), f.Sealed)
	sum := sha256.Sum256(f.Request)
	ev.Detail["request"] = hex.EncodeToString(sum[:])
	return appendEvent(ctx, q, ev)
}

// Correct implements enrol.Enrolments.
func (d *DB) Correct(ctx context.Context, e enrol.Enrolment, email string, due time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// Whoever is appointed is the person with the address that was confirmed.
		if _, held, err := appointedPerson(ctx, q, e.IC, ev.At); held || err != nil {
			return errors.Join(err, enrol.ErrState)
		}
		creds, err := q.CredentialsOf(ctx, personal.IC(e.IC))
		if err != nil {
			return err
		}
		others, err := q.EnrolmentsOf(ctx, personal.IC(e.IC))
		if err != nil {
			return err
		}
		if len(creds) > 0 {
			return enrol.ErrState
		}
		for _, o := range others {
			if s := enrol.State(o.Enrolment.State); s.Open() && s != enrol.Listed && s != enrol.Confirming {
				return enrol.ErrState
			}
		}
		n, err := q.MoveEnrolment(ctx, sqlc.MoveEnrolmentParams{State: string(e.State), At: micros(e.Since), DueAt: micros(due), ID: e.ID, Was: string(e.State)})
		if err == nil && n == 0 {
			err = enrol.ErrState
		}
		if err != nil {
			return err
		}
		// A link that went to the old address proves nothing about the new one.
		for _, o := range others {
			if err := q.SpendEnrolmentLink(ctx, o.Enrolment.ID); err != nil {
				return err
			}
		}
		return q.SetEmail(ctx, sqlc.SetEmailParams{Email: personal.Address(email), Ic: personal.IC(e.IC)})
	})
}

// ClaimEnrolment implements enrol.Enrolments.
func (d *DB) ClaimEnrolment(ctx context.Context, now, leaseUntil time.Time) (e enrol.Enrolment, ok bool, err error) {
	// Nothing due costs no write.
	if due, err := d.q.EnrolmentsDue(ctx, micros(now)); err != nil || due == 0 {
		return e, false, err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		id, err := q.ClaimEnrolment(ctx, sqlc.ClaimEnrolmentParams{LeaseUntil: micros(leaseUntil), Now: micros(now)})
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another node was faster
		}
		if err != nil {
			return err
		}
		r, err := q.Enrolment(ctx, id)
		ok, e = err == nil, enrolment(&r.Enrolment, string(r.Name), string(r.Email))
		return err
	})
	return e, ok && err == nil, err
}

// PutSecret implements enrol.Enrolments.
func (d *DB) PutSecret(ctx context.Context, e enrol.Enrolment, hash [32]byte, at, until time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) (err error) {
		var n int64
		if e.State == enrol.Confirming {
			n, err = q.PutEnrolmentLink(ctx, sqlc.PutEnrolmentLinkParams{Link: hash[:], Until: micros(until), At: micros(at), ID: e.ID, State: string(e.State), Attempts: int64(e.Attempts)})
		} else {
			n, err = q.PutEnrolmentCode(ctx, sqlc.PutEnrolmentCodeParams{Code: hash[:], Until: micros(until), At: micros(at), ID: e.ID, State: string(e.State), Attempts: int64(e.Attempts)})
		}
		if err == nil && n == 0 {
			err = enrol.ErrState
		}
		return err
	})
}

// Settle implements enrol.Enrolments.
func (d *DB) Settle(ctx context.Context, e enrol.Enrolment, due time.Time, reply string) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.SettleEnrolment(ctx, sqlc.SettleEnrolmentParams{DueAt: micros(due), Reply: personal.Note(reply), ID: e.ID, State: string(e.State), Attempts: int64(e.Attempts)})
	})
}

// Stale implements enrol.Enrolments.
func (d *DB) Stale(ctx context.Context, s enrol.State, before time.Time) (enrol.Enrolment, error) {
	id, err := d.q.StaleEnrolment(ctx, sqlc.StaleEnrolmentParams{State: string(s), Before: micros(before)})
	if err != nil {
		return enrol.Enrolment{}, absent(err, enrol.ErrUnknown)
	}
	return d.Enrolment(ctx, id)
}
