package corpus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// prepare opens a document and prepares a signature.
func prepare(r io.ReaderAt, size int64) error {
	d, err := pdf.Open(r, size)
	if err != nil {
		return err
	}
	_, err = d.Prepare(pdf.Options{Time: time.Unix(1_800_000_000, 0)})
	return err
}

// verdict is what the verifier says.
func verdict(r io.ReaderAt, size int64) (verify.Verdict, error) {
	report, err := verify.Verify(context.Background(), r, size, verify.Options{Now: time.Unix(1_800_000_000, 0)})
	if err != nil {
		return "", err
	}
	return report.Verdict, nil
}

// refused checks that the refusal is one of those wanted and says why.
func refused(t *testing.T, c corpus.Case, err error) {
	t.Helper()
	if len(c.Refusals) == 0 && (err == nil || isRefusal(err)) {
		return
	}
	if !slices.ContainsFunc(c.Refusals, func(want syntax.Sentinel) bool { return errors.Is(err, want) }) {
		t.Errorf("%v, want %v", err, c.Refusals)
		return
	}
	var refused *pdf.Error
	if !errors.As(err, &refused) || refused.Detail == "" {
		t.Errorf("%v is no *pdf.Error with a detail", err)
	}
}

func TestCorpusRefused(t *testing.T) {
	groups := map[string]int{}
	for _, c := range corpus.Broken() {
		groups[c.Group]++
		t.Run(c.Name, func(t *testing.T) {
			before := cpu(t, syscall.RUSAGE_SELF)
			r, size := c.Open()
			refused(t, c, prepare(r, size))
			if v, err := verdict(r, size); err != nil || v == verify.Valid {
				t.Errorf("verdict %s, %v", v, err)
			}
			if used := cpu(t, syscall.RUSAGE_SELF) - before; used > time.Second*slower {
				t.Errorf("took %v", used)
			}
		})
	}
	t.Logf("%v", groups)
}

func cpu(t *testing.T, who int) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Limits of a process that reads a bomb.
const (
	childMemory = 512 << 20
	childCPU    = 5 // seconds

	childFile     = "MOHOR_CORPUS_FILE"
	childVerifies = "MOHOR_CORPUS_VERIFY"
)

// fate is what became of a document in a process of its own.
type fate struct {
	Refusal string        `json:"refusal"`
	Code    string        `json:"code"`
	Verdict string        `json:"verdict"`
	Err     string        `json:"err"`
	CPU     time.Duration `json:"cpu"`
	RSS     int64         `json:"rss"` // peak above that of the empty process, in kB
}

// TestChild is the process: it is started by TestBombs alone.
func TestChild(t *testing.T) {
	name := os.Getenv(childFile)
	if name == "" {
		return
	}
	limit(t)
	cpuBefore, rssBefore := cpu(t, syscall.RUSAGE_SELF), peak(t)
	var r io.ReaderAt
	var size int64
	if i := slices.IndexFunc(corpus.Sparses(), func(c corpus.Case) bool { return c.Name == name }); i >= 0 {
		r, size = corpus.Sparses()[i].Open()
	} else {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		r, size = f, info.Size()
	}
	var out fate
	if os.Getenv(childVerifies) != "" {
		v, err := verdict(r, size)
		if out.Verdict = string(v); err != nil {
			out.Err = err.Error()
		}
	} else {
		var e *pdf.Error
		if err := prepare(r, size); errors.As(err, &e) {
			out.Code, out.Refusal = e.Code, err.Error()
		} else {
			out.Err = fmt.Sprint(err)
		}
	}
	out.CPU, out.RSS = cpu(t, syscall.RUSAGE_SELF)-cpuBefore, peak(t)-rssBefore
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("fate %s\n", b)
}

// peak is the most memory this process had, in kB. Getrusage would give that
// of the process that started it.
func peak(t *testing.T) (kB int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(b), "VmHWM:")
	if _, err := fmt.Sscan(line, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// limit bounds this process: memory beyond what the runtime has reserved, and
// processor time.
func limit(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		t.Fatal(err)
	}
	memory := pages*uint64(os.Getpagesize()) + childMemory*slower
	for _, l := range []struct {
		what int
		n    uint64
	}{{syscall.RLIMIT_AS, memory}, {syscall.RLIMIT_CPU, childCPU * slower}} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.n, Max: l.n}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBombs gives each bomb to a process under limits: it is refused well
// within them.
func TestBombs(t *testing.T) {
	var worst fate
	for _, c := range corpus.Bombs() {
		t.Run(c.Name, func(t *testing.T) {
			f := try(t, c, "")
			if !c.Either && (!slices.ContainsFunc(c.Refusals, func(want syntax.Sentinel) bool { return f.Code == string(want) }) || f.Err != "") {
				t.Errorf("%+v, want %v", f, c.Refusals)
			}
			v := try(t, c, "yes")
			if v.Err != "" || v.Verdict == string(verify.Valid) || v.Verdict == "" {
				t.Errorf("verdict %+v", v)
			}
			for _, f := range []fate{f, v} {
				worst.CPU, worst.RSS = max(worst.CPU, f.CPU), max(worst.RSS, f.RSS)
			}
			t.Logf("%v, %d MB, verifying %v, %d MB: %s", f.CPU.Round(time.Millisecond), f.RSS>>10, v.CPU.Round(time.Millisecond), v.RSS>>10, f.Refusal)
		})
	}
	t.Logf("worst: %v, %d MB", worst.CPU, worst.RSS>>10)
}

func try(t *testing.T, c corpus.Case, verifies string) (f fate) {
	t.Helper()
	name := c.Name
	if c.Sparse == nil {
		name = pdftest.Write(t, "bomb.pdf", c.Data)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childFile+"="+name, childVerifies+"="+verifies)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (verifying: %q)\n%.300s", err, verifies, out)
	}
	_, line, ok := strings.Cut(string(out), "fate ")
	if !ok {
		t.Fatalf("no answer: %s", out)
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(line))).Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}
