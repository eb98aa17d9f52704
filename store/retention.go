package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.KeptRecords = (*DB)(nil)

// errNothing: there was nothing to change, so nothing is to be told.
var errNothing = errors.New("nothing to do")

// Expunge removes what is past its short time, at most some hundred things of each kind,
// in one transaction with ev, which gets the counts; more says that there may be more.
// Nothing is appended when there was nothing.
func (d *DB) Expunge(ctx context.Context, k enrol.Keep, ev audit.Event) (out enrol.Expunged, more bool, err error) {
	const limit = 500
	at := func(d time.Duration) int64 { return micros(ev.At.Add(-d)) }
	err = d.tx(ctx, func(q *sqlc.Queries) (err error) {
		if out.Codes, err = q.ExpungeCodeSends(ctx, sqlc.ExpungeCodeSendsParams{Before: at(k.Codes), Lim: limit}); err != nil {
			return err
		}
		if out.Logins, err = q.OldMailedLogins(ctx, sqlc.OldMailedLoginsParams{Before: at(k.Logins), Lim: limit}); err != nil {
			return err
		}
		if out.Changes, err = q.ExpungeAddressChanges(ctx, sqlc.ExpungeAddressChangesParams{Before: at(k.Changes), Lim: limit}); err != nil {
			return err
		}
		if err := expungeRefused(ctx, q, at(k.Refused), limit, &out); err != nil {
			return err
		}
		if err := expungeDocuments(ctx, q, at(k.Documents), limit, &out); err != nil {
			return err
		}
		if out.Events, err = q.ExpungeEvents(ctx, sqlc.ExpungeEventsParams{Before: at(k.Events), Lim: limit}); err != nil {
			return err
		}
		if out.Letters, err = q.ExpungeLetters(ctx, sqlc.ExpungeLettersParams{Before: at(k.Codes), Lim: limit}); err != nil {
			return err
		}
		if out == (enrol.Expunged{}) {
			return errNothing
		}
		ev.Detail = map[string]string{}
		for name, n := range map[string]int64{"codes": out.Codes, "logins": out.Logins, "address_changes": out.Changes, "applications": out.Applications, "officers": out.Officers, "documents": out.Documents, "events": out.Events, "letters": out.Letters} {
			if n > 0 {
				ev.Detail[name] = strconv.FormatInt(n, 10)
			}
			more = more || n >= limit
		}
		return appendEvent(ctx, q, ev)
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return out, more, err
}

// expungeRefused removes applications that led to nothing, and people of whom nothing
// else is known.
func expungeRefused(ctx context.Context, q *sqlc.Queries, before, limit int64, out *enrol.Expunged) error {
	rows, err := q.OldRefused(ctx, sqlc.OldRefusedParams{Before: before, Lim: limit})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := q.DropApplication(ctx, r.ID); err != nil {
			return err
		}
		if err := q.DropEnrolment(ctx, r.ID); err != nil {
			return err
		}
		out.Applications++
		switch n, err := q.RemainsOf(ctx, r.Ic); {
		case errors.Is(err, sql.ErrNoRows) || n > 0:
			continue
		case err != nil:
			return err
		}
		if err := dropPerson(ctx, q, string(r.Ic)); err != nil {
			return err
		}
		out.Officers++
	}
	return nil
}

func expungeDocuments(ctx context.Context, q *sqlc.Queries, before, limit int64, out *enrol.Expunged) error {
	ids, err := q.OldDocuments(ctx, sqlc.OldDocumentsParams{Before: before, Lim: limit})
	if err != nil {
		return err
	}
	for _, id := range ids {
		files, err := q.DropDocument(ctx, sqlc.DropDocumentParams{ID: id, Before: before})
		if err != nil {
			return err
		}
		out.Documents += int64(len(files))
		if err := removals(ctx, q, files...); err != nil {
			return err
		}
	}
	return nil
}

// dropPerson removes an officer of whom no key and no certificate is left.
func dropPerson(ctx context.Context, q *sqlc.Queries, ic string) error {
	for _, drop := range []func(context.Context, personal.IC) error{q.DropCodeSendsOf, q.DropNoticesOf, q.DropAddressChangesOf, q.DropApplicationsOf, q.DropEnrolmentsOf, q.DropMediaOf} {
		if err := drop(ctx, personal.IC(ic)); err != nil {
			return err
		}
	}
	switch a, err := q.AccountByIC(ctx, orNull(ic)); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if _, err := q.CloseSessions(ctx, sqlc.CloseSessionsParams{AccountID: a.ID}); err != nil {
			return err
		}
		for _, drop := range []func(context.Context, string) error{q.DropPasskeys, q.DropAppointmentsOf, q.DropLoginsOf, q.DropAccount} {
			if err := drop(ctx, a.ID); err != nil {
				return err
			}
		}
	}
	if err := q.ForgetLoginFailures(ctx, personal.Subject("ic:"+ic)); err != nil {
		return err
	}
	return q.DropOfficer(ctx, personal.IC(ic))
}

// PutHold implements enrol.KeptRecords.
func (d *DB) PutHold(ctx context.Context, h enrol.Hold, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.AddHold(ctx, sqlc.AddHoldParams{ID: h.ID, Ic: personal.IC(h.IC), Reference: personal.Object(h.Reference), Reason: personal.Note(h.Reason), PlacedBy: personal.Actor(h.By), PlacedAt: micros(h.At)})
	})
}

// LiftHold implements enrol.KeptRecords.
func (d *DB) LiftHold(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.EndHold(ctx, sqlc.EndHoldParams{EndedBy: personal.Actor(ev.Actor), EndedAt: micros(ev.At), ID: id})
		if err == nil && n != 1 {
			err = enrol.ErrUnknown
		}
		return err
	})
}

// Holds implements enrol.KeptRecords.
func (d *DB) Holds(ctx context.Context) ([]enrol.Hold, error) {
	rows, err := d.q.Holds(ctx)
	out := make([]enrol.Hold, len(rows))
	for k, r := range rows {
		out[k] = enrol.Hold{ID: r.ID, IC: string(r.Ic), Reference: string(r.Reference), Reason: string(r.Reason), By: string(r.PlacedBy), At: instant(r.PlacedAt)}
	}
	return out, err
}

// Disposable implements enrol.KeptRecords.
func (d *DB) Disposable(ctx context.Context, before time.Time, limit int) (out enrol.Disposal, err error) {
	err = d.snapshot(ctx, func(q *sqlc.Queries) error {
		archives, err := q.DisposableArchives(ctx, sqlc.DisposableArchivesParams{Before: micros(before), Lim: int64(limit)})
		if err != nil {
			return err
		}
		for k := range archives {
			out.Items = append(out.Items, archiveEntry(&archives[k]))
		}
		people, err := q.DisposableOfficers(ctx, sqlc.DisposableOfficersParams{Before: micros(before), Lim: int64(limit)})
		if err != nil {
			return err
		}
		for _, ic := range people {
			e, err := personEntry(ctx, q, string(ic))
			if err != nil {
				return err
			}
			out.Items, out.People = append(out.Items, e), append(out.People, string(ic))
		}
		held, err := q.HeldArchives(ctx, micros(before))
		out.Counts.Held = int(held)
		return err
	})
	return out, err
}

func archiveEntry(a *sqlc.Archive) enrol.DisposalEntry {
	return enrol.DisposalEntry{Kind: archive.ArchiveFile, Archive: a.ID, Manifest: hex.EncodeToString(a.Manifest), Newest: instant(a.NewestAt), Transactions: int(a.Transactions), Signatures: int(a.Signatures)}
}

// keysOf are the ids of all keys that a person has had, as credentials or in applications.
func keysOf(ctx context.Context, q *sqlc.Queries, ic string) (credentials []sqlc.CredentialKeysOfRow, all []string, err error) {
	if credentials, err = q.CredentialKeysOf(ctx, personal.IC(ic)); err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for _, c := range credentials {
		all, seen[c.ID] = append(all, c.ID), true
	}
	applied, err := q.ApplicationKeysOf(ctx, personal.IC(ic))
	for _, a := range applied {
		if !seen[a.CredentialID] {
			all, seen[a.CredentialID] = append(all, a.CredentialID), true
		}
	}
	return credentials, all, err
}

func personEntry(ctx context.Context, q *sqlc.Queries, ic string) (e enrol.DisposalEntry, err error) {
	e.Kind = "person"
	_, keys, err := keysOf(ctx, q, ic)
	if err != nil {
		return e, err
	}
	e.Credentials = keys
	for _, id := range keys {
		certs, err := q.CertificatesOfKey(ctx, id)
		if err != nil {
			return e, err
		}
		for _, c := range certs {
			sum := sha256.Sum256(c.Der.V)
			e.Certificates = append(e.Certificates, hex.EncodeToString(sum[:]))
		}
	}
	e.Enrolments, err = q.EnrolmentIDs(ctx, personal.IC(ic))
	return e, err
}

// PutDisposal implements enrol.KeptRecords.
func (d *DB) PutDisposal(ctx context.Context, x enrol.Disposal, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		err := q.AddDisposal(ctx, sqlc.AddDisposalParams{ID: x.ID, KeptBefore: micros(x.Before), ProposedBy: personal.Actor(x.ProposedBy), ProposedIc: personal.IC(x.ProposedIC), ProposedAt: micros(x.ProposedAt), UntilAt: micros(x.Until)})
		people := x.People
		for n, e := range x.Items {
			p := sqlc.AddDisposalItemParams{DisposalID: x.ID, N: int64(n), ArchiveID: e.Archive}
			if e.Archive == "" {
				p.Ic, people = personal.IC(people[0]), people[1:]
			}
			if err == nil {
				err = q.AddDisposalItem(ctx, p)
			}
		}
		return err
	})
}

func disposal(r *sqlc.Disposal) (x enrol.Disposal, err error) {
	if len(r.Report) > 0 {
		if err := json.Unmarshal(r.Report, &x); err != nil {
			return x, fmt.Errorf("reading the report of %s: %w", r.ID, err)
		}
	}
	x.ID, x.State, x.Before, x.ProposedBy, x.ProposedIC, x.ProposedAt, x.Until = r.ID, r.State, instant(r.KeptBefore), string(r.ProposedBy), string(r.ProposedIc), instant(r.ProposedAt), instant(r.UntilAt)
	x.DecidedBy, x.DecidedAt = string(r.DecidedBy), instant(r.DecidedAt)
	return x, nil
}

// Disposal implements enrol.KeptRecords.
func (d *DB) Disposal(ctx context.Context, id string) (x enrol.Disposal, err error) {
	err = d.snapshot(ctx, func(q *sqlc.Queries) error {
		r, err := q.Disposal(ctx, id)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		if x, err = disposal(&r); err != nil || x.State != enrol.DisposalProposed {
			return err
		}
		items, err := q.DisposalItems(ctx, id)
		if err != nil {
			return err
		}
		for _, it := range items {
			e, _, err := entryNow(ctx, q, &it, x.Before)
			if err != nil {
				return err
			}
			x.Items = append(x.Items, e)
		}
		x.Count()
		return nil
	})
	return x, err
}

// entryNow is what an item of a proposal is now, and whether it can go.
func entryNow(ctx context.Context, q *sqlc.Queries, it *sqlc.DisposalItem, before time.Time) (e enrol.DisposalEntry, goes bool, err error) {
	var n int64
	if it.ArchiveID != "" {
		a, err := q.Archive(ctx, it.ArchiveID)
		if err != nil {
			return e, false, err
		}
		e = archiveEntry(&a)
		n, err = q.ArchiveDisposable(ctx, sqlc.ArchiveDisposableParams{ID: it.ArchiveID, Before: micros(before)})
		e.Kept = n != 1
		return e, n == 1, err
	}
	if e, err = personEntry(ctx, q, string(it.Ic)); err != nil {
		return e, false, err
	}
	n, err = q.OfficerDisposable(ctx, sqlc.OfficerDisposableParams{Ic: it.Ic, Before: micros(before)})
	e.Kept = n != 1
	return e, n == 1, err
}

// Disposals implements enrol.KeptRecords.
func (d *DB) Disposals(ctx context.Context, limit int) ([]enrol.Disposal, error) {
	rows, err := d.q.Disposals(ctx, int64(limit))
	if err != nil {
		return nil, err
	}
	out := make([]enrol.Disposal, len(rows))
	for k := range rows {
		if out[k], err = disposal(&rows[k]); err != nil {
			return nil, err
		}
		out[k].Items = nil
	}
	return out, nil
}

// Dispose implements enrol.KeptRecords.
func (d *DB) Dispose(ctx context.Context, x enrol.Disposal, ev audit.Event) (enrol.Disposal, error) {
	x.Items, x.People = nil, nil
	err := d.tx(ctx, func(q *sqlc.Queries) error {
		items, err := q.DisposalItems(ctx, x.ID)
		if err != nil {
			return err
		}
		held, err := q.HeldArchives(ctx, micros(x.Before))
		if err != nil {
			return err
		}
		x.Counts.Held = int(held)
		// Archives go before people, whom they keep.
		for k := range items {
			e, goes, err := entryNow(ctx, q, &items[k], x.Before)
			if err == nil && goes {
				err = dispose(ctx, q, &items[k], ev)
			}
			if err != nil {
				return fmt.Errorf("disposing: %w", err)
			}
			x.Items = append(x.Items, e)
		}
		x.Count()
		report, err := json.Marshal(&x)
		if err != nil {
			return fmt.Errorf("encoding the report: %w", err)
		}
		n, err := q.EndDisposal(ctx, sqlc.EndDisposalParams{State: enrol.DisposalDone, DecidedBy: personal.Actor(x.DecidedBy), DecidedAt: micros(x.DecidedAt), Report: report, ID: x.ID})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		if err != nil {
			return err
		}
		if err := q.ForgetDisposalPeople(ctx, x.ID); err != nil {
			return err
		}
		sum := sha256.Sum256(report)
		ev.Detail["report"] = hex.EncodeToString(sum[:])
		x.Tell(&ev)
		return appendEvent(ctx, q, ev)
	})
	if err == nil {
		d.scrub(ctx)
	}
	return x, err
}

func dispose(ctx context.Context, q *sqlc.Queries, it *sqlc.DisposalItem, ev audit.Event) error {
	if id := it.ArchiveID; id != "" {
		if n, err := q.DisposeArchive(ctx, id); err != nil || n != 1 {
			return errors.Join(enrol.ErrState, err)
		}
		if _, err := q.DropArchivePeople(ctx, id); err != nil {
			return err
		}
		if err := q.DropArchiveReferences(ctx, id); err != nil {
			return err
		}
		return q.AddFileRemoval(ctx, sqlc.AddFileRemovalParams{Kind: archive.ArchiveFile, Name: id})
	}
	credentials, keys, err := keysOf(ctx, q, string(it.Ic))
	if err != nil {
		return err
	}
	for _, c := range credentials {
		if c.Sealed > 0 {
			if err := appendEvent(ctx, q, keyDestroyed(ev, c.ID, c.Version)); err != nil {
				return err
			}
		}
		if err := q.DropCredential(ctx, c.ID); err != nil {
			return err
		}
	}
	for _, id := range keys {
		if err := q.DropScheduledOfKey(ctx, id); err != nil {
			return err
		}
		if err := q.DropCertificatesOfKey(ctx, id); err != nil {
			return err
		}
	}
	return dropPerson(ctx, q, string(it.Ic))
}

// CancelDisposal implements enrol.KeptRecords.
func (d *DB) CancelDisposal(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.EndDisposal(ctx, sqlc.EndDisposalParams{State: enrol.DisposalCancelled, DecidedBy: personal.Actor(ev.Actor), DecidedAt: micros(ev.At), Report: []byte{}, ID: id})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		if err != nil {
			return err
		}
		return q.ForgetDisposalPeople(ctx, id)
	})
}
