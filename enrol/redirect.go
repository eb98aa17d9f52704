package enrol

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURI bounds a registered address in bytes, maxURIs how many an app has.
const (
	maxURI  = 500
	maxURIs = 20
)

// CheckRedirect refuses, with [ErrInvalid], what an app may not register as a redirect URI: it
// is an absolute https address of a host by name, written in its one way, without user, fragment,
// wildcard, dot segment or encoded separator, and without the parameters that the gateway adds
// (RFC 6749, Section 3.1.2; RFC 9700, Section 2.1 and 4.1.1). Custom schemes can be taken by any
// app of a telephone and are refused. In a sandbox http to a loopback address will do. Once it is
// registered an address is compared byte by byte.
func CheckRedirect(uri string, sandbox bool) error {
	u, err := checkAddress(uri, sandbox)
	if err != nil {
		return err
	}
	// With ";" some read one parameter where others read two, and we none.
	given, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: an address has a query of name=value, joined by &", ErrInvalid)
	}
	for _, name := range []string{"transaction_id", "state", "status", "iss", "error"} {
		if given.Has(name) {
			return fmt.Errorf("%w: the gateway adds %s to it", ErrInvalid, name)
		}
	}
	return nil
}

// CheckWebhook refuses what an app may not register for events, as CheckRedirect does. Where the
// host is, is looked at when something is sent.
func CheckWebhook(uri string, sandbox bool) error {
	_, err := checkAddress(uri, sandbox)
	return err
}

func checkAddress(uri string, sandbox bool) (*url.URL, error) {
	no := func(why string) (*url.URL, error) { return nil, fmt.Errorf("%w: an address %s", ErrInvalid, why) }
	if uri == "" || len(uri) > maxURI {
		return no(fmt.Sprintf("has 1 to %d characters", maxURI))
	}
	if strings.ContainsFunc(uri, func(c rune) bool { return c <= 0x20 || c > 0x7e || strings.ContainsRune("\"<>\\^`{|}*#", c) }) {
		return no("has no space, control character, wildcard, fragment or sign that must be encoded")
	}
	u, err := url.Parse(uri)
	if err != nil || u.String() != uri {
		return no("is written in its one way")
	}
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return no("begins with https://")
	}
	if u.User != nil || strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") {
		return no("names no user")
	}
	if u.RawFragment != "" || u.Opaque != "" || u.ForceQuery || !strings.HasPrefix(u.EscapedPath(), "/") {
		return no("has a path that begins with /, and no empty query")
	}
	if p := u.Port(); strings.HasSuffix(u.Host, ":") || p != "" && !decimalPort(p) {
		return no("has a port from 1 to 65535 or none")
	}
	if !cleanEscapes(uri) {
		return no("encodes no letter, digit, separator, dot, control character or wildcard, and what it encodes in capital hexadecimal digits")
	}
	for s := range strings.SplitSeq(u.EscapedPath(), "/") {
		if s == "." || s == ".." {
			return no("has no dot segments")
		}
	}
	if loopbackName(u.Hostname()) {
		if !sandbox {
			return no("is not one of the machine itself")
		}
		return u, nil
	}
	if scheme != "https" || !dnsName(u.Hostname()) {
		return no("begins with https:// and a host's name, in small letters")
	}
	return u, nil
}

func decimalPort(p string) bool {
	n, err := strconv.Atoi(p)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == p
}

// cleanEscapes says whether each %XX stands for something that needs it (RFC 3986, Section 2.3
// and 6.2.2) and that no server takes for part of the path.
func cleanEscapes(uri string) bool {
	for k := 0; k < len(uri); k++ {
		if uri[k] != '%' {
			continue
		}
		if k+2 >= len(uri) {
			return false
		}
		n, err := strconv.ParseUint(uri[k+1:k+3], 16, 8)
		c := byte(n)
		if err != nil || strings.ToUpper(uri[k+1:k+3]) != uri[k+1:k+3] || c < 0x20 || c == 0x7f || slices.Contains([]byte(`-._~/\*%@#`), c) ||
			c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return false
		}
		k += 2
	}
	return true
}

func loopbackName(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dnsName says whether a host is a name in small letters (RFC 1123, Section 2.1) that nobody
// takes for a number.
func dnsName(host string) bool {
	if len(host) > 253 || net.ParseIP(host) != nil {
		return false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
		}) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return last[0] >= 'a' && last[0] <= 'z'
}
