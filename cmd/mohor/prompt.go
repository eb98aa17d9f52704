package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/mohor-sign/mohor/internal/secret"
)

// ask reads a secret without echo from a terminal, or a line from a pipe.
func (e *env) ask(what string) (secret.Text, error) {
	fmt.Fprintf(e.stderr, "%s: ", what)
	if f, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.stderr)
		if err != nil {
			return secret.Text{}, fmt.Errorf("reading %s: %w", what, err)
		}
		return secret.NewBytes(b), nil
	}
	fmt.Fprintln(e.stderr)
	line, err := readLine(e.stdin)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading %s: %w", what, err)
	}
	return secret.New(line), nil
}

// readLine reads up to a newline, a byte at a time: nothing behind it is taken
// from whoever reads next.
func readLine(r io.Reader) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < 4096 {
		n, err := r.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				return strings.TrimSuffix(string(line), "\r"), nil
			}
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", bufio.ErrTooLong
}

// secretFile reads a file with one secret on its first line.
func secretFile(path string) (secret.Text, error) {
	f, err := os.Open(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading secret: %w", err)
	}
	defer f.Close()
	line, err := readLine(f)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading secret %s: %w", path, err)
	}
	return secret.New(line), nil
}

// progress shows a bar on a terminal and plain lines, at most ten, elsewhere.
type progress struct {
	w     io.Writer
	what  string
	total int
	bar   *progressbar.ProgressBar
	said  int
	aside string // rate and time left, as they are told
}

func (e *env) progress(what string, total int) *progress {
	return e.bar(what, total, progressbar.OptionShowIts())
}

// told is progress whose rate and end somebody else knows better: see say.
func (e *env) told(what string, total int) *progress {
	return e.bar(what, total, progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
}

func (e *env) bar(what string, total int, more ...progressbar.Option) *progress {
	p := &progress{w: e.stderr, what: what, total: total}
	if f, ok := e.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(total, append([]progressbar.Option{progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(e.stderr), progressbar.OptionThrottle(50 * time.Millisecond),
			progressbar.OptionShowCount(), progressbar.OptionOnCompletion(func() { fmt.Fprintln(e.stderr) })}, more...)...)
	}
	return p
}

// say sets what stands beside the counts.
func (p *progress) say(aside string) {
	p.aside = aside
	if p.bar == nil {
		return
	}
	if aside != "" {
		aside = ", " + aside
	}
	p.bar.Describe(p.what + aside)
}

func (p *progress) at(n int) {
	if p.bar != nil {
		_ = p.bar.Set(n) // a bar that cannot be drawn is no failure
		return
	}
	if n > p.said && (n == p.total || (n-p.said)*10 >= p.total) {
		aside := p.aside
		if aside != "" && n < p.total {
			aside = ", " + aside
		} else {
			aside = ""
		}
		fmt.Fprintf(p.w, "mohor: %s %d of %d%s\n", p.what, n, p.total, aside)
		p.said = n
	}
}
