package gateway_test

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// mailServer answers on an address, each connection by serve, until stop.
func mailServer(t *testing.T, address string, serve func(c *net.TCPConn)) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { defer c.Close(); serve(c.(*net.TCPConn)) })
		}
	})
	return func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	}
}

// smtp speaks SMTP, and says reply to each RCPT; "" is no answer at all.
func smtp(reply string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
		say("220 mail.example")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
			switch {
			case verb == "RCPT" && reply == "":
				continue
			case verb == "RCPT":
				say(reply)
			default:
				say("250 ok")
			}
		}
	}
}

// Whatever the mail server does, an application that asks for a code is answered as
// documented. The figures are logged.
func TestTransactionsDuringAnOutageOfMail(t *testing.T) {
	for _, fault := range []struct {
		name  string
		serve func(*net.TCPConn) // nil: nobody listens
		want  int
	}{
		{"down", nil, 201},
		{"slow", smtp(""), 201},
		{"451", smtp("451 4.7.1 later"), 201},
		{"550", smtp("550 5.1.1 never"), 503},
		{"reset", func(c *net.TCPConn) { _ = c.SetLinger(0) }, 201},
	} {
		t.Run(fault.name, func(t *testing.T) {
			g := gatewaytest.New(t)
			address := g.Server.Mailbox.Addr()
			if err := g.Server.Mailbox.Close(); err != nil {
				t.Fatal(err)
			}
			if fault.serve != nil {
				defer mailServer(t, address, fault.serve)()
			}
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			for k := range 8 {
				wg.Go(func() {
					for range 25 {
						ask := raw("baucar")
						ask["ic"], ask["system"] = g.Dev.Officers[k%2].IC, g.Dev.System
						from := time.Now()
						r := g.Do("POST", "/v1/transactions", "", ask)
						d := time.Since(from)
						mu.Lock()
						took = append(took, d)
						mu.Unlock()
						if r.Status != fault.want || r.Status == 503 && r.Code() != "mail_unavailable" {
							t.Errorf("%d %s", r.Status, r.Raw)
							return
						}
					}
				})
			}
			wg.Wait()
			slices.Sort(took)
			t.Logf("%d requests: p50 %v, p99 %v, longest %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		})
	}
}
