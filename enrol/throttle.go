package enrol

import (
	"slices"
	"sync"
	"time"
)

// An address may fail failuresOf times, and then once in leakEvery; a log-in from it
// takes some back, for behind one address there may be a ministry. Log-ins on
// remembered devices do not ask.
const (
	failuresOf    = 60
	leakEvery     = 10 * time.Second
	successWeight = 5
	maxAddresses  = 100_000 // beyond it all start afresh
)

// leaky counts failures of addresses, for this process alone: what holds up guessing
// at one account is in the database.
type leaky struct {
	mu sync.Mutex
	m  map[string]leak
}

type leak struct {
	level float64
	at    time.Time
}

func (l *leaky) now(key string, now time.Time) float64 {
	k := l.m[key]
	return max(0, k.level-now.Sub(k.at).Seconds()/leakEvery.Seconds())
}

// allow is a *ThrottledError while the address has failed too often.
func (l *leaky) allow(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if over := l.now(key, now) - (failuresOf - 1); over > 0 {
		return &ThrottledError{time.Duration(over * float64(leakEvery))}
	}
	return nil
}

// add counts n failures, or takes them back.
func (l *leaky) add(key string, n int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.m) > maxAddresses {
		clear(l.m)
	}
	l.m[key] = leak{max(0, l.now(key, now)+float64(n)), now}
}

// refusals are those between two audit events: strangers must not be able to fill the
// chain.
type refusals struct {
	mu       sync.Mutex
	n        int
	accounts []string // whose password was right
	address  string   // of the last
	said     time.Time
}

const (
	refusalsEvery = 10 * time.Second
	maxNamed      = 20
)

func (r *refusals) note(account, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.address = address
	if account != "" && len(r.accounts) < maxNamed && !slices.Contains(r.accounts, account) {
		r.accounts = append(r.accounts, account)
	}
}

// take empties the count when an event is due.
func (r *refusals) take(now time.Time) (n int, accounts []string, address string, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 || now.Sub(r.said) < refusalsEvery {
		return 0, nil, "", false
	}
	n, accounts, address = r.n, r.accounts, r.address
	r.n, r.accounts, r.said = 0, nil, now
	return n, accounts, address, true
}

// back restores what could not be written.
func (r *refusals) back(n int, accounts []string, address string) {
	for _, a := range accounts {
		r.note(a, address)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n, r.address, r.said = r.n+n-len(accounts), address, time.Time{}
}
