package signer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// devices is a database in which the officer has a device: what a channel that
// nobody here knows needs of it.
type devices struct{ storetest.Records }

func (d devices) Credential(ctx context.Context, ic, system, id string) (signer.Credential, error) {
	c, err := d.Records.Credential(ctx, ic, system, id)
	c.Addresses = map[string]signer.Address{"push": {To: "device-token-1", Shown: "Telefon N•••"}}
	return c, err
}

// withPush is a house whose officer has a device, with a sender to it.
func withPush(t *testing.T, policy ...string) (*house, *storetest.Mailbox) {
	t.Helper()
	h, phone := newHouse(t), &storetest.Mailbox{}
	h.s = h.Signer(devices{h.DB}, h.blobs)
	h.s.Codes.Senders["push"] = phone
	h.s.Channels = func(system string) []string {
		if system != storetest.System {
			t.Errorf("policy was asked for %q", system)
		}
		return policy
	}
	return h, phone
}

// told lists what the audit says of the codes of a transaction.
func (h *house) told(t *testing.T, id string) (out []string) {
	t.Helper()
	for _, r := range storetest.Chain(t, h.DB) {
		if d := r.Detail; r.Object == id && d["channel"] != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Action, r.Verdict, d["channel"], d["instead_of"])))
		}
	}
	return out
}

// The evidence of a signature says by which channel its code travelled.
func TestChannelsByPolicy(t *testing.T) {
	both := []string{"push", "email"}
	for _, c := range []struct {
		name, asked string
		policy      []string
		used        string // "" is refused
		denied      bool
		offered     []string
	}{
		{"auto takes the first", "auto", both, "push", false, nil},
		{"nothing asked is auto", "", both, "push", false, nil},
		{"the order is the policy's", "auto", []string{"email", "push"}, "email", false, nil},
		{"one by name", "email", both, "email", false, nil},
		{"auto where e-mail is denied", "auto", []string{"push"}, "push", false, nil},
		{"e-mail where it is denied", "email", []string{"push"}, "", true, []string{"push"}},
		{"push where it is denied", "push", []string{"email"}, "", true, []string{"email"}},
		{"a channel without a sender", "sms", []string{"sms", "email"}, "", false, []string{"email"}},
		{"auto without any", "auto", []string{"sms"}, "", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, phone := withPush(t, c.policy...)
			a := h.Ask(1)
			a.Channel = c.asked
			if c.used == "" {
				var why *signer.ChannelError
				h.refuses(t, c.name, signer.ErrChannel, func() error {
					_, _, err := h.s.Prepare(ctx, a)
					errors.As(err, &why)
					return err
				})
				if why.Denied != c.denied || why.Asked != c.asked || !slices.Equal(why.Offered, c.offered) || h.Mail.Sent()+phone.Sent() != 0 {
					t.Errorf("%+v, %d mails, %d pushes", why, h.Mail.Sent(), phone.Sent())
				}
				return
			}
			r, ch, err := h.s.Prepare(ctx, a)
			must(t, err)
			box, other, to, shown := h.Mail, phone, h.Officer.Email, "n•••@jpk.example"
			if c.used == "push" {
				box, other, to, shown = phone, h.Mail, "device-token-1", "Telefon N•••"
			}
			if ch.Channel != c.used || ch.SentTo != shown || box.Message().To != to || box.Sent() != 1 || other.Sent() != 0 {
				t.Errorf("challenge %+v, sent to %q", ch, box.Message().To)
			}
			h.Mail = box
			auth, err := h.s.Authorize(ctx, h.Confirm(r, ch))
			must(t, err)
			must(t, auth.Close())
			if got, want := h.told(t, r.ID), []string{"otp.issue accepted " + c.used, "signer.authorize accepted " + c.used}; !slices.Equal(got, want) {
				t.Errorf("audit says %q, want %q", got, want)
			}
		})
	}
}

// "auto" goes on to the next channel when a code cannot be sent, a name does not;
// what was not sent counts against nothing.
func TestChannelFallback(t *testing.T) {
	h, phone := withPush(t, "push", "email")
	phone.Fail = errors.New("no such device")
	r, ch, err := h.s.Prepare(ctx, h.Ask(1))
	must(t, err)
	if ch.Channel != "email" || ch.Sends != 1 || ch.TriesLeft != 3 || h.Mail.Sent() != 1 || phone.Code() == "" {
		t.Errorf("challenge %+v", ch)
	}
	// The code that did not leave is as dead as one that was replaced.
	if phone.Code() != h.Mail.Code() {
		f := h.Confirm(r, ch)
		f.Code.Wipe()
		f.Code = secret.New(phone.Code())
		h.refuses(t, "the code that was not sent", otp.ErrWrong, func() error { _, err := h.s.Authorize(ctx, f); return err })
	}
	a, err := h.s.Authorize(ctx, h.Confirm(r, ch))
	must(t, err)
	must(t, a.Close())
	want := []string{"otp.issue accepted push", "otp.withdraw noted push", "otp.issue refused push", "otp.issue accepted email push", "signer.authorize accepted email"}
	if got := h.told(t, r.ID); !slices.Equal(got, want) {
		t.Errorf("audit says %q, want %q", got, want)
	}
	ask := h.Ask(1)
	ask.Channel = "push"
	h.refuses(t, "push by name", otp.ErrNotSent, func() error { _, _, err := h.s.Prepare(ctx, ask); return err })

	// A resend may change the channel at once when the last code was not sent.
	r, _ = h.prepare(t, h.Ask(1))
	h.Clock.Advance(h.s.Codes.Policy.ResendAfter)
	h.refuses(t, "a resend by push", otp.ErrNotSent, func() error { _, _, err := h.s.Resend(ctx, r.App, r.ID, "push", "r"); return err })
	_, ch, err = h.s.Resend(ctx, r.App, r.ID, "email", "r")
	must(t, err)
	if ch.Channel != "email" || ch.Sends != 2 {
		t.Errorf("challenge %+v", ch)
	}
}

// A mail server that is down does not use up an officer's codes.
func TestWhatWasNotSentDoesNotCount(t *testing.T) {
	h := newHouse(t)
	h.s.Codes.Policy.PerHour, h.s.Codes.Policy.PerDay = 2, 3
	h.Mail.Fail = errors.New("451")
	for range 10 {
		h.refuses(t, "no mail", otp.ErrNotSent, func() error { _, _, err := h.s.Prepare(ctx, h.Ask(1)); return err })
	}
	h.Mail.Fail = nil
	for range 2 {
		h.prepare(t, h.Ask(1))
	}
	h.refuses(t, "the limit", otp.ErrTooManyCodes, func() error { _, _, err := h.s.Prepare(ctx, h.Ask(1)); return err })
}

// A dead address counts as if it were alive, but does not keep the next channel
// from its turn in the same transaction.
func TestWhatWasRefusedCounts(t *testing.T) {
	h, phone := withPush(t, "email", "push")
	h.s.Codes.Policy.PerHour = 1
	h.Mail.Fail = otp.ErrRefused
	_, ch, err := h.s.Prepare(ctx, h.Ask(1))
	must(t, err)
	if ch.Channel != "push" || ch.Sends != 1 || phone.Sent() != 1 {
		t.Errorf("challenge %+v", ch)
	}
	h.refuses(t, "another by mail", otp.ErrTooManyCodes, func() error { _, _, err := h.s.Prepare(ctx, h.Ask(1)); return err })
}

// Whoever writes to the database cannot change what the evidence will say.
func TestChannelIsBoundToTheCode(t *testing.T) {
	h, _ := withPush(t, "email")
	r, f := h.prepare(t, h.Ask(1))
	edit := func(channel string) {
		_, err := h.raw(t).Exec("UPDATE challenges SET channel = ?", channel)
		must(t, err)
	}
	edit("push")
	h.refuses(t, "another channel in the row", otp.ErrWrong, func() error { _, err := h.s.Authorize(ctx, f); return err })
	edit("email")
	a, err := h.s.Authorize(ctx, h.Confirm(r, &otp.Challenge{Nonce: f.Nonce}))
	must(t, err)
	must(t, a.Close())
}

// A new code leaves everything else about transaction and officer as it was.
func TestResendChangesNothingElse(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(2))
	f.PIN = secret.New("salah-salah-1")
	if _, err := h.s.Authorize(ctx, f); !errors.Is(err, signer.ErrPINWrong) {
		t.Fatal(err)
	}
	before := h.pin(t)
	h.Clock.Advance(h.s.Codes.Policy.ResendAfter)
	was, err := h.s.Request(ctx, r.App, r.ID)
	must(t, err)
	_, ch, err := h.s.Resend(ctx, r.App, r.ID, "", "r")
	must(t, err)
	now, err := h.s.Request(ctx, r.App, r.ID)
	must(t, err)
	if h.pin(t) != before || before.Total != 1 || fmt.Sprintf("%+v", was) != fmt.Sprintf("%+v", now) {
		t.Errorf("counter %+v, then %+v; request %+v, then %+v", before, h.pin(t), was, now)
	}
	if ch.Nonce == f.Nonce || ch.TriesLeft != 3 || ch.Sends != 2 {
		t.Errorf("challenge %+v", ch)
	}
	for _, rec := range storetest.Chain(t, h.DB) {
		if rec.Object == r.ID && rec.Verdict == audit.Accepted && rec.Action != "transaction.create" && rec.Action != "otp.issue" {
			t.Errorf("the resend is in the audit as %s", rec.Action)
		}
	}
}
