// Package hsmtest gives tests a PKCS#11 module that fails on command. The module is written in C,
// in hsm/testdata/faulty, where its faults are described; it forwards to a real one.
package hsmtest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faulty is a copy of the faulty module with a control file and a log of its own.
type Faulty struct {
	// Module is the path of the library.
	Module string
	// Env is the environment a process needs that loads it.
	Env []string

	control, log string

	mu sync.Mutex
	id int
}

// New builds a faulty module in front of real, the path of a PKCS#11 library. Without a C compiler
// the test is skipped, or fails when MOHOR_TEST_REQUIRE is all.
func New(t testing.TB, real string) *Faulty {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("cc is required: %v", err)
		}
		t.Skipf("cc is missing: %v", err)
	}
	// The headers are those the product is built with.
	dirs, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/mohor-sign/mohor", "github.com/miekg/pkcs11").Output()
	where := strings.Fields(string(dirs))
	if err != nil || len(where) != 2 {
		t.Fatalf("finding sources: %q, %v", dirs, err)
	}
	dir := t.TempDir()
	f := &Faulty{Module: filepath.Join(dir, "faulty.so"), control: filepath.Join(dir, "control"), log: filepath.Join(dir, "log")}
	out, err := exec.Command(cc, "-shared", "-fPIC", "-pthread", "-O1", "-Wall", "-Werror", "-Wl,-z,nodelete", "-I", where[1],
		"-o", f.Module, filepath.Join(where[0], "hsm", "testdata", "faulty", "faulty.c"), "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("building the faulty module: %v\n%s", err, out)
	}
	f.Env = []string{"MOHOR_FAULTY_MODULE=" + real, "MOHOR_FAULTY_CONTROL=" + f.control, "MOHOR_FAULTY_LOG=" + f.log}
	return f
}

// Here prepares this process to load the module.
func (f *Faulty) Here(t *testing.T) {
	t.Helper()
	for _, e := range f.Env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// Set puts faults in force in place of those before, as "hang C_Sign 3"; without any, all end.
func (f *Faulty) Set(t testing.TB, faults ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var b bytes.Buffer
	for _, fault := range faults {
		f.id++
		fmt.Fprintln(&b, f.id, fault)
	}
	err := os.WriteFile(f.control+".new", b.Bytes(), 0o600)
	if err := errors.Join(err, os.Rename(f.control+".new", f.control)); err != nil {
		t.Fatal(err)
	}
}

// Forget empties the log.
func (f *Faulty) Forget(t testing.TB) {
	t.Helper()
	if err := os.Truncate(f.log, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Call is a call of the module, or the moment a fault set in: its Function is "fault:" and the fault.
type Call struct {
	At       time.Time // when it came back
	PID      int
	Function string
	Asked    bool // the real module was asked, and gave Real
	Real     uint
	Told     uint   // what the caller got
	Input    []byte // of C_Sign: its first 64 bytes
}

// Calls are those of the functions named, in the order in which they came back; a name that ends in
// a colon stands for all that begin so. Questions for the length of an output are not among them.
func (f *Faulty) Calls(t testing.TB, functions ...string) (calls []Call) {
	t.Helper()
	b, err := os.ReadFile(f.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1] // a line may be under way
	want := make(map[string]bool)
	for _, name := range functions {
		want[name] = true
	}
	for line := range strings.Lines(string(b)) {
		w := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(w) != 6 {
			t.Fatalf("line of the log: %q", line)
		}
		prefix, _, ok := strings.Cut(w[2], ":")
		if !want[w[2]] && !(ok && want[prefix+":"]) {
			continue
		}
		c, err := parseCall(w)
		if err != nil {
			t.Fatalf("line of the log: %q: %v", line, err)
		}
		calls = append(calls, c)
	}
	return calls
}

func parseCall(w []string) (c Call, err error) {
	number := func(s string, base int) (n uint64) {
		n, e := strconv.ParseUint(s, base, 64)
		err = errors.Join(err, e)
		return n
	}
	c.At, c.PID, c.Function = time.UnixMicro(int64(number(w[0], 10))), int(number(w[1], 10)), w[2]
	if w[3] != "-" {
		c.Asked, c.Real = true, uint(number(w[3], 0))
	}
	c.Told = uint(number(w[4], 0))
	input, e := hex.DecodeString(w[5])
	c.Input = input
	return c, errors.Join(err, e)
}
