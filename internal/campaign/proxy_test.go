package campaign_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between the gateways and a server: it can break connections, take
// none, be slow, and lead to another server behind the same address.
type proxy struct {
	address string
	l       net.Listener
	wg      sync.WaitGroup

	mu     sync.Mutex
	target string // a Unix socket; "" breaks whoever comes
	delay  time.Duration
	conns  map[*net.TCPConn]struct{}
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{address: l.Addr().String(), l: l, target: target, conns: map[*net.TCPConn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		must(t, l.Close())
		p.reset("")
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *proxy) serve(c *net.TCPConn) {
	defer c.Close()
	p.mu.Lock()
	target := p.target
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	if target == "" {
		_ = c.SetLinger(0)
		return
	}
	s, err := net.Dial("unix", target)
	if err != nil {
		_ = c.SetLinger(0)
		return
	}
	defer s.Close()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
	})
	_, _ = io.Copy(slowed{c, p}, s)
	_ = c.Close()
	up.Wait()
}

// slowed holds back what the server says.
type slowed struct {
	net.Conn
	p *proxy
}

func (s slowed) Write(b []byte) (int, error) {
	s.p.mu.Lock()
	d := s.p.delay
	s.p.mu.Unlock()
	if d > 0 {
		<-time.After(d)
	}
	return s.Conn.Write(b)
}

// reset breaks all connections (RST) and leads to target from now on.
func (p *proxy) reset(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for c := range p.conns {
		_ = errors.Join(c.SetLinger(0), c.Close())
	}
}

// slow holds back each answer for d.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}
