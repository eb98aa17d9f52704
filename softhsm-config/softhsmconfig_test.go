package softhsmconfig_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	softhsmconfig "github.com/mohor-sign/mohor/softhsm-config"
)

// requireTool skips a test for want of a program, or fails it where nothing may be wanting.
func requireTool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
				t.Fatalf("%s is required: %v", name, err)
			}
			t.Skipf("%s is missing: %v", name, err)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	conf, err := softhsmconfig.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{conf: 0o600, filepath.Join(dir, "tokens"): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	first, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if want := "directories.tokendir = " + filepath.Join(dir, "tokens") + "\n"; !strings.Contains(string(first), want) || strings.Contains(string(first), "\n@") {
		t.Errorf("no line %q in\n%s", want, first)
	}
	// A directory that was open to others is closed, a file that says otherwise replaced.
	if err := os.Chmod(filepath.Join(dir, "tokens"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = /elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := softhsmconfig.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(conf)
	if err != nil || string(again) != string(first) {
		t.Errorf("second time: %v\n%s", err, again)
	}
	if info, err := os.Stat(filepath.Join(dir, "tokens")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("tokens: %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "softhsm2.conf.*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := softhsmconfig.Write(filepath.Join(dir, "a\nlog.level = DEBUG")); !errors.Is(err, softhsmconfig.ErrBadDir) {
		t.Errorf("line break in the name: %v", err)
	}
}

func TestInitTokenScript(t *testing.T) {
	requireTool(t, "softhsm2-util", "pkcs11-tool", "sh")
	const soPIN, userPIN = "so-pin-4711", "user pin 0815"
	dir := filepath.Join(t.TempDir(), "token")
	pins := t.TempDir()
	for name, pin := range map[string]string{"so": soPIN, "user": userPIN} {
		if err := os.WriteFile(filepath.Join(pins, name), []byte(pin+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(env []string, args ...string) (string, error) {
		cmd := exec.Command("./init-token.sh", args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), soPIN) || strings.Contains(string(out), userPIN) {
			t.Errorf("a PIN was printed:\n%s", out)
		}
		return string(out), err
	}
	files := []string{"MOHOR_SO_PIN_FILE=" + filepath.Join(pins, "so"), "MOHOR_TOKEN_PIN_FILE=" + filepath.Join(pins, "user")}
	for range 2 { // the second time it is there
		if out, err := run(files, dir, "by hand"); err != nil || !strings.Contains(out, "SOFTHSM2_CONF="+dir+"/softhsm2.conf\n") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := run([]string{"MOHOR_SO_PIN=" + soPIN, "MOHOR_TOKEN_PIN=" + userPIN}, dir, "by environment"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Both log in, and the right number of them is there.
	module := ""
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib*/*/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 && module == "" {
			module = found[0]
		}
	}
	for _, label := range []string{"by hand", "by environment"} {
		cmd := exec.Command("pkcs11-tool", "--module", module, "--token-label", label, "--login", "--pin", "env:PIN", "--list-objects")
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+dir+"/softhsm2.conf", "PIN="+userPIN)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", label, err, out)
		}
	}
	tokens, err := os.ReadDir(filepath.Join(dir, "tokens"))
	if err != nil || len(tokens) != 2 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	for name, args := range map[string][]string{
		"no label": {dir}, "long label": {dir, strings.Repeat("x", 33)}, "control character": {dir, "a\tb"}, "empty label": {dir, ""},
	} {
		if out, err := run(files, args...); err == nil {
			t.Errorf("%s: accepted\n%s", name, out)
		}
	}
	if out, err := run(nil, dir, "no PIN"); err == nil || !strings.Contains(out, "MOHOR_SO_PIN_FILE") {
		t.Errorf("no PIN: %v\n%s", err, out)
	}
}
