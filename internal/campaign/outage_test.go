package campaign_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

var outage = flag.Duration("campaign.outage", 2*time.Second, "how long database and HSM are away while a batch is signed")

// The HSM is away for a while in the middle of a batch, or the process of its module stands still: the
// batch goes on.
func TestHSMAway(t *testing.T) {
	r := newRig(t, false)
	for _, f := range []fault{
		{name: "removed", lines: []string{"removed - %d+"}, calls: anyCall, hold: *outage},
		{name: "process stopped", lines: []string{"slow 0 - %d"}, calls: anyCall, hold: *outage, act: tokenStopped},
	} {
		t.Run(f.name, func(t *testing.T) {
			res := r.run(t, f, time.Minute)
			if !res.hit || !res.recovered || res.deaths > 0 {
				t.Errorf("%q: set in: %t, recovered: %t, deaths of the gateway: %d, refusals: %v", res.armed, res.hit, res.recovered, res.deaths, res.refusals)
			}
			complain(t, res)
			t.Logf("went on %v after %v, with %d authorisations", res.resumed.Round(time.Millisecond), *outage, res.authorised)
		})
	}
}

// tokenStopped stops the process that has the token (SIGSTOP).
func tokenStopped(t *testing.T, r *rig) func() {
	r.mu.Lock()
	gateway := r.child.cmd.Process.Pid
	r.mu.Unlock()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", gateway, gateway))
	if err != nil {
		t.Error(err)
	}
	// The thread that started it is its parent in this list; it may be any.
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", gateway))
	if err != nil {
		t.Error(err)
	}
	for _, task := range tasks {
		more, err := os.ReadFile(task)
		if err == nil { // the thread may have ended
			raw = append(append(raw, ' '), more...)
		}
	}
	var stopped []int
	for _, word := range strings.Fields(string(raw)) {
		pid, err := strconv.Atoi(word)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			t.Error(err)
		}
		stopped = append(stopped, pid)
	}
	if len(stopped) == 0 {
		t.Error("the gateway has no process for its token")
	}
	return func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been given up and killed
		}
	}
}

// The database is away for a while in the middle of a batch: the batch goes on.
func TestDatabaseAway(t *testing.T) {
	c := newCluster(t)
	r := c.nodes[0]
	r.driver, r.address = c.driver, c.address
	r.findKey(t)
	r.Forget(t)
	b := r.newJob(t, 2000)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	res := result{refusals: map[string]int{}}
	must(t, r.authorise(ctx, b))
	eventually(t, "the batch is under way", func() bool { return len(r.Calls(t, "C_Sign")) > 100 })
	c.toPG.reset("")
	away := time.NewTimer(*outage)
	<-away.C
	if r.status(ctx, b) != "" {
		t.Error("the gateway knows the batch without its database")
	}
	c.toPG.reset(c.pgSocket)
	began := time.Now()
	if !r.insist(ctx, t, b, &res) {
		t.Fatalf("the batch did not come to its end: %s, %v", r.status(ctx, b), res.refusals)
	}
	res.violations, res.extra = r.gatherFrom(t, b, c.driver, c.address).check(b.id)
	complain(t, res)
	t.Logf("signed %v after an outage of %v, with %d more authorisations and %d signatures beyond one a document", time.Since(began).Round(time.Millisecond), *outage, res.authorised, res.extra)
}

// A disk is full in the middle of a batch, and then there is room again: the batch comes to its end, and
// no file is truncated.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		gatewaytest.Require(t, "mounting a small disk takes root, which")
	}
	r := newRigWith(t, &rig{})
	blobs := filepath.Join(r.dir, "blobs")
	r.stop(t)
	must(t, syscall.Mount("tmpfs", blobs, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, syscall.Unmount(blobs, syscall.MNT_DETACH)) })
	r.start(t)
	b := r.newList(t, 10)
	// Of the files to come there is room for some.
	filler := filepath.Join(blobs, "filler")
	var st unix.Statfs_t
	must(t, unix.Statfs(blobs, &st))
	free := int64(st.Bavail) * st.Bsize
	const room = 250 << 10
	if free <= room {
		t.Fatalf("%d bytes are free", free)
	}
	must(t, os.WriteFile(filler, make([]byte, free-room), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	res := result{refusals: map[string]int{}}
	must(t, r.authorise(ctx, b))
	eventually(t, "the disk is full", func() bool {
		must(t, unix.Statfs(blobs, &st))
		return int64(st.Bavail)*st.Bsize < room/3 || r.status(ctx, b) == "NEEDS_AUTHORISATION"
	})
	// It tries and fails, in vain, for a while.
	vain := time.NewTimer(500 * time.Millisecond)
	<-vain.C
	if s := r.status(ctx, b); s != "SIGNING" && s != "NEEDS_AUTHORISATION" {
		t.Fatalf("a batch on a full disk is %s", s)
	}
	must(t, os.Remove(filler))
	if !r.insist(ctx, t, b, &res) {
		t.Fatalf("the batch did not come to its end: %s, %v", r.status(ctx, b), res.refusals)
	}
	res.violations, res.extra = r.gather(t, b).check(b.id)
	res.violations = append(res.violations, r.wrongFiles(t, b)...)
	complain(t, res)
}

// A disk fails once (EIO), at each step of a file: the batch comes to its end, and every file is whole.
func TestDiskFails(t *testing.T) {
	r := newRigWith(t, &rig{points: filepath.Join(t.TempDir(), "points")})
	for _, p := range []string{"before file", "file half written", "file written, not renamed", "after file", "before completion"} {
		r.Forget(t)
		b := r.newList(t, 20)
		r.arm(t, p, 1, eio)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		res := result{refusals: map[string]int{}, armed: []string{p, eio}}
		signed, failed := r.insist(ctx, t, b, &res), r.passed(ctx)
		if r.disarm(t); !signed || !failed {
			t.Errorf("%s: failed: %t; the batch is %s, %v", p, failed, r.status(ctx, b), res.refusals)
			cancel()
			continue
		}
		cancel()
		res.violations, res.extra = r.gather(t, b).check(b.id)
		res.violations = append(res.violations, r.wrongFiles(t, b)...)
		complain(t, res)
	}
}
