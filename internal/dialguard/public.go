package dialguard

import "net/netip"

// Public says whether an address is a unicast address of the public Internet: not
// one of the registries of special addresses (RFC 6890 and what it was updated
// by), and not one of IPv6 in which such an address of IPv4 is embedded.
func Public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		return a.IsValid() && !within(a, special4())
	}
	b := a.As16()
	switch {
	case !a.Is6():
		return false
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a): // NAT64, RFC 6052
		return Public(netip.AddrFrom4([4]byte(b[12:16])))
	case netip.MustParsePrefix("2002::/16").Contains(a): // 6to4, RFC 3056
		return Public(netip.AddrFrom4([4]byte(b[2:6])))
	case b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return false
	}
	return netip.MustParsePrefix("2000::/3").Contains(a) && !within(a, special6())
}

func within(a netip.Addr, prefixes []string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

func special4() []string {
	return []string{
		"0.0.0.0/8",        // this network; 0.0.0.0 connects to the machine itself
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // carrier-grade NAT; metadata of some clouds
		"127.0.0.0/8",      // loopback
		"169.254.0.0/16",   // link-local; metadata of most clouds
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; metadata of some clouds
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relays
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, and broadcast
		"168.63.129.16/32", // a cloud's own services, on an address that looks public
	}
}

// special6 are those within 2000::/3; all others are not public anyway.
func special6() []string {
	return []string{
		"2001::/23",     // protocol assignments, Teredo and ORCHID among them
		"2001:db8::/32", // documentation
		"3fff::/20",     // documentation
	}
}
