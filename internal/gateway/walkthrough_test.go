//go:build !race

package gateway_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// step is a block of commands of docs/api.md, and what stands there that they print.
type step struct{ commands, prints string }

// walkthrough reads the blocks marked bash of the page's first section, each with the
// block marked text that follows it.
func walkthrough(t *testing.T) (steps []step) {
	t.Helper()
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	section, _, found := strings.Cut(string(page), "\n## ")
	if !found || !strings.HasPrefix(section, "# The API in ten minutes\n") {
		t.Fatal("docs/api.md does not begin with the walkthrough")
	}
	blocks := strings.Split(section, "\n```")
	for k := 1; k < len(blocks); k += 2 {
		kind, text, _ := strings.Cut(blocks[k], "\n")
		switch {
		case kind == "bash":
			steps = append(steps, step{commands: text})
		case kind == "text" && len(steps) > 0 && steps[len(steps)-1].prints == "":
			steps[len(steps)-1].prints = text
		default:
			t.Fatalf("a block marked %q, which nobody tries:\n%s", kind, text)
		}
	}
	return steps
}

// The walkthrough of docs/api.md, typed as it stands there, prints what stands there.
func TestWalkthrough(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq", "openssl", "pdfsig"} {
		gatewaytest.Tool(t, tool)
	}
	g := gatewaytest.New(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// A folder that looks like the repository's root beside `make run`.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "var"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"var/mohor": g.Dir, "examples": filepath.Join(root, "examples")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	steps := walkthrough(t)
	if len(steps) < 10 {
		t.Fatalf("%d steps", len(steps))
	}
	const mark = "@@@ step"
	var script strings.Builder
	for k, s := range steps {
		fmt.Fprintf(&script, "echo '%s %d'\n%s\n", mark, k, s.commands)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMPDIR=" + dir}, strings.NewReader(script.String())
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	printed := strings.Split(string(out), mark)[1:]
	for k, s := range steps {
		if k >= len(printed) {
			t.Fatalf("step %d was not reached:\n%s\nthe last ones printed\n%s", k, s.commands, out)
		}
		_, got, _ := strings.Cut(printed[k], "\n")
		if strings.TrimRight(got, "\n") != s.prints {
			t.Errorf("step %d:\n%s\nprinted\n%s\nin docs/api.md it is\n%s", k, s.commands, got, s.prints)
		}
	}
	t.Logf("%d steps in %v", len(steps), time.Since(start).Round(100*time.Millisecond))
}
