// Package audit is the hash-chained record of every verdict the gateway gives:
// actor, action, object, verdict. It is pure: it computes and checks hashes
// and does no I/O. The store appends records in the transaction of the deed
// they tell of; the gateway has the head signed in the HSM every minute and
// copies it off the machine.
//
// Record hash = SHA-256("mohor audit record v3\n" ‖ prev ‖ commitment), where commitment =
// SHA-256("mohor audit body v3\n" ‖ salt ‖ body), body is the canonical JSON of the event (fixed
// field order, detail keys sorted) and salt are 32 random bytes, kept as secret as the event: one
// who sees hashes alone cannot try out who an event was about, and a chain can be shown with
// some of its events reduced to their commitments, each link to be checked (Export). The length of
// the salt is the version: records of the second have 16 bytes and are
// SHA-256("mohor audit record v2\n" ‖ salt ‖ prev ‖ body), those of the first none, and the prefix
// "mohor audit record v1\n". Record 1 has a prev of 32 zero bytes.
package audit

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Verdicts. A refusal carries the stable error code of the API in
// Event.Detail["code"].
const (
	Accepted = "accepted"
	Refused  = "refused"
	Noted    = "noted" // a fact without a decision: a start, a head, an alarm
)

// Event is one verdict. It must never hold a PIN, a code or key material.
type Event struct {
	// At is the time of the verdict, UTC, kept to the microsecond.
	At time.Time
	// Actor is who asked: "app:<id>", "officer:<ic>", "cli:<user>", "gateway";
	// "officer:link" is whoever had the link in an officer's mail.
	Actor string
	// Action is the verb: "otp.issue", "signer.authorize", "batch.seal" …
	Action string
	// Object is what it was about: a transaction, batch, credential, serial.
	Object string
	// Verdict is Accepted, Refused or Noted.
	Verdict string
	// RequestID joins the event with the log lines of the same request.
	RequestID string
	// Detail holds small facts, at most a few hundred bytes in all; see Tell for longer ones.
	Detail map[string]string
}

// maxText bounds each text of a record, in characters.
const maxText = 200

// Tell puts into Detail, which is not nil, a text that a record would cut, whole: what is behind
// the first 200 characters stands under name.2, name.3 and so on.
func (e *Event) Tell(name, text string) {
	key := name
	for n, r := 2, []rune(text); ; n, key = n+1, fmt.Sprintf("%s.%d", name, n) {
		part := r[:min(len(r), maxText)]
		e.Detail[key] = string(part)
		if r = r[len(part):]; len(r) == 0 {
			return
		}
	}
}

// SaltSize is the length of a record's salt in bytes, saltSize2 that of version 2.
const (
	SaltSize  = 32
	saltSize2 = 16
)

// Record is an event with its place in the chain.
type Record struct {
	Event
	Salt []byte // SaltSize random bytes; 16 in a record of version 2, none in one of version 1
	Seq  int64  // from 1, without gaps
	Prev [32]byte
	Hash [32]byte
}

// body fixes the order of the hashed fields.
type body struct {
	Seq     int64             `json:"seq"`
	At      string            `json:"at"`
	Actor   string            `json:"actor"`
	Action  string            `json:"action"`
	Object  string            `json:"object"`
	Verdict string            `json:"verdict"`
	Request string            `json:"request"`
	Detail  map[string]string `json:"detail"`
}

// timeLayout keeps microseconds, so that a time survives every database.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func (r *Record) sum() [32]byte {
	if len(r.Salt) == SaltSize {
		return Link(r.Prev, r.Commitment())
	}
	h := sha256.New()
	if len(r.Salt) == 0 {
		h.Write([]byte("mohor audit record v1\n"))
	} else {
		h.Write([]byte("mohor audit record v2\n"))
		h.Write(r.Salt)
	}
	h.Write(r.Prev[:])
	h.Write(r.body())
	return [32]byte(h.Sum(nil))
}

func (r *Record) body() []byte {
	detail := r.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	// encoding/json sorts map keys; a map[string]string cannot fail to encode.
	b, err := json.Marshal(body{r.Seq, r.At.UTC().Format(timeLayout), r.Actor, r.Action, r.Object, r.Verdict, r.RequestID, detail})
	if err != nil {
		panic("audit: impossible: " + err.Error())
	}
	return b
}

// Commitment is what the hash has of the record's content: it tells nothing without the salt. Only
// a record of version 3 can be shown by it (Hideable).
func (r *Record) Commitment() [32]byte {
	h := sha256.New()
	h.Write([]byte("mohor audit body v3\n"))
	h.Write(r.Salt)
	h.Write(r.body())
	return [32]byte(h.Sum(nil))
}

// Hideable says whether the record's hash is Link of what is before it and its commitment.
func (r *Record) Hideable() bool { return len(r.Salt) == SaltSize }

// Link is the hash of a record of version 3.
func Link(prev, commitment [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("mohor audit record v3\n"))
	h.Write(prev[:])
	h.Write(commitment[:])
	return [32]byte(h.Sum(nil))
}

// Next links event e behind the record (seq, hash); 0 and zeros for the first. Its
// salt are SaltSize random bytes; others make a record of an earlier version.
// What is not UTF-8, and every control character, becomes U+FFFD, and text is
// cut at 200 characters: some of it came from outside, and the record must read
// back as it was hashed.
func Next(seq int64, hash [32]byte, salt []byte, e Event) Record {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, s := range []*string{&e.Actor, &e.Action, &e.Object, &e.Verdict, &e.RequestID} {
		*s = tidy(*s)
	}
	if e.Detail != nil {
		d := make(map[string]string, len(e.Detail))
		for k, v := range e.Detail {
			d[tidy(k)] = tidy(v)
		}
		e.Detail = d
	}
	r := Record{Event: e, Salt: salt, Seq: seq + 1, Prev: hash}
	r.Hash = r.sum()
	return r
}

// tidy makes outside text fit for a record.
func tidy(s string) string {
	n := 0
	for k := range s {
		if n++; n > maxText {
			s = s[:k]
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// valid reports that all text is UTF-8. Other bytes would share their JSON, and
// so their hash, with one another.
func (e *Event) valid() bool {
	for _, s := range []string{e.Actor, e.Action, e.Object, e.Verdict, e.RequestID} {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return validDetail(e.Detail)
}

func validDetail(d map[string]string) bool {
	for k, v := range d {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// Intact reports that the record's content is what its hash was made of. Only a
// Verifier tells whether the record belongs to the chain.
func (r *Record) Intact() bool {
	return (len(r.Salt) == 0 || len(r.Salt) == saltSize2 || len(r.Salt) == SaltSize) && r.valid() && r.sum() == r.Hash
}

// ErrNotRecorded joins a refusal whose event could not be recorded: nobody may
// be told the verdict.
var ErrNotRecorded = errors.New("event not recorded")

// ErrBroken is matched by every failure of verification; the error itself is a
// *BrokenError that names the place.
var ErrBroken = errors.New("audit chain broken")

// BrokenError says where the chain stops being believable.
type BrokenError struct {
	Seq  int64  // the first record that cannot be believed
	What string // what is wrong with it
	// Kind is why the record by itself cannot be believed; "" where it is its place that does not fit.
	Kind string
}

// Kinds of faults of a record by itself, by which words are chosen.
const (
	Sealed  = "sealed"  // a part of it does not open: edited, moved, or under another key
	Clear   = "clear"   // a part of it is not encrypted
	Columns = "columns" // what stands in its place is no record
	Edited  = "edited"  // its content does not match its hash
	Missing = "missing" // there is none of its number
)

func (e *BrokenError) Error() string {
	return fmt.Sprintf("audit chain broken at record %d: %s", e.Seq, e.What)
}

// Is reports that every BrokenError is an ErrBroken.
func (e *BrokenError) Is(target error) bool { return target == ErrBroken }

// Verifier checks records in order, one Add each, then Finish. Its memory is
// the list of heads it was given. Heads must be in ascending order of Seq.
type Verifier struct {
	heads []Head
	seq   int64
	hash  [32]byte
}

// NewVerifier starts a verification against heads whose signatures have been
// checked (Head.Verify), as read from the off-box copy.
func NewVerifier(heads []Head) *Verifier { return &Verifier{heads: heads} }

// NewVerifierFrom starts behind a head already believed, so that a start-up
// check need only read what came since.
func NewVerifierFrom(h Head) *Verifier { return &Verifier{seq: h.Seq, hash: h.Hash} }

// Add checks the next record: its number, its link, its hash, and any head that
// names it.
func (v *Verifier) Add(r Record) error {
	switch {
	case r.Seq != v.seq+1:
		return &BrokenError{Seq: v.seq + 1, What: fmt.Sprintf("found record %d in its place (deleted or reordered)", r.Seq), Kind: Missing}
	case r.Prev != v.hash:
		return &BrokenError{Seq: r.Seq, What: "it does not link to the record before it"}
	case !r.Intact():
		return &BrokenError{Seq: r.Seq, What: "its content does not match its hash (edited)", Kind: Edited}
	}
	v.seq, v.hash = r.Seq, r.Hash
	for len(v.heads) > 0 && v.heads[0].Seq <= v.seq {
		h := v.heads[0]
		v.heads = v.heads[1:]
		if h.Seq == v.seq && h.Hash != v.hash {
			return &BrokenError{Seq: r.Seq, What: "it is not the record whose hash was signed at " + h.At.UTC().Format(time.RFC3339) + " (chain rewritten)"}
		}
	}
	return nil
}

// Finish reports records that signed heads promise and that were not given to
// Add (truncation), and returns the last record's number and hash.
func (v *Verifier) Finish() (seq int64, hash [32]byte, err error) {
	if len(v.heads) > 0 {
		return v.seq, v.hash, &BrokenError{Seq: v.seq + 1, What: fmt.Sprintf("missing; a head signed at %s covers %d records (truncated)",
			v.heads[0].At.UTC().Format(time.RFC3339), v.heads[len(v.heads)-1].Seq)}
	}
	return v.seq, v.hash, nil
}
