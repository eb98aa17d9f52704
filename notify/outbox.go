package notify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
)

// Kinds of notices.
const (
	PINLocked         = "pin.locked"         // detail: until (RFC 3339)
	PINBlocked        = "pin.blocked"        //
	PINChanged        = "pin.changed"        // detail: system
	CertificateIssued = "certificate.issued" // detail: system, serial, until (RFC 3339)

	CertificateRenewed   = "certificate.renewed"   // detail: as CertificateIssued
	CertificateEnding    = "certificate.ending"    // and days left
	CertificateRevoked   = "certificate.revoked"   // detail: system, serial, reason (CRLReason, a number)
	CertificateSuspended = "certificate.suspended" // detail: system, serial
	CertificateReleased  = "certificate.released"  // detail: system, serial
	RevocationScheduled  = "revocation.scheduled"  // detail: system, serial, reason, until (RFC 3339)
	RevocationCancelled  = "revocation.cancelled"  // detail: system, serial
	PINReplaced          = "pin.replaced"          // another key under another PIN; detail: as CertificateIssued
	RekeyAsked           = enrol.NoticeRekey       // detail: system

	EnrolmentValidated = enrol.NoticeValidated // detail: system
	AddressChanged     = enrol.NoticeAddressChanged
	// What officers did, or what is being done about them.
	PhoneChanged  = enrol.NoticePhoneChanged
	PasswordReset = enrol.NoticePasswordReset
	PasswordAsked = enrol.NoticePasswordAsked
	DeletionAsked = enrol.NoticeDeletionAsked
	Deleted       = enrol.NoticeDeleted
	// StatusAsked answers whoever asked how far an officer is. Detail: progress, JSON of
	// enrol.ProgressOf.
	StatusAsked = enrol.NoticeStatus

	EnrolmentRejected = enrol.NoticeRejected // detail: system, reason

	// OfficerCertificate tells an AP what became of an officer's certificate. Detail: what
	// (the officer's kind of notice), officer (name), and what that has.
	OfficerCertificate = "officer.certificate"
	AccountChanged     = enrol.NoticeAccount // detail: what (appointed, confirmed, ready, reset), role, scope

	// TransactionDisowned is an alarm to administrators. Detail: system (registered
	// name), transaction, officer (masked name), count, fingerprint, outcome.
	TransactionDisowned = "transaction.disowned"

	// HealthAlarm tells administrators of a fault of the gateway. Detail: alarm (its id), node, ms and en
	// (what is wrong), raised (RFC 3339).
	HealthAlarm = "alarm.raised"

	// BatchEnded tells an officer what became of a batch after PIN and code. Detail: system
	// (registered name), batch (its name; none when it is classified), status of the transaction,
	// count, signed, refused, fingerprint (of what the code was for), why (Stopped…) it needs another
	// authorisation.
	BatchEnded = "batch.ended"
)

// Why a batch stopped before its end; "" for what an officer need not know.
const (
	StoppedByApp         = "app"         // the app cancelled it
	StoppedByCertificate = "certificate" // it was revoked or suspended
	StoppedByTime        = "time"        // the deadline of the authorisation
)

// What "this was not me" found.
const (
	DisownedCancelled = "cancelled" // it waited, and was ended by this
	DisownedEnded     = "ended"     // it was over, and nothing was signed
	DisownedConfirmed = "confirmed" // PIN and code had been accepted
)

// Notice tells an officer or administrators what was done. It holds no secret, so it may wait in
// a database until it is delivered.
type Notice struct {
	ID      string // makes the Message-ID, which is the same at each try
	Officer string // IC; "" of one to administrators
	Name    string
	Email   string // the address when it was done, not when it is sent
	Kind    string
	Detail  map[string]string
	At      time.Time // when it was done
	Attempt int       // counts claims, from 1: the fence of this one
}

// Outbox keeps notices until they are delivered. A notice is put there in the
// transaction that does what it tells; each call here is durable when it returns
// nil, and changes nothing when the notice was claimed again since. Several
// processes may empty one outbox: at least once, each notice is sent.
type Outbox interface {
	// ClaimNotice returns the notice that has been due longest, which nobody else
	// gets until lease is over; false when none is due.
	ClaimNotice(ctx context.Context, lease time.Duration) (Notice, bool, error)
	// DeferNotice makes a claimed notice due again after a pause; reply is the
	// server's numeric answer.
	DeferNotice(ctx context.Context, n Notice, after time.Duration, reply string) error
	// FinishNotice forgets a delivered notice.
	FinishNotice(ctx context.Context, n Notice) error
	// GiveUpNotice puts a notice that cannot be delivered aside, for administrators to
	// see, and appends ev in the same transaction. It is not due any more.
	GiveUpNotice(ctx context.Context, n Notice, ev audit.Event) error
}

// Times of the outbox. RFC 5321, Section 4.5.4.1: give up after 4 to 5 days.
const (
	lookEvery   = 5 * time.Second
	noticeLease = 2 * maxTimeout // longer than a delivery may take
	noticePause = time.Minute
	noticeMax   = 4 * time.Hour
	noticeLife  = 5 * 24 * time.Hour
)

// NoticeSender makes one try; [Mailer] is one. Its errors are those of SendCode.
type NoticeSender interface {
	SendNotice(ctx context.Context, n Notice) error
}

// Postman empties an Outbox. All fields are required unless said otherwise.
type Postman struct {
	Outbox Outbox
	Mail   NoticeSender
	Now    func() time.Time
	Log    *slog.Logger
	// Unwanted kinds are dropped and not sent; may be nil.
	Unwanted map[string]bool
}

// Run delivers what is due, every few seconds, until ctx ends.
func (p *Postman) Run(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		for ok, err := p.Once(ctx); ok || err != nil; ok, err = p.Once(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					p.Log.Error("emptying the outbox of notices", "error", err)
				}
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Once claims the notice that has been due longest and makes one try; false
// when none is due.
func (p *Postman) Once(ctx context.Context) (bool, error) {
	n, ok, err := p.Outbox.ClaimNotice(ctx, noticeLease)
	if err != nil || !ok {
		return false, err
	}
	return true, p.carry(ctx, n)
}

func (p *Postman) carry(ctx context.Context, n Notice) error {
	if p.Unwanted[n.Kind] {
		return p.Outbox.FinishNotice(ctx, n)
	}
	err := p.Mail.SendNotice(ctx, n)
	if ctx.Err() != nil && err != nil {
		return nil // stopping: its lease runs out
	}
	d, old := outcome(err), !p.Now().Before(n.At.Add(noticeLife))
	var failure *DeliveryError
	switch {
	case d.State == otp.Sent:
		return p.Outbox.FinishNotice(ctx, n)
	// What the server has against us, and not against this message, will be put right.
	case !old && (d.State == otp.Deferred || errors.As(err, &failure) && !failure.judged):
		return p.Outbox.DeferNotice(ctx, n, jitter(pause(n.Attempt)), d.Reply)
	}
	p.Log.Warn("a notice cannot be delivered", "notice", n.ID, "kind", n.Kind, "error", err)
	ev := audit.Event{At: p.Now(), Actor: "gateway", Action: "notice.deliver", Object: n.about(), Verdict: audit.Refused,
		Detail: map[string]string{"kind": n.Kind, "notice": n.ID}}
	if d.Reply != "" {
		ev.Detail["reply"] = d.Reply
	}
	return p.Outbox.GiveUpNotice(ctx, n, ev)
}

// about is what an event about n is about, in the audit.
func (n *Notice) about() string {
	if n.Officer == "" {
		return cmp.Or(n.Detail["transaction"], n.Detail["alarm"])
	}
	return "officer:" + n.Officer
}

// pause before the try after this one: 1 min, 2, 4 … 4 h.
func pause(attempt int) time.Duration {
	return min(noticePause<<min(max(attempt-1, 0), 10), noticeMax)
}
