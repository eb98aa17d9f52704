//go:build !race

package journeys_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
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

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// given is what a script finds in config.given.
type given map[string]any

// acts are what a script can have done here: act('name', argument) in js/lib.mjs. An
// act may run in any goroutine: it reports by its error and never ends the test.
type acts map[string]func(argument json.RawMessage) (any, error)

// limit is more than a journey ever takes.
var limit = flag.Duration("journey.limit", 5*time.Minute, "how long a journey may take")

// run takes js/<script>.mjs through g and returns its results by name. While it runs,
// the gateway's clock goes as fast as the browser's. Whatever the script finds wrong
// fails the test.
func run(t *testing.T, g *gatewaytest.Gateway, script string, with given, can acts) map[string]any {
	t.Helper()
	dev, err := os.ReadFile(filepath.Join(g.Dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer ticking(g.Clock)()
	does := acts{"advance": func(argument json.RawMessage) (any, error) {
		var seconds float64
		if err := json.Unmarshal(argument, &seconds); err != nil {
			return nil, err
		}
		g.Clock.Advance(time.Duration(seconds * float64(time.Second)))
		return g.Clock.Now(), nil
	}}
	for name, f := range can {
		does[name] = f
	}
	results, problems, err := play(t, script, config{Dev: dev, Given: with}, does)
	for _, p := range problems {
		t.Error(p)
	}
	if err != nil {
		t.Errorf("%s.mjs: %v", script, err)
	}
	return results
}

// config is what a script reads on its standard input.
type config struct {
	Dev     json.RawMessage `json:"dev,omitempty"`
	Given   given           `json:"given,omitempty"`
	Browser string          `json:"browser"` // program
	Firefox string          `json:"firefox"` // program, where given has engine "firefox"
	Act     string          `json:"act"`     // address that does acts
	Shots   string          `json:"shots"`   // folder
}

// line is what a script writes: one JSON object with one of these.
type line struct {
	Step    string  `json:"step"` // done
	Seconds float64 `json:"seconds"`
	Note    string  `json:"note"`
	Problem string  `json:"problem"`
	Result  string  `json:"result"` // name
	Value   any     `json:"value"`
}

// play runs a script to its end; err says that it did not end well, whatever it wrote.
func play(t *testing.T, script string, c config, does acts) (results map[string]any, problems []string, err error) {
	t.Helper()
	node := gatewaytest.Tool(t, "node")
	c.Browser = gatewaytest.Tool(t, "chromium")
	if c.Given["engine"] == "firefox" {
		c.Firefox = gatewaytest.Tool(t, "firefox-esr")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "bin/browser/.done")); err != nil {
		gatewaytest.Require(t, "bin/browser (make browser)")
	}
	c.Shots = filepath.Join(root, "bin", "screenshots")
	door := httptest.NewServer(doing(does))
	defer door.Close()
	c.Act = door.URL
	in, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), *limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, filepath.Join("js", script+".mjs"))
	cmd.Stdin = bytes.NewReader(in)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its browser
	cmd.WaitDelay = 20 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	results, problems = heard(t, out)
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	} else if said.Len() > 0 {
		t.Logf("%s", said.Bytes())
	}
	return results, problems, err
}

// heard takes a script's lines until the last.
func heard(t *testing.T, out io.Reader) (results map[string]any, problems []string) {
	t.Helper()
	results = map[string]any{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		switch err := dec.Decode(&l); {
		case err != nil:
			t.Logf("%s", lines.Bytes())
		case l.Problem != "":
			problems = append(problems, l.Problem)
		case l.Result != "":
			results[l.Result] = l.Value
		case l.Step != "":
			t.Logf("%5.1f s  %s", l.Seconds, l.Step)
		default:
			t.Log(l.Note)
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, err.Error())
	}
	return results, problems
}

// doing answers POST /name with what the act of that name says of the body.
func doing(does acts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := does[strings.TrimPrefix(r.URL.Path, "/")]
		body, err := io.ReadAll(r.Body)
		var v any
		switch {
		case f == nil:
			err = errors.New("no such act")
		case err == nil:
			v, err = f(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(v) // the script misses an answer that is not whole
	})
}

// ticking moves a clock on with real time until stop is called.
func ticking(c *gatewaytest.Clock) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case now := <-tick.C:
				c.Advance(now.Sub(last))
				last = now
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}
