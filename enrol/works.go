package enrol

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// What administrators do about the works of the gateway: batches, letters, and how eCertificates
// look.
const (
	ReadBatches Action = "batch.read"
	PauseBatch  Action = "batch.pause" // as the app's own, below
	ResumeBatch Action = "batch.resume"
	CancelBatch Action = "batch.cancel"
	RetryBatch  Action = "batch.retry" // refused documents wait for another PIN and code

	ReadOutbox  Action = "notice.read"
	RetryLetter Action = "notice.retry"
	DropLetter  Action = "notice.drop"

	ReadLooks   Action = "ecert.look.read"
	ProposeLook Action = "ecert.look.propose"
	ConfirmLook Action = "ecert.look.confirm" // by a second central administrator
	RejectLook  Action = "ecert.look.reject"
)

// worksRules are the rules of those: JDN decides; a SAP sees, stops and lets go on what apps of the
// own system have signed. Nobody signs here.
func worksRules(m map[Action]rule) {
	m[ReadBatches] = rule{roles: []Role{JDN, SAP, Auditor}}
	for _, act := range []Action{PauseBatch, ResumeBatch, CancelBatch, RetryBatch} {
		m[act] = rule{roles: []Role{JDN, SAP}}
	}
	m[ReadOutbox] = rule{roles: []Role{JDN, Auditor}}
	m[RetryLetter], m[DropLetter] = rule{roles: []Role{JDN}}, rule{roles: []Role{JDN}}
	m[ReadLooks] = rule{roles: []Role{JDN, SAP, Auditor}}
	m[ProposeLook] = rule{roles: []Role{JDN}, another: true, fresh: true}
	m[ConfirmLook] = m[ProposeLook]
	m[RejectLook] = rule{roles: []Role{JDN}, another: true}
}

// States of a letter.
const (
	LetterWaiting  = "waiting"  // it was never tried
	LetterDeferred = "deferred" // the mail server put it off, or could not be reached
	LetterFailed   = "failed"   // it was given up
)

// Notice is a mail that tells somebody what was done. It holds no secret.
type Notice struct {
	ID       string
	IC       string // of the officer it is to; "" of one to administrators
	Name     string
	Email    string // where it goes, as it was when it was written
	Kind     string
	State    string
	Reply    string // of the mail server to the last try, in digits
	Attempts int
	At       time.Time // when it was written
	DueAt    time.Time // of the next try; zero of one that was given up
	FailedAt time.Time
}

// LetterCount counts the letters of a kind.
type LetterCount struct {
	Kind                      string
	Waiting, Deferred, Failed int64
	Oldest                    time.Time
}

// LetterQuery chooses letters: the newest first, Before is exclusive.
type LetterQuery struct {
	State, Kind string // "" for any
	BeforeAt    time.Time
	BeforeID    string
	Limit       int
}

// Look is a version of how eCertificates look.
type Look struct {
	Number   int64
	Base     int64  // the version it changes; 0 is the configuration
	Template string // which was edited, as the API names it
	Changes  []byte // JSON of what differs from the configuration
	State    string
	Reason   string
	By       string // who proposed it: Actor's Name
	At       time.Time
	Decider  string
	Decided  time.Time
}

// States of a Look.
const (
	LookProposed = "PROPOSED"
	LookCurrent  = "CURRENT"
	LookPast     = "PAST"
	LookRejected = "REJECTED"
)

// looksShown is how many versions a list has.
const looksShown = 50

// WorkRecords keeps letters and looks. Each call is durable, with its event, when it returns nil.
type WorkRecords interface {
	hands
	// Letters lists letters; LettersByKind counts all; Letter is one, or ErrUnknown.
	Letters(ctx context.Context, q LetterQuery) ([]Notice, error)
	LettersByKind(ctx context.Context) ([]LetterCount, error)
	Letter(ctx context.Context, id string) (Notice, error)
	// RetryLetter makes a letter that was tried due now, DropLetter forgets one that was given up; ErrState when it was
	// tried again, or is gone, since it was read.
	RetryLetter(ctx context.Context, l Notice, ev audit.Event) error
	DropLetter(ctx context.Context, l Notice, ev audit.Event) error
	// Looks lists versions without their changes, the newest first; Look is one, or ErrUnknown.
	Looks(ctx context.Context, limit int) ([]Look, error)
	Look(ctx context.Context, number int64) (Look, error)
	// AddLook stores a proposal and gives its number; ErrExists while another awaits confirmation,
	// ErrState when its base is not in force.
	AddLook(ctx context.Context, l Look, ev audit.Event) (int64, error)
	// DecideLook makes a proposal LookCurrent, in the place of the one that was, or LookRejected;
	// ErrState when it is not a proposal any more.
	DecideLook(ctx context.Context, l Look, ev audit.Event) error
}

// Works is the desk of these things. All fields are required.
type Works struct {
	Records WorkRecords
	Apps    *Apps
	Now     func() time.Time
}

// Batches says which apps' batches by may see, for a list: nil for all.
func (s *Works) Batches(ctx context.Context, by Actor) (apps []string, ev audit.Event, err error) {
	o := object{name: "batches"}
	if k := s.appointment(&by, ReadBatches); k != nil {
		o.system = k.System
	}
	if ev, err = decide(ctx, s.Records, s.Now(), by, ReadBatches, o); err != nil {
		return nil, ev, err
	}
	if _, no := judge(s.Now(), &by, rules()[ReadBatches], &object{}); no == nil {
		return nil, ev, nil
	}
	apps = []string{}
	for after, more := "", true; more; {
		const page = 1000
		list, err := s.Apps.Records.ListApps(ctx, after, page)
		if err != nil {
			return nil, ev, fmt.Errorf("reading apps: %w", err)
		}
		for k := range list {
			if after = list[k].ID; s.holds(&by, &list[k]) {
				apps = append(apps, after)
			}
		}
		more = len(list) == page
	}
	return apps, ev, nil
}

// holds says whether by may see the batches of an app: they name officers of each of its systems.
func (s *Works) holds(by *Actor, a *App) bool {
	return len(a.Systems) > 0 && !slices.ContainsFunc(a.Systems, func(system string) bool {
		_, no := judge(s.Now(), by, rules()[ReadBatches], &object{system: system})
		return no != nil
	})
}

// appointment finds one in force whose role may do act somewhere.
func (s *Works) appointment(by *Actor, act Action) *Appointment {
	k := slices.IndexFunc(by.Appointments, func(x Appointment) bool { return x.holds(s.Now()) && slices.Contains(rules()[act].roles, x.Role) })
	if k < 0 {
		return nil
	}
	return &by.Appointments[k]
}

// May decides about a batch of app, "" for one that there is not. The event is to be appended with
// the deed, or by [Works.Tell]. A *[Refusal]; who may do it with none of an app's systems is not told
// whether there is the batch.
func (s *Works) May(ctx context.Context, by Actor, act Action, id, app string) (audit.Event, error) {
	a, err := s.Apps.Records.AppByID(ctx, app)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return audit.Event{}, fmt.Errorf("reading app: %w", err)
	}
	a.Systems = slices.Clone(a.Systems)
	ev, derr := decideApp(ctx, s.Records, s.Now(), by, act, app, &a)
	if derr != nil {
		return ev, derr
	}
	ev.Object = id
	if app == "" {
		return ev, refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	ev.Detail["app"] = app
	return ev, nil
}

// Because is May with a reason of 5 to 200 characters.
func (s *Works) Because(ctx context.Context, by Actor, act Action, id, app, why string) (audit.Event, error) {
	ev, err := s.May(ctx, by, act, id, app)
	if err != nil {
		return ev, err
	}
	if no := reasonGiven(&why, auditReason); no != nil {
		return ev, refuse(ctx, s.Records, ev, no)
	}
	ev.Detail["why"] = why
	return ev, nil
}

// Tell appends the event of what changes nothing.
func (s *Works) Tell(ctx context.Context, ev audit.Event) error { return s.Records.Audit(ctx, ev) }

// Outbox lists letters, and counts all by kind. A *[Refusal].
func (s *Works) Outbox(ctx context.Context, by Actor, q LetterQuery) ([]Notice, []LetterCount, error) {
	ev, err := decide(ctx, s.Records, s.Now(), by, ReadOutbox, object{name: "outbox"})
	if err != nil {
		return nil, nil, err
	}
	list, err := s.Records.Letters(ctx, q)
	if err != nil {
		return nil, nil, fmt.Errorf("reading letters: %w", err)
	}
	counts, err := s.Records.LettersByKind(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("counting letters: %w", err)
	}
	ev.Detail["found"] = fmt.Sprint(len(list))
	return list, counts, s.Records.Audit(ctx, ev)
}

// See gives one letter. A *[Refusal].
func (s *Works) See(ctx context.Context, by Actor, id string) (Notice, error) {
	l, err := s.Records.Letter(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return l, fmt.Errorf("reading letter: %w", err)
	}
	ev, derr := decide(ctx, s.Records, s.Now(), by, ReadOutbox, object{name: id, detail: map[string]string{"kind": l.Kind, "officer": l.IC}})
	if derr != nil {
		return l, derr
	}
	if err != nil {
		return l, refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return l, s.Records.Audit(ctx, ev)
}

// Retry makes a letter that was tried due now; Drop forgets it. Both want a reason of 5 to 200
// characters. A *[Refusal].
func (s *Works) Retry(ctx context.Context, by Actor, id, why string) (Notice, error) {
	return s.letter(ctx, by, RetryLetter, id, why, s.Records.RetryLetter)
}

// Drop: see Retry.
func (s *Works) Drop(ctx context.Context, by Actor, id, why string) (Notice, error) {
	return s.letter(ctx, by, DropLetter, id, why, s.Records.DropLetter)
}

func (s *Works) letter(ctx context.Context, by Actor, act Action, id, why string, do func(context.Context, Notice, audit.Event) error) (Notice, error) {
	l, err := s.Records.Letter(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return l, fmt.Errorf("reading letter: %w", err)
	}
	o := object{name: id, detail: map[string]string{"kind": l.Kind, "officer": l.IC, "state": l.State}}
	ev, derr := decide(ctx, s.Records, s.Now(), by, act, o)
	if derr != nil {
		return l, derr
	}
	if err != nil {
		return l, refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	if no := reasonGiven(&why, auditReason); no != nil {
		return l, refuse(ctx, s.Records, ev, no)
	}
	// Whoever did what a letter tells of may not keep it from who is told.
	if act == RetryLetter && l.Attempts == 0 || act == DropLetter && l.State != LetterFailed {
		return l, refuse(ctx, s.Records, ev, refusal("letter_state", ErrState))
	}
	ev.Detail["why"] = why
	err = do(ctx, l, ev)
	if errors.Is(err, ErrState) {
		return l, refuse(ctx, s.Records, ev, refusal("letter_state", ErrState))
	}
	return l, err
}

// SeeLooks decides whether by may look at templates, and says so in the audit.
func (s *Works) SeeLooks(ctx context.Context, by Actor, what string) error {
	o := object{name: what}
	if k := s.appointment(&by, ReadLooks); k != nil {
		o.system = k.System
	}
	ev, err := decide(ctx, s.Records, s.Now(), by, ReadLooks, o)
	if err != nil {
		return err
	}
	return s.Records.Audit(ctx, ev)
}

// Looks lists versions of how eCertificates look, the newest first. A *[Refusal].
func (s *Works) Looks(ctx context.Context, by Actor) ([]Look, error) {
	if err := s.SeeLooks(ctx, by, "ecert-templates"); err != nil {
		return nil, err
	}
	return s.Records.Looks(ctx, looksShown)
}

// MayPropose decides whether by may propose a change of a template, before anything of it is read;
// [Works.Propose] tells of the deed.
func (s *Works) MayPropose(ctx context.Context, by Actor, template string) error {
	_, err := decide(ctx, s.Records, s.Now(), by, ProposeLook, object{name: "ecert-template:" + template})
	return err
}

// Propose stores l's Base, Template and Changes as a version that awaits another JDN, for a Reason
// of 5 to 200 characters. A *[Refusal]: look_awaits while another version does, look_changed when
// the base is not in force any more.
func (s *Works) Propose(ctx context.Context, by Actor, l Look) (Look, error) {
	l.State, l.By, l.At = LookProposed, by.Name, s.Now().UTC()
	ev, err := decide(ctx, s.Records, s.Now(), by, ProposeLook, object{name: "ecert-template:" + l.Template})
	if err != nil {
		return l, err
	}
	if no := reasonGiven(&l.Reason, auditReason); no != nil {
		return l, refuse(ctx, s.Records, ev, no)
	}
	ev.Detail["why"], ev.Detail["base"] = l.Reason, fmt.Sprint(l.Base)
	ev.Detail["sha256"] = sum(l.Changes)
	l.Number, err = s.Records.AddLook(ctx, l, ev)
	switch {
	case errors.Is(err, ErrExists):
		return l, refuse(ctx, s.Records, ev, refusal("look_awaits", ErrState))
	case errors.Is(err, ErrState):
		return l, refuse(ctx, s.Records, ev, refusal("look_changed", ErrState))
	}
	return l, err
}

// Confirm puts a proposed version into force for batches that are opened from now on, as the second
// person. A *[Refusal].
func (s *Works) Confirm(ctx context.Context, by Actor, number int64) (Look, error) {
	return s.decideLook(ctx, by, ConfirmLook, number, "")
}

// Reject ends a proposal, also one's own, for a why of 5 to 200 characters. A *[Refusal].
func (s *Works) Reject(ctx context.Context, by Actor, number int64, why string) (Look, error) {
	return s.decideLook(ctx, by, RejectLook, number, why)
}

func (s *Works) decideLook(ctx context.Context, by Actor, act Action, number int64, why string) (Look, error) {
	l, err := s.Records.Look(ctx, number)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return l, fmt.Errorf("reading the version: %w", err)
	}
	ev, derr := decide(ctx, s.Records, s.Now(), by, act, object{name: fmt.Sprintf("ecert-version:%d", number), detail: map[string]string{"template": l.Template, "proposed_by": l.By}})
	switch {
	case derr != nil:
		return l, derr
	case err != nil:
		return l, refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	case l.State != LookProposed:
		return l, refuse(ctx, s.Records, ev, refusal("look_changed", ErrState))
	}
	l.Decider, l.Decided, l.State = by.Name, s.Now().UTC(), LookCurrent
	if act == ConfirmLook {
		if err := oneHand(ctx, s.Records, ev, &by, l.By); err != nil {
			return l, err
		}
	} else {
		if no := reasonGiven(&why, auditReason); no != nil {
			return l, refuse(ctx, s.Records, ev, no)
		}
		l.State, ev.Detail["why"] = LookRejected, why
	}
	ev.Detail["sha256"] = sum(l.Changes)
	err = s.Records.DecideLook(ctx, l, ev)
	if errors.Is(err, ErrState) {
		return l, refuse(ctx, s.Records, ev, refusal("look_changed", ErrState))
	}
	return l, err
}

// sum is SHA-256 in hexadecimal.
func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
