//go:build !race

package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// chromium is a browser driven through its pipe (Chrome DevTools Protocol).
type chromium struct {
	t       *testing.T
	to      *os.File
	session string

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	loaded  chan struct{}
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// startChromium opens a tab in which no script of a page runs; language is what it asks for.
func startChromium(t *testing.T, language string) *chromium {
	t.Helper()
	path := gatewaytest.Tool(t, "chromium")
	ours, theirs := pipes(t)
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "--accept-lang="+language, "about:blank")
	cmd.ExtraFiles = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs {
		f.Close()
	}
	c := &chromium{t: t, to: ours[0], waiting: map[int]chan reply{}, loaded: make(chan struct{}, 100)}
	go c.listen(ours[1])
	t.Cleanup(func() {
		c.session = ""
		c.call("Browser.close", nil, nil)
		_ = cmd.Wait()
		ours[0].Close()
		ours[1].Close()
	})
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	page := map[string]any{"filter": []map[string]any{{"type": "page"}}}
	for len(targets.TargetInfos) == 0 {
		c.call("Target.getTargets", page, &targets)
	}
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": targets.TargetInfos[0].TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	c.call("Page.enable", nil, nil)
	c.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	c.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return c
}

// pipes are the two that Chromium has as files 3 (it reads) and 4 (it writes).
func pipes(t *testing.T) (ours, theirs []*os.File) {
	t.Helper()
	r3, w3, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r4, w4, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return []*os.File{w3, r4}, []*os.File{r3, w4}
}

func (c *chromium) listen(from *os.File) {
	for b := bufio.NewReader(from); ; {
		m, err := b.ReadBytes(0)
		if err != nil {
			return
		}
		var x struct {
			ID     int
			Method string
			reply
		}
		_ = json.Unmarshal(m[:len(m)-1], &x)
		if x.Method == "Page.loadEventFired" {
			c.loaded <- struct{}{}
		}
		c.mu.Lock()
		answer := c.waiting[x.ID]
		c.mu.Unlock()
		if answer != nil {
			answer <- x.reply
		}
	}
}

// call runs a command of the protocol.
func (c *chromium) call(method string, params, into any) {
	c.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	c.mu.Lock()
	c.next++
	id, answer := c.next, make(chan reply, 1)
	c.waiting[id] = answer
	c.mu.Unlock()
	m := map[string]any{"id": id, "method": method, "params": params}
	if c.session != "" {
		m["sessionId"] = c.session
	}
	p, err := json.Marshal(m)
	if err == nil {
		_, err = c.to.Write(append(p, 0))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			c.t.Fatalf("%s: %s", method, r.Error.Message)
		}
		if into != nil {
			if err := json.Unmarshal(r.Result, into); err != nil {
				c.t.Fatal(err)
			}
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("%s: no answer", method)
	}
}

// load waits for the next page.
func (c *chromium) load() {
	c.t.Helper()
	select {
	case <-c.loaded:
	case <-time.After(30 * time.Second):
		c.t.Fatalf("no page: at %s", c.value("location.href"))
	}
}

// settled forgets pages that came before.
func (c *chromium) settled() {
	for len(c.loaded) > 0 {
		<-c.loaded
	}
}

// visit goes to an address, as by a link of another site.
func (c *chromium) visit(address string) {
	c.t.Helper()
	c.settled()
	c.call("Page.navigate", map[string]any{"url": address, "referrer": "https://igfmas.example/senarai", "transitionType": "link"}, nil)
	c.load()
}

// value is what an expression in the page says.
func (c *chromium) value(expression string) string {
	c.t.Helper()
	var v struct{ Result struct{ Value any } }
	c.call("Runtime.evaluate", map[string]any{"expression": expression}, &v)
	return fmt.Sprint(v.Result.Value)
}

// press sends a key.
func (c *chromium) press(key string, code int) {
	c.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if key == "Enter" {
		down["text"] = "\r"
	}
	c.call("Input.dispatchKeyEvent", down, nil)
	c.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// tab moves by keyboard to what a screen reader calls by a name with these words.
func (c *chromium) tab(words string) {
	c.t.Helper()
	seen := ""
	for range 60 {
		c.press("Tab", 9)
		at := c.focused()
		if strings.Contains(at, words) {
			return
		}
		seen += "\n" + at
	}
	c.t.Fatalf("the keyboard does not reach %q:%s", words, seen)
}

// focused is the accessible name of what has the focus.
func (c *chromium) focused() string {
	c.t.Helper()
	var active struct{ Result struct{ ObjectID string } }
	c.call("Runtime.evaluate", map[string]any{"expression": "document.activeElement"}, &active)
	var tree struct {
		Nodes []struct{ Name struct{ Value string } }
	}
	c.call("Accessibility.getPartialAXTree", map[string]any{"objectId": active.Result.ObjectID, "fetchRelatives": false}, &tree)
	if len(tree.Nodes) == 0 {
		return ""
	}
	return tree.Nodes[0].Name.Value
}

// write types text where the focus is.
func (c *chromium) write(text string) {
	c.t.Helper()
	c.call("Input.insertText", map[string]any{"text": text}, nil)
}

// enter presses it and waits for the page that follows.
func (c *chromium) enter() {
	c.t.Helper()
	c.settled()
	c.press("Enter", 13)
	c.load()
}
