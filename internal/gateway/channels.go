package gateway

import (
	"fmt"
	"slices"

	"github.com/mohor-sign/mohor/signer"
)

// ChannelConfig says by which channels codes travel, for all ICT systems and for
// those that differ.
type ChannelConfig struct {
	ChannelRule `yaml:",inline"`
	Systems     map[string]ChannelRule `yaml:"systems"`
}

// ChannelRule is the policy of an agency for its system. What is empty is as for
// all systems.
type ChannelRule struct {
	Email  string   `yaml:"email"`
	Prefer []string `yaml:"prefer"`
}

// channelPush is the name of the channel to registered devices, so that policy can
// name it before there are any.
const channelPush = "push"

func defaultChannels() ChannelConfig {
	return ChannelConfig{ChannelRule: ChannelRule{Email: "allow", Prefer: []string{channelPush, signer.Email}}}
}

// check returns the field that cannot be right and what it must be.
func (c *ChannelConfig) check() (field, want string) {
	if field, want := c.ChannelRule.check(true); field != "" {
		return "channels." + field, want
	}
	for system, r := range c.Systems {
		if field, want := r.check(false); field != "" {
			return fmt.Sprintf("channels.systems.%s.%s", system, field), want
		}
	}
	return "", ""
}

func (r *ChannelRule) check(whole bool) (field, want string) {
	known := []string{channelPush, signer.Email}
	switch {
	case r.Email != "allow" && r.Email != "deny" && (whole || r.Email != ""):
		return "email", "allow or deny"
	case whole && len(r.Prefer) == 0, len(slices.Compact(slices.Sorted(slices.Values(r.Prefer)))) != len(r.Prefer),
		slices.ContainsFunc(r.Prefer, func(name string) bool { return !slices.Contains(known, name) }):
		return "prefer", "channels in the order to try them, each once: push, email"
	}
	return "", ""
}

// of lists the channels that codes for a system may take, preferred first.
func (c *ChannelConfig) of(system string) []string {
	r, own := c.ChannelRule, c.Systems[system]
	if own.Email != "" {
		r.Email = own.Email
	}
	if len(own.Prefer) > 0 {
		r.Prefer = own.Prefer
	}
	return slices.DeleteFunc(slices.Clone(r.Prefer), func(name string) bool { return name == signer.Email && r.Email == "deny" })
}
