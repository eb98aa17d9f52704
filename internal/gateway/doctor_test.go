package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/notify"
)

// answering is a mail server that gives its answers in order, whatever it is told.
func answering(t *testing.T, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for i, a := range answers {
			if i > 0 {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
			fmt.Fprint(conn, a+"\r\n")
		}
		_, _ = io.Copy(io.Discard, in)
	}()
	return l.Addr().String()
}

func TestDoctorAtTheMailServer(t *testing.T) {
	const greeting, hello = "220 mx.mohor.example ESMTP", "250-mx.mohor.example\r\n250 8BITMIME"
	for name, c := range map[string]struct {
		tls, fault string
		answers    []string
	}{
		"plain, as wanted":         {notify.TLSNone, "", []string{greeting, hello, "221 bye"}},
		"no STARTTLS":              {notify.TLSStartTLS, "does not offer STARTTLS", []string{greeting, hello}},
		"STARTTLS and then nobody": {notify.TLSStartTLS, "STARTTLS: 454", []string{greeting, "250-mx\r\n250 STARTTLS", "454 no TLS today"}},
		"refuses everybody":        {notify.TLSStartTLS, "does not greet", []string{"554 go away"}},
		"no TLS on a TLS port":     {notify.TLSImplicit, "does not greet", []string{greeting}},
	} {
		err := gateway.Greet(t.Context(), gateway.MailConfig{Host: "127.0.0.1", TLS: c.tls}, answering(t, c.answers...))
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
	}
}
