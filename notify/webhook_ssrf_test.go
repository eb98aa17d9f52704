package notify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/notify"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// inside counts connections to a port of this machine, by IPv4 and IPv6.
func inside(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	take := func(l net.Listener) {
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				hits.Add(1)
				c.Close()
			}
		}()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	take(l)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	if l6, err := net.Listen("tcp6", "[::1]:"+port); err == nil {
		take(l6)
	}
	return port, hits
}

// names is a resolver whose server, on this machine, knows a few names: what it says, in
// order, the last for ever.
func names(t *testing.T, known map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	asked := map[string]int{}
	go func() {
		b := make([]byte, 1024)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 17 {
				continue
			}
			var labels []string
			end := 12
			for end < n && b[end] != 0 {
				labels = append(labels, string(b[end+1:end+1+int(b[end])]))
				end += int(b[end]) + 1
			}
			end += 5
			name, kind := strings.ToLower(strings.Join(labels, ".")), b[end-3]
			answers, ok := known[name]
			reply := append([]byte{}, b[:end]...)
			reply[2], reply[3], reply[9], reply[11] = 0x81, 0x80, 0, 0
			reply[6], reply[7] = 0, 0
			if !ok {
				reply[3] = 0x83 // no such name
			} else {
				for _, a := range strings.Fields(answers[min(asked[name], len(answers)-1)]) {
					reply = append(reply, resource(a, kind, &reply[7])...)
				}
				if kind == 1 {
					asked[name]++
				}
			}
			_, _ = conn.WriteTo(reply, from) // who is gone asks again
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// resource is one record of an answer about the name asked for, if it is of that kind. What is no
// address is another name, of which the rest tells the address at once.
func resource(a string, kind byte, count *byte) []byte {
	at, err := netip.ParseAddr(a)
	switch {
	case err != nil:
		*count++
		alias, target, _ := strings.Cut(a, "=")
		var name []byte
		for l := range strings.SplitSeq(alias, ".") {
			name = append(append(name, byte(len(l))), l...)
		}
		name = append(name, 0)
		out := append([]byte{0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, byte(len(name))}, name...)
		if ip := netip.MustParseAddr(target).As4(); kind == 1 {
			*count++
			out = append(append(append(out, name...), 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip[:]...)
		}
		return out
	case at.Is4() && kind == 1:
		*count++
		ip := at.As4()
		return append([]byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4}, ip[:]...)
	case at.Is6() && kind == 28:
		*count++
		ip := at.As16()
		return append([]byte{0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16}, ip[:]...)
	}
	return nil
}

// inward are addresses that lead inside; PORT is one there. Those with a name that looks
// like any other can be told when they are asked alone.
func inward(port string) (refused, resolving []string) {
	refused = strings.Fields(strings.ReplaceAll(`
		https://127.0.0.1:PORT/ https://127.0.0.1:PORT https://127.1:PORT/ https://127.0.1:PORT/ https://0:PORT/ https://0.0.0.0:PORT/
		https://2130706433:PORT/ https://0x7f000001:PORT/ https://0x7f.0.0.1:PORT/ https://0x7f.1:PORT/ https://017700000001:PORT/ https://0177.0.0.1:PORT/
		https://127.0.0.1.:PORT/ https://localhost:PORT/ https://LOCALHOST:PORT/ https://localhost.:PORT/ https://app.localhost:PORT/
		https://[::1]:PORT/ https://[::]:PORT/ https://[0:0:0:0:0:0:0:1]:PORT/ https://[::ffff:127.0.0.1]:PORT/ https://[::ffff:7f00:1]:PORT/ https://[::127.0.0.1]:PORT/
		https://[64:ff9b::7f00:1]:PORT/ https://[64:ff9b:1::7f00:1]:PORT/ https://[2002:7f00:1::]:PORT/ https://[2001:0:7f00:1::]:PORT/ https://[fe80::1%25lo]:PORT/ https://[::1%25lo]:PORT/
		https://169.254.169.254/latest/meta-data/ https://[fd00:ec2::254]/latest/ https://[::ffff:a9fe:a9fe]/ https://100.100.100.200/ https://168.63.129.16/ https://192.0.0.192/
		https://10.0.0.1:PORT/ https://172.16.0.1:PORT/ https://192.168.0.1:PORT/ https://100.64.0.1:PORT/ https://198.18.0.1:PORT/ https://224.0.0.1:PORT/ https://255.255.255.255:PORT/
		https://user@127.0.0.1:PORT/ https://hooks.example:443@127.0.0.1:PORT/ https://hooks.example%40127.0.0.1:PORT/ https://127.0.0.1:PORT\@hooks.example/
		https://hooks.example#@127.0.0.1:PORT/ https:\\127.0.0.1:PORT\ https:127.0.0.1:PORT https:/127.0.0.1:PORT https:///127.0.0.1:PORT/ //127.0.0.1:PORT/
		http://127.0.0.1:PORT/ http://hooks.example/ HTTP://hooks.example/ gopher://127.0.0.1:PORT/_POST file:///etc/passwd ftp://127.0.0.1:PORT/ unix:///run/x.sock jar:https://hooks.example!/ data:text/plain,x
		ws://127.0.0.1:PORT/ dict://127.0.0.1:PORT/ ldap://127.0.0.1:PORT/ https+unix://x/
		https://127。0。0。1:PORT/ https://①②⑦.0.0.1:PORT/ https://lоcalhost:PORT/ https://127%2e0%2e0%2e1:PORT/ https://%31%32%37.0.0.1:PORT/
		https://hooks.example:22/ https://hooks.example:25/ https://hooks.example:0/ https://hooks.example:80/ https://hooks.example:/ https://hooks.example:65536/ https://hooks.example:00443/ https://hooks.example:-1/ https://hooks.example:443:PORT/ https://hooks.example:x/
		https://hooks..example/ https://.example/ https://hooks.example./ https://-x.example/ https://intranet/ https:// https://:PORT/ x`, "PORT", port))
	refused = append(refused, "", " https://hooks.example/", "https://hooks.example/\r\nX-Evil: 1", "https://hooks.example/ HTTP/1.1\r\nHost: x", "https://hooks.example/%0d%0a\x00", "https://127.0.0.1\t:"+port+"/", "https://hooks.example/"+strings.Repeat("a", 2000))
	for _, name := range []string{"rebind.example", "inside.example", "inside6.example", "mapped.example", "metadata.example", "alias.example", "several.example", "nat64.example", "zero.example", "private.example", "INSIDE.example", "127.0.0.1.nip.example"} {
		resolving = append(resolving, "https://"+name+":"+port+"/hook")
	}
	return refused, resolving
}

func TestNoWebhookLeadsInside(t *testing.T) {
	port, hits := inside(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://127.0.0.1:"+port)
	}
	known := map[string][]string{
		"rebind.example": {"203.0.114.7", "127.0.0.1"}, "inside.example": {"127.0.0.1"}, "inside6.example": {"::1"}, "mapped.example": {"::ffff:127.0.0.1"},
		"metadata.example": {"169.254.169.254"}, "alias.example": {"localhost=127.0.0.1"}, "several.example": {"10.0.0.1 127.0.0.1 ::1"}, "nat64.example": {"64:ff9b::7f00:1"},
		"zero.example": {"0.0.0.0"}, "private.example": {"192.168.1.1"}, "127.0.0.1.nip.example": {"127.0.0.1"},
		"example.com": {"127.0.0.2"},
	}
	guard := &dialguard.Config{Resolver: names(t, known), Timeout: 2 * time.Second, Hosts: []string{"allowed.example"}}
	// Before, the name was public: what was looked up then counts for nothing.
	if got, err := guard.Resolver.LookupHost(t.Context(), "rebind.example"); err != nil || len(got) != 1 || got[0] != "203.0.114.7" {
		t.Fatalf("%v, %v", got, err)
	}
	o := &events{now: time.Now}
	w := webhooks(o, nil)
	w.HTTP = dialguard.New(*guard)
	deliver := func(url string) *held {
		t.Helper()
		h := o.add(notify.Event{App: "a", URL: url})
		if ok, err := w.Once(t.Context()); !ok || err != nil {
			t.Fatalf("%q: %v, %v", url, ok, err)
		}
		o.list = nil
		return h
	}
	refused, resolving := inward(port)
	for _, url := range refused {
		if err := guard.CheckURL(url, false); !errors.Is(err, dialguard.ErrAddress) {
			t.Errorf("registered: %q, %v", url, err)
		}
	}
	for _, url := range append(refused, resolving...) {
		// First as if it had been let into the database, then judged as it is.
		w.Check = func(string) error { return nil }
		if h := deliver(url); h.state != enrol.EventPending || h.tries[0].Status != 0 || h.tries[0].Why == "" {
			t.Errorf("delivered: %q, %+v", url, h.tries)
		}
		w.Check = func(url string) error { return guard.CheckURL(url, false) }
		if h := deliver(url); h.state != enrol.EventPending || h.tries[0].Why != "address" {
			t.Errorf("delivered: %q, %+v", url, h.tries)
		}
	}
	for _, url := range resolving {
		if err := guard.CheckURL(url, false); err != nil {
			t.Errorf("nobody can tell from the text: %q, %v", url, err)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections were made inside", n)
	}
	t.Logf("%d addresses, each registered and delivered to: %d connections inside", len(refused)+len(resolving), hits.Load())

	// Controls: what is allowed arrives, and the counter counts.
	for _, url := range []string{"https://hooks.agency.gov.my/mohor?x=1", "https://hooks.agency.gov.my:8443/", "https://xn--80ak6aa92e.example:443/", "https://8.8.8.8/", "https://[2606:4700::1111]:8443/", "https://allowed.example:9000/", "HTTPS://hooks.example/"} {
		if err := guard.CheckURL(url, false); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	open := &dialguard.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Resolver: guard.Resolver}
	w.HTTP, w.Check = dialguard.New(*open), func(url string) error { return open.CheckURL(url, false) }
	if h := deliver("https://inside.example:" + port + "/"); h.tries[0].Why == "address" || hits.Load() == 0 {
		t.Errorf("the counter counts nothing: %+v", h.tries)
	}
}

// Redirects are not followed, wherever they lead; the receiver that sent one is told
// nothing but the event.
func TestWebhooksFollowNoRedirect(t *testing.T) {
	port, hits := inside(t)
	var location string
	var status int
	var body []byte
	var header http.Header
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Location", location)
		w.Header().Set("Refresh", "0; url="+location)
		w.WriteHeader(status)
	}))
	l, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = l
	s.StartTLS()
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	_, own, _ := net.SplitHostPort(l.Addr().String())
	guard := &dialguard.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Resolver: names(t, map[string][]string{"example.com": {"127.0.0.2"}, "other.example": {"127.0.0.2"}}),
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	o := &events{now: time.Now}
	w := webhooks(o, nil)
	w.HTTP, w.Check = dialguard.New(*guard), func(url string) error { return guard.CheckURL(url, false) }
	deliver := func(url string) *held {
		t.Helper()
		h := o.add(notify.Event{App: "a", URL: url})
		if ok, err := w.Once(t.Context()); !ok || err != nil {
			t.Fatalf("%q: %v, %v", url, ok, err)
		}
		o.list = nil
		return h
	}
	for _, status = range []int{301, 302, 303, 307, 308} {
		for _, location = range []string{"https://127.0.0.1:" + port + "/", "http://127.0.0.1:" + port + "/", "//127.0.0.1:" + port + "/", "gopher://127.0.0.1:" + port, "file:///etc/passwd"} {
			if h := deliver("https://example.com:" + own + "/"); h.state != enrol.EventPending || h.tries[0].Status != status || h.tries[0].Why != "status" {
				t.Errorf("%d %s: %+v", status, location, h.tries)
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections were made inside", n)
	}
	status, location = 200, ""
	if h := deliver("https://example.com:" + own + "/x"); h.state != enrol.EventDelivered {
		t.Errorf("%+v", h.tries)
	}
	if _, err := mohor.VerifyWebhook(header.Get("Mohor-Signature"), body, secretOf(t, "a", "generation"), time.Now()); err != nil {
		t.Error(err)
	}
	// A server that is not who the address names, and one by no TLS at all.
	if h := deliver("https://other.example:" + own + "/"); h.tries[0].Why != "tls" {
		t.Errorf("another's certificate: %+v", h.tries)
	}
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Listener.Close()
	if plain.Listener, err = net.Listen("tcp4", "127.0.0.2:0"); err != nil {
		t.Fatal(err)
	}
	plain.Start()
	defer plain.Close()
	_, clear, _ := net.SplitHostPort(plain.Listener.Addr().String())
	if h := deliver("https://example.com:" + clear + "/"); h.tries[0].Why != "connection" {
		t.Errorf("without TLS: %+v", h.tries)
	}
	if h := deliver("https://nobody.example:" + own + "/"); h.tries[0].Why != "name" {
		t.Errorf("an unknown name: %+v", h.tries)
	}
}

// In a sandbox the app is on this machine, and may have no certificate.
func TestWebhooksOfASandbox(t *testing.T) {
	here := &dialguard.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	for _, url := range []string{"http://127.0.0.1:8080/hook", "http://localhost:8080/", "http://[::1]:8080/", "https://localhost:8443/", "https://127.0.0.1:8443/"} {
		if err := here.CheckURL(url, true); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"http://hooks.example/", "http://10.0.0.1:8080/", "http://127.0.0.1:22/", "http://8.8.8.8:8080/", "http://0.0.0.0:8080/", "ftp://127.0.0.1:8080/", "http://127.0.0.1:8080@hooks.example/"} {
		if err := here.CheckURL(url, true); !errors.Is(err, dialguard.ErrAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := here.CheckURL("http://127.0.0.1:8080/", false); err == nil {
		t.Error("http outside a sandbox")
	}
}
