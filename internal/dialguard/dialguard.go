// Package dialguard makes requests to addresses that others have named: in a
// certificate, in a registration. Whoever names an address must not be able to
// have the gateway ask its own machine, its network or a cloud's metadata service.
//
// The address is checked when the connection is made, after the name was resolved,
// so that a name which resolves otherwise the second time gains nothing.
package dialguard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What callers decide on.
var (
	// ErrAddress: the request would go to an address that is not a public one and
	// not allowed, or not by http or https.
	ErrAddress = errors.New("address not allowed")
	// ErrAnswer: the answer is not what was asked for: its status, its type, its
	// length.
	ErrAnswer = errors.New("answer not usable")
)

// Config says what is allowed besides public addresses.
type Config struct {
	// Networks may be connected to although they are not public.
	Networks []netip.Prefix
	// Hosts may resolve to any address; names as in a URL, without a port.
	Hosts []string
	// Timeout bounds a request, from the look-up of the name to the last byte of the
	// answer. 0 means 5 s.
	Timeout time.Duration
	// TLS is for https; nil: the system's CAs, no certificate of ours.
	TLS *tls.Config
	// Conns bounds the connections to one host. They are kept for the next requests.
	// 0 means 8. Requests beyond wait, and their Timeout runs.
	Conns int
	// Resolver looks names up; nil: the machine's.
	Resolver *net.Resolver
}

// maxHeader bounds the header of an answer in bytes.
const maxHeader = 32 << 10

// New makes a client that connects to nothing else, follows no redirect and knows
// no proxy.
func New(c Config) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Conns == 0 {
		c.Conns = 8
	}
	free := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver}
	guarded := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q", ErrAddress, address)
		}
		return c.check(at.Addr())
	}}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, fmt.Errorf("%w: %q", ErrAddress, address)
				}
				if slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, strings.TrimSuffix(host, ".")) }) {
					return free.DialContext(ctx, network, address)
				}
				return guarded.DialContext(ctx, network, address)
			},
			TLSClientConfig: c.TLS, MaxResponseHeaderBytes: maxHeader, TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout,
			MaxIdleConns: max(16, c.Conns), MaxIdleConnsPerHost: c.Conns, MaxConnsPerHost: c.Conns, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true, DisableCompression: true,
		},
	}
}

// check is ErrAddress unless the address is public or in an allowed network.
func (c *Config) check(a netip.Addr) error {
	a = a.Unmap()
	if slices.ContainsFunc(c.Networks, func(p netip.Prefix) bool { return p.Contains(a) }) || Public(a) {
		return nil
	}
	return fmt.Errorf("%w: %s is not a public address", ErrAddress, a)
}

// Do sends a request and gives the body of an answer with status 200, one of the
// content types and at most max bytes; else ErrAnswer. A body that is cut short or
// too slow is an error of its own.
func Do(client *http.Client, r *http.Request, max int64, types ...string) ([]byte, error) {
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil {
		return nil, fmt.Errorf("%w: it must be http or https, without a user", ErrAddress)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrAnswer, resp.StatusCode)
	}
	// Compared without parameters; a type that cannot be read is "".
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); !slices.Contains(types, t) {
		return nil, fmt.Errorf("%w: its type is not %s", ErrAnswer, strings.Join(types, " or "))
	}
	if resp.ContentLength > max {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, max)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	if int64(len(body)) > max {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, max)
	}
	return body, nil
}
