// Package raster makes a picture of a PDF page with pdftoppm (poppler-utils), which
// runs as a process of its own: nothing that draws pages is in ours. Where it is not
// installed there are no pictures.
package raster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"
)

// ErrAbsent means that pdftoppm is not installed.
var ErrAbsent = errors.New("pdftoppm is not installed")

// ErrNoPage means that the document has not so many pages.
var ErrNoPage = errors.New("there is no such page")

// wrongPages is how pdftoppm exits when it is asked for a page that there is not.
const wrongPages = 99

// Bounds of a run.
const (
	maxTime    = 20 * time.Second
	maxPicture = 16 << 20 // bytes
)

// busy bounds the runs at a time: each takes a core.
var busy = make(chan struct{}, 2)

// PNG draws a page, the first being 1, at so many dots an inch. The program gets no
// file, no environment, 15 seconds of processor time and a gigabyte of addresses.
func PNG(ctx context.Context, pdf io.Reader, page, dpi int) ([]byte, error) {
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		return nil, ErrAbsent
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	select {
	case busy <- struct{}{}:
		defer func() { <-busy }()
	case <-ctx.Done():
		return nil, fmt.Errorf("drawing page: %w", ctx.Err())
	}
	p := strconv.Itoa(page)
	c := exec.CommandContext(ctx, "/bin/sh", "-c", `ulimit -t 15 && ulimit -v 1048576 && exec "$0" "$@"`, tool, "-png", "-r", strconv.Itoa(dpi), "-f", p, "-l", p, "-")
	c.Env, c.Stdin = []string{"LC_ALL=C"}, pdf
	out, complaint := limited{left: maxPicture}, limited{left: 1 << 10}
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		if exited(c) == wrongPages {
			err = ErrNoPage
		}
		return nil, fmt.Errorf("drawing page: %w: %q", errors.Join(err, ctx.Err()), complaint.String())
	}
	if !bytes.HasPrefix(out.Bytes(), []byte("\x89PNG")) {
		return nil, fmt.Errorf("drawing page: %w", ErrNoPage)
	}
	return out.Bytes(), nil
}

// exited is how a program exited, -1 if it did not run.
func exited(c *exec.Cmd) int {
	if c.ProcessState == nil {
		return -1
	}
	return c.ProcessState.ExitCode()
}

// limited keeps what is written, up to a bound.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, errors.New("picture too large")
	}
	return l.Buffer.Write(b)
}
