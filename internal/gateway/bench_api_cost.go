package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/apiload"
)

// APICost is the processor time of one signature, in milliseconds: all that the gateway and the
// process of its token took for a transaction, from its request through mail, PIN and code to the last
// commit and the answers, shared among its documents, over the rounds. What mail server and client
// took is in none of it. A lone signature is taken apart with keys whose derivation is the least that
// there is: of the full one, a difference of a few hundredths would be larger than all the rest.
type APICost struct {
	What      string    `json:"what"` // of the row
	Algorithm string    `json:"algorithm"`
	Documents int       `json:"documents"`
	Total     Quartiles `json:"total_ms"`
	// Gateway is the part of Total in the process that serves; the rest is the token's.
	Gateway Quartiles `json:"gateway_ms"`
	// KDF is Argon2id of one PIN, HSM the module's part: three HMACs, opening and destroying the key,
	// and a C_Sign for each document; all measured apart, in the same round.
	KDF Quartiles `json:"kdf_ms"`
	HSM Quartiles `json:"hsm_ms"`
	// Beyond is what is left: HTTP, JSON, checks, database, audit, mail, the way to the token's process,
	// and the verification of each signature. Target bounds its upper quartile: the difference of two large
	// figures, of a machine that others use, has to be doubted.
	Beyond Quartiles `json:"beyond_ms"`
	Target float64   `json:"target_ms"`
	Met    bool      `json:"met"`
}

// beyondTarget is what a signature may cost beyond key derivation and HSM, in milliseconds.
const beyondTarget = 2

// macsEach is how often a transaction has the module make an HMAC outside of opening the key: of the
// code when it is made and when it is judged, and of the intent.
const macsEach = 3

// parts are entrants that do by themselves what is part of a signature.
type parts struct {
	mac      *entrant
	raw      *entrant // C_Sign
	verified *entrant // the verification of a signature
	used     *entrant // a key opened, used once, its signature verified, and destroyed, without KDF
}

// costOf splits the processor time of e's transactions, round by round; the first warmed up.
func (p *parts) costOf(e *asking, seen map[*entrant][]hsm.Slice) APICost {
	c := APICost{What: e.row.What, Algorithm: e.row.Algorithm, Documents: e.documents, Target: beyondTarget}
	var total, gateway, kdf, module, beyond []float64
	for round, s := range seen[e.entrant] {
		gateway = append(gateway, e.gateway[round+1].Seconds()*1000/float64(s.Ops))
		one := func(x *entrant) float64 { return seen[x][round].CPUPerOp().Seconds() * 1000 }
		raw, n := one(p.raw), float64(e.documents)
		opening := max(0, one(p.used)-raw-one(p.verified))
		t, k, m := s.CPUPerOp().Seconds()*1000, one(e.kdf)/n, raw+(opening+macsEach*one(p.mac))/n
		total, kdf, module, beyond = append(total, t), append(kdf, k), append(module, m), append(beyond, t-k-m)
	}
	c.Total, c.Gateway, c.KDF, c.HSM, c.Beyond = quartiles(total), quartiles(gateway), quartiles(kdf), quartiles(module), quartiles(beyond)
	c.Met = c.Beyond.Q3 <= c.Target
	return c
}

// asking is an entrant that is a task of the load.
type asking struct {
	*entrant
	kdf       *entrant // what derives the key
	documents int
	took      []map[string][]float64 // by round, the first of which warmed up
	gateway   []time.Duration        // processor time of this process, likewise
}

func (g *apiBench) asks(what string, kdf *entrant, t apiload.Task) *asking {
	t.AtOnce, t.Seconds = g.Sessions[0], g.Slice.Seconds()
	a := &asking{kdf: kdf, documents: t.Documents}
	a.entrant = &entrant{row: BenchRow{What: what + ", " + g.stores, Algorithm: t.Key, Sessions: g.Sessions[0]}, slice: func(context.Context) (hsm.Slice, error) {
		here, there, err := g.processor()
		if err != nil {
			return hsm.Slice{}, err
		}
		s, err := g.load.Do(t)
		if err != nil {
			return hsm.Slice{}, err
		}
		hereAfter, thereAfter, err := g.processor()
		here, there = hereAfter-here, thereAfter-there
		a.took, a.gateway = append(a.took, s.Latency), append(a.gateway, here)
		return hsm.Slice{Ops: s.Ops * max(1, t.Documents), Took: time.Duration(s.Seconds * float64(time.Second)), CPU: here + there}, err
	}}
	return a
}

// latencies are those of all rounds but the first, in the order in which requests are made.
func (a *asking) latencies() (out []Latency) {
	for _, request := range []string{apiload.MediumRequest, apiload.TransactionRequest, apiload.SignatureRequest} {
		var all []float64
		for _, took := range a.took[1:] {
			all = append(all, took[request]...)
		}
		if len(all) > 0 {
			out = append(out, latency(request, all))
		}
	}
	return out
}

// measure fills in rows and costs.
func (g *apiBench) measure(ctx context.Context, r *BenchReport) (err error) {
	n := g.Sessions[0]
	alone := func(what, alg string, workers int, do func(context.Context, int) error) *entrant {
		return &entrant{row: BenchRow{What: what, Algorithm: alg, Sessions: workers}, do: do}
	}
	var commits atomic.Int64
	bare := alone("bare commit, "+g.stores, "", n, func(ctx context.Context, _ int) error {
		return g.db.PutMeta(ctx, fmt.Sprint("bench-", commits.Add(1)), "x")
	})
	cores := min(n, runtime.NumCPU()) // as many key derivations run at once
	derive := func(what string, k hsm.KDFParams) *entrant {
		return alone(what, "", cores, func(context.Context, int) error {
			argon2.IDKey([]byte("123456"), make([]byte, 16), k.Time, k.MemoryKiB, k.Threads, 32)
			return nil
		})
	}
	full, least := derive("Argon2id", hsm.DefaultKDF), derive("Argon2id, the least", leastKDF)
	p := parts{mac: alone("HMAC in the module", "", n, func(ctx context.Context, _ int) error {
		_, err := g.fast.MAC(ctx, hsm.IntentKey, make([]byte, 200))
		return err
	})}
	medium := g.asks("medium", nil, apiload.Task{DevFile: g.dev, Kind: apiload.Medium})
	medium.against(bare, ofRates, 0)
	entrants, askings := []*entrant{bare, full, least, p.mac, medium.entrant}, []*asking{medium}
	var split []func(map[*entrant][]hsm.Slice) APICost
	for _, alg := range apiAlgorithms {
		s, serr := g.fast.NewSignBench(ctx, g.kek, alg, n)
		if serr != nil {
			return fmt.Errorf("making a key of %s: %w", alg, serr)
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		u, err := newUse(ctx, g.fast, g.kek, alg)
		if err != nil {
			return err
		}
		p := p
		p.raw, p.verified = alone("raw C_Sign", string(alg), n, s.Raw), alone("verification alone", string(alg), n, s.Verify)
		p.used = alone("open, sign, destroy, key derivation left out", string(alg), n, u.sign).against(p.raw, ofRates, 0)
		one := g.asks("transaction and signature", full, apiload.Task{DevFile: g.dev, Kind: apiload.Sign, Key: string(alg), Documents: 1})
		one.against(full, ofRates, 0)
		light := g.asks("transaction and signature, the least derivation", least, apiload.Task{DevFile: g.light, Kind: apiload.Sign, Key: string(alg), Documents: 1})
		many := g.asks(fmt.Sprintf("signature, %d digests in a transaction", manyDigests), full, apiload.Task{DevFile: g.dev, Kind: apiload.Sign, Key: string(alg), Documents: manyDigests})
		many.against(p.raw, ofRates, 0)
		entrants, askings = append(entrants, p.raw, p.verified, p.used, one.entrant, light.entrant, many.entrant), append(askings, one, light, many)
		for _, e := range []*asking{light, many} {
			split = append(split, func(seen map[*entrant][]hsm.Slice) APICost { return p.costOf(e, seen) })
		}
	}
	seen, err := g.rounds(ctx, "API, "+g.stores, entrants)
	if err != nil {
		return err
	}
	for _, a := range askings {
		a.row.Latency = a.latencies()
	}
	for _, e := range entrants {
		r.Rows = append(r.Rows, e.result(seen))
	}
	for _, f := range split {
		r.API.Costs = append(r.API.Costs, f(seen))
	}
	return nil
}

// processor is what this process and that of the token have used.
func (g *apiBench) processor() (here, there time.Duration, err error) {
	if n := len(g.tokens); n > 0 {
		there, err = processorOf(g.tokens[n-1].Process.Pid)
	}
	return hsm.ProcessorTime(), there, err
}

// tick is the unit of /proc/PID/stat: USER_HZ, 100 on all architectures of Linux that Go has.
const tick = 10 * time.Millisecond

// processorOf is what another process has used in user and kernel mode, to a hundredth of a second
// (proc(5)).
func processorOf(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading processor time: %w", err)
	}
	return parseStat(raw)
}

func parseStat(raw []byte) (time.Duration, error) {
	// The name of the program, in parentheses, may hold spaces and parentheses.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // fields count from 1, and two are before
	if len(fields) <= stime {
		return 0, errors.New("reading processor time: /proc/PID/stat is too short")
	}
	var sum int64
	for _, k := range []int{utime, stime} {
		n, err := strconv.ParseInt(string(fields[k]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
