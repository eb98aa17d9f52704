//go:build !race

package journeys_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

// Redis, the mail server and the HSM are taken away while an administrator looks: the page names
// each fault with what to do, keeps an alarm that is acknowledged, and is well again.
func TestJourneyConsoleHealth(t *testing.T) {
	redis := redistest.Start(t)
	g := gatewaytest.New(t)
	g.Stop()
	path := filepath.Join(g.Dir, "mohor.yaml")
	conf, err := os.ReadFile(path)
	if err == nil {
		edited := strings.Replace(string(conf), `address: ""`, fmt.Sprintf("address: %q", redis.Address), 1)
		if edited == string(conf) {
			t.Fatal("mohor.yaml has no redis.address")
		}
		edited = strings.Replace(edited, "\n  every: 1m", "\n  every: 5s", 1)
		err = os.WriteFile(path, []byte(edited), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	o := newOffice(t, g)
	auditor := "700101105556"
	o.seat(t, auditor, "JURUAUDIT", enrol.Appointment{Role: enrol.Auditor})
	tokens, err := tokenFolder()
	if err != nil {
		t.Fatal(err)
	}
	mailbox := g.Server.Mailbox.Addr()
	atWork(t, g)
	does := acts{
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return o.totp(ic)
		},
		// look is what the gateway does each few seconds.
		"look": func(json.RawMessage) (any, error) { g.Server.Monitor().Round(t.Context()); return true, nil },
		// earnest has it taken for a real installation, which needs backups; backup notes one.
		"earnest": func(argument json.RawMessage) (any, error) {
			g.Server.Sandbox = string(argument) != "true"
			return true, nil
		},
		"backup": func(json.RawMessage) (any, error) {
			_, err := g.Server.MarkBackup(t.Context(), "cli:test", gateway.Backup{Verified: true}, "")
			return true, err
		},
		"redisGone": func(json.RawMessage) (any, error) { return true, redis.Kill() },
		"redisBack": func(json.RawMessage) (any, error) { return true, redis.Run() },
		"tokenGone": func(json.RawMessage) (any, error) { return true, os.Rename(tokens, tokens+"-away") },
		"tokenBack": func(json.RawMessage) (any, error) { return true, os.Rename(tokens+"-away", tokens) },
		// mailGone ends the mail server, and has a code fail.
		"mailGone": func(json.RawMessage) (any, error) {
			if err := g.Server.Mailbox.Close(); err != nil {
				return nil, err
			}
			r := g.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW",
				"documents": []any{map[string]any{"name": "Baucar 1", "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}}})
			if r.Status != http.StatusCreated {
				return nil, fmt.Errorf("asking for a code: %s", r.Raw)
			}
			return mailbox, nil
		},
		"mailBack": func(json.RawMessage) (any, error) {
			l, err := net.Listen("tcp", mailbox)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { l.Close() })
			go takeAll(l)
			return true, nil
		},
	}
	run(t, g, "console_health", given{"admin": o.who("700101105551"), "helper": o.who("700101105552"),
		"auditor": o.who(auditor), "dir": g.Dir}, does)
}

// atWork has the gateway do in the background what it does when it serves.
func atWork(t *testing.T, g *gatewaytest.Gateway) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Server.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// tokenFolder is the folder of this process's SoftHSM tokens.
func tokenFolder() (string, error) {
	conf, err := os.ReadFile(os.Getenv("SOFTHSM2_CONF"))
	if err != nil {
		return "", err
	}
	_, dir, found := strings.Cut(string(conf), "directories.tokendir = ")
	dir, _, _ = strings.Cut(dir, "\n")
	if !found {
		return "", fmt.Errorf("SoftHSM's configuration names no folder of tokens: %s", conf)
	}
	return dir, nil
}

// takeAll is a mail server that takes every mail.
func takeAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
			say("220 mail.example")
			body := false
			for lines := bufio.NewScanner(c); lines.Scan(); {
				verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
				switch {
				case body && lines.Text() != ".":
					continue
				case body:
					body = false
					say("250 ok")
				case verb == "DATA":
					body = true
					say("354 go on")
				case verb == "QUIT":
					say("221 bye")
				default:
					say("250 ok")
				}
			}
		}()
	}
}
