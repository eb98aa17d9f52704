package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/hsm"
)

// BenchOptions say what of the module to measure, and how long.
type BenchOptions struct {
	// Slices is how many rounds each contest has, Slice how long each of its entrants runs in a
	// round: at least 1, and at most a minute.
	Slices int
	Slice  time.Duration
	// Algorithms and Sessions are what signing is measured with.
	Algorithms []string
	Sessions   []int
	// Data keeps the officers of [BenchKeys]; empty for a folder that is removed again.
	Data string
	// RecycleAfter is how many keys [BenchSoak] opens before the module initialises itself again;
	// 0 for never.
	RecycleAfter int
	// Process, if set, starts a process for the token, as OpenServing has it, which is measured
	// beside the module in this one.
	Process func() *exec.Cmd
	// Probe measures a start in a process of its own; see [ProbeStart].
	Probe func(ctx context.Context, dir string) (Start, error)
	Now   func() time.Time
	// Report hears how far long work is.
	Report func(what string, done, total int)

	database, databasePasswordFile string // of a new installation; SQLite when empty
	redis                          RedisConfig
}

// BenchReport is what was measured.
type BenchReport struct {
	Cores  int          `json:"cores"`
	Module string       `json:"module"`
	Slices int          `json:"slices"`
	Slice  float64      `json:"slice_seconds"`
	Rows   []BenchRow   `json:"rows"`
	Keys   *KeyReport   `json:"keys,omitempty"`
	Enrol  *EnrolReport `json:"enrol,omitempty"`
	Soak   *Soak        `json:"soak,omitempty"`
	Timing *Timing      `json:"timing,omitempty"`
	// LogIns is the timing of log-ins.
	LogIns *LoginTiming `json:"log_ins,omitempty"`
	API    *APIReport   `json:"api,omitempty"`
}

// BenchRow is one thing measured in alternating slices.
type BenchRow struct {
	What      string `json:"what"`
	In        string `json:"in"` // the process the module is loaded in: "gateway", or "another", of which CPU has only this side
	Algorithm string `json:"algorithm,omitempty"`
	Sessions  int    `json:"sessions"` // for raw C_Sign; of the rest, as many goroutines
	Officers  int    `json:"officers,omitempty"`

	PerSecond Quartiles `json:"per_second"`
	CPU       Quartiles `json:"cpu_ms_per_op"`
	// Latency of the requests it took, over all rounds.
	Latency []Latency `json:"latency,omitempty"`

	// Reference is the row that Ratio compares with, slice by slice of the same round: rates, or
	// the time of one where RatioOf is "time".
	Reference string     `json:"reference,omitempty"`
	RatioOf   string     `json:"ratio_of,omitempty"`
	Ratio     *Quartiles `json:"ratio,omitempty"`
	// CPURatio compares processor time for one, which other work on the machine disturbs less.
	CPURatio *Quartiles `json:"cpu_ratio,omitempty"`
	// Target bounds the ratio: from below for rates, from above for times. Met says whether the
	// upper quartile keeps it, MetThroughout whether each quartile does.
	Target        float64 `json:"target,omitempty"`
	Met           *bool   `json:"met,omitempty"`
	MetThroughout *bool   `json:"met_throughout,omitempty"`
}

// Quartiles of the slices' figures.
type Quartiles struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

func quartiles(v []float64) Quartiles {
	v = slices.Sorted(slices.Values(v))
	at := func(p float64) float64 {
		x := p * float64(len(v)-1)
		low := int(x)
		return v[low] + (x-float64(low))*(v[min(low+1, len(v)-1)]-v[low])
	}
	return Quartiles{Median: at(0.5), Q1: at(0.25), Q3: at(0.75)}
}

// What ratios are of.
const (
	ofRates = "rate"
	ofTimes = "time"
)

// entrant takes part in a contest: a row to be filled in and what it does over and over.
type entrant struct {
	row BenchRow
	do  func(ctx context.Context, worker int) error
	// slice, where it is set, measures in another way.
	slice func(ctx context.Context) (hsm.Slice, error)
	ref   *entrant
}

// against sets what e is compared with and what the comparison must keep; 0 is no target.
func (e *entrant) against(ref *entrant, of string, target float64) *entrant {
	e.ref, e.row.Reference, e.row.RatioOf, e.row.Target = ref, ref.row.What, of, target
	return e
}

// contest runs all entrants in turn, round after round, and gives their rows.
func (o *BenchOptions) contest(ctx context.Context, name string, entrants ...*entrant) (rows []BenchRow, err error) {
	seen, err := o.rounds(ctx, name, entrants)
	if err != nil {
		return nil, err
	}
	for _, e := range entrants {
		rows = append(rows, e.result(seen))
	}
	return rows, nil
}

// rounds gives the slices of each entrant, those of one round under one index.
func (o *BenchOptions) rounds(ctx context.Context, name string, entrants []*entrant) (map[*entrant][]hsm.Slice, error) {
	seen := make(map[*entrant][]hsm.Slice)
	for round := range o.Slices + 1 {
		for _, e := range entrants {
			s, err := o.run(ctx, e, round == 0)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", e.row.What, err)
			}
			if round > 0 { // the first one warms up
				seen[e] = append(seen[e], s)
			}
		}
		o.Report(name, round, o.Slices)
	}
	return seen, nil
}

func (o *BenchOptions) run(ctx context.Context, e *entrant, warm bool) (hsm.Slice, error) {
	if e.slice != nil {
		return e.slice(ctx)
	}
	d := o.Slice
	if warm {
		d = max(d/8, time.Millisecond)
	}
	return hsm.Measure(ctx, e.row.Sessions, d, e.do)
}

func (e *entrant) result(seen map[*entrant][]hsm.Slice) BenchRow {
	row := e.row
	var rate, cpu, ratio, used []float64
	for round, s := range seen[e] {
		rate = append(rate, s.PerSecond())
		cpu = append(cpu, s.CPUPerOp().Seconds()*1000)
		if e.ref != nil {
			r := s.PerSecond() / seen[e.ref][round].PerSecond()
			if row.RatioOf == ofTimes {
				r = 1 / r
			}
			ratio = append(ratio, r)
			used = append(used, float64(s.CPUPerOp())/float64(max(1, seen[e.ref][round].CPUPerOp())))
		}
	}
	if row.In == "" {
		row.In = "gateway"
	}
	row.PerSecond, row.CPU = quartiles(rate), quartiles(cpu)
	if e.ref != nil {
		r, u := quartiles(ratio), quartiles(used)
		row.Ratio, row.CPURatio = &r, &u
	}
	row.judge()
	return row
}

// judge compares the ratio with its target.
func (r *BenchRow) judge() {
	if r.Ratio == nil || r.Target == 0 {
		return
	}
	upper, all := r.Ratio.Q3 >= r.Target, r.Ratio.Q1 >= r.Target
	if r.RatioOf == ofTimes {
		upper = r.Ratio.Q3 <= r.Target
		all = upper
	}
	r.Met, r.MetThroughout = &upper, &all
}

// bench is an installation made to be measured: its token is labelled so that hsm leaves the key
// derivation out when asked, and nobody else's is.
type bench struct {
	*BenchOptions
	*Installation
	fast  *hsm.Module  // the same token without the key derivation
	apart *hsm.Process // and in another process, or nil
	kek   string       // under which new keys are wrapped
}

// newBench makes or opens the installation in dir.
func newBench(ctx context.Context, o *BenchOptions, dir string) (b *bench, err error) {
	if err := o.initBench(ctx, dir); err != nil {
		return nil, err
	}
	return openBench(ctx, o, dir)
}

func (o *BenchOptions) initBench(ctx context.Context, dir string) error {
	var id [4]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails (it ends the process)
	c, err := LoadConfig(dir)
	if err == nil && !strings.HasPrefix(c.Token.Label, hsm.BenchLabel) {
		return fmt.Errorf("%w: %s was not made by `mohor bench hsm`", ErrConfig, dir)
	}
	return Init(ctx, InitOptions{Dir: dir, Sandbox: true, TokenLabel: hsm.BenchLabel + hex.EncodeToString(id[:]), CAKey: string(hsm.ECDSAP256),
		AdminName: "Pentadbir Ukuran", AdminEmail: "pentadbir@mohor.example", Database: o.database, DatabasePasswordFile: o.databasePasswordFile,
		ResendAfter: "5s", PerHour: 10_000, PerDay: 100_000, Now: o.Now})
}

func openBench(ctx context.Context, o *BenchOptions, dir string) (b *bench, err error) {
	b = &bench{BenchOptions: o}
	if b.Installation, err = Open(ctx, dir, o.Now); err != nil {
		return nil, err
	}
	if b.kek, err = b.db.CurrentKEK(ctx); err == nil {
		b.fast, err = o.openFast(ctx, &b.Config)
	}
	if err == nil && o.Process != nil {
		var h hsm.Config
		if h, err = o.fastConfig(&b.Config); err == nil {
			defer h.PIN.Wipe()
			b.apart, err = hsm.StartProcess(ctx, h, o.Process)
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// openFast opens the token without the key derivation; hsm refuses it for any but a bench's token.
func (o *BenchOptions) openFast(ctx context.Context, c *Config) (*hsm.Module, error) {
	h, err := o.fastConfig(c)
	if err != nil {
		return nil, err
	}
	defer h.PIN.Wipe()
	m, err := hsm.Open(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("opening token %q: %w", c.Token.Label, err)
	}
	return m, nil
}

func (o *BenchOptions) fastConfig(c *Config) (hsm.Config, error) {
	h, err := hsmConfig(c)
	h.Bench, h.Sessions = true, max(4*runtime.NumCPU(), slices.Max(o.Sessions)) // as many as hsm's default, and nobody waits
	if h.RecycleAfter = o.RecycleAfter; h.RecycleAfter == 0 {
		h.RecycleAfter = -1
	}
	return h, err
}

// Close closes all ways to the token.
func (b *bench) Close() (err error) {
	if b.apart != nil {
		err = b.apart.Close()
	}
	if b.fast != nil {
		err = errors.Join(err, b.fast.Close())
	}
	return errors.Join(err, b.Installation.Close())
}

// The installations of a bench: the one that is measured, and what [BenchKeys] compares it with.
const (
	manyDir = "many"
	fewDir  = "few"
)

// folder is where a bench works, and how it is removed.
func (o *BenchOptions) folder() (dir string, remove func() error, err error) {
	if o.Data != "" {
		if err := os.MkdirAll(o.Data, 0o700); err != nil {
			return "", nil, fmt.Errorf("making data folder: %w", err)
		}
		inside, err := os.ReadDir(o.Data)
		if err == nil && len(inside) > 0 && !slices.ContainsFunc(inside, func(d os.DirEntry) bool { return d.Name() == manyDir }) {
			err = fmt.Errorf("%w: %s is neither empty nor made by `mohor bench hsm`", ErrConfig, o.Data)
		}
		return o.Data, func() error { return nil }, err
	}
	if dir, err = os.MkdirTemp("", "mohor-bench-"); err != nil {
		return "", nil, fmt.Errorf("making scratch folder: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// within runs f with a bench of its own and begins the report.
func (o *BenchOptions) within(ctx context.Context, f func(*bench, *BenchReport) error) (r BenchReport, err error) {
	if err := o.check(); err != nil {
		return r, err
	}
	dir, remove, err := o.folder()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	b, err := newBench(ctx, o, filepath.Join(dir, manyDir))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	r = o.report()
	return r, f(b, &r)
}

func (o *BenchOptions) check() error {
	if o.Slices < 1 || o.Slice <= 0 || o.Slice > time.Minute || len(o.Sessions) == 0 || slices.Min(o.Sessions) < 1 || slices.Max(o.Sessions) > 256 {
		return fmt.Errorf("%w: %d slices of %v with %v sessions", ErrConfig, o.Slices, o.Slice, o.Sessions)
	}
	return nil
}

func (o *BenchOptions) report() BenchReport {
	return BenchReport{Cores: runtime.NumCPU(), Module: "SoftHSM", Slices: o.Slices, Slice: o.Slice.Seconds(), Rows: []BenchRow{}}
}
