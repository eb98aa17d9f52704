package apiload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/mohor-sign/mohor/internal/sandbox"
)

// atMost bounds a task beside what it is told to take.
const atMost = 10 * time.Minute

// Serve starts a mail server, says where it is, and does the tasks that come in as JSON
// until in ends; each is answered by a [Slice].
func Serve(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	box, err := sandbox.StartMailbox(time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	answers, tasks := json.NewEncoder(out), json.NewDecoder(in)
	if err := answers.Encode(greeting{box.Addr()}); err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1024}
	defer transport.CloseIdleConnections()
	l := &load{box: box, http: &http.Client{Transport: transport}}
	for {
		var t Task
		if err := tasks.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading task: %w", err)
		}
		s, err := l.do(ctx, &t)
		if err != nil {
			s = Slice{Err: err.Error()}
		}
		if err := answers.Encode(s); err != nil {
			return err
		}
	}
}

// do does one task.
func (l *load) do(ctx context.Context, t *Task) (Slice, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.Seconds*float64(time.Second))+atMost)
	defer cancel()
	if l.from != t.DevFile {
		dev, err := sandbox.ReadDevFile(t.DevFile)
		if err != nil {
			return Slice{}, err
		}
		l.dev, l.from = dev, t.DevFile
	}
	if len(l.dev.Officers) <= t.AtOnce { // the last one is the batch's
		return Slice{}, fmt.Errorf("%d officers for %d at once", len(l.dev.Officers), t.AtOnce)
	}
	l.latency = map[string][]float64{}
	start := time.Now()
	s := Slice{}
	var err error
	switch t.Kind {
	case Medium:
		s.Ops, err = l.closed(ctx, t, l.medium)
	case Sign:
		s.Ops, err = l.closed(ctx, t, func(ctx context.Context, o *sandbox.DevOfficer) error {
			return l.pair(ctx, o, t, time.Now())
		})
	case Prepare:
		s.Ops, err = t.Documents, l.prepare(ctx, t)
	case Steady:
		err = l.steady(ctx, t, &s)
	default:
		err = fmt.Errorf("reading task: unknown kind %q", t.Kind)
	}
	s.Seconds, s.Latency = time.Since(start).Seconds(), l.latency
	return s, err
}
