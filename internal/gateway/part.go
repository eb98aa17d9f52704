package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A Part starts this program once more for a part of its work that may not come
// back: calls into a PKCS#11 module, which can hang and can take the process
// with them.
type Part func(ctx context.Context) *exec.Cmd

// partOut is where a part writes its lines. Not standard output: modules print.
const partOut = 3

// openPart gives a part its output.
func openPart() (io.WriteCloser, error) {
	f := os.NewFile(partOut, "part")
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		return nil, errors.New("this command is started by mohor itself")
	}
	return f, nil
}

// errHung: a part said nothing for too long and was killed.
var errHung = errors.New("no answer")

// runPart runs a part, hands it input and calls line for each line it writes,
// until it ends. It is killed when it says nothing for patience. The error says
// how it ended, if not well.
func runPart(ctx context.Context, part Part, input []byte, patience time.Duration, line func([]byte) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting a part: %w", err)
	}
	defer r.Close()
	said := &head{}
	cmd := part(ctx)
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(input), said, []*os.File{w}
	// A grandchild that a module started must not keep us waiting.
	cmd.WaitDelay = time.Second
	err = errors.Join(cmd.Start(), w.Close())
	if err != nil {
		return fmt.Errorf("starting a part: %w", err)
	}
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			select {
			case lines <- bytes.Clone(in.Bytes()):
			case <-ctx.Done():
				return
			}
		}
	}()
	err = listen(ctx, lines, patience, line)
	if err != nil {
		stop() // kills it
	}
	// Having said all it ends at once, unless the module holds it up even then.
	defer time.AfterFunc(patience, stop).Stop()
	ended := cmd.Wait()
	if err != nil {
		return err
	}
	if ended != nil && !errors.Is(ended, context.Canceled) {
		return fmt.Errorf("%w%s", ended, said.reason())
	}
	return nil
}

// listen ends when the part has closed its output.
func listen(ctx context.Context, lines <-chan []byte, patience time.Duration, line func([]byte) error) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case b, ok := <-lines:
			if !ok {
				return nil
			}
			if err := line(b); err != nil {
				return err
			}
			timer.Reset(patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%w in %v", errHung, patience)
		}
	}
}

// head keeps the beginning of what is written to it.
type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), 4096-len(h.kept))]...)
	return len(p), nil
}

// reason is the line in which Go's runtime, or our own program, says why it ended.
func (h *head) reason() string {
	for line := range strings.Lines(string(h.kept)) {
		for _, begins := range []string{"SIG", "fatal error: ", "panic: ", "mohor: "} {
			if strings.HasPrefix(line, begins) {
				return " (" + strings.TrimSpace(strings.TrimPrefix(line, "mohor: ")) + ")"
			}
		}
	}
	return ""
}
