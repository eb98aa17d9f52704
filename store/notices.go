package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// StoreDelivery implements otp.Records.
func (d *DB) StoreDelivery(ctx context.Context, transaction string, nonce [otp.NonceSize]byte, v otp.Delivery, ev audit.Event) (wanted bool, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.StoreDelivery(ctx, sqlc.StoreDeliveryParams{Delivery: v.State, Reply: v.Reply, At: micros(v.At), TransactionID: transaction, Nonce: nonce[:]})
		if err != nil {
			return fmt.Errorf("storing delivery: %w", err)
		}
		if v.State == otp.Sent { // nothing more is to be done for it
			wanted = true
			return nil
		}
		live, err := q.CodeWanted(ctx, sqlc.CodeWantedParams{TransactionID: transaction, Nonce: nonce[:]})
		if err != nil {
			return fmt.Errorf("reading challenge: %w", err)
		}
		wanted = live == 1
		if n == 0 || v.State != otp.Refused && v.State != otp.Bounced {
			return nil
		}
		return appendEvent(ctx, q, ev)
	})
	return wanted && err == nil, err
}

// CodeSends returns the newest codes issued to an officer, for signing and for log-ins
// (which are kept for a day), limit at most, the newest first.
func (d *DB) CodeSends(ctx context.Context, ic string, limit int) ([]otp.Send, error) {
	rows, err := d.q.CodeSends(ctx, sqlc.CodeSendsParams{Ic: personal.IC(ic), Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading codes sent: %w", err)
	}
	out := make([]otp.Send, len(rows))
	for k, r := range rows {
		out[k] = send(sqlc.SendsOfRow(r))
	}
	logins, err := d.q.LoginSends(ctx, sqlc.LoginSendsParams{Ic: orNull(ic), Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading codes of log-ins: %w", err)
	}
	for _, r := range logins {
		out = append(out, send(sqlc.SendsOfRow{TransactionID: r.ID, Ic: personal.IC(ic), Nonce: r.Nonce, SentAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, Channel: r.Channel, SentTo: r.SentTo,
			Redeemed: r.Used, Delivery: r.Delivery, Reply: r.Reply, DeliveryAt: r.DeliveryAt}))
	}
	slices.SortStableFunc(out, func(a, b otp.Send) int { return b.IssuedAt.Compare(a.IssuedAt) })
	return out[:min(len(out), limit)], nil
}

// SendByEnvelope returns the code whose message has this envelope id
// ([otp.Envelope]), or otp.ErrUnknown.
func (d *DB) SendByEnvelope(ctx context.Context, envelope string) (otp.Send, error) {
	transaction, _, _ := strings.Cut(envelope, ".")
	if strings.HasPrefix(transaction, "lg_") {
		return d.loginSend(ctx, transaction, envelope)
	}
	rows, err := d.q.SendsOf(ctx, transaction)
	if err != nil {
		return otp.Send{}, fmt.Errorf("reading codes sent: %w", err)
	}
	for _, r := range rows {
		// Rows of the first schema have no nonce, and no state either.
		if s := send(r); len(r.Nonce) == otp.NonceSize && otp.Envelope(s.Transaction, s.Nonce) == envelope {
			return s, nil
		}
	}
	return otp.Send{}, otp.ErrUnknown
}

// loginSend is SendByEnvelope for the code of a log-in.
func (d *DB) loginSend(ctx context.Context, id, envelope string) (otp.Send, error) {
	l, err := d.q.Login(ctx, id)
	if err != nil {
		return otp.Send{}, absent(err, otp.ErrUnknown)
	}
	a, err := d.q.Account(ctx, l.AccountID)
	if err != nil {
		return otp.Send{}, absent(err, otp.ErrUnknown)
	}
	s := send(sqlc.SendsOfRow{TransactionID: l.ID, Ic: personal.IC(plain(a.Ic)), Nonce: l.Nonce, SentAt: l.IssuedAt, ExpiresAt: l.ExpiresAt, Channel: l.Channel, SentTo: l.SentTo,
		Redeemed: l.Used, Delivery: l.Delivery, Reply: l.Reply, DeliveryAt: l.DeliveryAt})
	if len(l.Nonce) != otp.NonceSize || otp.Envelope(s.Transaction, s.Nonce) != envelope {
		return otp.Send{}, otp.ErrUnknown
	}
	return s, nil
}

func send(r sqlc.SendsOfRow) otp.Send {
	s := otp.Send{Transaction: r.TransactionID, Officer: string(r.Ic), Channel: r.Channel, SentTo: string(r.SentTo), IssuedAt: instant(r.SentAt), ExpiresAt: instant(r.ExpiresAt),
		Redeemed: r.Redeemed == 1, Delivery: otp.Delivery{State: r.Delivery, At: instant(r.DeliveryAt), Reply: r.Reply}}
	copy(s.Nonce[:], r.Nonce)
	return s
}

// AuditLock implements signer.Records.
func (d *DB) AuditLock(ctx context.Context, officer string, st signer.PINState, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if st.Blocked {
			return addNotice(ctx, q, officer, notify.PINBlocked, ev.At, nil)
		}
		return addNotice(ctx, q, officer, notify.PINLocked, ev.At, map[string]string{"until": st.LockedUntil.UTC().Format(time.RFC3339)})
	})
}

// addAlarms puts the notice that a transaction, then in state was, was disowned
// into the outbox, one for each address, with the deed's own transaction. What is
// of the officer is masked before it is stored.
func addAlarms(ctx context.Context, q *sqlc.Queries, to []string, id string, was signer.Status, at time.Time) error {
	if len(to) == 0 {
		return nil
	}
	t, err := q.Transaction(ctx, id)
	if err != nil {
		return fmt.Errorf("reading transaction: %w", err)
	}
	o, err := q.Officer(ctx, t.Ic)
	if err != nil {
		return fmt.Errorf("reading officer: %w", err)
	}
	var root [32]byte
	copy(root[:], t.Root)
	outcome := notify.DisownedEnded
	switch {
	case (&signer.Request{Status: was}).Confirmed():
		outcome = notify.DisownedConfirmed
	case was == signer.Waiting:
		outcome = notify.DisownedCancelled
	}
	raw, err := json.Marshal(map[string]string{"system": t.SystemName, "transaction": id, "officer": notify.MaskName(string(o.Name)),
		"count": strconv.FormatInt(t.Count, 10), "fingerprint": signer.Fingerprint(root), "outcome": outcome})
	if err != nil {
		return fmt.Errorf("encoding notice: %w", err)
	}
	for _, email := range to {
		// Due since ever: before thousands of notices of a list that was enrolled.
		err := q.AddAlarm(ctx, sqlc.AddAlarmParams{ID: ident.New("no", 16), Email: personal.Address(email), Kind: notify.TransactionDisowned, Detail: personal.Note(string(raw)), CreatedAt: micros(at), DueAt: 0})
		if err != nil {
			return fmt.Errorf("storing notice: %w", err)
		}
	}
	return nil
}

// tellOfficer puts into the outbox what became of a batch after PIN and code. A name of what is
// classified does not travel.
func tellOfficer(ctx context.Context, q *sqlc.Queries, transaction string, at time.Time) error {
	t, err := q.BatchEnding(ctx, transaction)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading transaction: %w", err)
	}
	n, err := q.OutcomesOf(ctx, sqlc.OutcomesOfParams{BatchID: t.BatchID, TransactionID: transaction})
	if err != nil {
		return fmt.Errorf("counting documents: %w", err)
	}
	var root [32]byte
	copy(root[:], t.Root)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	detail := map[string]string{"system": t.SystemName, "status": t.Status, "count": number(t.Count), "signed": number(n.Signed), "refused": number(n.Refused), "fingerprint": signer.Fingerprint(root), "why": stoppedBy(t.Ended)}
	if !(&signer.Request{Class: t.Classification}).Classified() {
		detail["batch"] = string(t.Name)
	}
	return addNotice(ctx, q, string(t.Ic), notify.BatchEnded, at, detail)
}

// stoppedBy is what an officer is told of the reason of an event.
func stoppedBy(reason string) string {
	switch reason {
	case signer.ErrCancelled.Error():
		return notify.StoppedByApp
	case signer.ErrCertificateRevoked.Error(), signer.ErrCertificateOnHold.Error():
		return notify.StoppedByCertificate
	case signer.ErrDeadline.Error():
		return notify.StoppedByTime
	}
	return ""
}

// addNotice puts a notice into the outbox, with the deed's own transaction. The
// address is the one of that moment.
func addNotice(ctx context.Context, q *sqlc.Queries, officer, kind string, at time.Time, detail map[string]string) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encoding notice: %w", err)
	}
	o, err := q.Officer(ctx, personal.IC(officer))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = q.AddNotice(ctx, sqlc.AddNoticeParams{ID: ident.New("no", 16), Ic: o.Ic, Name: o.Name, Email: o.Email, Kind: kind, Detail: personal.Note(raw), CreatedAt: micros(at), DueAt: micros(at)})
	}
	if err != nil {
		return fmt.Errorf("storing notice: %w", err)
	}
	return nil
}

// ClaimNotice implements notify.Outbox. Questions about nobody end here.
func (d *DB) ClaimNotice(ctx context.Context, lease time.Duration) (n notify.Notice, ok bool, err error) {
	for nobody := true; nobody && err == nil; {
		n, ok, nobody, err = d.claimNotice(ctx, lease)
	}
	return n, ok, err
}

func (d *DB) claimNotice(ctx context.Context, lease time.Duration) (n notify.Notice, ok, nobody bool, err error) {
	now, err := d.now(ctx)
	if err != nil {
		return n, false, false, err
	}
	// An empty outbox costs no write.
	if due, err := d.q.NoticesDue(ctx, micros(now)); err != nil || due == 0 {
		return n, false, false, err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		r, err := q.ClaimNotice(ctx, sqlc.ClaimNoticeParams{LeaseUntil: micros(now.Add(lease)), Now: micros(now)})
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another node was faster
		}
		if err != nil {
			return err
		}
		ok, n = true, notify.Notice{ID: r.ID, Officer: string(r.Ic), Name: string(r.Name), Email: string(r.Email), Kind: r.Kind, At: instant(r.CreatedAt), Attempt: int(r.Attempts)}
		_ = json.Unmarshal([]byte(r.Detail), &n.Detail) // a notice that lacks it is given up, and keeps no other waiting
		if n.Kind != notify.StatusAsked {
			return nil
		}
		err = answerStatus(ctx, q, &n, now)
		if errors.Is(err, enrol.ErrUnknown) {
			nobody = true
			_, err = q.DropNotice(ctx, sqlc.DropNoticeParams{ID: n.ID, Attempts: int64(n.Attempt)})
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("claiming notice: %w", err)
		if ok && ctx.Err() == nil {
			err = errors.Join(err, d.stepAside(ctx, &n, now))
		}
		return notify.Notice{}, false, false, err
	}
	return n, ok && !nobody, nobody, nil
}

// stepAside has a question that could not be answered wait behind the other notices, each time twice
// as long. No attempt is counted: the claim was undone, and the first that succeeds is audited.
func (d *DB) stepAside(ctx context.Context, n *notify.Notice, now time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		_, err := q.DeferNotice(ctx, sqlc.DeferNoticeParams{DueAt: micros(now.Add(max(time.Minute, now.Sub(n.At)))), ID: n.ID, Attempts: int64(n.Attempt - 1)})
		return err
	})
}

// AskStatus implements enrol.AccountRecords. It takes as long for everybody: nobody is looked up.
func (d *DB) AskStatus(ctx context.Context, ic string, at time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.AddNotice(ctx, sqlc.AddNoticeParams{ID: ident.New("no", 16), Ic: personal.IC(ic), Kind: notify.StatusAsked, Detail: "{}", CreatedAt: micros(at), DueAt: micros(at)})
	})
}

// answerStatus fills in who is asked about and what there is to say, as it is now; enrol.ErrUnknown.
func answerStatus(ctx context.Context, q *sqlc.Queries, n *notify.Notice, now time.Time) error {
	o, media, err := officerOf(ctx, q, n.Officer)
	if err != nil {
		return err
	}
	rows, err := q.EnrolmentsOf(ctx, personal.IC(o.IC))
	if err != nil {
		return fmt.Errorf("reading enrolments: %w", err)
	}
	all := make([]enrol.Enrolment, len(rows))
	for k, r := range rows {
		all[k] = enrolment(&r.Enrolment, string(r.Name), string(r.Email))
	}
	raw, err := json.Marshal(enrol.ProgressOf(all, media, now))
	if err != nil {
		return fmt.Errorf("encoding progress: %w", err)
	}
	n.Name, n.Email, n.Detail = o.Name, o.Email, map[string]string{"progress": string(raw)}
	if n.Attempt > 1 {
		return nil
	}
	return appendEvent(ctx, q, audit.Event{At: now, Actor: "anonymous", Action: "officer.status", Object: "officer:" + o.IC, Verdict: audit.Accepted, Detail: map[string]string{"notice": n.ID}})
}

// DeferNotice implements notify.Outbox.
func (d *DB) DeferNotice(ctx context.Context, n notify.Notice, after time.Duration, reply string) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		_, err := q.DeferNotice(ctx, sqlc.DeferNoticeParams{DueAt: micros(now.Add(after)), Reply: reply, ID: n.ID, Attempts: int64(n.Attempt)})
		return err
	})
}

// FinishNotice implements notify.Outbox.
func (d *DB) FinishNotice(ctx context.Context, n notify.Notice) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		_, err := q.DropNotice(ctx, sqlc.DropNoticeParams{ID: n.ID, Attempts: int64(n.Attempt)})
		return err
	})
}

// GiveUpNotice implements notify.Outbox. Expunge removes it in the end.
func (d *DB) GiveUpNotice(ctx context.Context, n notify.Notice, ev audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		k, err := q.FailNotice(ctx, sqlc.FailNoticeParams{Now: micros(ev.At), Reply: ev.Detail["reply"], ID: n.ID, Attempts: int64(n.Attempt)})
		if err != nil || k == 0 {
			return err // somebody else has it
		}
		return appendEvent(ctx, q, ev)
	})
}
