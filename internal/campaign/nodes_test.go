package campaign_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// shortLease is that of the gateways under test.
const shortLease = 2 * time.Second

// newNodes is two gateways whose leases are short, over a module in which each signature takes 40
// ms. Without Redis no batch can be joined or taken over.
func newNodes(t *testing.T, redis bool) *cluster {
	t.Helper()
	var c *cluster
	pairs := []string{"  chunk: 50\n", "  chunk: 10\n", "  lease: 30s\n", fmt.Sprintf("  lease: %v\n", shortLease)}
	if redis {
		c = newClusterWith(t, pairs...)
	} else {
		module := softHSM(t)
		c = &cluster{home: t, driver: "pgx", pg: pgtest.Start(t)}
		var err error
		c.address, err = c.pg.Database(t.Context())
		must(t, err)
		c.assemble(t, module, "mohor", "", pairs...)
	}
	for _, n := range c.nodes {
		n.findKey(t)
	}
	return c
}

// progress of a batch as a node tells it.
type progress struct {
	Status          string
	Signed, Pending int
}

func (r *rig) progress(t *testing.T, b *job) (p progress) {
	t.Helper()
	if code, err := r.do(t.Context(), "GET", "/v1/batches/"+b.id, nil, &p); err != nil || code != 200 {
		return progress{}
	}
	return p
}

// began is a batch that the node has begun to sign.
func (c *cluster) began(t *testing.T, n *rig, size int) *job {
	t.Helper()
	c.Forget(t)
	c.Set(t, "slow 40 C_Sign 1+")
	t.Cleanup(func() { c.Set(t) })
	b := n.newJob(t, size)
	must(t, n.authorise(t.Context(), b))
	eventually(t, "the node signs", func() bool { return n.progress(t, b).Signed >= 20 })
	return b
}

// within waits longer than PostgreSQL keeps a change of a process that stopped in it.
func within(t *testing.T, n *rig, b *job, want string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	over := time.After(3 * time.Minute)
	for {
		p := n.progress(t, b)
		if p.Status == want {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("not %s: %+v", want, p)
		}
	}
}

// sound checks that nothing was lost, signed twice in the output or without authorisation.
func (c *cluster) sound(t *testing.T, n *rig, b *job) *evidence {
	t.Helper()
	return c.soundAfter(t, n, b, false)
}

// soundAfter is sound; lost says that leases ran out meanwhile.
func (c *cluster) soundAfter(t *testing.T, n *rig, b *job, lost bool) *evidence {
	t.Helper()
	e := n.gatherFrom(t, b, c.driver, c.address)
	e.lost = lost
	violations, extra := e.check(b.id)
	for _, v := range violations {
		t.Error(v)
	}
	t.Logf("%d documents, %d intents, %d signatures beyond one each, by process %v", len(b.digests), len(e.intents), extra, signers(e))
	return e
}

// signers counts the uses of the key, by process.
func signers(e *evidence) map[int]int {
	by := map[int]int{}
	for _, calls := range e.madeFor() {
		for _, c := range calls {
			by[c.PID]++
		}
	}
	return by
}

// first is the process that used the key first.
func first(e *evidence) (pid int) {
	var at time.Time
	for _, calls := range e.madeFor() {
		for _, c := range calls {
			if at.IsZero() || c.At.Before(at) {
				at, pid = c.At, c.PID
			}
		}
	}
	return pid
}

func usedBetween(e *evidence, pid int, from, to time.Time) (n int) {
	for _, calls := range e.madeFor() {
		for _, c := range calls {
			if c.PID == pid && c.At.After(from) && c.At.Before(to) {
				n++
			}
		}
	}
	return n
}

// Two gateways sign one batch; one is stopped past its lease, or cut off from the database, or asked
// to pause and to cancel what the other signs.
func TestNodes(t *testing.T) {
	c := newNodes(t, true)
	a, b := c.nodes[0], c.nodes[1]
	t.Run("share a batch, the second started in the midst", func(t *testing.T) {
		b.stop(t)
		j := c.began(t, a, 1500)
		c.Set(t, "slow 400 C_Sign 1+") // it is not over before the second serves
		b.start(t)
		eventually(t, "the second signs too", func() bool { return c.runs(t, j) == 2 })
		c.Set(t, "slow 40 C_Sign 1+")
		within(t, b, j, "SIGNED")
		e := c.sound(t, a, j)
		if by := signers(e); len(by) != 2 || len(e.intents) != 1 {
			t.Errorf("signed by %d processes under %d intents", len(by), len(e.intents))
		}
		if _, extra := e.check(j.id); extra != 0 {
			t.Errorf("%d documents were signed twice with nothing in the way", extra)
		}
	})
	t.Run("one is stopped past its lease", func(t *testing.T) {
		j := c.began(t, a, 600)
		must(t, a.child.cmd.Process.Signal(syscall.SIGSTOP))
		stopped := time.Now()
		within(t, b, j, "SIGNED")
		took := time.Since(stopped)
		must(t, a.child.cmd.Process.Signal(syscall.SIGCONT))
		woke := time.Now()
		within(t, a, j, "SIGNED")
		next := c.ask(t.Context(), a, 1) // it does its work as ever
		if got := a.submit(t.Context(), next, next.code); got.status != http.StatusOK {
			t.Errorf("a signature at the one that woke: %v", got)
		}
		e := c.sound(t, b, j)
		if n := usedBetween(e, first(e), woke, time.Now()); n != 0 || len(e.intents) != 1 {
			t.Errorf("who woke used the key %d times for what others had signed; %d intents", n, len(e.intents))
		}
		t.Logf("finished %v after the stop", took.Round(time.Millisecond))
	})
	t.Run("pause here, cancel there", func(t *testing.T) {
		j := c.began(t, a, 1000)
		if status, err := b.do(t.Context(), "POST", "/v1/batches/"+j.id+"/resume", nil, nil); err != nil || status != 409 {
			t.Errorf("resuming what is not paused: %d, %v", status, err)
		}
		var told progress
		if status, err := b.do(t.Context(), "POST", "/v1/batches/"+j.id+"/pause", nil, &told); err != nil || status != 200 || told.Status != "PAUSED" {
			t.Fatalf("pausing: %d, %v, %+v", status, err, told)
		}
		eventually(t, "what was in work is finished", func() bool { return c.claimed(t, j) == 0 })
		was := a.progress(t, j)
		a.kill(t) // a pause outlives its runs
		eventually(t, "the batch is taken over", func() bool { return c.runs(t, j) > 0 })
		if p := a.progress(t, j); p != was || p.Status != "PAUSED" {
			t.Errorf("in the pause: %+v, before %+v", p, was)
		}
		if status, err := a.do(t.Context(), "POST", "/v1/batches/"+j.id+"/resume", nil, nil); err != nil || status != 200 {
			t.Errorf("resuming: %d, %v", status, err)
		}
		eventually(t, "it goes on", func() bool { return a.progress(t, j).Signed > was.Signed+50 })
		asked := time.Now()
		if status, err := b.do(t.Context(), "DELETE", "/v1/transactions/"+j.signing, nil, nil); err != nil || status != 204 {
			t.Errorf("cancelling: %d, %v", status, err)
		}
		took, p := time.Since(asked), a.progress(t, j)
		if p.Status != "NEEDS_AUTHORISATION" || p.Pending == 0 {
			t.Errorf("after cancelling: %+v", p)
		}
		t.Logf("cancelled in %v", took.Round(time.Millisecond))
		c.Set(t)
		must(t, b.authorise(t.Context(), j))
		within(t, b, j, "SIGNED")
		if e := c.sound(t, a, j); len(e.intents) != 2 {
			t.Errorf("%d intents", len(e.intents))
		}
	})
	t.Run("the database is away", func(t *testing.T) {
		for _, away := range []time.Duration{shortLease / 2, 2 * shortLease} {
			j := c.began(t, a, 400)
			back := pgKilled(t, c)
			wait := time.NewTimer(away)
			<-wait.C
			back()
			within(t, a, j, "SIGNED")
			if e := c.soundAfter(t, a, j, away > shortLease); len(e.intents) != 1 {
				t.Errorf("%d intents", len(e.intents))
			}
		}
	})
	t.Run("one is cut off from the database", func(t *testing.T) {
		x := newToxics(t, c.toPG.address, 0)
		var made struct{ Listen string }
		x.post(t, "/proxies", map[string]any{"name": "cut", "listen": "127.0.0.1:0", "upstream": c.toPG.address, "enabled": true}, &made)
		a.stop(t)
		edit(t, a.dir, c.toPG.address, made.Listen)
		a.start(t)
		j := c.began(t, a, 600)
		x.post(t, "/proxies/cut/toxics", map[string]any{"name": "up", "type": "timeout", "stream": "upstream", "attributes": map[string]any{"timeout": 0}}, nil)
		x.post(t, "/proxies/cut/toxics", map[string]any{"name": "down", "type": "timeout", "stream": "downstream", "attributes": map[string]any{"timeout": 0}}, nil)
		cut := time.Now()
		within(t, b, j, "SIGNED")
		healed := time.Now()
		x.heal(t, "cut", "up", "down")
		within(t, a, j, "SIGNED")
		e := c.sound(t, b, j)
		// What began before the lease ended takes 40 ms.
		if n := usedBetween(e, first(e), cut.Add(shortLease+time.Second), healed.Add(time.Hour)); n != 0 || len(e.intents) != 1 {
			t.Errorf("who was cut off used the key %d times; %d intents", n, len(e.intents))
		}
	})
}

// heal takes toxics away.
func (x *toxics) heal(t *testing.T, proxy string, names ...string) {
	t.Helper()
	for _, name := range names {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, x.api+"/proxies/"+proxy+"/toxics/"+name, nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("healing: %d", resp.StatusCode)
		}
	}
}

// Without Redis nobody but who opened the key can sign: a second gateway lets the first alone, and ends
// what it has left when its lease is over.
func TestNodesWithoutRedis(t *testing.T) {
	c := newNodes(t, false)
	a, b := c.nodes[0], c.nodes[1]
	b.stop(t)
	j := c.began(t, a, 500)
	b.start(t)
	within(t, b, j, "SIGNED")
	if e := c.sound(t, a, j); len(e.intents) != 1 || len(signers(e)) != 1 {
		t.Errorf("%d intents, signed by %v", len(e.intents), signers(e))
	}
	j = c.began(t, a, 500)
	a.stop(t) // in order; its supervisor leaves it
	within(t, b, j, "NEEDS_AUTHORISATION")
	a.start(t)
	j2 := c.began(t, a, 500)
	a.mu.Lock()
	a.stopped = true
	p := a.child
	a.mu.Unlock()
	must(t, p.cmd.Process.Kill())
	<-p.ended
	within(t, b, j2, "NEEDS_AUTHORISATION")
	c.Set(t)
	a.start(t)
	for _, j := range []*job{j, j2} {
		must(t, b.authorise(t.Context(), j))
		within(t, b, j, "SIGNED")
	}
	if e := c.sound(t, b, j2); len(e.intents) != 2 {
		t.Errorf("%d intents", len(e.intents))
	}
}

// claimed and runs count rows of a batch.
func (c *cluster) claimed(t *testing.T, b *job) int {
	return c.number(t, "SELECT count(*) FROM items WHERE state = 'claimed' AND batch_id = $1", b.id)
}

func (c *cluster) runs(t *testing.T, b *job) int {
	return c.number(t, "SELECT count(*) FROM intent_runs r JOIN intents i ON i.id = r.intent_id WHERE i.batch_id = $1 AND r.lease_until > EXTRACT(EPOCH FROM clock_timestamp()) * 1000000", b.id)
}

func (c *cluster) number(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	db, err := sql.Open(c.driver, c.address)
	must(t, err)
	defer db.Close()
	must(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}
