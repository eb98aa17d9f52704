package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// patience bounds every wait for a condition.
const patience = 3 * time.Minute

// until asks for a condition every few milliseconds; it ends with an error
// when ctx does.
func until(ctx context.Context, condition func() (bool, error)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// buffer is a bytes.Buffer that one goroutine writes and another reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// child is a mohor in the background.
type child struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{} // closed when it has ended
	err            error         // how, after done
}

func start(ts *testscript.TestScript, args ...string) *child {
	path, err := exec.LookPath(program)
	ts.Check(err)
	c := &child{cmd: exec.Command(path, args...), done: make(chan struct{})}
	c.cmd.Dir = ts.MkAbs(".")
	c.cmd.Env = append(of(ts).vars, "PWD="+c.cmd.Dir)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	ts.Check(c.cmd.Start())
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c
}

// cmdServe starts `mohor serve --dev --data DIR …` as a process of its own and
// comes back when dev.json is there and /healthz answers: serve DIR [FLAGS…].
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve DIR [FLAGS…]")
	}
	s, dir := of(ts), args[0]
	listening(ts, dir, append([]string{"serve", "--dev", "--data", dir}, args[1:]...))
	dev := readDev(ts, dir)
	s.hide(string(dev.APIKey.Reveal()), string(dev.ClientSecret.Reveal()))
	for _, o := range dev.Officers {
		s.hide(string(o.PIN.Reveal()))
	}
}

// cmdServeInEarnest is the same for `mohor serve --data DIR …`; it sets ADDRESS:
// serve-in-earnest DIR [FLAGS…].
func cmdServeInEarnest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve-in-earnest DIR [FLAGS…]")
	}
	ts.Setenv("ADDRESS", listening(ts, args[0], append([]string{"serve", "--data", args[0]}, args[1:]...)))
}

// listening starts a gateway and returns its address once /healthz answers.
func listening(ts *testscript.TestScript, dir string, args []string) (address string) {
	g := start(ts, args...)
	of(ts).gateways[dir] = g
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := until(ctx, func() (bool, error) {
		select {
		case <-g.done:
			return false, fmt.Errorf("it has ended: %w", g.err)
		default:
		}
		line, _, whole := strings.Cut(g.stdout.String(), "\n")
		found := false
		if address, found = strings.CutPrefix(line, "listening on "); !whole || !found {
			return false, nil // not yet
		}
		resp, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return false, nil // not yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		ts.Fatalf("waiting for the gateway: %v\n%s%s", err, g.stdout.String(), g.stderr.String())
	}
	fmt.Fprint(ts.Stdout(), g.stdout.String())
	return address
}

// cmdStopServing ends the gateway of DIR as an operator does, and expects it to
// end well, having printed no secret: stop-serving DIR.
func cmdStopServing(ts *testscript.TestScript, neg bool, args []string) {
	g := stop(ts, args, syscall.SIGTERM)
	judge(ts, neg, g.err, g.stdout.String(), g.stderr.String())
	fmt.Fprint(ts.Stdout(), g.stdout.String())
	fmt.Fprint(ts.Stderr(), g.stderr.String())
}

// cmdKill9 ends the gateway of DIR at once: kill-9 [-midway BATCH] DIR. With
// -midway it waits until a quarter of the batch's documents is signed, and
// expects that some are not.
func cmdKill9(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 3 && args[0] == "-midway" {
		midway(ts, args[2], args[1])
		args = args[2:]
	}
	g := stop(ts, args, syscall.SIGKILL)
	ts.Check(of(ts).leaks(ts.MkAbs("."), g.stdout.String()+g.stderr.String()))
}

// cmdKilledWhen runs `mohor ARGS…` and kills it as soon as FILE is there:
// killed-when FILE ARGS….
func cmdKilledWhen(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: killed-when FILE ARGS…")
	}
	c := start(ts, args[1:]...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := until(ctx, func() (bool, error) {
		select {
		case <-c.done:
			return false, errors.New("it had ended before")
		default:
		}
		_, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil, nil
	})
	_ = c.cmd.Process.Kill() // the state is looked at below
	<-c.done
	if err == nil && c.cmd.ProcessState.Exited() {
		err = errors.New("it ended by itself")
	}
	if err != nil {
		ts.Fatalf("killing mohor midway: %v\n%s", err, c.stderr.String())
	}
}

func stop(ts *testscript.TestScript, args []string, how os.Signal) *child {
	if len(args) != 1 || of(ts).gateways[args[0]] == nil {
		ts.Fatalf("no gateway serves %v", args)
	}
	g := of(ts).gateways[args[0]]
	delete(of(ts).gateways, args[0])
	ts.Check(g.cmd.Process.Signal(how))
	select {
	case <-g.done:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill() // the story has failed already
		<-g.done
		ts.Fatalf("the gateway did not end on %v", how)
	}
	return g
}

func midway(ts *testscript.TestScript, dir, batch string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(until(ctx, func() (bool, error) {
		status, body, err := ask(readDev(ts, dir), http.MethodGet, "/v1/batches/"+batch)
		if err != nil || status != http.StatusOK {
			return false, fmt.Errorf("asking for the batch: %d %s %w", status, body, err)
		}
		var b mohor.Batch
		if err := json.Unmarshal(body, &b); err != nil {
			return false, err
		}
		if b.Pending == 0 {
			return false, fmt.Errorf("too late: the batch is %s", b.Status)
		}
		return b.Signed*4 >= b.Count, nil
	}))
}

func readDev(ts *testscript.TestScript, dir string) sandbox.DevFile {
	dev, err := sandbox.ReadDevFile(filepath.Join(ts.MkAbs(dir), gateway.DevFile))
	ts.Check(err)
	return dev
}

// cmdGet prints what an address answers to anybody: [!] get URL.
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: get URL")
	}
	resp, err := http.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n%s", resp.Status, body)
	if neg == (resp.StatusCode < 300) {
		ts.Fatalf("%s", resp.Status)
	}
}

// cmdAPI asks the gateway of DIR with the sandbox's key and prints what it
// answers: api DIR METHOD PATH. `! api` expects a refusal.
func cmdAPI(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: api DIR METHOD PATH")
	}
	status, body, err := ask(readDev(ts, args[0]), args[1], args[2])
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", body)
	if neg == (status < 300) {
		ts.Fatalf("the gateway answered %d: %s", status, body)
	}
}

func ask(dev sandbox.DevFile, method, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, dev.BaseURL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
