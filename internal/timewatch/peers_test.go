package timewatch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/timewatch"
)

// seconds is an NTP timestamp (RFC 5905, Section 6).
func seconds(t time.Time) uint64 {
	return uint64(t.Unix()+2208988800)<<32 | uint64(t.Nanosecond())<<32/1_000_000_000
}

// server answers with what edit makes of a right answer; nothing when it gives nil.
func server(t *testing.T, edit func(query, answer []byte) []byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			q := make([]byte, 1024)
			n, from, err := conn.ReadFrom(q)
			if err != nil {
				return
			}
			a := make([]byte, 48)
			a[0], a[1], a[3] = 0<<6|4<<3|4, 2, 0xec // no leap, version 4, server; stratum 2
			now := time.Now()
			binary.BigEndian.PutUint64(a[16:], seconds(now.Add(-time.Minute)))
			copy(a[24:32], q[40:48]) // origin
			binary.BigEndian.PutUint64(a[32:], seconds(now))
			binary.BigEndian.PutUint64(a[40:], seconds(now))
			if edit != nil {
				a = edit(q[:n], a)
			}
			if a != nil {
				_, _ = conn.WriteTo(a, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().String()
}

func TestAskNTP(t *testing.T) {
	a, err := timewatch.AskNTP(t.Context(), server(t, nil))
	if err != nil || a.Offset.Abs() > a.Distance+time.Second || a.Distance < 0 {
		t.Errorf("a right answer: %+v, %v", a, err)
	}
	shift := func(d time.Duration) func(_, a []byte) []byte {
		return func(_, a []byte) []byte {
			for _, at := range []int{16, 32, 40} {
				binary.BigEndian.PutUint64(a[at:], seconds(time.Now().Add(d)))
			}
			return a
		}
	}
	for _, d := range []time.Duration{-26 * time.Hour, 90 * time.Second} {
		if a, err := timewatch.AskNTP(t.Context(), server(t, shift(d))); err != nil || (a.Offset-d).Abs() > 10*time.Second {
			t.Errorf("one that is %v apart: %+v, %v", d, a, err)
		}
	}
	set := func(at int, b ...byte) func(_, a []byte) []byte {
		return func(_, a []byte) []byte { copy(a[at:], b); return a }
	}
	for name, edit := range map[string]func(_, a []byte) []byte{
		"stratum 16":              set(1, 16),
		"stratum 0":               set(1, 0),
		"unsynchronised":          set(0, 3<<6|4<<3|4),
		"mode client":             set(0, 4<<3|3),
		"mode broadcast":          set(0, 4<<3|5),
		"another origin":          set(24, 1, 2, 3, 4),
		"no transmit time":        set(40, make([]byte, 8)...),
		"far from its source":     set(4, 0, 9, 0, 0),
		"dispersed":               set(8, 0, 200, 0, 0),
		"reference in the future": set(16, 0xff, 0xff),
		"cut":                     func(_, a []byte) []byte { return a[:47] },
		"empty":                   func(_, a []byte) []byte { return a[:0] },
		"our question":            func(q, _ []byte) []byte { return q },
		"old reference": func(_, a []byte) []byte {
			binary.BigEndian.PutUint64(a[16:], seconds(time.Now().Add(-72*time.Hour)))
			return a
		},
	} {
		if a, err := timewatch.AskNTP(t.Context(), server(t, edit)); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	_, err = timewatch.AskNTP(t.Context(), server(t, func(_, a []byte) []byte { a[1] = 0; copy(a[12:], "RATE"); return a }))
	var kiss *timewatch.KissError
	if !errors.As(err, &kiss) || kiss.Code != "RATE" {
		t.Errorf("kiss-o'-death: %v", err)
	}
	// A forged one, without our cookie, silences nobody.
	_, err = timewatch.AskNTP(t.Context(), server(t, func(_, a []byte) []byte { a[1], a[24] = 0, a[24]+1; copy(a[12:], "DENY"); return a }))
	if err == nil || errors.As(err, &kiss) {
		t.Errorf("a forged kiss-o'-death: %v", err)
	}
	// Silence ends with the caller's patience.
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := timewatch.AskNTP(ctx, server(t, func(_, _ []byte) []byte { cancel(); return nil })); err == nil {
		t.Error("an answer of a silent one")
	}
}

func TestCheckPeer(t *testing.T) {
	for peer, good := range map[string]bool{
		"ntp.sirim.my": true, "ntp.sirim.my:1123": true, "10.0.0.1": true, "2001:db8::1": true, "[2001:db8::1]": true, "[2001:db8::1]:123": true,
		"": false, ":123": false, "ntp:0": false, "ntp:99999": false, "ntp:x": false, "a b": false, "user@ntp": false, "udp://ntp": false, "a:b:c": false,
	} {
		if err := timewatch.CheckPeer(peer); (err == nil) != good {
			t.Errorf("%q: %v", peer, err)
		}
	}
}

// A real server that calls itself synchronised, and touches no clock (-x).
func TestChrony(t *testing.T) {
	chronyd, err := filepath.Abs("../../bin/chrony/usr/sbin/chronyd")
	if err == nil {
		_, err = os.Stat(chronyd)
	}
	if err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("chronyd is missing (make chrony): %v", err)
		}
		t.Skipf("chronyd is missing (make chrony): %v", err)
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.LocalAddr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "chrony.conf")
	text := fmt.Sprintf("local stratum 3\nallow 127.0.0.1\nbindaddress 127.0.0.1\nport %s\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\n", port, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-d", "-x", "-f", conf}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root")
	} else {
		args = append(args, "-U")
	}
	cmd := exec.Command(chronyd, args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	m := newMachine()
	m.move(func(r *timewatch.Reading) { r.Wall = time.Now().Round(0) })
	w := m.watch(func(c *timewatch.Config) {
		c.Peers, c.MaxOffset, c.MaxAge = []string{"127.0.0.1:" + port}, 500*time.Millisecond, time.Hour
	})
	for range 100 { // until it listens
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		w.Poll(ctx)
		<-ctx.Done()
		cancel()
		if w.Check() == nil {
			return
		}
		select {
		case <-ended:
			t.Fatalf("it ended: %s", log.String())
		default:
		}
	}
	t.Errorf("%v\n%s", w.Check(), log.String())
}
