// Package health watches a gateway's parts and keeps the alarms about them. Checks are
// made in the background, each on its own, so that who asks how the gateway is costs
// nothing and waits for nobody, and a part that hangs keeps no other from being seen.
package health

import (
	"context"
	"maps"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// State is what a check found.
type State string

// The states: Unknown is what could not be asked.
const (
	OK      State = "ok"
	Warn    State = "warn"
	Fail    State = "fail"
	Unknown State = "unknown"
)

// Value is one thing that was measured, of one of several where Of says of which: a number with
// its unit, a word, or a time.
type Value struct {
	Name   string
	Of     string
	Number float64
	Unit   string // "" for what is no number
	Text   string
	Time   time.Time
}

// Finding is the outcome of a check. Code and Args choose the words, see [Say].
type Finding struct {
	State  State
	Code   string
	Args   map[string]string
	Values []Value
}

// Check looks at one part.
type Check struct {
	ID, Group string
	// Shared: it is of a thing that all gateways of one database have in common. They have one
	// alarm about it, which lasts for as long as one of them sees the fault.
	Shared bool
	// Every is the time between two looks, Within how long one may take.
	Every, Within time.Duration
	// Silent is the code of the fault when a look does not come back; "": it is unknown.
	Silent string
	// Ask looks. Of one check no two run at once.
	Ask func(ctx context.Context) Finding
}

// Report is what is known of a check now.
type Report struct {
	ID, Group string
	Finding
	Since time.Time     // of the state
	At    time.Time     // of the last look; zero before the first
	Took  time.Duration // the last look
}

// Alarm is a fault that somebody must see to, or an event that should not have been.
type Alarm struct {
	ID        string
	Check     string // or the event's kind: see [Events]
	Node      string // "" for what all gateways share
	Object    string // what an event is about; "" for a check
	Code      string
	Args      map[string]string
	RaisedAt  time.Time
	HeldAt    time.Time // when a gateway said last that it sees the fault, by its clock
	ClearedAt time.Time // zero while it lasts
	By        string    // who acknowledged it; "" for nobody yet
	SeenAt    time.Time // when that was
	Note      string
}

// Events are the audit's actions that raise an alarm with their own transaction, and the
// check that the alarm goes by. It lasts until it is acknowledged.
func Events() map[string]string {
	return map[string]string{"signer.alarm": "signing", "transaction.disown": "disowned"}
}

// Records keeps alarms. Each call is durable when it returns nil; ev is a part of its transaction.
// Gateways that share a database share the alarms.
type Records interface {
	// OpenAlarms lists those that last, the newest first, two hundred at most.
	OpenAlarms(ctx context.Context) ([]Alarm, error)
	// RaiseAlarm adds one unless there is one of its check, node and object already.
	RaiseAlarm(ctx context.Context, a Alarm, ev audit.Event) error
	// ClearAlarm ends one that lasts; nothing when it does not.
	ClearAlarm(ctx context.Context, id string, ev audit.Event) error
	// ConfirmAlarms notes that the node still sees its alarms, at most once a minute.
	ConfirmAlarms(ctx context.Context, node string, at time.Time) error
	// HoldAlarm notes that a gateway sees the fault of an alarm that all share; nothing when it
	// does not last.
	HoldAlarm(ctx context.Context, id string, at time.Time) error
	// DesertedAlarms lists those that their node has not confirmed since before.
	DesertedAlarms(ctx context.Context, before time.Time) ([]Alarm, error)
	// TellAlarms puts a mail to each of to into the outbox for each alarm that was not told yet.
	TellAlarms(ctx context.Context, to []string, at time.Time) error
}

// Number is a value with its unit.
func Number[N int | int64 | uint64 | float64](name string, n N, unit string) Value {
	return Value{Name: name, Number: float64(n), Unit: unit}
}

// Text is a value in words.
func Text(name, s string) Value { return Value{Name: name, Text: s} }

// At is a value that is a time.
func At(name string, t time.Time) Value { return Value{Name: name, Time: t} }

// About is v of one of several.
func (v Value) About(of string) Value {
	v.Of = of
	return v
}

// Worst is the worst of the states; Unknown is better than Warn.
func Worst(states ...State) State {
	rank := map[State]int{OK: 0, Unknown: 1, Warn: 2, Fail: 3}
	worst := OK
	for _, s := range states {
		if rank[s] > rank[worst] {
			worst = s
		}
	}
	return worst
}

// Words are the arguments of its words.
func (a *Alarm) Words() map[string]string {
	args := maps.Clone(a.Args)
	if args == nil {
		args = map[string]string{}
	}
	if a.Object != "" {
		args["object"] = a.Object
	}
	return args
}
