package pdfbench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Task is what a contender is told first, in a line of JSON. It answers with
// a Slice that has its memory before it has done anything.
type Task struct {
	What         string    `json:"what"`
	Document     string    `json:"document"`
	Output       string    `json:"output"`
	Key          string    `json:"key"`          // PKCS #8, PEM
	Certificates string    `json:"certificates"` // PEM, the signer's first; for verifying the roots
	Jobs         int       `json:"jobs"`
	Now          time.Time `json:"now"`
	// Token has the key in the place of Key, for other programs.
	Token *Token `json:"token,omitempty"`
}

// Token is where the key of other programs is: a PKCS #11 token and its key by their labels.
type Token struct {
	Module  string `json:"module"`
	Label   string `json:"label"`
	PINFile string `json:"pin_file"`
	Key     string `json:"key"`
}

// turn asks for a slice of the length given.
type turn struct {
	Seconds float64 `json:"seconds"`
}

// Slice is what was done in a turn: at least one document.
type Slice struct {
	Documents  int     `json:"documents"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_seconds"`
	Allocs     uint64  `json:"allocs"`
	Bytes      uint64  `json:"bytes"`
	Operations int64   `json:"operations"`
	Peak       int64   `json:"peak_rss"` // bytes
	Err        string  `json:"err,omitempty"`
}

func (s Slice) rate() float64 { return float64(s.Documents) / s.Seconds }

// perDocument is CPU in milliseconds.
func (s Slice) perDocument() float64 { return s.CPU * 1000 / float64(s.Documents) }

type child struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Reader
	complaint bytes.Buffer
	empty     int64 // peak RSS before the first document
}

func start(ctx context.Context, cmd *exec.Cmd, task Task) (*child, error) {
	c := &child{cmd: cmd}
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out, cmd.Stderr = bufio.NewReader(out), &c.complaint
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = c.in.Close() })
	s, err := c.ask(task)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.empty = s.Peak
	return c, nil
}

func (c *child) ask(question any) (s Slice, err error) {
	if err := json.NewEncoder(c.in).Encode(question); err != nil {
		return s, fmt.Errorf("%w: %s", err, strings.TrimSpace(c.complaint.String()))
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, strings.TrimSpace(c.complaint.String()))
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return s, fmt.Errorf("%w: %.200s", err, line)
	}
	if s.Err != "" {
		return s, errors.New(s.Err)
	}
	return s, nil
}

func (c *child) slice(d time.Duration) (Slice, error) {
	s, err := c.ask(turn{d.Seconds()})
	if err == nil && (s.Documents < 1 || s.Seconds <= 0) {
		err = errors.New("nothing was done")
	}
	return s, err
}

func (c *child) stop() error {
	_ = c.in.Close() // it ends at the end of its input
	return c.cmd.Wait()
}

// Serve is the contender's side, for what this package does itself: it reads
// a Task and turns, and answers each.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines, answers := json.NewDecoder(in), json.NewEncoder(out)
	var task Task
	if err := lines.Decode(&task); err != nil {
		return fmt.Errorf("reading task: %w", err)
	}
	peak, err := peakRSS()
	if err != nil {
		return err
	}
	if err := answers.Encode(Slice{Peak: peak}); err != nil {
		return err
	}
	do, operations, err := task.worker()
	if err != nil {
		return answers.Encode(Slice{Err: err.Error()})
	}
	for ctx.Err() == nil {
		var t turn
		if err := lines.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading turn: %w", err)
		}
		s, err := measure(ctx, do, operations, max(task.Jobs, 1), time.Duration(t.Seconds*float64(time.Second)))
		if err != nil {
			s = Slice{Err: err.Error()}
		}
		if err := answers.Encode(s); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// measure calls do over and over in as many goroutines as jobs.
func measure(ctx context.Context, do func(context.Context) error, operations func() int64, jobs int, length time.Duration) (s Slice, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, err := cpuTime()
	if err != nil {
		return s, err
	}
	done := operations()
	begin := time.Now()
	var mu sync.Mutex
	var group sync.WaitGroup
	for range jobs {
		group.Go(func() {
			n := 0
			var failed error
			for failed == nil && (n == 0 || time.Since(begin) < length) {
				failed = do(ctx)
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			s.Documents += n
			err = errors.Join(err, failed)
		})
	}
	group.Wait()
	s.Seconds = time.Since(begin).Seconds()
	used, failed := cpuTime()
	runtime.ReadMemStats(&after)
	s.CPU, s.Operations = (used - cpu).Seconds(), operations()-done
	s.Allocs, s.Bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	peak, unknown := peakRSS()
	s.Peak = peak
	return s, errors.Join(err, failed, unknown)
}

func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// peakRSS is the most memory this process had, in bytes. Getrusage would give
// that of the process that started it, if it was larger.
func peakRSS() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading memory use: %w", err)
	}
	_, line, _ := strings.Cut(string(b), "VmHWM:")
	var kB int64
	if _, err := fmt.Sscan(line, &kB); err != nil {
		return 0, fmt.Errorf("reading memory use: %w", err)
	}
	return kB << 10, nil
}

// processor is the name of the CPU, empty where nobody knows it.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, line, _ := strings.Cut(string(b), "model name")
	name, _, _ := strings.Cut(line, "\n")
	return strings.TrimLeft(name, "\t :")
}

//go:embed pyhanko.py
var pyHankoScript string

// PyHankoCommand starts pyHanko as a contender, with a Python that has it.
func PyHankoCommand(python string) *exec.Cmd { return exec.Command(python, "-c", pyHankoScript) }
