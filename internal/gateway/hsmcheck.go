package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// ModuleCheck says which PKCS#11 module [CheckModule] examines.
type ModuleCheck struct {
	Module   string        `json:"module"`   // path of the library
	Token    string        `json:"token"`    // label of the token
	Reserved string        `json:"reserved"` // pReserved of C_Initialize, for NSS
	From     int           `json:"from"`     // first row, for the part
	PIN      secret.Text   `json:"-"`
	Patience time.Duration `json:"-"` // for one row; 0 means 2 minutes
	Part     Part          `json:"-"` // runs ModuleCheckPart
}

// ModuleRow is what was asked of the module and what came of it.
type ModuleRow = hsm.Conformance

// ModuleReport is the verdict about a module.
type ModuleReport struct {
	Usable  bool        `json:"usable"`
	Reasons []string    `json:"reasons"` // why not, a row each
	Rows    []ModuleRow `json:"rows"`
}

// rowLine is what the part writes: a row begins, or has ended.
type rowLine struct {
	Row  int        `json:"row"`
	Done *ModuleRow `json:"done,omitempty"`
}

// mostFalls is how often a module may crash or hang before the rest is not run.
const mostFalls = 5

// CheckModule takes a module through the whole custody of keys and calls report
// after each row that was run. The module runs in a process of its own: when that crashes or
// hangs, the row says so and another process goes on behind it.
func CheckModule(ctx context.Context, m ModuleCheck, report func(ModuleRow)) (ModuleReport, error) {
	if m.Patience == 0 {
		m.Patience = 2 * time.Minute
	}
	out := ModuleReport{Rows: hsm.ConformanceRows()}
	next, falls := 0, 0
	for next < len(out.Rows) && falls < mostFalls {
		at, ended, err := m.rows(ctx, next, func(i int, r ModuleRow) {
			out.Rows[i] = r
			report(r)
		})
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err == nil {
			break
		}
		if ended { // nothing was asked of the module when it fell
			return out, fmt.Errorf("checking module: %w", err)
		}
		r := &out.Rows[at]
		r.Verdict, r.Detail = hsm.Crashed, err.Error()
		if errors.Is(err, errHung) {
			r.Verdict = hsm.Hung
		}
		report(*r)
		falls++
		if next = at + 1; at < hsm.ConformanceFoundation {
			break
		}
		if next == len(out.Rows) { // removes what is left
			_, _, _ = m.rows(ctx, next, func(int, ModuleRow) {})
		}
	}
	out.Usable = true
	for _, r := range out.Rows {
		out.Usable = out.Usable && r.Good()
		if !r.Good() && r.Verdict != hsm.NotRun {
			out.Reasons = append(out.Reasons, r.Row+": "+r.Verdict)
		}
	}
	return out, nil
}

// rows runs the part from a row on. at is the last row it began, ended whether
// that row ended, or none began.
func (m ModuleCheck) rows(ctx context.Context, from int, done func(int, ModuleRow)) (at int, ended bool, err error) {
	m.From = from
	input, err := json.Marshal(m)
	if err != nil {
		return 0, true, err
	}
	input = append(append(input, '\n'), m.PIN.Reveal()...)
	defer clear(input)
	ended = true
	err = runPart(ctx, m.Part, input, m.Patience, func(b []byte) error {
		var l rowLine
		if err := json.Unmarshal(b, &l); err != nil {
			return fmt.Errorf("reading the part's answer: %w", err)
		}
		at, ended = l.Row, l.Done != nil
		if l.Done != nil {
			done(l.Row, *l.Done)
		}
		return nil
	})
	if err != nil && ended && at == len(hsm.ConformanceRows())-1 {
		err = nil // all is said; it fell when it ended
	}
	return at, ended, err
}

// ModuleCheckPart is the part of CheckModule in which the module runs.
func ModuleCheckPart(ctx context.Context, stdin io.Reader) error {
	out, err := openPart()
	if err != nil {
		return err
	}
	defer out.Close()
	input, err := io.ReadAll(io.LimitReader(stdin, 64<<10))
	if err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	defer clear(input)
	first, pin, _ := bytes.Cut(input, []byte("\n"))
	var m ModuleCheck
	if err := json.Unmarshal(first, &m); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	var failed error
	say := func(l rowLine) { failed = errors.Join(failed, json.NewEncoder(out).Encode(l)) }
	err = hsm.Conform(ctx, hsm.Probe{Module: m.Module, TokenLabel: m.Token, PIN: secret.NewBytes(pin), Reserved: m.Reserved}, m.From,
		func(row int) { say(rowLine{Row: row}) },
		func(row int, c hsm.Conformance) { say(rowLine{Row: row, Done: &c}) })
	return errors.Join(err, failed)
}
