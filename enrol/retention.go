package enrol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/table"
)

// What is done about what is kept.
const (
	PlaceHold      Action = "retention.hold"
	LiftHold       Action = "retention.hold.lift"
	ReadKept       Action = "retention.read"
	Propose        Action = "disposal.propose"
	Dispose        Action = "disposal.confirm" // by a second central administrator
	CancelDisposal Action = "disposal.cancel"
)

// Keep says how long things are kept. All are positive.
type Keep struct {
	Codes     time.Duration // what became of codes that were sent, and of letters that could not be
	Logins    time.Duration // log-ins that were begun, behind their end
	Changes   time.Duration // changes of an address that have ended
	Refused   time.Duration // applications that were rejected, withdrawn or have expired
	Documents time.Duration // uploads that no transaction names
	Events    time.Duration // what apps were told, or were to be
	// ActiveYears is how long what was signed stays in the database, before it is archived;
	// ArchiveYears how long after that nothing of it, and of its people, is disposed of.
	ActiveYears, ArchiveYears int
}

// Expunged counts what was removed at the end of its time.
type Expunged struct{ Codes, Logins, Changes, Applications, Officers, Documents, Events, Letters int64 }

// Hold is a legal hold: while it lasts, nothing about a person or a document is disposed of.
type Hold struct {
	ID        string    `json:"hold_id"` // "ho_…"
	IC        string    `json:"ic,omitempty"`
	Reference string    `json:"reference,omitempty"` // of a document, as requests give it
	Reason    string    `json:"reason"`
	By        string    `json:"placed_by"`
	At        time.Time `json:"placed_at"`
}

// States of a disposal.
const (
	DisposalProposed  = "PROPOSED"
	DisposalDone      = "DONE"
	DisposalCancelled = "CANCELLED"
	DisposalLapsed    = "LAPSED" // nobody confirmed it in time
)

// DisposalFor is how long a proposal can be confirmed.
const DisposalFor = 7 * 24 * time.Hour

// MaxDisposal bounds the archives, and the people, of one disposal.
const MaxDisposal = 1000

// Disposal is a proposal to destroy, or the record of having done so. It names nobody
// but the two who answer for it.
type Disposal struct {
	ID         string          `json:"disposal_id"` // "di_…"
	State      string          `json:"state"`
	Before     time.Time       `json:"before"` // nothing younger goes
	ProposedBy string          `json:"proposed_by"`
	ProposedAt time.Time       `json:"proposed_at"`
	Until      time.Time       `json:"confirm_until"`
	DecidedBy  string          `json:"decided_by,omitempty"`
	DecidedAt  time.Time       `json:"decided_at,omitzero"`
	Counts     DisposalCounts  `json:"counts"`
	Items      []DisposalEntry `json:"items"`

	ProposedIC string   `json:"-"`
	People     []string `json:"-"` // IC of each, of a proposal, in the order of Items
}

// DisposalCounts is what goes, or went, and what does not.
type DisposalCounts struct {
	Archives     int `json:"archives"`
	Transactions int `json:"transactions"`
	Signatures   int `json:"signatures"`
	People       int `json:"people"`
	Credentials  int `json:"credentials"`
	Certificates int `json:"certificates"`
	Enrolments   int `json:"enrolments"`
	Kept         int `json:"kept"` // of the proposal: held, or used again, since
	Held         int `json:"held"` // archives whose time is over and that a hold keeps
}

// DisposalEntry is one archive, or one person without a name.
type DisposalEntry struct {
	Kind         string    `json:"kind"` // "archive" or "person"
	Archive      string    `json:"archive_id,omitempty"`
	Manifest     string    `json:"manifest_sha256,omitempty"`
	Newest       time.Time `json:"newest,omitzero"`
	Transactions int       `json:"transactions,omitempty"`
	Signatures   int       `json:"signatures,omitempty"`
	Credentials  []string  `json:"credentials,omitempty"`
	Certificates []string  `json:"certificates_sha256,omitempty"` // of their DER
	Enrolments   []string  `json:"enrolments,omitempty"`
	Kept         bool      `json:"kept,omitempty"`
}

// Count adds the entries up.
func (d *Disposal) Count() {
	c := DisposalCounts{Held: d.Counts.Held}
	for _, e := range d.Items {
		switch {
		case e.Kept:
			c.Kept++
		case e.Kind == "archive":
			c.Archives++
			c.Transactions += e.Transactions
			c.Signatures += e.Signatures
		default:
			c.People++
			c.Credentials += len(e.Credentials)
			c.Certificates += len(e.Certificates)
			c.Enrolments += len(e.Enrolments)
		}
	}
	d.Counts = c
}

// WriteCSV writes the entries as a table.
func (d *Disposal) WriteCSV(w io.Writer) error {
	t, err := table.NewCSVWriter(w)
	if err != nil {
		return err
	}
	if err := t.Row("pelupusan", "keadaan", "jenis", "arkib", "sha256_manifes", "terkini", "transaksi", "tandatangan", "kredensial", "sha256_sijil", "permohonan", "disimpan"); err != nil {
		return err
	}
	for _, e := range d.Items {
		newest := ""
		if !e.Newest.IsZero() {
			newest = e.Newest.UTC().Format(time.RFC3339)
		}
		kept := map[bool]string{true: "ya"}[e.Kept]
		if err := t.Row(d.ID, d.State, e.Kind, e.Archive, e.Manifest, newest, int64(e.Transactions), int64(e.Signatures), strings.Join(e.Credentials, " "), strings.Join(e.Certificates, " "), strings.Join(e.Enrolments, " "), kept); err != nil {
			return err
		}
	}
	return t.Close()
}

// KeptRecords keeps holds and disposals. Each call is durable, with its event, when it
// returns nil.
type KeptRecords interface {
	Audit(ctx context.Context, ev audit.Event) error
	// Hand is that of [Enrolments].
	Hand(ctx context.Context, ic string) ([]string, error)
	PutHold(ctx context.Context, h Hold, ev audit.Event) error
	// LiftHold is ErrUnknown when it was lifted before.
	LiftHold(ctx context.Context, id string, ev audit.Event) error
	// Holds are those that last.
	Holds(ctx context.Context) ([]Hold, error)
	// Disposable finds what ended before a time, at most limit archives and people: Items,
	// People and Counts.Held.
	Disposable(ctx context.Context, before time.Time, limit int) (Disposal, error)
	PutDisposal(ctx context.Context, d Disposal, ev audit.Event) error
	// Disposal reads one, of a proposal what would go now; ErrUnknown.
	Disposal(ctx context.Context, id string) (Disposal, error)
	// Disposals lists the newest, without their items.
	Disposals(ctx context.Context, limit int) ([]Disposal, error)
	// Dispose destroys in one transaction what of a proposal can still go; d is to become
	// its report. The counts stand in the event. ErrState when it is no proposal any more.
	Dispose(ctx context.Context, d Disposal, ev audit.Event) (Disposal, error)
	// CancelDisposal ends a proposal; ErrState when it is none any more.
	CancelDisposal(ctx context.Context, id string, ev audit.Event) error
}

// Kept is where it is decided what is kept, and what is not any more.
type Kept struct {
	Records KeptRecords
	Keep    Keep
	Now     func() time.Time
	// Removed is told that files are to be removed, which a sweep does otherwise; nil: none.
	Removed func(ctx context.Context)
}

// Before is the time before which all must have ended that is disposed of now.
func (k *Kept) Before() time.Time {
	return k.Now().UTC().AddDate(-k.Keep.ActiveYears-k.Keep.ArchiveYears, 0, 0)
}

// Hold places a hold on a person or a document, of which one is "". reason is 5 to 200
// characters.
func (k *Kept) Hold(ctx context.Context, a Actor, ic, reference, reason string) (Hold, error) {
	h := Hold{ID: ident.New("ho", 16), IC: ic, Reference: reference, Reason: reason, By: a.Name, At: k.Now().UTC()}
	ev, err := decide(ctx, k.Records, h.At, a, PlaceHold, object{name: h.ID})
	if err != nil {
		return h, err
	}
	_, bad := mykad.Parse(ic)
	no := reasonGiven(&h.Reason, auditReason)
	switch {
	case no != nil:
	case (ic == "") == (reference == ""):
		no = entered("hold_invalid", "ic", "namakan seorang pegawai atau satu dokumen", "name either a person or a document")
	case ic != "" && bad != nil:
		no = entered("ic_invalid", "ic", "No. Kad Pengenalan tidak sah", "the IC number is not valid")
	case !showable(reference, 200) && reference != "":
		no = entered("hold_invalid", "reference", "rujukan dokumen tidak sah", "a document's reference has 1 to 200 printable characters")
	}
	if no != nil {
		return h, refuse(ctx, k.Records, ev, no)
	}
	ev.Detail["why"] = h.Reason
	if ic != "" {
		ev.Detail["officer"] = ic
	}
	return h, k.Records.PutHold(ctx, h, ev)
}

// Lift ends a hold, for a reason; not one on the person who lifts.
func (k *Kept) Lift(ctx context.Context, a Actor, id, reason string) error {
	lasting, err := k.Records.Holds(ctx)
	if err != nil {
		return fmt.Errorf("reading holds: %w", err)
	}
	o := object{name: id}
	if n := slices.IndexFunc(lasting, func(h Hold) bool { return h.ID == id }); n >= 0 {
		o.officer = lasting[n].IC
	}
	ev, err := decide(ctx, k.Records, k.Now(), a, LiftHold, o)
	if err != nil {
		return err
	}
	if no := reasonGiven(&reason, auditReason); no != nil {
		return refuse(ctx, k.Records, ev, no)
	}
	ev.Detail["why"] = reason
	err = k.Records.LiftHold(ctx, id, ev)
	if errors.Is(err, ErrUnknown) {
		return refuse(ctx, k.Records, ev, refusal("not_found", ErrUnknown))
	}
	return err
}

// Read authorises the reading of what is kept, and puts it into the audit.
func (k *Kept) Read(ctx context.Context, a Actor, what string) error {
	ev, err := decide(ctx, k.Records, k.Now(), a, ReadKept, object{name: what})
	if err != nil {
		return err
	}
	return k.Records.Audit(ctx, ev)
}

// Holds lists the holds that last.
func (k *Kept) Holds(ctx context.Context, a Actor) ([]Hold, error) {
	if err := k.Read(ctx, a, "holds"); err != nil {
		return nil, err
	}
	return k.Records.Holds(ctx)
}

// Propose proposes the disposal of all whose time is over, at most [MaxDisposal] archives
// and people; dry changes nothing and tells what it would be. ErrUnknown when there is
// nothing.
func (k *Kept) Propose(ctx context.Context, a Actor, dry bool) (Disposal, error) {
	now := k.Now().UTC()
	id := ident.New("di", 16)
	ev, err := decide(ctx, k.Records, now, a, Propose, object{name: id})
	if err != nil {
		return Disposal{}, err
	}
	d, err := k.Records.Disposable(ctx, k.Before(), MaxDisposal)
	if err != nil {
		return d, fmt.Errorf("finding what can be disposed of: %w", err)
	}
	d.ID, d.State, d.Before, d.ProposedBy, d.ProposedIC, d.ProposedAt, d.Until = id, DisposalProposed, k.Before(), a.Name, a.IC, now, now.Add(DisposalFor)
	d.Count()
	if dry {
		d.ID, ev.Object, ev.Detail["dry_run"] = "", "", "true"
	} else if len(d.Items) == 0 {
		return d, refuse(ctx, k.Records, ev, entered("nothing_to_dispose", "", "tiada apa-apa yang tamat tempoh simpanan", "there is nothing whose time is over"))
	}
	d.Tell(&ev)
	if dry {
		return d, k.Records.Audit(ctx, ev)
	}
	return d, k.Records.PutDisposal(ctx, d, ev)
}

// Tell puts the counts into an event.
func (d *Disposal) Tell(ev *audit.Event) {
	ev.Detail["before"] = d.Before.UTC().Format(time.RFC3339)
	for name, n := range map[string]int{"archives": d.Counts.Archives, "people": d.Counts.People, "kept": d.Counts.Kept, "held": d.Counts.Held} {
		ev.Detail[name] = fmt.Sprint(n)
	}
}

// state is that of a disposal now.
func (k *Kept) state(d *Disposal) {
	if d.State == DisposalProposed && !k.Now().Before(d.Until) {
		d.State = DisposalLapsed
	}
}

// Disposal reads one.
func (k *Kept) Disposal(ctx context.Context, a Actor, id string) (Disposal, error) {
	if err := k.Read(ctx, a, id); err != nil {
		return Disposal{}, err
	}
	d, err := k.Records.Disposal(ctx, id)
	k.state(&d)
	return d, err
}

// Disposals lists the newest hundred, without their items.
func (k *Kept) Disposals(ctx context.Context, a Actor) ([]Disposal, error) {
	if err := k.Read(ctx, a, "disposals"); err != nil {
		return nil, err
	}
	list, err := k.Records.Disposals(ctx, 100)
	for n := range list {
		k.state(&list[n])
	}
	return list, err
}

// Confirm destroys what was proposed by somebody else, of another hand. fresh says that a has just logged
// in: [ErrStale] else. What a hold names since, what was used again and what is not old
// enough under today's policy stays, and the report says so.
func (k *Kept) Confirm(ctx context.Context, a Actor, id string, fresh bool) (Disposal, error) {
	d, ev, err := k.decideDisposal(ctx, a, Dispose, id)
	if err != nil {
		return d, err
	}
	if !fresh {
		ev.Verdict, ev.Detail["code"] = audit.Refused, "session_not_fresh"
		return d, errors.Join(ErrStale, k.Records.Audit(ctx, ev))
	}
	// A policy that was made longer since counts; one that was made shorter does not.
	if before := k.Before(); before.Before(d.Before) {
		d.Before = before
	}
	d.State, d.DecidedBy, d.DecidedAt = DisposalDone, a.Name, k.Now().UTC()
	d, err = k.Records.Dispose(ctx, d, ev)
	if errors.Is(err, ErrState) {
		return d, refuse(ctx, k.Records, ev, refusal("disposal_state", ErrState))
	}
	if err == nil && k.Removed != nil {
		k.Removed(ctx)
	}
	return d, err
}

// Cancel ends a proposal.
func (k *Kept) Cancel(ctx context.Context, a Actor, id string) error {
	_, ev, err := k.decideDisposal(ctx, a, CancelDisposal, id)
	if err != nil {
		return err
	}
	err = k.Records.CancelDisposal(ctx, id, ev)
	if errors.Is(err, ErrState) {
		return refuse(ctx, k.Records, ev, refusal("disposal_state", ErrState))
	}
	return err
}

// decideDisposal decides about a proposal that can still be confirmed.
func (k *Kept) decideDisposal(ctx context.Context, a Actor, act Action, id string) (Disposal, audit.Event, error) {
	d, err := k.Records.Disposal(ctx, id)
	unknown := errors.Is(err, ErrUnknown)
	if err != nil && !unknown {
		return d, audit.Event{}, fmt.Errorf("reading disposal: %w", err)
	}
	o := object{name: id}
	if act == Dispose {
		o.validator = d.ProposedIC
	}
	ev, err := decide(ctx, k.Records, k.Now(), a, act, o)
	if err != nil {
		return d, ev, err
	}
	k.state(&d)
	switch {
	case unknown:
		return d, ev, refuse(ctx, k.Records, ev, refusal("not_found", ErrUnknown))
	case d.State != DisposalProposed:
		return d, ev, refuse(ctx, k.Records, ev, refusal("disposal_state", ErrState))
	case act == Dispose:
		return d, ev, oneHand(ctx, k.Records, ev, &a, d.ProposedBy)
	}
	return d, ev, nil
}
