package api_test

import (
	"testing"

	"github.com/mohor-sign/mohor/api"
)

// A customer with a network of IPv6 addresses is one, as one with an address is.
func TestNetworksAreCounted(t *testing.T) {
	for peer, want := range map[string]string{"203.0.113.7": "203.0.113.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"2001:db8:1:3::9": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64", "": "", "x": "x"} {
		if got := api.Network(peer); got != want {
			t.Errorf("%q is counted as %q, want %q", peer, got, want)
		}
	}
}
