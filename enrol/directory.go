package enrol

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Way is an enrolment as the directory has it.
type Way struct {
	System, Agency, Office, Phase string
	State                         State
	First                         bool // to the first certificate; else to another one
}

// Holding is a medium of an officer, with the newest certificate where there is one.
type Holding struct {
	System, Medium string
	Status         string // of the certificate: "ACTIVE", "SUSPENDED", "REVOKED"; else of the medium
	Serial         string // decimal; "" without a certificate
	NotAfter       time.Time
}

// DirectoryEntry is an officer as the directory has it.
type DirectoryEntry struct {
	Officer
	Ways     []Way     // the oldest first
	Holdings []Holding // by system, then the oldest first
	key      string    // name as it is compared and sorted
	mail     string    // address as it is compared
}

// DirectoryRecords is what a Directory is kept current from.
type DirectoryRecords interface {
	// ChangedOfficers gives the officers whose entry changed after that number, at most limit, and
	// the number to go on from. Changes are numbered in the order in which they were committed.
	// gone: somebody was taken out of the register, since or before; who does not know it reads all.
	ChangedOfficers(ctx context.Context, after int64, limit int) (list []DirectoryEntry, last int64, gone bool, err error)
	// CertificateHolder says of whom, for which system, an officer's certificate of that decimal
	// serial number is, or was; ErrUnknown.
	CertificateHolder(ctx context.Context, serial string) (ic, system string, err error)
	// UnreachedOfficers are the ICs, some more than once, of those whose newest code, of which it is known, did not arrive.
	UnreachedOfficers(ctx context.Context) ([]string, error)
}

// directoryIdle is for how long an unused directory stays in memory.
const directoryIdle = 30 * time.Minute

// directoryChunk is how many changed officers are read at once.
const directoryChunk = 4000

// Directory holds names and addresses of all officers in memory, in the order of their names: the
// database has them sealed under random nonces, so that it can neither compare nor sort them, and to
// open 40,000 for each question would take a second. It is made at the first question, asks the
// database for what changed before each, and is given up when nobody asks for half an hour. The zero
// value is ready.
type Directory struct {
	loading sync.Mutex // one brings it up to date at a time
	mu      sync.RWMutex
	byIC    map[string]*DirectoryEntry
	sorted  []*DirectoryEntry
	seq     int64
	idle    *time.Timer
	used    time.Time         // when it was last brought up to date
	words   map[string]string // codes that many entries share
}

// compareEntries is the order of the directory.
func compareEntries(a, b *DirectoryEntry) int {
	return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.IC, b.IC))
}

// folded is a name as it is compared: letters of one case, single spaces.
func folded(name string) string { return strings.ToUpper(strings.Join(strings.Fields(name), " ")) }

// current brings the directory up to date. What there is stays until the new one is whole.
func (x *Directory) current(ctx context.Context, r DirectoryRecords) error {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.mu.RLock()
	seq, fresh := x.seq, x.byIC == nil
	x.mu.RUnlock()
	var all []*DirectoryEntry
	for {
		limit := directoryChunk
		if seq == 0 {
			limit = math.MaxInt32 // in one look: nobody goes between two parts of it
		}
		list, last, gone, err := r.ChangedOfficers(ctx, seq, limit)
		if err != nil {
			return fmt.Errorf("reading the directory: %w", err)
		}
		if gone && seq > 0 { // it begins anew
			seq, fresh, all = 0, true, nil
			continue
		}
		if last == seq {
			break
		}
		for k := range list {
			all = append(all, &list[k])
		}
		seq = last
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if fresh {
		x.drop()
	}
	x.put(all, seq)
	x.used = time.Now()
	if x.idle != nil {
		x.idle.Stop()
	}
	x.idle = time.AfterFunc(directoryIdle, x.giveUp)
	return nil
}

// giveUp drops what nobody has asked for long enough; not while it is brought up to date, nor just
// after.
func (x *Directory) giveUp() {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.used) >= directoryIdle {
		x.drop()
	}
}

func (x *Directory) drop() { x.byIC, x.sorted, x.seq, x.words = nil, nil, 0, nil }

// put adds entries, or puts them in the place of those there are. What was read of sorted before
// stays as it is.
func (x *Directory) put(list []*DirectoryEntry, last int64) {
	if x.byIC == nil {
		x.byIC, x.words = make(map[string]*DirectoryEntry, len(list)), map[string]string{}
	}
	x.seq = last
	if len(list) == 0 {
		return
	}
	was := map[*DirectoryEntry]bool{}
	for _, e := range list {
		if e.key = folded(e.Name); e.key == e.Name { // as it mostly is: one string is enough
			e.key = e.Name
		}
		if e.mail = strings.ToLower(e.Email); e.mail == e.Email {
			e.mail = e.Email
		}
		x.share(e)
		if old := x.byIC[e.IC]; old != nil {
			was[old] = true
		}
		x.byIC[e.IC] = e
	}
	next := make([]*DirectoryEntry, 0, len(x.sorted)+len(list))
	for _, e := range x.sorted {
		if !was[e] {
			next = append(next, e)
		}
	}
	for _, e := range list {
		if !was[e] { // it changed again while it was read
			next = append(next, e)
		}
	}
	slices.SortFunc(next, compareEntries) // little is out of order, mostly
	x.sorted = next
}

// share keeps each code once.
func (x *Directory) share(e *DirectoryEntry) {
	one := func(s *string) {
		if kept, ok := x.words[*s]; ok {
			*s = kept
			return
		}
		x.words[*s] = *s
	}
	for k := range e.Ways {
		w := &e.Ways[k]
		one(&w.System)
		one(&w.Agency)
		one(&w.Office)
		one(&w.Phase)
	}
	for k := range e.Holdings {
		h := &e.Holdings[k]
		one(&h.System)
		one(&h.Medium)
		one(&h.Status)
	}
}

// behind gives the entries behind that of an IC, and false when there is none; "": all. The entries
// do not change.
func (x *Directory) behind(ic string) ([]*DirectoryEntry, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	at := 0
	if ic != "" {
		e := x.byIC[ic]
		if e == nil {
			return nil, false
		}
		at, _ = slices.BinarySearchFunc(x.sorted, e, compareEntries)
		at++
	}
	return x.sorted[at:], true
}

// entry is that of an IC, or nil.
func (x *Directory) entry(ic string) *DirectoryEntry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byIC[ic]
}
