package dialguard

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL bounds an address that is registered, in bytes.
const maxURL = 2000

// CheckURL is ErrAddress unless raw is an https address that a client of [New] may
// connect to, as far as the text tells: no user, no fragment, port 443 or from 1024,
// a host name of at least two labels in ASCII (RFC 1123, Section 2.1) or one of
// c.Hosts, or an IP address that is allowed. What a name resolves to counts when the
// connection is made, not here. plain admits http too, to this machine itself, by an
// address or localhost that c allows.
func (c *Config) CheckURL(raw string, plain bool) error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrAddress, why) }
	if len(raw) > maxURL || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }) {
		return bad("it must be visible ASCII of at most 2000 bytes, without a backslash or a fragment")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.User != nil || strings.Contains(u.Host, "%") {
		return bad("it must be https://host/path, without a user")
	}
	host := u.Hostname()
	at, err := netip.ParseAddr(host)
	literal := err == nil
	here := plain && (literal && at.IsLoopback() || strings.EqualFold(host, "localhost"))
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !here):
		return bad("it must be https")
	case !checkPort(u):
		return bad("its port must be 443, or 1024 to 65535")
	case slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, host) }):
		return nil
	case literal:
		return c.check(at)
	case !here && !hostName(host):
		return bad("it must name a host such as hooks.agency.gov.my")
	}
	return nil
}

// checkPort: other services of a host listen below 1024.
func checkPort(u *url.URL) bool {
	p := u.Port()
	if p == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	return err == nil && (n == 443 || n >= 1024) && p[0] != '0'
}

// hostName: a last label of digits would be an address in a spelling that resolvers
// and parsers read differently (0x7f.1, 2130706433).
func hostName(host string) bool {
	labels := strings.Split(strings.ToLower(host), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(host) <= 253 && len(labels) > 1 && last[0] >= 'a' && last != "localhost"
}
