package campaign_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm/hsmtest"
)

var (
	times  = flag.Int("campaign", 1, "how often each fault is injected")
	size   = flag.Int("campaign.items", 200, "documents in a batch")
	limit  = flag.Duration("campaign.limit", time.Minute, "after a fault is over the batch must be at its end in this time")
	inside = flag.Bool("campaign.inside", false, "the token in the gateway's own process: crashes and hangs are not contained")
	only   = flag.String("campaign.fault", ".*", "inject faults whose names match this regular expression")
)

// probeLimit: whatever the module does, the gateway answers in this time.
const probeLimit = 30 * time.Second

// result is what became of one batch.
type result struct {
	recovered  bool
	hit        bool // the fault did set in
	deaths     int  // of the gateway's process
	extra      int  // signatures beyond one a document
	authorised int
	resumed    time.Duration // without a signature after the fault was over
	violations []string
	refusals   map[string]int // why the officer could not authorise
	armed      []string       // lines of the control file
}

// TestCampaign injects each fault into the signing of a batch, again and again, and looks at what
// is left: each document signed once, by a signature that verifies and that an authorisation
// covers; none lost; none signed twice but where the first outcome could not be known. The gateway
// comes back by itself.
func TestCampaign(t *testing.T) {
	var table []string
	r := newRig(t, false)
	for _, f := range faults() {
		if !chosen(f) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			var results []result
			for range *times {
				res := r.run(t, f, *limit)
				results = append(results, res)
				if !res.hit {
					t.Errorf("%q: the fault did not set in", res.armed)
				}
				if !res.recovered {
					t.Errorf("%q: not recovered in %v: %v", res.armed, *limit, res.refusals)
				}
				if res.deaths > 0 && !*inside {
					t.Errorf("%q: the gateway itself died", res.armed)
				}
				complain(t, res)
			}
			r.stop(t) // in order, whatever happened
			r.start(t)
			table = append(table, summary(f.name, results))
		})
	}
	if len(table) == 0 {
		t.Errorf("no fault matches %q: nothing was injected", *only)
	}
	t.Logf("%d documents a batch; time without a signature after the fault was over\n%-24s %5s %9s %6s %5s %9s %9s %9s\n%s", *size,
		"fault", "runs", "recovered", "deaths", "extra", "p50", "p95", "violations", strings.Join(table, "\n"))
}

func chosen(f fault) bool { return regexp.MustCompile("^(" + *only + ")$").MatchString(f.name) }

// TestCampaignControl is the campaign against a gateway that does not recover: the faults that
// recovery is for must be found not to pass.
func TestCampaignControl(t *testing.T) {
	for _, f := range faults() {
		if !f.control || !chosen(f) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			res := newRig(t, true).run(t, f, 4*time.Second)
			if !res.hit || res.recovered {
				t.Errorf("a gateway without recovery recovered (fault set in: %t)", res.hit)
			}
			complain(t, res)
		})
	}
}

// complain gives the first few: the others are of the same kind.
func complain(t *testing.T, res result) {
	t.Helper()
	for k, v := range res.violations {
		if k == 5 {
			t.Errorf("and %d more", len(res.violations)-k)
			return
		}
		t.Errorf("%q: %s", res.armed, v)
	}
}

// run signs a batch with a fault in it, then a small one without, which needs all that an
// authorisation needs. When the gateway does not recover it is started anew and the batches are
// finished so that their documents can be counted.
func (r *rig) run(t *testing.T, f fault, limit time.Duration) (res result) {
	t.Helper()
	r.Forget(t)
	jobs := []*job{r.newJob(t, *size), r.newJob(t, 3)}
	r.mu.Lock()
	deaths := r.deaths
	r.mu.Unlock()
	res.armed = f.arm(*size)
	r.Set(t, res.armed...)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan time.Time, 1) // when the fault was over
	var lifter sync.WaitGroup
	lifter.Go(func() { r.lift(ctx, t, f, over) })
	var lifted time.Time
	res.refusals = make(map[string]int)
	res.recovered, lifted = r.officer(ctx, jobs, over, limit, &res)
	cancel()
	lifter.Wait()
	r.Set(t)
	if !res.recovered {
		r.kill(t)
		if ok, _ := r.officer(t.Context(), jobs, nil, time.Minute, &res); !ok {
			t.Errorf("the batch could not be finished by a fresh gateway: %v", res.refusals)
		}
	}
	for _, b := range jobs {
		e := r.gather(t, b)
		violations, extra := e.check(b.id)
		res.violations = append(res.violations, violations...)
		res.extra += extra
		if b == jobs[0] {
			res.hit = slices.ContainsFunc(e.calls, func(c hsmtest.Call) bool { return strings.HasPrefix(c.Function, "fault:") })
			res.resumed = resumed(e, lifted)
		}
	}
	r.mu.Lock()
	res.deaths = r.deaths - deaths
	r.mu.Unlock()
	return res
}

// lift waits until the fault set in, sees that the gateway answers, and ends the fault.
func (r *rig) lift(ctx context.Context, t *testing.T, f fault, over chan<- time.Time) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	for since.IsZero() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if calls := r.Calls(t, "fault:"); len(calls) > 0 {
			since = calls[0].At
		}
	}
	if f.once {
		over <- since
		return
	}
	undo := func() {}
	var probe sync.WaitGroup
	if f.act != nil {
		undo = f.act(t, r)
		r.probe(ctx, t) // at once, so that the token is missed
	} else {
		probe.Go(func() { r.probe(ctx, t) })
	}
	hold := time.NewTimer(f.hold + rand.N(held))
	defer hold.Stop()
	<-hold.C // to its end, or the fault would stay
	undo()
	r.Set(t)
	over <- time.Now()
	probe.Wait()
}

// probe is somebody else while the module is away: answers may be refusals, but they come.
func (r *rig) probe(ctx context.Context, t *testing.T) {
	o := r.dev.Officers[1]
	ask := map[string]any{"ic": o.IC, "system": r.dev.System, "format": "RAW", "documents": []any{map[string]any{"name": "x",
		"digest": map[string]string{"alg": "SHA-256", "value": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}}
	for _, q := range []struct {
		method, path string
		body         any
		within       time.Duration
	}{{"GET", "/healthz", nil, 10 * time.Second}, {"POST", "/v1/transactions", ask, probeLimit}, {"GET", "/readyz", nil, probeLimit}} {
		from := time.Now()
		_, err := r.do(ctx, q.method, q.path, q.body, nil)
		if d := time.Since(from); ctx.Err() == nil && (err != nil || d > q.within) {
			t.Errorf("%s %s while the fault lasted: %v after %v", q.method, q.path, err, d)
		}
	}
}

// officer authorises the batches one after the other, whenever they need it and the fault was over
// before the last, until they are signed, or limit after that moment, which it gives too. over is
// nil when there is no fault.
func (r *rig) officer(ctx context.Context, jobs []*job, over <-chan time.Time, limit time.Duration, res *result) (signed bool, lifted time.Time) {
	var deadline <-chan time.Time
	if over == nil {
		deadline = time.After(limit)
	}
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for len(jobs) > 0 {
		switch b := jobs[0]; r.status(ctx, b) {
		case "SIGNED":
			jobs = jobs[1:]
			continue
		case "SEALED", "NEEDS_AUTHORISATION":
			if len(jobs) == 1 && over != nil && lifted.IsZero() {
				break // the small one comes after the fault
			}
			if err := r.authorise(ctx, b); err == nil {
				res.authorised++
			} else if ctx.Err() == nil {
				res.refusals[err.Error()]++
			}
		}
		select {
		case lifted = <-over:
			deadline = time.After(limit)
		case <-deadline:
			return false, lifted
		case <-ctx.Done():
			return false, lifted
		case <-tick.C:
		}
	}
	return true, lifted
}

// resumed is the longest time after the fault was over in which no document was signed.
func resumed(e *evidence, over time.Time) (longest time.Duration) {
	if over.IsZero() {
		return 0
	}
	var made []time.Time
	for _, calls := range e.madeFor() {
		for _, c := range calls {
			if c.Told == 0 && c.At.After(over) {
				made = append(made, c.At)
			}
		}
	}
	slices.SortFunc(made, time.Time.Compare)
	for from := over; len(made) > 0; made = made[1:] {
		longest = max(longest, made[0].Sub(from))
		from = made[0]
	}
	return longest
}

func summary(name string, results []result) string {
	var resumed []time.Duration
	recovered, deaths, extra, violations := 0, 0, 0, 0
	why := map[string]int{}
	for _, r := range results {
		if r.recovered {
			recovered++
			resumed = append(resumed, r.resumed)
		}
		deaths, extra, violations = deaths+r.deaths, extra+r.extra, violations+len(r.violations)
		for k, n := range r.refusals {
			why[k] += n
		}
	}
	slices.Sort(resumed)
	at := func(p int) string {
		if len(resumed) == 0 {
			return "-"
		}
		return resumed[min(len(resumed)*p/100, len(resumed)-1)].Round(time.Millisecond).String()
	}
	line := fmt.Sprintf("%-24s %5d %9d %6d %5d %9s %9s %9d", name, len(results), recovered, deaths, extra, at(50), at(95), violations)
	if len(why) > 0 {
		line += "  " + strings.Join(slices.Sorted(maps.Keys(why)), "; ")
	}
	return line
}
