package campaign_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

var storeTimes = flag.Int("campaign.stores", 1, "how often each fault of Redis and PostgreSQL is injected")

// storeFault is something that goes wrong with Redis or PostgreSQL under load.
type storeFault struct {
	name string
	// begin injects the fault; end ends it.
	begin func(t *testing.T, c *cluster) (end func())
	// hold is how long it lasts at least; it goes on until it is seen.
	hold time.Duration
	// seen says whether a round shows the fault; nil when begin has seen to that.
	seen func(d *timed) bool
	// late: it is seen when it is over.
	late bool
	// own makes a cluster for this fault alone; nil when any will do.
	own func(t *testing.T) *cluster
}

// timed is a round with the time it took.
type timed struct {
	*round
	from, to time.Time
}

// told is for faults that show in answers.
func told(codes ...string) func(*timed) bool {
	return func(d *timed) bool {
		return slices.ContainsFunc(append([]answer{d.asked}, d.answers...), func(a answer) bool { return slices.Contains(codes, a.code) })
	}
}

// took is for faults that show in time alone.
func took(least time.Duration) func(*timed) bool {
	return func(d *timed) bool { return d.to.Sub(d.from) >= least }
}

func storeFaults() []storeFault {
	return []storeFault{
		{"Redis: FLUSHALL each 100 ms", flushing, 2 * time.Second, told("otp_expired"), false, nil},
		{"Redis: SIGSTOP", redisStopped, time.Second, told("store_unavailable"), false, nil},
		{"Redis: kill -9", redisKilled, 500 * time.Millisecond, told("store_unavailable"), false, nil},
		{"Redis: stale replica promoted", promoteStale, time.Millisecond, nil, false, nil},
		{"Redis: Sentinel fails over", failsOver, time.Second, told("store_unavailable", "otp_expired"), false, newWatched},
		{"PostgreSQL: kill -QUIT", pgKilled, 500 * time.Millisecond, told("store_unavailable"), false, nil},
		{"PostgreSQL: SIGSTOP 5 s", pgStopped, 5 * time.Second, took(4 * time.Second), true, nil},
		{"PostgreSQL: SIGSTOP until told", pgHangs, time.Millisecond, nil, false, nil},
		{"PostgreSQL: resets", pgResets, time.Second, told("store_unavailable"), false, nil},
		{"PostgreSQL: slow", pgSlow, time.Second, took(600 * time.Millisecond), true, nil},
	}
}

// repeat does something at once and then each d until end.
func repeat(d time.Duration, do func()) (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			do()
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

func flushing(t *testing.T, c *cluster) func() {
	return repeat(100*time.Millisecond, func() {
		if err := c.redis.Client.FlushAll(t.Context()).Err(); err != nil {
			t.Error(err)
		}
	})
}

func redisStopped(t *testing.T, c *cluster) func() {
	must(t, c.redis.Process().Signal(syscall.SIGSTOP))
	return func() { must(t, c.redis.Process().Signal(syscall.SIGCONT)) }
}

func redisKilled(t *testing.T, c *cluster) func() {
	must(t, c.redis.Kill())
	return func() { must(t, c.redis.Run()) }
}

// promoteStale puts a replica in the place of the master, which has gone on
// without it: a code is missing there, and two tries of another were never
// counted. The database has counted them.
func promoteStale(t *testing.T, c *cluster) func() {
	link := newProxy(t, c.redis.Address)
	host, port, err := net.SplitHostPort(link.address)
	must(t, err)
	replica, err := redistest.New("--replicaof", host, port)
	must(t, err)
	c.home.Cleanup(func() { must(c.home, replica.Close()) })
	counted := c.ask(t.Context(), c.nodes[0], 0)
	eventually(t, "the replica has what the master has", func() bool {
		return replication(t, replica, "master_link_status") == "up" && counts(t, replica, counted) == "0"
	})
	link.reset("")
	tell := func(d *round, n int, want string) {
		t.Helper()
		if a := c.nodes[n].submit(t.Context(), d, wrong(d.code)); a.code != want {
			t.Errorf("told %v, want %s", a, want)
		}
	}
	tell(counted, 0, "otp_wrong")
	tell(counted, 1, "otp_wrong")
	lost := c.ask(t.Context(), c.nodes[1], 1)
	if m, r := counts(t, c.redis, counted), counts(t, replica, counted); m != "2" || r != "0" || counts(t, replica, lost) != "" {
		t.Errorf("control: the master counts %q, the replica %q", m, r)
	}
	must(t, replica.Client.ReplicaOf(t.Context(), "NO", "ONE").Err())
	c.toRedis.reset(replica.Address)
	must(t, c.redis.Kill())
	c.redis = replica
	tell(counted, 0, "otp_wrong")
	tell(counted, 1, "otp_attempts_exhausted")
	tell(lost, 0, "otp_expired")
	if n := counts(t, replica, counted); n != "1" {
		t.Errorf("control: the promoted replica counts %q: it was not stale", n)
	}
	return func() {}
}

// failsOver kills the master; it is over when the Sentinels have another and the
// old one follows that.
func failsOver(t *testing.T, c *cluster) func() {
	old, err := c.watched.Master(t.Context())
	must(t, err)
	must(t, old.Kill())
	return func() {
		eventually(t, "another master", func() bool {
			m, err := c.watched.Master(t.Context())
			return err == nil && m != old
		})
		must(t, old.Run())
		eventually(t, "the old master follows", func() bool {
			info := old.Client.Info(t.Context(), "replication").Val() // a Sentinel breaks connections
			return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
		})
	}
}

// counts is how many comparisons a server has counted of a code; "" when it
// does not know it.
func counts(t *testing.T, s *redistest.Server, d *round) string {
	t.Helper()
	keys, err := s.Client.Keys(t.Context(), "*"+d.tx.ID+"*").Result()
	must(t, err)
	if len(keys) == 0 {
		return ""
	}
	n, err := s.Client.HGet(t.Context(), keys[0], "tries").Result()
	must(t, err)
	return n
}

// replication is what a server says of its replication.
func replication(t *testing.T, s *redistest.Server, field string) string {
	info, err := s.Client.Info(t.Context(), "replication").Result()
	must(t, err)
	_, rest, _ := strings.Cut(info, field+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !comes(time.Minute, is) { // of a busy machine
		t.Fatalf("not in a minute: %s", what)
	}
}

// comes waits until something is so, and says whether it was in time.
func comes(d time.Duration, is func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(d)
	for !is() {
		select {
		case <-tick.C:
		case <-over:
			return false
		}
	}
	return true
}

func pgKilled(t *testing.T, c *cluster) func() {
	must(t, c.pg.Kill())
	return func() { must(t, c.pg.Run()) }
}

func pgStopped(t *testing.T, c *cluster) func() {
	goOn, err := c.pg.Stop()
	must(t, err)
	return func() { must(t, goOn()) }
}

// pgHangs stops the server until each gateway says so to who asks anew. What was
// under way may take longer.
func pgHangs(t *testing.T, c *cluster) func() {
	end := pgStopped(t, c)
	for k, n := range c.nodes {
		eventually(t, fmt.Sprintf("gateway %d says that the store is away", k+1), func() bool {
			return c.ask(t.Context(), n, 0).asked.code == "store_unavailable"
		})
	}
	return end
}

func pgResets(_ *testing.T, c *cluster) func() {
	return repeat(50*time.Millisecond, func() { c.toPG.reset(c.pgSocket) })
}

func pgSlow(_ *testing.T, c *cluster) func() {
	c.toPG.slow(50 * time.Millisecond)
	return func() { c.toPG.slow(0) }
}

// rush is the load: each officer asks for a code at one gateway and submits it,
// or others, at both.
type rush struct {
	mu     sync.Mutex
	rounds []*timed
	wg     sync.WaitGroup
	stop   context.CancelFunc
}

func (c *cluster) rush(t *testing.T) *rush {
	ctx, stop := context.WithCancel(t.Context())
	l := &rush{stop: stop}
	for officer := range c.nodes[0].dev.Officers {
		l.wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond) // there is a rate limit
			defer tick.Stop()
			for ctx.Err() == nil {
				d := &timed{from: time.Now()}
				d.round = c.ask(t.Context(), c.nodes[rand.IntN(len(c.nodes))], officer)
				if d.asked.status == http.StatusCreated && d.code != "" {
					c.play(t, d.round)
				}
				d.to = time.Now()
				l.mu.Lock()
				l.rounds = append(l.rounds, d)
				l.mu.Unlock()
				<-tick.C
			}
		})
	}
	return l
}

// play submits the right code many times, or wrong ones with it, or wrong ones
// and then the right one.
func (c *cluster) play(t *testing.T, d *round) {
	switch rand.IntN(4) {
	case 0:
		for k := range tries + 1 {
			d.answers = append(d.answers, c.nodes[k%len(c.nodes)].submit(t.Context(), d, wrong(d.code)))
		}
		d.answers = append(d.answers, c.nodes[0].submit(t.Context(), d, d.code))
	case 1:
		d.answers = make([]answer, 6)
		var wg sync.WaitGroup
		for k := range d.answers {
			code := d.code
			if k%3 == 0 {
				code = wrong(code)
			}
			wg.Go(func() { d.answers[k] = c.nodes[k%len(c.nodes)].submit(t.Context(), d, code) })
		}
		wg.Wait()
	default:
		c.race(t, d, 6)
	}
}

// find gives the first round that began after a moment and is as it should be.
func (l *rush) find(after time.Time, is func(*timed) bool) *timed {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.rounds {
		if d.from.After(after) && is(d) {
			return d
		}
	}
	return nil
}

func won(d *timed) bool { return d.won() == 1 }

// end ends the load and gives its rounds.
func (l *rush) end() (rounds []*round) {
	l.stop()
	l.wg.Wait()
	for _, d := range l.rounds {
		rounds = append(rounds, d.round)
	}
	return rounds
}

// TestStoreFaults has Redis and PostgreSQL fail under load: no code is used
// twice or compared a fourth time, every answer is a documented one, no row
// contradicts another, and both gateways go on without a restart.
func TestStoreFaults(t *testing.T) {
	c := newCluster(t)
	var table []string
	for _, f := range storeFaults() {
		if !chosen(fault{name: f.name}) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			c := c
			if f.own != nil {
				c = f.own(t)
			}
			var recovered []time.Duration
			rounds, winners, violations := 0, 0, 0
			answers := map[string]int{}
			for range *storeTimes {
				d, all := c.suffer(t, f)
				recovered = append(recovered, d)
				n, bad := c.check(t, all)
				rounds, winners, violations = rounds+len(all), winners+n, violations+len(bad)
				complain(t, result{armed: []string{f.name}, violations: bad})
				for _, d := range all {
					for _, a := range append([]answer{d.asked}, d.answers...) {
						answers[a.String()]++
					}
				}
			}
			slices.Sort(recovered)
			at := func(p int) time.Duration {
				return recovered[min(len(recovered)*p/100, len(recovered)-1)].Round(time.Millisecond)
			}
			table = append(table, fmt.Sprintf("%-32s %5d %6d %7d %10d %8v %8v  %s", f.name, *storeTimes, rounds, winners, violations, at(50), at(95), listed(answers)))
		})
	}
	if len(table) == 0 {
		t.Errorf("no fault matches %q: nothing was injected", *only)
	}
	if !t.Failed() { // else the database may be away still
		t.Logf("left behind: %s", c.left(t))
	}
	t.Logf("recovery: from the end of the fault to the end of a round that began after it and won\n%-32s %5s %6s %7s %10s %8s %8s\n%s",
		"fault", "times", "rounds", "winners", "violations", "p50", "p95", strings.Join(table, "\n"))
}

// left is what faults may leave: intents whose end could not be recorded, which
// the sweep closes at their deadline, and right PINs that were counted and not
// taken back.
func (c *cluster) left(t *testing.T) string {
	db, err := sql.Open(c.driver, c.address)
	must(t, err)
	defer db.Close()
	var open, pins int
	must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM intents WHERE state = 'open'").Scan(&open))
	must(t, db.QueryRowContext(t.Context(), "SELECT CAST(SUM(pin_total) AS BIGINT) FROM officers").Scan(&pins))
	return fmt.Sprintf("%d open intents, %d counts of right PINs", open, pins)
}

func listed(m map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprint(k, ": ", m[k]))
	}
	return strings.Join(out, ", ")
}

// suffer injects a fault under load, which must be seen, and waits until a round
// is won that began after it.
func (c *cluster) suffer(t *testing.T, f storeFault) (recovery time.Duration, rounds []*round) {
	t.Helper()
	c.Forget(t)
	l := c.rush(t)
	defer l.end() // also when the test ends here
	begun := time.Now()
	eventually(t, "the load wins before the fault", func() bool { return l.find(begun, won) != nil })
	over := c.inject(t, f, l, begun)
	var first *timed
	eventually(t, "the load wins after the fault", func() bool {
		first = l.find(over, won)
		return first != nil
	})
	return first.to.Sub(over), l.end()
}

// inject has the fault until a round has seen it, and gives when it was over. One that heals by
// itself may do so between two rounds: it is injected again.
func (c *cluster) inject(t *testing.T, f storeFault, l *rush, begun time.Time) time.Time {
	t.Helper()
	for range 3 {
		if over, seen := c.injectOnce(t, f, l, begun); seen {
			return over
		}
	}
	t.Fatal("the fault is not seen")
	return time.Time{}
}

func (c *cluster) injectOnce(t *testing.T, f storeFault, l *rush, begun time.Time) (over time.Time, seen bool) {
	t.Helper()
	at := time.Now()
	end := f.begin(t, c)
	ended := sync.OnceFunc(end)
	defer ended()
	hold := time.NewTimer(f.hold)
	<-hold.C
	if f.late {
		ended()
	}
	over = time.Now()
	seen = comes(20*time.Second, func() bool {
		return f.seen == nil || l.find(begun, func(d *timed) bool { return d.to.After(at) && f.seen(d) }) != nil
	})
	if !f.late {
		ended()
		over = time.Now()
	}
	return over, seen
}
