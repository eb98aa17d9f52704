package dialguard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/dialguard"
)

func TestPublic(t *testing.T) {
	for _, a := range strings.Fields(`1.1.1.1 8.8.8.8 103.6.198.1 192.0.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1
		2606:4700::1111 2400:cb00::1 64:ff9b::101:101 2002:101:101::1 ::ffff:8.8.8.8`) {
		if !dialguard.Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	for _, a := range strings.Fields(`0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255
		192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 168.63.129.16
		:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1
		2002:7f00:1::1 2002:a9fe:a9fe:: 3fff::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 4000::1 2400:cb00::5efe:7f00:1 2400:cb00::200:5efe:a00:1`) {
		if dialguard.Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
	if dialguard.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// serve counts what reaches a server on this machine.
func serve(t *testing.T, h http.HandlerFunc) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, hits
}

func get(c *http.Client, url string, max int64) ([]byte, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return dialguard.Do(c, r, max, "application/test")
}

func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/test; charset=x")
	fmt.Fprint(w, "hello")
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// However it is spelled, nothing reaches this machine.
func TestNothingReachesThisMachine(t *testing.T) {
	url, hits := serve(t, answer)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	c := dialguard.New(dialguard.Config{})
	t.Setenv("HTTP_PROXY", url)
	t.Setenv("http_proxy", url)
	for _, host := range strings.Fields(`127.0.0.1 127.1 0 0.0.0.0 2130706433 0x7f000001 017700000001 127.0.0.1. localhost LOCALHOST localhost. [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]
		[64:ff9b::7f00:1] [2002:7f00:1::] 10.0.0.1 169.254.169.254 [fe80::1%25lo] [fd00:ec2::254] 192.168.0.1 100.64.0.1`) {
		if _, err := get(c, "http://"+host+":"+port+"/", 100); err == nil {
			t.Errorf("%s was asked", host)
		}
	}
	for _, u := range []string{"file:///etc/passwd", "gopher://127.0.0.1:" + port + "/", "ftp://127.0.0.1/", "//127.0.0.1:" + port, "http://", "http://user:pass@127.0.0.1:" + port, "unix:///run/x"} {
		if _, err := get(c, u, 100); !errors.Is(err, dialguard.ErrAddress) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
	_, err := get(c, url, 100)
	if !errors.Is(err, dialguard.ErrAddress) {
		t.Errorf("the refusal is %v", err)
	}
	// A control: what is allowed does arrive.
	for _, allowed := range []dialguard.Config{{Networks: loopback()}, {Hosts: []string{"127.0.0.1"}}} {
		b, err := get(dialguard.New(allowed), url, 100)
		if err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// A name that an attacker's server resolves: the first answer is public, the one
// at the connection is not. What counts is the address connected to.
func TestRebinding(t *testing.T) {
	url, hits := serve(t, answer)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	dns := resolveTo(t, netip.MustParseAddr("127.0.0.1"))
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", dns)
	}}
	defer func() { net.DefaultResolver = old }()
	if got, err := net.LookupHost("rebind.mohor.example"); err != nil || len(got) == 0 || got[0] != "127.0.0.1" {
		t.Fatalf("the name resolves to %v, %v", got, err)
	}
	if _, err := get(dialguard.New(dialguard.Config{}), "http://rebind.mohor.example:"+port, 100); !errors.Is(err, dialguard.ErrAddress) {
		t.Errorf("%v", err)
	}
	if hits.Load() != 0 {
		t.Error("the request arrived")
	}
	// Allowed by its name, in any case, and no other.
	c := dialguard.New(dialguard.Config{Hosts: []string{"Rebind.Mohor.Example"}})
	if _, err := get(c, "http://rebind.mohor.example:"+port, 100); err != nil {
		t.Error(err)
	}
	if _, err := get(c, "http://x.rebind.mohor.example:"+port, 100); !errors.Is(err, dialguard.ErrAddress) {
		t.Errorf("another name: %v", err)
	}
}

// resolveTo is a DNS server that knows one answer to all questions for A.
func resolveTo(t *testing.T, a netip.Addr) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			end := 12
			for end < n && b[end] != 0 {
				end += int(b[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			reply := append([]byte{}, b[:end]...)
			reply[2], reply[3], reply[7], reply[9], reply[11] = 0x81, 0x80, 0, 0, 0
			if b[end-3] == 1 { // A
				ip := a.As4()
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, ip[:]...)
			}
			if _, err := conn.WriteTo(reply, from); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	inner, hits := serve(t, answer)
	outer, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner, http.StatusFound) })
	_, err := get(dialguard.New(dialguard.Config{Networks: loopback()}), outer, 100)
	if !errors.Is(err, dialguard.ErrAnswer) || hits.Load() != 0 {
		t.Errorf("%v, %d requests arrived", err, hits.Load())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	patient := dialguard.New(dialguard.Config{Networks: loopback(), Timeout: time.Minute})
	hasty := dialguard.New(dialguard.Config{Networks: loopback(), Timeout: 300 * time.Millisecond})
	typed := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/test")
			h(w, r)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := strings.Repeat("x", 1<<16)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-r.Context().Done():
				tick.Stop()
				return
			case <-tick.C:
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
			}
		}
	}
	for name, x := range map[string]struct {
		h    http.HandlerFunc
		want error // nil: any
	}{
		"endless": {typed(endless), dialguard.ErrAnswer},
		"said too long": {typed(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "101")
			w.Write(make([]byte, 101))
		}), dialguard.ErrAnswer},
		"drip":         {typed(drip), nil},
		"says nothing": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil},
		"cut short": {typed(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			w.Write(make([]byte, 10))
		}), nil},
		"huge header": {typed(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }), nil},
		"other type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "x")
		}, dialguard.ErrAnswer},
		"status": {typed(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }), dialguard.ErrAnswer},
	} {
		url, _ := serve(t, x.h)
		start, c := time.Now(), patient
		if name == "drip" || name == "says nothing" {
			c = hasty
		}
		b, err := get(c, url, 100)
		if err == nil || x.want != nil && !errors.Is(err, x.want) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
	url, _ := serve(t, typed(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100)) }))
	if b, err := get(patient, url, 100); err != nil || len(b) != 100 {
		t.Errorf("exactly as long as allowed: %d, %v", len(b), err)
	}
}

// As many requests at a time as there may be connections: they are made once.
func TestConnectionsAreKept(t *testing.T) {
	const conns, rounds = 12, 5
	var here sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		here.Done()
		here.Wait() // until all of the round are here
		answer(w, r)
	}))
	var made atomic.Int64
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}, Conns: conns})
	defer c.CloseIdleConnections()
	for range rounds {
		here.Add(conns)
		var round sync.WaitGroup
		for range conns {
			round.Go(func() {
				if _, err := get(c, s.URL, 100); err != nil {
					t.Error(err)
				}
			})
		}
		round.Wait()
	}
	if n := made.Load(); n != conns {
		t.Errorf("%d connections for %d rounds of %d requests", n, rounds, conns)
	}
}
