package campaign_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// Secrets that stand nowhere but where they are put.
const (
	canaryPIN      = "K4n4ri-b3sar-99"
	canaryDatabase = "K4n4ri-pangkalan-data-77"
	canaryRedis    = "K4n4ri-redis-55"
	planted        = "K4n4ri-yang-ditanam-33"
)

// trace is one place that is searched.
type trace struct {
	place string
	bytes []byte
}

// TestSecretsLeaveNoTraceInServers takes PINs, codes, the token's PIN and the
// passwords of database and Redis through success and failure, ends the gateways
// by a crash, and looks for them in logs, folders, PostgreSQL's files with its
// write-ahead log, what Redis dumps and what it is asked, and cores.
func TestSecretsLeaveNoTraceInServers(t *testing.T) {
	c := guardedCluster(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: c.redis.Address, Password: canaryRedis})
	defer client.Close()
	heard := monitor(t, c.redis.Address)
	pgData := filepath.Join(filepath.Dir(c.pgSocket), "data")
	before := gather(t, pgData) // its own catalogues hold numbers of six digits

	var codes []string
	ask := func(n int) *round {
		for {
			d := c.ask(t.Context(), c.nodes[n], n)
			if d.asked.code == "store_unavailable" {
				continue // each connection that broke says so once
			}
			if d.code == "" {
				t.Fatalf("asking: %v", d.asked)
			}
			if find(before, d.code, true) == nil {
				codes = append(codes, d.code)
				return d
			}
		}
	}
	tell := func(a answer, want string) {
		t.Helper()
		if a.String() != want {
			t.Errorf("told %v, want %s", a, want)
		}
	}
	d := ask(0)
	tell(c.nodes[1].submit(t.Context(), d, wrong(d.code)), "403 otp_wrong")
	tell(c.nodes[0].send(t.Context(), "POST", "/v1/transactions/"+d.tx.ID+"/sign", map[string]string{"nonce": d.tx.Nonce, "pin": canaryPIN, "otp": d.code}, nil), "403 pin_wrong")
	tell(c.nodes[1].submit(t.Context(), d, d.code), "200")
	d = ask(1)
	must(t, c.pg.Kill())
	tell(c.nodes[0].submit(t.Context(), d, d.code), "503 store_unavailable")
	must(t, c.pg.Run())
	eventually(t, "the database is back", func() bool { return c.nodes[0].submit(t.Context(), d, d.code).status == http.StatusOK })
	d = ask(0)
	c.Set(t, "error 0x30 C_Sign 1+")
	tell(c.nodes[0].submit(t.Context(), d, d.code), "503 hsm_unavailable")
	c.Set(t)
	eventually(t, "the module is back", func() bool { return c.ask(t.Context(), c.nodes[0], 0).code != "" })
	live := []*round{ask(0), ask(1)} // when all ends

	// Planted where the secrets could be.
	must(t, client.Set(t.Context(), "planted", planted, 0).Err())
	must(t, client.Save(t.Context()).Err())
	db, err := sql.Open("pgx", c.address)
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "INSERT INTO meta (name, value) VALUES ('planted', '"+planted+"')")
	must(t, err)
	c.crash(t)
	must(t, c.pg.Kill()) // what was not written by then is in the log that it writes ahead

	places := gather(t, pgData)
	places = append(places, gather(t, filepath.Dir(c.redis.Address))...)
	places = append(places, trace{"MONITOR", heard()})
	var cores, logs []trace
	for _, n := range c.nodes {
		places = append(places, gather(t, n.dir)...)
		cores = append(cores, gather(t, n.work)...)
		b, err := os.ReadFile(n.log.Name())
		must(t, err)
		logs = append(logs, trace{"log", b})
	}
	places = append(append(places, cores...), logs...)
	tokenPIN, err := os.ReadFile(filepath.Join(c.nodes[0].dir, "secrets", "token.pin"))
	must(t, err)
	o := c.nodes[0].dev.Officers
	for name, s := range map[string]string{"wrong PIN": canaryPIN, "first PIN": string(o[0].PIN.Reveal()), "second PIN": string(o[1].PIN.Reveal()),
		"token PIN": strings.TrimSpace(string(tokenPIN)), "database password": canaryDatabase, "Redis password": canaryRedis} {
		for _, place := range find(places, s, false) {
			if base := filepath.Base(place); base != "dev.json" && base != "token.pin" {
				t.Errorf("the %s is in %s", name, place)
			}
		}
	}
	for _, code := range codes {
		for _, place := range find(places, code, true) {
			t.Errorf("a code is in %s", place)
		}
	}
	controls(t, c, places, cores, logs, live, string(o[0].PIN.Reveal()))
}

// controls: what was planted is found, and the places hold what they should.
func controls(t *testing.T, c *cluster, places, cores, logs []trace, live []*round, pin string) {
	t.Helper()
	for _, want := range []string{"/pg_wal/", "dump.rdb", "MONITOR"} {
		if at := find(places, planted, false); !strings.Contains(strings.Join(at, "\n"), want) {
			t.Errorf("control: what was planted is not in %s but in %q", want, at)
		}
	}
	if at := find(places, pin, false); len(at) != len(c.nodes) {
		t.Errorf("control: the officer's PIN is in %q, want the files dev.json", at)
	}
	for _, d := range live { // the MAC is there, and not the code
		for _, want := range []string{"dump.rdb", "MONITOR"} {
			if at := find(places, d.tx.ID, false); !strings.Contains(strings.Join(at, "\n"), want) {
				t.Errorf("control: the live code %s is not in %s", d.tx.ID, want)
			}
		}
	}
	for _, l := range logs {
		if !bytes.Contains(l.bytes, []byte("SIGABRT")) || !bytes.Contains(l.bytes, []byte("goroutine ")) {
			t.Error("control: a gateway did not crash with a trace of its goroutines")
		}
	}
	for _, core := range cores {
		t.Errorf("a crash left %s of %d bytes", core.place, len(core.bytes))
	}
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	must(t, err)
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	if strings.ContainsAny(string(pattern), "|/") || limit.Cur == 0 {
		t.Logf("cores of at most %d bytes go to %q: that one can be had at all is not shown", limit.Cur, pattern)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", "kill -ABRT $$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PLANTED="+planted)
	if err := cmd.Run(); err == nil {
		t.Error("control: a shell did not crash")
	}
	if len(find(gather(t, dir), planted, false)) != 1 {
		t.Error("control: no core of a shell that is not shielded")
	}
}

// guardedCluster is two gateways whose database and Redis want passwords, and
// which may leave cores.
func guardedCluster(t *testing.T) *cluster {
	t.Helper()
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_CORE, &was))
	must(t, syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: was.Max, Max: was.Max}))
	t.Cleanup(func() { must(t, syscall.Setrlimit(syscall.RLIMIT_CORE, &was)) })
	module := softHSM(t)
	pgtest.Need(t)
	dir, err := os.MkdirTemp("", "hba") // PostgreSQL's account must read it
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	hba := filepath.Join(dir, "pg_hba.conf")
	must(t, os.WriteFile(hba, []byte("local all mohor trust\nlocal all all scram-sha-256\n"), 0o644))
	c := &cluster{home: t, driver: "pgx", pg: pgtest.Start(t, "hba_file="+hba), redis: redistest.Start(t, "--requirepass", canaryRedis)}
	c.address, err = c.pg.Database(t.Context())
	must(t, err)
	db, err := sql.Open("pgx", c.address)
	must(t, err)
	defer db.Close()
	at, err := url.Parse(c.address)
	must(t, err)
	for _, statement := range []string{"CREATE ROLE gerbang LOGIN PASSWORD '" + canaryDatabase + "'", "ALTER DATABASE " + strings.Trim(at.Path, "/") + " OWNER TO gerbang"} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	files := t.TempDir()
	for name, s := range map[string]string{"database": canaryDatabase, "redis": canaryRedis} {
		must(t, os.WriteFile(filepath.Join(files, name), []byte(s+"\n"), 0o600))
	}
	if err := wrongPassword(t, at); err == nil {
		t.Fatal("control: the database lets everybody in")
	}
	c.assemble(t, module, "gerbang", filepath.Join(files, "database"), "\n  password_file: \"\"", fmt.Sprintf("\n  password_file: %q", filepath.Join(files, "redis")))
	for _, n := range c.nodes { // again, where a core may be left
		n.stop(t)
		n.work = t.TempDir()
		n.env = append(n.env, "GOTRACEBACK=crash")
		n.start(t)
	}
	return c
}

// wrongPassword logs in with another one.
func wrongPassword(t *testing.T, at *url.URL) error {
	other := *at
	other.User = url.UserPassword("gerbang", "x")
	db, err := sql.Open("pgx", other.String())
	must(t, err)
	defer db.Close()
	return db.PingContext(t.Context())
}

// crash has both gateways end as by an impossible state.
func (c *cluster) crash(t *testing.T) {
	for _, n := range c.nodes {
		n.mu.Lock()
		n.stopped = true
		p := n.child
		n.child = nil
		n.mu.Unlock()
		must(t, p.cmd.Process.Signal(syscall.SIGABRT))
		<-p.ended
	}
}

// monitor hears all that Redis is asked, until heard.
func monitor(t *testing.T, socket string) (heard func() []byte) {
	conn, err := net.Dial("unix", socket)
	must(t, err)
	_, err = fmt.Fprintf(conn, "AUTH %s\r\nMONITOR\r\n", canaryRedis)
	must(t, err)
	var b bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(&b, conn) })
	return func() []byte {
		_ = conn.Close()
		wg.Wait()
		return b.Bytes()
	}
}

// gather reads all files below a folder.
func gather(t *testing.T, root string) (all []trace) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a file of a server that runs
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		all = append(all, trace{path, b})
		return err
	}))
	return all
}

// find names the places that hold a secret; digits must not be part of a longer
// word.
func find(places []trace, s string, digits bool) (where []string) {
	for _, p := range places {
		for at := 0; ; {
			k := bytes.Index(p.bytes[at:], []byte(s))
			if k < 0 {
				break
			}
			from, to := at+k, at+k+len(s)
			at = to
			if !digits || !word(p.bytes, from-1) && !word(p.bytes, to) {
				where = append(where, p.place)
				break
			}
		}
	}
	return where
}

func word(b []byte, i int) bool {
	return i >= 0 && i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] >= 'a' && b[i] <= 'z' || b[i] >= 'A' && b[i] <= 'Z' || b[i] == '.')
}
