package store

import (
	"context"
	"crypto"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Credential implements signer.Records.
func (d *DB) Credential(ctx context.Context, ic, system, id string) (c signer.Credential, err error) {
	var issuer string
	// One snapshot: a change of PIN is in the row and in its history, or in neither.
	err = d.snapshot(ctx, func(q *sqlc.Queries) error {
		c, issuer, err = credential(d.short(ctx), q, ic, system, id)
		return err
	})
	var other *signer.MediumError
	if errors.As(err, &other) && other.Medium == enrol.Token {
		err = d.tokenError(ctx, system, other)
	}
	if err != nil {
		return signer.Credential{}, err
	}
	if c.Chain, err = d.chain(ctx, issuer); err != nil {
		return signer.Credential{}, fmt.Errorf("reading chain: %w", err)
	}
	return c, nil
}

// Certificate implements signer.Records.
func (d *DB) Certificate(ctx context.Context, credential string) (*x509.Certificate, error) {
	row, err := d.q.CertificateOfCredential(ctx, credential)
	if err != nil {
		return nil, absent(err, signer.ErrNoCredential)
	}
	c, err := x509.ParseCertificate(row.Der.V)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate %s: %w", row.Serial, err)
	}
	return c, nil
}

// tokenError is signer.ErrTokenEnded from the day on which the system takes no more
// tokens, and no until then.
func (d *DB) tokenError(ctx context.Context, system string, no error) error {
	s, err := d.q.System(ctx, system)
	if errors.Is(err, sql.ErrNoRows) {
		return no
	}
	now, nerr := d.now(ctx)
	if err = errors.Join(err, nerr); err != nil {
		return fmt.Errorf("reading when the system takes no more tokens: %w", err)
	}
	if s.TokenEnds != 0 && micros(now) >= s.TokenEnds {
		return signer.ErrTokenEnded
	}
	return no
}

// chain is the certificates of an authority and of those above it;
// signer.ErrCertificateRevoked when one of them is: nobody would trust what is signed.
func (d *DB) chain(ctx context.Context, name string) (out []*x509.Certificate, err error) {
	if ca.IsExternal(name) {
		return d.ExternalChain(ctx, name)
	}
	for range maxChain {
		row, err := d.AuthorityCertificate(ctx, name)
		if err != nil {
			return nil, err
		}
		if row.Status == ca.Revoked {
			return nil, signer.ErrCertificateRevoked
		}
		cert, err := d.parsed.certificate(row.DER)
		if err != nil {
			return nil, fmt.Errorf("parsing the %s certificate: %w", name, err)
		}
		if out = append(out, cert); row.Issuer == name {
			return out, nil
		}
		name = row.Issuer
	}
	return nil, fmt.Errorf("%w: %q stands below itself", ca.ErrInvalid, name)
}

// maxChain is more authorities than stand above one another.
const maxChain = 16

// parsed keeps authorities' certificates in the form they are used in: each signature needs
// those above its own. They are read alone.
type parsed struct {
	mu   sync.Mutex
	seen map[string]*x509.Certificate // by DER
}

func (p *parsed) certificate(der []byte) (*x509.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.seen[string(der)]; c != nil {
		return c, nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	const most = 64
	if p.seen == nil || len(p.seen) == most {
		p.seen = make(map[string]*x509.Certificate)
	}
	p.seen[string(der)] = c
	return c, nil
}

func credential(ctx context.Context, q *sqlc.Queries, ic, system, id string) (c signer.Credential, issuer string, err error) {
	if id == "" {
		if id, err = q.FirstCredential(ctx, sqlc.FirstCredentialParams{Ic: personal.IC(ic), System: system}); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return signer.Credential{}, "", err
		}
	}
	row, err := q.CredentialByID(ctx, id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return signer.Credential{}, "", err
	}
	if err != nil || string(row.Ic) != ic || row.System != system {
		switch medium, err := q.Medium(ctx, sqlc.MediumParams{Ic: personal.IC(ic), System: system}); {
		case err != nil:
			return signer.Credential{}, "", absent(err, signer.ErrUnknownOfficer)
		case medium != enrol.RoamingOTP:
			return signer.Credential{}, "", &signer.MediumError{Medium: medium}
		}
		return signer.Credential{}, "", signer.ErrNoCredential
	}
	if row.Medium != enrol.RoamingOTP {
		return signer.Credential{}, "", &signer.MediumError{Medium: row.Medium}
	}
	c = signer.Credential{ID: row.ID, Officer: string(row.Ic), OfficerName: string(row.Name), Email: string(row.Email), System: row.System, Algorithm: row.Algorithm,
		Version: uint32(row.Version), Sealed: row.Sealed, Image: row.Image, Status: row.Status,
		PIN: signer.PINState{InARow: int(row.PinInARow), Total: int(row.PinTotal), LockedUntil: instant(row.PinLockedUntil), Blocked: row.PinBlocked != 0}}
	if c.Certificate, err = x509.ParseCertificate(row.Der.V); err != nil {
		return signer.Credential{}, "", fmt.Errorf("parsing certificate %s: %w", row.Serial, err)
	}
	events, err := q.KeyEvents(ctx, personal.Object(id))
	if err != nil {
		return signer.Credential{}, "", fmt.Errorf("reading key versions: %w", err)
	}
	for _, e := range events {
		c.History = append(c.History, version(e))
	}
	return c, row.Issuer, nil
}

func pinState(o sqlc.Officer) signer.PINState {
	return signer.PINState{InARow: int(o.PinInARow), Total: int(o.PinTotal), LockedUntil: instant(o.PinLockedUntil), Blocked: o.PinBlocked != 0}
}

// PINState implements signer.Records.
func (d *DB) PINState(ctx context.Context, ic string) (signer.PINState, error) {
	o, err := d.q.Officer(ctx, personal.IC(ic))
	if err != nil {
		return signer.PINState{}, absent(err, signer.ErrUnknownOfficer)
	}
	return pinState(o), nil
}

// CountPIN implements signer.Records. The lock is set with the last try
// allowed, before that try is made; a right PIN takes it back.
func (d *DB) CountPIN(ctx context.Context, ic string, p signer.PINPolicy, now time.Time) (st signer.PINState, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		o, err := q.Officer(ctx, personal.IC(ic))
		if err != nil {
			return absent(err, signer.ErrUnknownOfficer)
		}
		st = pinState(o)
		switch {
		case st.Blocked:
			return &signer.LockedError{}
		case now.Before(st.LockedUntil):
			return &signer.LockedError{Until: st.LockedUntil}
		case !st.LockedUntil.IsZero():
			st.InARow, st.LockedUntil = 0, time.Time{} // the lock has run out
		}
		st.InARow++
		st.Total++
		if st.InARow >= p.LockAfter {
			st.LockedUntil = now.Add(p.LockFor)
		}
		st.Blocked = st.Total >= p.BlockAfter
		return q.SetPIN(ctx, sqlc.SetPINParams{Ic: personal.IC(ic), InARow: int64(st.InARow), Total: int64(st.Total), LockedUntil: micros(st.LockedUntil), Blocked: flag(st.Blocked)})
	})
	return st, err
}

// UncountPIN implements signer.Records.
func (d *DB) UncountPIN(ctx context.Context, ic string, p signer.PINPolicy) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		o, err := q.Officer(ctx, personal.IC(ic))
		if err != nil {
			return absent(err, signer.ErrUnknownOfficer)
		}
		st := pinState(o)
		if st.InARow == 0 || st.Total == 0 {
			return nil // somebody's right PIN cleared it meanwhile
		}
		if st.InARow == p.LockAfter {
			st.LockedUntil = time.Time{}
		}
		if st.Total == p.BlockAfter {
			st.Blocked = false
		}
		return q.SetPIN(ctx, sqlc.SetPINParams{Ic: personal.IC(ic), InARow: int64(st.InARow - 1), Total: int64(st.Total - 1), LockedUntil: micros(st.LockedUntil), Blocked: flag(st.Blocked)})
	})
}

// CreateRequest implements signer.Records.
func (d *DB) CreateRequest(ctx context.Context, r *signer.Request, docs []signer.Document, ev audit.Event, code *signer.FirstCode) error {
	options, err := json.Marshal(r.Options)
	if err != nil {
		return fmt.Errorf("encoding signature options: %w", err)
	}
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		err := createRequest(ctx, q, r, docs, string(options), ev.At)
		if err == nil {
			err = appendEvent(ctx, q, ev)
		}
		if err != nil || code == nil {
			return err
		}
		return addChallenge(ctx, q, code.Challenge, code.Policy, now, 0, code.Event)
	})
}

func createRequest(ctx context.Context, q *sqlc.Queries, r *signer.Request, docs []signer.Document, options string, at time.Time) error {
	if r.Implicit {
		err := q.AddBatch(ctx, sqlc.AddBatchParams{ID: r.Batch, AppID: r.App, Name: personal.Name(r.ID), Kind: "transaction", Implicit: 1, Status: "SEALED",
			NextIndex: int64(len(docs)), Count: int64(r.Count), Root: r.Root[:], CreatedAt: micros(r.CreatedAt)})
		if err != nil {
			return err
		}
		for k := range docs {
			if err := q.AddItem(ctx, itemParams(r.Batch, &docs[k])); err != nil {
				return err
			}
		}
	} else {
		// A request that nobody confirmed in time must not hold the batch.
		overdue, err := q.ExpireTransactions(ctx, sqlc.ExpireTransactionsParams{Now: micros(r.CreatedAt), BatchID: r.Batch})
		if err != nil {
			return err
		}
		if err := expired(ctx, q, overdue, at); err != nil {
			return err
		}
		if n, err := q.LiveTransactions(ctx, r.Batch); err != nil || n > 0 {
			return errors.Join(err, signer.ErrBatchBusy)
		}
		if err := q.TouchBatch(ctx, sqlc.TouchBatchParams{Now: micros(at), ID: r.Batch}); err != nil {
			return err
		}
	}
	next := ""
	if r.Options.Work != nil {
		next = r.Options.Work.Next
	}
	err := q.AddTransaction(ctx, sqlc.AddTransactionParams{ID: r.ID, AppID: r.App, SystemName: r.SystemName, Ic: personal.IC(r.Officer), System: r.System,
		DataHeader: personal.Note(r.DataHeader), Process: r.Process, Role: r.Role, Step: int64(r.Step), NextRole: next, Classification: r.Class, CredentialID: r.Credential, Options: personal.Note(options),
		OptionsHash: r.OptionsHash[:], BatchID: r.Batch, Implicit: flag(r.Implicit), Count: int64(r.Count), Root: r.Root[:],
		CreatedAt: micros(r.CreatedAt), ExpiresAt: micros(r.ExpiresAt)})
	if err != nil {
		return err
	}
	if r.Page != nil {
		if err := q.AddSigningPage(ctx, sqlc.AddSigningPageParams{TransactionID: r.ID, Token: r.Page.Token[:], RedirectUri: r.Page.RedirectURI, State: personal.Note(r.Page.State)}); err != nil {
			return err
		}
	}
	_, err = place(ctx, q, r.ID)
	return err
}

func itemParams(batch string, x *signer.Document) sqlc.AddItemParams {
	return sqlc.AddItemParams{BatchID: batch, Idx: int64(x.Index), Name: personal.Name(x.Name), Hash: int64(x.Hash), Digest: x.Digest, Blob: x.Blob, Size: x.Size,
		DocumentID: x.DocumentID, Reference: personal.Note(x.Reference), ReferenceKey: personal.Object(x.Reference)}
}

// Request implements signer.Records.
func (d *DB) Request(ctx context.Context, id string) (signer.Request, error) {
	t, err := d.q.Transaction(ctx, id)
	if err != nil {
		return signer.Request{}, absent(err, signer.ErrUnknown)
	}
	r := signer.Request{ID: t.ID, App: t.AppID, SystemName: t.SystemName, Officer: string(t.Ic), System: t.System, DataHeader: string(t.DataHeader), Process: t.Process,
		Role: t.Role, Step: int(t.Step), Class: t.Classification, Credential: t.CredentialID, Batch: t.BatchID, Implicit: t.Implicit != 0, Count: uint32(t.Count),
		Status: signer.Status(t.Status), CreatedAt: instant(t.CreatedAt), ExpiresAt: instant(t.ExpiresAt), FinishedAt: instant(t.FinishedAt), Ended: t.Ended, Image: t.Image}
	// A row of the wrong shape was not written here; zeros fail every comparison.
	if len(t.Root) == 32 && len(t.OptionsHash) == 32 {
		r.Root, r.OptionsHash = [32]byte(t.Root), [32]byte(t.OptionsHash)
	}
	if err := json.Unmarshal([]byte(t.Options), &r.Options); err != nil {
		return signer.Request{}, fmt.Errorf("reading options of %s: %w", id, err)
	}
	if t.Hosted != 0 {
		if r.Page, err = d.page(ctx, id); err != nil {
			return signer.Request{}, fmt.Errorf("reading the page of %s: %w", id, err)
		}
	}
	return r, nil
}

// Pending implements signer.Records.
func (d *DB) Pending(ctx context.Context, batch string) iter.Seq2[signer.Document, error] {
	const page = 500
	return func(yield func(signer.Document, error) bool) {
		after := int64(-1)
		for {
			rows, err := d.paged().PendingAfter(d.short(ctx), sqlc.PendingAfterParams{BatchID: batch, After: after, Lim: page})
			if err != nil {
				yield(signer.Document{}, fmt.Errorf("reading documents: %w", tampered(err)))
				return
			}
			for _, x := range rows {
				if x.ReferenceKey != "" && string(x.ReferenceKey) != string(x.Reference) {
					yield(signer.Document{}, errTwoReferences)
					return
				}
				doc := signer.Document{Index: uint32(x.Idx), Name: string(x.Name), Hash: crypto.Hash(x.Hash), Digest: x.Digest, Blob: x.Blob, Size: x.Size,
					DocumentID: x.DocumentID, Reference: string(x.Reference)}
				if !yield(doc, nil) {
					return
				}
				after = x.Idx
			}
			if len(rows) < page {
				return
			}
		}
	}
}

// errTwoReferences: a document's reference is not the one that it is found by.
var errTwoReferences = fmt.Errorf("%w: a reference was edited", signer.ErrDocuments)

// tampered is signer.ErrDocuments for a row that was written past the gateway.
func tampered(err error) error {
	if edited(err) {
		return errors.Join(signer.ErrDocuments, err)
	}
	return err
}

// CancelRequest implements signer.Records.
func (d *DB) CancelRequest(ctx context.Context, id string, status signer.Status, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.EndWaiting(ctx, sqlc.EndWaitingParams{Status: string(status), Ended: ev.Detail["reason"], Now: micros(ev.At), ID: id})
		if err == nil && n == 0 {
			err = signer.ErrFinished
		}
		if err != nil {
			return err
		}
		return tellEnd(ctx, q, id, ev.At)
	})
}

// Linked implements signer.Records.
func (d *DB) Linked(ctx context.Context, token [32]byte, since time.Time) (signer.Request, time.Time, error) {
	t, err := d.q.Linked(ctx, sqlc.LinkedParams{Link: link(token), Since: micros(since)})
	if err != nil {
		return signer.Request{}, time.Time{}, absent(err, signer.ErrUnknown)
	}
	r, err := d.Request(ctx, t.ID)
	return r, instant(t.IssuedAt), err
}

// Disown implements signer.Records.
func (d *DB) Disown(ctx context.Context, token [32]byte, was signer.Status, tell []string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		t, err := q.Linked(ctx, sqlc.LinkedParams{Link: link(token)})
		switch {
		case err != nil:
			return absent(err, signer.ErrUnknown)
		case t.Status != string(was):
			return signer.ErrFinished
		}
		if was == signer.Waiting {
			// The write lock is held: the status is still the one just read.
			if _, err := q.EndWaiting(ctx, sqlc.EndWaitingParams{Status: string(signer.Cancelled), Now: micros(ev.At), ID: t.ID}); err != nil {
				return err
			}
			if err := tellEnd(ctx, q, t.ID, ev.At); err != nil {
				return err
			}
		}
		// The link ends in this commit, so there is one notice for each address, ever.
		if err := addAlarms(ctx, q, tell, t.ID, was, ev.At); err != nil {
			return err
		}
		return q.SpendLink(ctx, link(token))
	})
}

// link is the column of a token's hash; a challenge without one has NULL.
func link(token [32]byte) []byte {
	if token == ([32]byte{}) {
		return nil
	}
	return token[:]
}

// RecordIntent implements signer.Records.
func (d *DB) RecordIntent(ctx context.Context, in signer.Intent, nonce [otp.NonceSize]byte, officer string, n int, ev audit.Event) (out []signer.Claimed, err error) {
	err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		// The conditional updates make exactly one caller win.
		if n, err := q.RedeemChallenge(ctx, sqlc.RedeemChallengeParams{TransactionID: in.Transaction, Nonce: nonce[:]}); err != nil {
			return err
		} else if n != 1 {
			if c, err := challenge(q.Challenge(ctx, in.Transaction)); err == nil && !c.Redeemed {
				return otp.ErrNonce // a resend came between
			}
			return otp.ErrUsed
		}
		if n, err := q.StartSigning(ctx, in.Transaction); err != nil {
			return err
		} else if n != 1 {
			return signer.ErrFinished
		}
		if n, err := q.StartBatch(ctx, sqlc.StartBatchParams{Now: micros(ev.At), ID: in.Batch}); err != nil {
			return err
		} else if n != 1 {
			return signer.ErrFinished
		}
		if err := q.RedeemSends(ctx, in.Transaction); err != nil {
			return err
		}
		if err := addSignatories(ctx, q, &in); err != nil {
			return err
		}
		if err := q.SetPIN(ctx, sqlc.SetPINParams{Ic: personal.IC(officer)}); err != nil {
			return err
		}
		err := q.AddIntent(ctx, sqlc.AddIntentParams{ID: in.ID, TransactionID: in.Transaction, CredentialID: in.Credential, BatchID: in.Batch, Root: in.Root[:],
			Count: int64(in.Count), OptionsHash: in.OptionsHash[:], CreatedAt: micros(in.CreatedAt), Deadline: micros(in.Deadline), Seal: in.Seal, Activation: in.Activation})
		run := signer.Run{Intent: in.ID, ID: in.Run, Lease: in.Lease}
		if err == nil && run.ID != "" {
			if err = addRun(ctx, q, run, now); err == nil {
				err = q.BeginOutcomes(ctx, in.Batch)
			}
		}
		if err == nil && n > 0 {
			out, err = claimed(q.ClaimItems(ctx, claimOf(run, in.Batch, n, now)))
		}
		if err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func intent(x *sqlc.OpenIntentsRow) signer.Intent {
	in := signer.Intent{ID: x.ID, Transaction: x.TransactionID, Credential: x.CredentialID, Batch: x.BatchID, Count: uint32(x.Count),
		CreatedAt: instant(x.CreatedAt), Deadline: instant(x.Deadline), Seal: x.Seal, Activation: x.Activation, Held: x.Held > 0, Stopped: x.StoppedAt > 0}
	if len(x.Root) == 32 && len(x.OptionsHash) == 32 {
		in.Root, in.OptionsHash = [32]byte(x.Root), [32]byte(x.OptionsHash)
	}
	return in
}

// Complete implements signer.Records.
func (d *DB) Complete(ctx context.Context, id string, out []signer.Outcome, now time.Time, ev audit.Event) (done bool, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		in, err := q.Intent(ctx, id)
		if err != nil {
			return absent(err, signer.ErrUnknown)
		}
		if again, err := stored(ctx, q, id, in.BatchID, out); err != nil || again {
			done = in.State == "finished"
			return err
		}
		if in.State != "open" {
			return signer.ErrFence
		}
		// The write lock is held: a revocation is either before this or after.
		if err := active(ctx, q, in.CredentialID); err != nil {
			return err
		}
		count := sqlc.CountOutcomesParams{BatchID: in.BatchID}
		for k := range out {
			if err := storeOutcome(ctx, q, &in, &out[k], now); err != nil {
				return err
			}
			if out[k].Refused != nil {
				count.Refused++
			} else {
				count.Signed++
			}
		}
		if in.Count > 1 { // the only one ends the batch, and then the rows are counted
			if err := q.CountOutcomes(ctx, count); err != nil {
				return err
			}
		}
		left, err := q.UnfinishedItems(ctx, in.BatchID)
		if err == nil && left == 0 {
			done = true
			err = finish(ctx, q, &in, now)
		}
		if err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
	return done && err == nil, err
}

// stored says whether outcomes are there already: their commit was answered to nobody. They were
// stored together, so one tells of all.
func stored(ctx context.Context, q *sqlc.Queries, intent, batch string, out []signer.Outcome) (bool, error) {
	if len(out) == 0 {
		return false, nil
	}
	// What is signed stays so; a refused one may wait for another authorisation by now.
	o := &out[max(0, slices.IndexFunc(out, func(o signer.Outcome) bool { return o.Refused == nil }))]
	n, err := q.OutcomeStored(ctx, sqlc.OutcomeStoredParams{BatchID: batch, Idx: int64(o.Index), Attempt: o.Attempt, IntentID: intent})
	return n > 0, err
}

func storeOutcome(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent, o *signer.Outcome, now time.Time) (err error) {
	var n int64
	if o.Refused != nil {
		code, detail := refusal(o.Refused)
		if err := q.ReleaseSignatory(ctx, sqlc.ReleaseSignatoryParams{BatchID: in.BatchID, Idx: int64(o.Index), IntentID: in.ID}); err != nil {
			return err
		}
		n, err = q.RefuseItem(ctx, sqlc.RefuseItemParams{Code: code, Detail: personal.Note(detail), SignedAt: micros(now), BatchID: in.BatchID, Idx: int64(o.Index),
			Attempt: o.Attempt, IntentID: in.ID})
	} else {
		n, err = q.SignItem(ctx, sqlc.SignItemParams{Signature: personal.Bytes{V: o.Signature}, SignedBlob: o.Blob, SignedSize: o.Size, SignedAt: micros(now), Timestamp: micros(o.Timestamp), Level: o.Level,
			BatchID: in.BatchID, Idx: int64(o.Index), Attempt: o.Attempt, IntentID: in.ID})
	}
	if err == nil && n != 1 {
		err = signer.ErrFence
	}
	if err != nil || o.Refused != nil || o.Result == nil {
		return err
	}
	return storeSignatory(ctx, q, in, o, now)
}

// finish closes an intent all of whose documents have an outcome.
func finish(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent, now time.Time) error {
	all, err := q.CountStates(ctx, in.BatchID)
	if err != nil {
		return err
	}
	batch, request := "SIGNED", signer.Signed
	for _, c := range all {
		if c.State == "refused" {
			batch = "SIGNED_WITH_REFUSALS"
		}
	}
	// The request answers for its own documents: others of the batch may have been refused before.
	own, err := q.OutcomesOf(ctx, sqlc.OutcomesOfParams{BatchID: in.BatchID, TransactionID: in.TransactionID})
	if err != nil {
		return err
	}
	switch {
	case own.Refused > 0 && own.Signed == 0:
		request = signer.Failed
	case own.Refused > 0:
		request = signer.SignedWithRefusals
	}
	if _, err := q.CloseIntent(ctx, sqlc.CloseIntentParams{State: "finished", Now: micros(now), ID: in.ID}); err != nil {
		return err
	}
	if err := endRuns(ctx, q, in); err != nil {
		return err
	}
	if err := q.PassOn(ctx, sqlc.PassOnParams{BatchID: in.BatchID, IntentID: in.ID}); err != nil {
		return err
	}
	if err := q.FinishTransaction(ctx, sqlc.FinishTransactionParams{Status: string(request), Now: micros(now), ID: in.TransactionID}); err != nil {
		return err
	}
	if err := q.FinishBatch(ctx, sqlc.FinishBatchParams{Status: batch, Now: micros(now), ID: in.BatchID}); err != nil {
		return err
	}
	return tellEnd(ctx, q, in.TransactionID, now)
}

// Abandon implements signer.Records.
func (d *DB) Abandon(ctx context.Context, id string, ev audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		in, err := q.Intent(ctx, id)
		if err != nil {
			return absent(err, signer.ErrUnknown)
		}
		return abandon(ctx, q, &in, ev)
	})
}

func abandon(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent, ev audit.Event) error {
	n, err := q.CloseIntent(ctx, sqlc.CloseIntentParams{State: "abandoned", Now: micros(ev.At), ID: in.ID})
	if err != nil || n == 0 {
		return err // finished or abandoned before: nothing to do
	}
	if err := endRuns(ctx, q, in); err != nil {
		return err
	}
	if err := q.ReleaseClaims(ctx, sqlc.ReleaseClaimsParams{BatchID: in.BatchID, IntentID: in.ID}); err != nil {
		return err
	}
	if err := release(ctx, q, in); err != nil {
		return err
	}
	if err := q.AbandonTransaction(ctx, sqlc.AbandonTransactionParams{Ended: ev.Detail["reason"], Now: micros(ev.At), ID: in.TransactionID}); err != nil {
		return err
	}
	if err := q.AbandonBatch(ctx, sqlc.AbandonBatchParams{Now: micros(ev.At), ID: in.BatchID}); err != nil {
		return err
	}
	if err := tellEnd(ctx, q, in.TransactionID, ev.At); err != nil {
		return err
	}
	return appendEvent(ctx, q, ev)
}

// StoreChallenge implements otp.Records.
func (d *DB) StoreChallenge(ctx context.Context, c *otp.Challenge, p otp.Policy, ev audit.Event) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		old, err := q.Challenge(ctx, c.Transaction)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case old.Redeemed != 0:
			return otp.ErrUsed
		case now.Before(instant(old.ResendAfter)):
			return &otp.RetryError{Err: otp.ErrResendTooSoon, After: instant(old.ResendAfter).Sub(now)}
		case int(old.Sends) >= p.MaxSends:
			return &otp.RetryError{Err: otp.ErrResendTooSoon, After: p.TTL}
		}
		// Whoever asks has looked; only here can nobody end it meanwhile.
		if t, err := q.Transaction(ctx, c.Transaction); err != nil {
			return err
		} else if t.Status != string(signer.Waiting) {
			return signer.ErrFinished
		}
		return addChallenge(ctx, q, c, p, now, int(old.Sends), ev)
	})
}

// addChallenge makes c the challenge of a transaction that waits, after so many sends of it.
func addChallenge(ctx context.Context, q *sqlc.Queries, c *otp.Challenge, p otp.Policy, now time.Time, sends int, ev audit.Event) error {
	c.IssuedAt, c.ExpiresAt, c.ResendAfter, c.TriesLeft, c.Sends = now, now.Add(p.TTL), now.Add(p.ResendAfter), p.Tries, sends+1
	const hour, day = time.Hour, 24 * time.Hour
	n, err := q.UnredeemedSends(ctx, sqlc.UnredeemedSendsParams{TransactionID: c.Transaction, Ic: personal.IC(c.Officer), Hour: micros(now.Add(-hour)), Day: micros(now.Add(-day)), Channel: c.Channel})
	switch {
	case err != nil:
		return err
	case int(n.Hour) >= p.PerHour && int(n.OwnHour) >= p.Own(p.PerHour):
		return &otp.RetryError{Err: otp.ErrTooManyCodes, After: hour}
	case int(n.Day) >= p.PerDay && int(n.OwnDay) >= p.Own(p.PerDay):
		return &otp.RetryError{Err: otp.ErrTooManyCodes, After: day}
	}
	if err := q.AddCodeSend(ctx, sqlc.AddCodeSendParams{TransactionID: c.Transaction, Ic: personal.IC(c.Officer), SentAt: micros(c.IssuedAt),
		Nonce: c.Nonce[:], Channel: c.Channel, SentTo: personal.Address(c.SentTo), ExpiresAt: micros(c.ExpiresAt)}); err != nil {
		return err
	}
	err = q.PutChallenge(ctx, sqlc.PutChallengeParams{TransactionID: c.Transaction, Ic: personal.IC(c.Officer), Nonce: c.Nonce[:], Channel: c.Channel, SentTo: personal.Address(c.SentTo),
		IssuedAt: micros(c.IssuedAt), ExpiresAt: micros(c.ExpiresAt), ResendAfter: micros(c.ResendAfter), TriesLeft: int64(c.TriesLeft), Sends: int64(c.Sends), Link: link(c.Link)})
	if err != nil {
		return err
	}
	return appendEvent(ctx, q, ev)
}

// Withdraw implements otp.Records.
func (d *DB) Withdraw(ctx context.Context, c otp.Challenge, refused bool, ev audit.Event) error {
	mark := int64(2) // see WithdrawSend
	if refused {
		mark = 3
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.WithdrawChallenge(ctx, sqlc.WithdrawChallengeParams{TransactionID: c.Transaction, Nonce: c.Nonce[:]})
		if err != nil || n == 0 {
			return err
		}
		// The row stays, for those who ask what became of a code.
		if err := q.WithdrawSend(ctx, sqlc.WithdrawSendParams{Redeemed: mark, TransactionID: c.Transaction, Nonce: c.Nonce[:]}); err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
}

// Challenge implements otp.Records.
func (d *DB) Challenge(ctx context.Context, transaction string) (otp.Challenge, error) {
	return challenge(d.q.Challenge(ctx, transaction))
}

func challenge(c sqlc.ChallengeRow, err error) (otp.Challenge, error) {
	if err != nil {
		return otp.Challenge{}, absent(err, otp.ErrUnknown)
	}
	if len(c.Nonce) != otp.NonceSize {
		return otp.Challenge{}, fmt.Errorf("reading challenge: nonce of %d bytes", len(c.Nonce))
	}
	return otp.Challenge{Transaction: c.TransactionID, Officer: string(c.Ic), Nonce: [otp.NonceSize]byte(c.Nonce), Channel: c.Channel, SentTo: string(c.SentTo),
		IssuedAt: instant(c.IssuedAt), ExpiresAt: instant(c.ExpiresAt), ResendAfter: instant(c.ResendAfter), TriesLeft: int(c.TriesLeft),
		Sends: int(c.Sends), Redeemed: c.Redeemed != 0}, nil
}

// ReserveTry implements otp.Records.
func (d *DB) ReserveTry(ctx context.Context, transaction string, nonce [otp.NonceSize]byte) (left int, err error) {
	err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		n, err := q.ReserveTry(ctx, sqlc.ReserveTryParams{TransactionID: transaction, Nonce: nonce[:], Now: micros(now)})
		if left = int(n); !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		c, err := challenge(q.Challenge(ctx, transaction))
		if err != nil {
			return err
		}
		left = c.TriesLeft
		switch {
		case c.Redeemed:
			return otp.ErrUsed
		case c.Nonce != nonce:
			return otp.ErrNonce
		case !now.Before(c.ExpiresAt):
			return otp.ErrExpired
		default:
			return otp.ErrAttempts
		}
	})
	return left, err
}
