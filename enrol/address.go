package enrol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Change of the address that codes go to.
const (
	AskAddress     Action = "officer.address"
	ConfirmAddress Action = "officer.address.confirm" // by the link, the old or the new one
	VouchAddress   Action = "officer.address.vouch"   // in the place of an old address that is dead
	CancelAddress  Action = "officer.address.cancel"
)

// NoticeAddressChanged goes to both addresses.
const NoticeAddressChanged = "officer.address.changed"

// States of an AddressChange.
const (
	ChangePending   = "PENDING"
	ChangeDone      = "DONE"
	ChangeCancelled = "CANCELLED"
	ChangeExpired   = "EXPIRED"
)

// Which address a link went to.
const (
	OldAddress = "old"
	NewAddress = "new"
)

// changeFor is how long a change of address may be under way.
const changeFor = 7 * 24 * time.Hour

// AddressChange is a change of an officer's address under way: it happens when the
// holder of either address, or for the old one an administrator, has confirmed it.
// Until then codes go to the old one.
type AddressChange struct {
	ID         string // "ad_…"
	IC, Name   string
	Old, New   string
	State      string
	AskedBy    string
	AskedIC    string
	AskedAt    time.Time
	Until      time.Time // when it is given up
	LinksUntil time.Time // 24 h after they were mailed
	OldProof   string    // who confirmed for the old address
	OldAt      time.Time // zero until it is confirmed
	NewAt      time.Time
	OldReply   string // of the mail server, when it did not take the link; begins with refusedForGood when it never will
	NewReply   string
	Attempts   int // fence of a claim
}

// AddressRecords keeps changes of address. Each call is durable, with its event and the
// notices to both addresses, when it returns nil.
type AddressRecords interface {
	// PutAddressChange begins one; ErrExists when one of that officer is pending at AskedAt.
	PutAddressChange(ctx context.Context, c AddressChange, ev audit.Event) error
	AddressChange(ctx context.Context, id string) (AddressChange, error)
	// AddressChangeByLink says to which address the link of that hash went; ErrUnknown.
	AddressChangeByLink(ctx context.Context, hash [32]byte) (c AddressChange, side string, err error)
	// AddressChangesOf lists an officer's, the newest first, at most 20.
	AddressChangesOf(ctx context.Context, ic string) ([]AddressChange, error)
	// ProveAddress spends the link of a side; with both proved the officer's address is
	// the new one, of the account too, and links to the old one are dead. done says so.
	// ErrState when it was proved before, or the change is not pending.
	ProveAddress(ctx context.Context, id, side, proof string, ev audit.Event) (done bool, err error)
	// CancelAddressChange ends a pending one; ErrState when it is none.
	CancelAddressChange(ctx context.Context, id string, ev audit.Event) error
	// ClaimAddressChange, PutAddressLink and SettleAddressChange are what
	// ClaimEnrolment, PutSecret and Settle of [Enrolments] are.
	ClaimAddressChange(ctx context.Context, now, leaseUntil time.Time) (c AddressChange, ok bool, err error)
	PutAddressLink(ctx context.Context, c AddressChange, side string, hash [32]byte, until time.Time, ev audit.Event) error
	SettleAddressChange(ctx context.Context, c AddressChange, due time.Time) error
}

// ChangeAddress begins a change of an officer's address, for the officer or by an
// administrator: both addresses are sent a link. A *Refusal: those of lists for the
// address, change_pending.
func (d *Desk) ChangeAddress(ctx context.Context, a Actor, ic, email string) (AddressChange, error) {
	ev, err := d.Permit(ctx, a, AskAddress, ic)
	if err != nil {
		return AddressChange{}, err
	}
	o, _, err := d.Registrar.Records.Officer(ctx, ic)
	if err != nil {
		return AddressChange{}, fmt.Errorf("reading officer: %w", err)
	}
	r, err := d.register(ctx)
	if err != nil {
		return AddressChange{}, err
	}
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return AddressChange{}, fmt.Errorf("reading enrolments: %w", err)
	}
	no := r.address(email, "")
	for _, e := range all { // an agency of the officer's may allow a personal one
		if no != nil && (e.State.Open() || e.State == Issued) {
			no = r.address(email, e.Agency)
		}
	}
	if no == nil && strings.EqualFold(email, o.Email) {
		no = entered("email_same", "email", "alamat ini sudah didaftarkan", "this is the registered address already")
	}
	if no != nil {
		return AddressChange{}, d.refuse(ctx, ev, no)
	}
	now := d.Now().UTC()
	c := AddressChange{ID: ident.New("ad", 16), IC: ic, Name: o.Name, Old: o.Email, New: email, State: ChangePending, AskedBy: a.Name, AskedIC: a.IC, AskedAt: now, Until: now.Add(changeFor)}
	ev.Detail["change"] = c.ID
	err = d.Records.PutAddressChange(ctx, c, ev)
	if errors.Is(err, ErrExists) {
		return AddressChange{}, d.refuse(ctx, ev, refusal("change_pending", ErrState))
	}
	return c, err
}

// AddressChanges lists an officer's changes of address, under way and past.
func (d *Desk) AddressChanges(ctx context.Context, a Actor, ic string) ([]AddressChange, error) {
	ev, err := d.Permit(ctx, a, SeeAddress, ic)
	if err != nil {
		return nil, err
	}
	list, err := d.Records.AddressChangesOf(ctx, ic)
	if err != nil {
		return nil, fmt.Errorf("reading changes of address: %w", err)
	}
	for k := range list {
		if list[k].State == ChangePending && !d.Now().Before(list[k].Until) {
			list[k].State = ChangeExpired
		}
	}
	return list, d.Records.Audit(ctx, ev)
}

// confirmAddress spends a link of a change of address; ErrUnknown when it is none. One
// that was used or has expired is ErrLink.
func (d *Desk) confirmAddress(ctx context.Context, link secret.Text, request string) error {
	c, side, err := d.Records.AddressChangeByLink(ctx, hashLink(link))
	if err != nil {
		return err
	}
	by := Actor{Name: "officer:" + c.IC, IC: c.IC, Request: request}
	ev, err := d.decide(ctx, by, ConfirmAddress, object{name: c.ID, officer: c.IC, detail: map[string]string{"officer": c.IC, "address": side}})
	if err != nil {
		return err
	}
	if !d.Now().Before(c.LinksUntil) || !d.Now().Before(c.Until) {
		return d.refuse(ctx, ev, refusal("link_invalid", ErrLink))
	}
	_, err = d.Records.ProveAddress(ctx, c.ID, side, by.Name, ev)
	if errors.Is(err, ErrState) {
		err = d.refuse(ctx, ev, refusal("link_invalid", ErrLink))
	}
	return err
}

// Vouch confirms a change in the place of the old address, which is dead: by an
// administrator who has made sure of the officer, and who did not ask for the change.
func (d *Desk) Vouch(ctx context.Context, a Actor, id, reason string) error {
	c, ev, err := d.change(ctx, a, VouchAddress, id)
	if err != nil {
		return err
	}
	if no := reasonGiven(&reason, auditReason); no != nil {
		return d.refuse(ctx, ev, no)
	}
	if c.AskedIC != c.IC {
		if err := oneHand(ctx, d.Records, ev, &a, c.AskedBy); err != nil {
			return err
		}
	}
	// The officer is what it is about: the change is not kept as long as it counts.
	ev.Object, ev.Detail["change"], ev.Detail["why"] = "officer:"+c.IC, c.ID, reason
	_, err = d.Records.ProveAddress(ctx, c.ID, OldAddress, a.Name, ev)
	return d.stands(ctx, ev, err)
}

// CancelAddressChange ends a change under way, for the officer or by an administrator.
func (d *Desk) CancelAddressChange(ctx context.Context, a Actor, id string) error {
	c, ev, err := d.change(ctx, a, CancelAddress, id)
	if err != nil {
		return err
	}
	return d.stands(ctx, ev, d.Records.CancelAddressChange(ctx, c.ID, ev))
}

func (d *Desk) stands(ctx context.Context, ev audit.Event, err error) error {
	if errors.Is(err, ErrState) {
		return d.refuse(ctx, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}

// change reads a change and decides about it; one that is not there and one that is not
// theirs are alike for who may see none.
func (d *Desk) change(ctx context.Context, a Actor, act Action, id string) (AddressChange, audit.Event, error) {
	c, err := d.Records.AddressChange(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return c, audit.Event{}, fmt.Errorf("reading change of address: %w", err)
	}
	unknown := err != nil
	o := object{name: id}
	if !unknown {
		if o, err = d.of(ctx, &a, act, c.IC); err != nil {
			return c, audit.Event{}, err
		}
		o.name = id
	}
	if act == VouchAddress && c.AskedIC != c.IC {
		o.validator = c.AskedIC
	}
	ev, err := d.decide(ctx, a, act, o)
	if err == nil && unknown {
		err = d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	return c, ev, err
}

// refusedForGood begins the reply of a mail server that will never take a mail.
const refusedForGood = "refused: "

// mailChange mails the links of one change that are due; false when none is.
func (d *Desk) mailChange(ctx context.Context) (bool, error) {
	c, ok, err := d.Records.ClaimAddressChange(ctx, d.Now(), d.Now().Add(lease))
	if err != nil || !ok {
		return false, err
	}
	var due time.Time
	for _, m := range []struct {
		side, to string
		proved   bool
		reply    *string
	}{{OldAddress, c.Old, !c.OldAt.IsZero(), &c.OldReply}, {NewAddress, c.New, !c.NewAt.IsZero(), &c.NewReply}} {
		// A later try is for what the mail server did not take.
		if m.proved || c.Attempts > 1 && *m.reply == "" || strings.HasPrefix(*m.reply, refusedForGood) {
			continue
		}
		err := d.mailLink(ctx, &c, m.side, m.to)
		switch {
		case err == nil:
			*m.reply = ""
		case errors.Is(err, ErrState): // it has ended, or another node goes on
			return true, nil
		case errors.Is(err, ErrUndeliverable):
			*m.reply = refusedForGood + mailReply(err)
		default:
			*m.reply, due = mailReply(err), d.Now().Add(pause(c.Attempts))
		}
	}
	return true, d.Records.SettleAddressChange(ctx, c, due)
}

func (d *Desk) mailLink(ctx context.Context, c *AddressChange, side, to string) error {
	ev, err := d.decide(ctx, itself(), Mail, object{name: c.ID, officer: c.IC, detail: map[string]string{"officer": c.IC, "what": "link", "address": side}})
	if err != nil {
		return err
	}
	l := Letter{ID: c.ID, Name: c.Name, Email: to, Change: side, Address: c.New, Link: newLink(), Until: d.Now().Add(d.Policy.filled().LinkFor)}
	defer l.Link.Wipe()
	if err := d.Records.PutAddressLink(ctx, *c, side, hashLink(l.Link), l.Until, ev); err != nil {
		return err
	}
	return d.Mail.SendLetter(ctx, l)
}
