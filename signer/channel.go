package signer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/otp"
)

// Email is the channel of Credential.Email. Others are named by the keys of
// otp.Issuer.Senders and of Credential.Addresses alone: nothing here knows them.
const Email = "email"

// autoChannel asks for the first channel that policy allows and that reaches the
// officer.
const autoChannel = "auto"

// Address is where a channel reaches an officer.
type Address struct {
	To    string // what the channel's sender takes
	Shown string // the same as apps may see it, masked
}

// ChannelError wraps ErrChannel with what can be done instead.
type ChannelError struct {
	Asked   string // "auto" when no channel was asked for by name
	Denied  bool   // policy denies it for the ICT system; else it does not reach the officer
	Offered []string
}

func (e *ChannelError) Error() string { return ErrChannel.Error() }
func (e *ChannelError) Unwrap() error { return ErrChannel }

// address is where channel reaches the credential's holder.
func (c *Credential) address(channel string) (Address, bool) {
	if channel == Email {
		return Address{c.Email, maskEmail(c.Email)}, c.Email != ""
	}
	a, ok := c.Addresses[channel]
	return a, ok
}

// ChannelsOf lists the channels by which the holder of c gets codes for c.System:
// those that policy allows, that exist, and that reach the officer, in the order
// of policy. Of c it reads System, Email and Addresses.
func (s *Signer) ChannelsOf(c *Credential) []string {
	out := []string{}
	for _, channel := range s.Channels(c.System) {
		if _, exists := s.Codes.Senders[channel]; !exists {
			continue
		}
		if _, reached := c.address(channel); reached {
			out = append(out, channel)
		}
	}
	return out
}

// Way is a channel, with the address as an officer is shown it: masked.
type Way struct{ Channel, SentTo string }

// Ways are the channels of ChannelsOf.
func (s *Signer) Ways(c *Credential) []Way {
	out := []Way{}
	for _, channel := range s.ChannelsOf(c) {
		a, _ := c.address(channel)
		out = append(out, Way{channel, a.Shown})
	}
	return out
}

// channelsFor are the channels to try, in order, when asked is asked for: "" and
// "auto" fall back from each to the next, a named one does not. *ChannelError
// when there is none.
func (s *Signer) channelsFor(c *Credential, asked string) ([]string, error) {
	offered := s.ChannelsOf(c)
	switch {
	case asked == "" || asked == autoChannel:
		if len(offered) > 0 {
			return offered, nil
		}
		asked = autoChannel
	case slices.Contains(offered, asked):
		return []string{asked}, nil
	}
	_, exists := s.Codes.Senders[asked]
	denied := exists && !slices.Contains(s.Channels(c.System), asked)
	return nil, &ChannelError{Asked: asked, Denied: denied, Offered: offered}
}

// sendCode has codes issue one by the first of channels that takes it. Each attempt has
// a nonce and a code of its own, and its place in the audit.
func (s *Signer) sendCode(ctx context.Context, codes *otp.Issuer, r *Request, c *Credential, titles, channels []string, requestID string) (*otp.Challenge, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + r.App, Action: "otp.issue", Object: r.ID, Verdict: audit.Accepted, RequestID: requestID,
		Detail: map[string]string{"officer": r.Officer}}
	var failed []string
	for {
		channel := channels[len(failed)]
		ev.Detail = maps.Clone(ev.Detail)
		ev.Detail["channel"] = channel
		if len(failed) > 0 {
			ev.Detail["instead_of"] = strings.Join(failed, " ")
		}
		to, _ := c.address(channel)
		ch, err := codes.Issue(ctx, r.binding(), channel, to.Shown, otp.Message{
			To: to.To, Name: c.OfficerName, System: r.SystemName, Unseen: r.Options.Format != PADES || r.Options.Unseen, Hosted: r.Page != nil, Count: int(r.Count),
			Titles: titles, Total: r.Options.Total, Payees: r.Options.Payees, Fingerprint: Fingerprint(r.Root), Classified: r.Classified(),
		}, ev)
		if err == nil {
			return &ch, nil
		}
		var no *notMadeError
		if errors.As(err, &no) {
			return nil, err
		}
		err = s.refuse(ctx, ev, err)
		if failed = append(failed, channel); len(failed) == len(channels) || !errors.Is(err, otp.ErrNotSent) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// maskEmail keeps the first letter and the domain.
func maskEmail(a string) string { return MaskEmail(a) }

// MaskEmail is an address as those see it who need not know it.
func MaskEmail(a string) string {
	local, domain, ok := strings.Cut(a, "@")
	if !ok || local == "" {
		return "•••"
	}
	first := []rune(local)[0]
	return string(first) + "•••@" + domain
}
