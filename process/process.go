// Package process knows the work processes of ICT systems: which roles sign a document of
// a process, in which order, and whether one authorisation may cover many of them. It is
// data: the list of iGFMAS is built in, and an administrator's file takes its place.
package process

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

//go:embed igfmas.csv
var igfmas []byte

// Bulk says whether one authorisation may cover several references of a process.
type Bulk string

// The values of Bulk.
const (
	BulkYes     Bulk = "yes"
	BulkNo      Bulk = "no"
	BulkUnknown Bulk = "" // nobody has said; it is allowed
)

// Process is one work process.
type Process struct {
	Code    string // unique within its system, as requests name it
	System  string // ICT system, as in media and certificates' use: "IGFMAS"
	Module  string // of the system; "" when nobody knows
	Client  string // with which the system's users do it: "Portal", "SAP GUI"
	Name    string // Malay
	English string // "" when there is no good one
	// Roles in the order in which they sign; none: no document of it is signed by role.
	Roles []string
	Bulk  Bulk
	Check bool // read with doubt from its source: to be checked against it
}

// Step is the place of a role in the order, from 1; 0 when it is none of the process.
func (p *Process) Step(role string) int { return slices.Index(p.Roles, role) + 1 }

// After is the role behind a step; "" behind the last.
func (p *Process) After(step int) string {
	if step < 0 || step >= len(p.Roles) {
		return ""
	}
	return p.Roles[step]
}

// List is the processes of all systems, which does not change.
type List struct{ all []Process }

// Builtin is the list of iGFMAS.
func Builtin() (*List, error) { return Read(bytes.NewReader(igfmas)) }

// Of lists the processes of a system in the order of the list.
func (l *List) Of(system string) []Process {
	var out []Process
	for _, p := range l.all {
		if p.System == system {
			out = append(out, p)
		}
	}
	return out
}

// Find gives a process of a system by its code.
func (l *List) Find(system, code string) (Process, bool) {
	if l == nil {
		return Process{}, false
	}
	k := slices.IndexFunc(l.all, func(p Process) bool { return p.System == system && p.Code == code })
	if k < 0 {
		return Process{}, false
	}
	return l.all[k], true
}

// columns are the header of a list, in its order.
const columns = "code,system,module,client,name_ms,name_en,roles,bulk,check"

// Most characters of a field, and rows of a list.
const (
	maxCode  = 32
	maxField = 200
	maxRows  = 10_000
)

// Error says where a list is wrong.
type Error struct {
	Row    int    // from 1, the header's
	Column string // "" for all of the row
	What   string
}

func (e *Error) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("row %d: %s", e.Row, e.What)
	}
	return fmt.Sprintf("row %d, column %s: %s", e.Row, e.Column, e.What)
}

// Read reads a list: CSV in UTF-8 (RFC 4180) with the header
//
//	code,system,module,client,name_ms,name_en,roles,bulk,check
//
// where roles are separated by ">" in their order, bulk is yes, no or empty for unknown, and
// check is yes or empty. *Error says what is wrong with it.
func Read(r io.Reader) (*List, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	l := &List{}
	seen := map[[2]string]int{}
	for row := 1; ; row++ {
		f, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &Error{Row: row, What: err.Error()}
		}
		if row == 1 {
			f[0] = strings.TrimPrefix(f[0], "\ufeff")
			if strings.Join(f, ",") != columns {
				return nil, &Error{Row: row, What: "the header must be " + columns}
			}
			continue
		}
		if row > maxRows {
			return nil, &Error{Row: row, What: fmt.Sprintf("at most %d rows are allowed", maxRows)}
		}
		p, err := parse(row, f)
		if err != nil {
			return nil, err
		}
		key := [2]string{p.System, p.Code}
		if first, twice := seen[key]; twice {
			return nil, &Error{row, "code", fmt.Sprintf("%q is in row %d already", p.Code, first)}
		}
		seen[key] = row
		l.all = append(l.all, p)
	}
	if len(l.all) == 0 {
		return nil, &Error{Row: 1, What: "there is no process"}
	}
	return l, nil
}

func parse(row int, f []string) (Process, error) {
	names := strings.Split(columns, ",")
	if len(f) != len(names) {
		return Process{}, &Error{Row: row, What: fmt.Sprintf("%d fields instead of %d", len(f), len(names))}
	}
	for k, v := range f {
		switch {
		case !utf8.ValidString(v) || strings.ContainsFunc(v, unprintable) || v != strings.TrimSpace(v):
			return Process{}, &Error{row, names[k], "it must be printable UTF-8 without spaces at its ends"}
		case utf8.RuneCountInString(v) > maxField:
			return Process{}, &Error{row, names[k], fmt.Sprintf("at most %d characters are allowed", maxField)}
		}
	}
	p := Process{Code: f[0], System: f[1], Module: f[2], Client: f[3], Name: f[4], English: f[5], Bulk: Bulk(f[7]), Check: f[8] == "yes"}
	for k, v := range []string{f[0], f[1]} {
		if v == "" || len(v) > maxCode || strings.ContainsFunc(v, outOfCode) {
			return p, &Error{row, names[k], fmt.Sprintf("it must have 1 to %d letters, digits, and - _ .", maxCode)}
		}
	}
	switch {
	case p.Name == "":
		return p, &Error{row, "name_ms", "it is missing"}
	case p.Bulk != BulkYes && p.Bulk != BulkNo && p.Bulk != BulkUnknown:
		return p, &Error{row, "bulk", "it must be yes, no or empty"}
	case f[8] != "" && f[8] != "yes":
		return p, &Error{row, "check", "it must be yes or empty"}
	case f[6] == "":
		return p, nil
	}
	for role := range strings.SplitSeq(f[6], ">") {
		switch {
		case role == "" || role != strings.TrimSpace(role) || utf8.RuneCountInString(role) > 64:
			return p, &Error{row, "roles", `each must have 1 to 64 characters, without spaces beside ">"`}
		case slices.Contains(p.Roles, role):
			return p, &Error{row, "roles", fmt.Sprintf("%q is there twice", role)}
		}
		p.Roles = append(p.Roles, role)
	}
	return p, nil
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }

func outOfCode(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}
