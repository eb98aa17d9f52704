package audit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

// chain makes n records.
func chain(n int) []audit.Record {
	out := make([]audit.Record, n)
	var last audit.Record
	for k := range out {
		last = audit.Next(last.Seq, last.Hash, salt(k), audit.Event{At: start.Add(time.Duration(k) * time.Second), Actor: fmt.Sprintf("app:%d", k%3), Action: "otp.issue",
			Object: fmt.Sprintf("tx_%d", k), Verdict: audit.Accepted, RequestID: fmt.Sprintf("r%d", k), Detail: map[string]string{"count": fmt.Sprint(k), "channel": "email"}})
		out[k] = last
	}
	return out
}

// salt has records of all versions in a chain.
func salt(k int) []byte {
	switch k % 4 {
	case 1:
		return nil
	case 2:
		return bytes.Repeat([]byte{byte(k)}, 16)
	}
	return bytes.Repeat([]byte{byte(k)}, audit.SaltSize)
}

func verify(records []audit.Record, heads []audit.Head) error {
	v := audit.NewVerifier(heads)
	for _, r := range records {
		if err := v.Add(r); err != nil {
			return err
		}
	}
	_, _, err := v.Finish()
	return err
}

func headsOf(records []audit.Record, every int) (out []audit.Head) {
	for k, r := range records {
		if (k+1)%every == 0 || k == len(records)-1 {
			out = append(out, audit.Head{Seq: r.Seq, Hash: r.Hash, At: r.At})
		}
	}
	return out
}

// The hash is pinned: SHA-256 over the prefix, 32 zeros and the JSON
// {"seq":1,"at":"2026-01-02T03:04:05.678901Z","actor":"app:a",…}, made with
// Python's hashlib.
func TestRecordHashIsPinned(t *testing.T) {
	r := audit.Next(0, [32]byte{}, nil, audit.Event{At: start.In(time.FixedZone("MYT", 8*3600)), Actor: "app:a", Action: "otp.issue", Object: "tx_1", Verdict: audit.Accepted,
		RequestID: "r1", Detail: map[string]string{"b": "2", "a": "1"}})
	if got := hex.EncodeToString(r.Hash[:]); got != "b262c5705f77f334f601d1f0c899a3cf21e8a718be022a4d6938590345bb9032" {
		t.Errorf("hash %s", got)
	}
	// With a salt: SHA-256 over the prefix of version 2, 16 bytes of 0x5a, 32 zeros and the same JSON.
	salted := audit.Next(0, [32]byte{}, bytes.Repeat([]byte{0x5a}, 16), r.Event)
	if got := hex.EncodeToString(salted.Hash[:]); got != "913a94e44f82c3c406f6aa170967ab5c1a2061d1d68764157af19ccf986758cf" {
		t.Errorf("hash of version 2 %s", got)
	}
	// Version 3: 32 bytes of 0x5a as salt; the commitment first, then the link.
	third := audit.Next(0, [32]byte{}, bytes.Repeat([]byte{0x5a}, audit.SaltSize), r.Event)
	if got := hex.EncodeToString(third.Hash[:]); got != "39ec805a6a5b352f88d4bc0049a08d4b4c25d447fde7f0ba16bd322fabb843c3" || third.Hash != audit.Link(third.Prev, third.Commitment()) {
		t.Errorf("hash of version 3 %s", got)
	}
	if r.Seq != 1 || r.Prev != [32]byte{} || r.At.Nanosecond() != 678901000 || r.At.Location() != time.UTC {
		t.Errorf("record %+v", r)
	}
	// nil and empty details are the same record.
	empty, none := audit.Next(0, [32]byte{}, nil, audit.Event{Detail: map[string]string{}}), audit.Next(0, [32]byte{}, nil, audit.Event{})
	if empty.Hash != none.Hash {
		t.Error("an empty and an absent detail hash differently")
	}
}

func TestVerifierAcceptsTheChain(t *testing.T) {
	records := chain(25)
	if err := verify(nil, nil); err != nil {
		t.Errorf("an empty chain: %v", err)
	}
	if err := verify(records, headsOf(records, 7)); err != nil {
		t.Error(err)
	}
	v := audit.NewVerifierFrom(audit.Head{Seq: records[9].Seq, Hash: records[9].Hash})
	for _, r := range records[10:] {
		if err := v.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if seq, hash, err := v.Finish(); seq != 25 || hash != records[24].Hash || err != nil {
		t.Errorf("ended at %d, %v", seq, err)
	}
	if err := audit.NewVerifierFrom(audit.Head{Seq: 10, Hash: [32]byte{1}}).Add(records[10]); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("behind another head: %v", err)
	}
}

// edits changes each field of a record, one at a time.
var edits = map[string]func(r *audit.Record){
	"seq":            func(r *audit.Record) { r.Seq++ },
	"seq down":       func(r *audit.Record) { r.Seq-- },
	"prev":           func(r *audit.Record) { r.Prev[31] ^= 1 },
	"hash":           func(r *audit.Record) { r.Hash[0] ^= 0x80 },
	"time":           func(r *audit.Record) { r.At = r.At.Add(time.Microsecond) },
	"actor":          func(r *audit.Record) { r.Actor += " " },
	"action":         func(r *audit.Record) { r.Action = "otp.Issue" },
	"object":         func(r *audit.Record) { r.Object = "" },
	"verdict":        func(r *audit.Record) { r.Verdict = audit.Refused },
	"request":        func(r *audit.Record) { r.RequestID = "x" },
	"between fields": func(r *audit.Record) { r.Actor, r.Action = r.Actor+r.Action[:1], r.Action[1:] },
	"fields swapped": func(r *audit.Record) { r.Actor, r.Object = r.Object, r.Actor },
	"JSON in a text": func(r *audit.Record) { r.Actor += `","action":"x` },
	"detail value":   func(r *audit.Record) { r.Detail["count"] += "0" },
	"detail added":   func(r *audit.Record) { r.Detail["x"] = "" },
	"detail removed": func(r *audit.Record) { delete(r.Detail, "channel") },
	"detail renamed": func(r *audit.Record) { r.Detail["Channel"] = r.Detail["channel"]; delete(r.Detail, "channel") },
	"salt":           func(r *audit.Record) { r.Salt = bytes.Repeat([]byte{0xee}, audit.SaltSize) },
	"salt longer":    func(r *audit.Record) { r.Salt = append(bytes.Clone(r.Salt), 0) },
	"detail gone":    func(r *audit.Record) { r.Detail = nil },
}

// clone copies records with their details.
func clone(records []audit.Record) []audit.Record {
	out := slices.Clone(records)
	for k := range out {
		out[k].Detail = maps.Clone(out[k].Detail)
	}
	return out
}

func TestVerifierFindsAnEditOfEachField(t *testing.T) {
	records := chain(9)
	for name, edit := range edits {
		for at := range records {
			m := clone(records)
			edit(&m[at])
			err := verify(m, nil)
			var broken *audit.BrokenError
			// A changed hash shows in the record itself, a changed number in its place.
			if !errors.As(err, &broken) || !errors.Is(err, audit.ErrBroken) || broken.Seq != int64(at+1) || broken.What == "" {
				t.Errorf("%s of record %d: %v", name, at+1, err)
			}
		}
	}
	if err := verify(clone(records), nil); err != nil {
		t.Errorf("control: %v", err)
	}
}

// Bytes that are no UTF-8 share their JSON with U+FFFD; a record never holds
// them, and one that does was edited.
func TestTextIsUTF8(t *testing.T) {
	e := audit.Event{Actor: "a\xff", Action: "\xc3", Object: "\xed\xa0\x80", Verdict: "v\x80", RequestID: "\xfe", Detail: map[string]string{"k\xff": "v\xff"}}
	kept := maps.Clone(e.Detail)
	r := audit.Next(0, [32]byte{}, nil, e)
	if err := verify([]audit.Record{r}, nil); err != nil {
		t.Fatal(err)
	}
	if r.Actor != "a\uFFFD" || r.Detail["k\uFFFD"] != "v\uFFFD" || !maps.Equal(e.Detail, kept) {
		t.Errorf("record %+v of event %+v", r, e)
	}
	for name, edit := range map[string]func(*audit.Record){
		"actor": func(r *audit.Record) { r.Actor = "a\xfe" }, "action": func(r *audit.Record) { r.Action = "\xff" }, "object": func(r *audit.Record) { r.Object = "\xff" },
		"verdict": func(r *audit.Record) { r.Verdict = "v\xff" }, "request": func(r *audit.Record) { r.RequestID = "\xff" },
		"detail": func(r *audit.Record) { r.Detail["k\uFFFD"] = "v\xfe" }, "key": func(r *audit.Record) { r.Detail = map[string]string{"k\xfe": "v\uFFFD"} },
	} {
		m := clone([]audit.Record{r})
		edit(&m[0])
		if err := verify(m, nil); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s with other bytes: %v", name, err)
		}
	}
}

func TestHeadsFindTruncationAndRollback(t *testing.T) {
	records := chain(30)
	heads := headsOf(records, 10)
	var broken *audit.BrokenError
	if err := verify(records[:25], heads); !errors.As(err, &broken) || broken.Seq != 26 {
		t.Errorf("cut after 25: %v", err)
	}
	if err := verify(nil, heads); !errors.As(err, &broken) || broken.Seq != 1 {
		t.Errorf("emptied: %v", err)
	}
	// Someone who can write everything makes a new, faultless chain from 15 on.
	forged := clone(records[:14])
	for k := 14; k < 30; k++ {
		last := forged[k-1]
		e := records[k].Event
		e.Verdict = audit.Refused
		forged = append(forged, audit.Next(last.Seq, last.Hash, nil, e))
	}
	if err := verify(forged, nil); err != nil {
		t.Fatalf("without heads there is nothing to see: %v", err)
	}
	if err := verify(forged, heads); !errors.As(err, &broken) || broken.Seq != 20 {
		t.Errorf("rewritten from 15 on: %v", err)
	}
	// Two heads that disagree about one record: one of them tells of another chain.
	both := append(slices.Clone(heads[:1]), audit.Head{Seq: 10, Hash: [32]byte{1}})
	if err := verify(records, both); !errors.As(err, &broken) || broken.Seq != 10 {
		t.Errorf("contradicting heads: %v", err)
	}
	// A chain that grew since the last head is right.
	if err := verify(records, heads[:2]); err != nil {
		t.Error(err)
	}
}

// A thousand random mutations of the stored list are all found.
func TestAThousandMutationsAreFound(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	records := chain(40)
	heads := headsOf(records, 7)
	names := slices.Sorted(maps.Keys(edits))
	relink := func(m []audit.Record, from int) {
		for k := from; k < len(m); k++ {
			prev := audit.Record{}
			if k > 0 {
				prev = m[k-1]
			}
			m[k] = audit.Next(prev.Seq, prev.Hash, m[k].Salt, m[k].Event)
		}
	}
	kinds := map[string]func(m []audit.Record) []audit.Record{
		"edit": func(m []audit.Record) []audit.Record {
			edits[names[r.IntN(len(names))]](&m[r.IntN(len(m))])
			return m
		},
		"edit, rehash": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			m[k].Object += "x"
			m[k] = audit.Next(m[k].Seq-1, m[k].Prev, m[k].Salt, m[k].Event)
			return m
		},
		"edit, rewrite the rest": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			m[k].Actor = "app:other"
			relink(m, k)
			return m
		},
		"delete": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			return slices.Delete(m, k, k+1+r.IntN(len(m)-k))
		},
		"delete, rewrite the rest": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			m = slices.Delete(m, k, k+1)
			relink(m, k)
			return m
		},
		"truncate": func(m []audit.Record) []audit.Record { return m[:r.IntN(len(m))] },
		"swap": func(m []audit.Record) []audit.Record {
			a := r.IntN(len(m) - 1)
			b := a + 1 + r.IntN(len(m)-a-1)
			m[a], m[b] = m[b], m[a]
			return m
		},
		"swap contents": func(m []audit.Record) []audit.Record {
			a := r.IntN(len(m) - 1)
			m[a].Event, m[a+1].Event = m[a+1].Event, m[a].Event
			return m
		},
		"reverse": func(m []audit.Record) []audit.Record {
			a := r.IntN(len(m) - 1)
			slices.Reverse(m[a : a+2+r.IntN(len(m)-a-1)])
			return m
		},
		"repeat": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			return slices.Insert(m, k, m[k])
		},
		"insert": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m) - 1) // behind the last it would be an append
			return slices.Insert(m, k+1, audit.Next(m[k].Seq, m[k].Hash, nil, audit.Event{At: start, Actor: "gateway", Action: "x"}))
		},
		"insert, rewrite the rest": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			m = slices.Insert(m, k, audit.Record{Event: audit.Event{At: start, Actor: "gateway"}})
			relink(m, k)
			return m
		},
		"flip a bit": func(m []audit.Record) []audit.Record {
			k := r.IntN(len(m))
			if r.IntN(2) == 0 {
				m[k].Hash[r.IntN(32)] ^= 1 << r.IntN(8)
			} else {
				m[k].Prev[r.IntN(32)] ^= 1 << r.IntN(8)
			}
			return m
		},
	}
	all := slices.Sorted(maps.Keys(kinds))
	found := 0
	for n := range 1000 {
		if err := verify(clone(records), heads); err != nil {
			t.Fatalf("control %d: %v", n, err)
		}
		kind := all[n%len(all)]
		if err := verify(kinds[kind](clone(records)), heads); errors.Is(err, audit.ErrBroken) {
			found++
		} else {
			t.Errorf("mutation %d (%s) was not found: %v", n, kind, err)
		}
	}
	t.Logf("found %d of 1000", found)
}
