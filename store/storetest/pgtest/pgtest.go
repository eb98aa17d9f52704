// Package pgtest runs a PostgreSQL cluster of one's own for a test: on a Unix
// socket, ended by its process id.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// patience bounds the wait for a server to answer.
const patience = time.Minute

// Server is a cluster. Its addresses stay the same over Kill and Run.
type Server struct {
	dir, bin string
	account  *syscall.Credential
	args     []string
	cmd      *exec.Cmd
	made     atomic.Int64
}

// Missing says why there can be no server here; nil when there can.
func Missing() error {
	_, err := programs()
	return err
}

// programs is the folder of initdb and postgres; Debian keeps it out of PATH.
func programs() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("initdb was not found"), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// Need skips the test without PostgreSQL, or fails it with MOHOR_TEST_REQUIRE=all.
func Need(t testing.TB) {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("PostgreSQL is required: %v", err)
		}
		t.Skipf("PostgreSQL is missing: %v", err)
	}
}

// Start runs a server of the test's own until it ends; args are settings of
// postgres like "fsync=on".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	Need(t)
	s, err := New(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// New makes and runs a server; Close it. It does not wait for the disk, unless
// told so.
func New(args ...string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // sockets have short names
	if err != nil {
		return nil, fmt.Errorf("making a folder for PostgreSQL: %w", err)
	}
	s := &Server{dir: dir, bin: bin, args: args}
	if err := s.init(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// init makes the cluster. PostgreSQL runs for nobody who is root.
func (s *Server) init() error {
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("finding an account for PostgreSQL: %w", err)
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return fmt.Errorf("reading the account for PostgreSQL: %w", err)
		}
		s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
			return fmt.Errorf("making a folder for PostgreSQL: %w", err)
		}
	}
	cmd := s.command("initdb", "-D", filepath.Join(s.dir, "data"), "-U", "mohor", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster: %w: %s", err, out)
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	return cmd
}

// Run starts the server, anew after Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{"-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"}
	for _, a := range s.args {
		args = append(args, "-c", a)
	}
	s.cmd = s.command("postgres", args...)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := sql.Open("pgx", s.Address("postgres"))
	if err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	defer db.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for postgres: %w", err)
		case <-tick.C:
		}
	}
}

// Address is the postgres:// address of a database of this server.
func (s *Server) Address(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("mohor"), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}, "sslmode": {"disable"}}.Encode()}
	return u.String()
}

// Database makes an empty database and gives its address.
func (s *Server) Database(ctx context.Context) (address string, err error) {
	db, err := sql.Open("pgx", s.Address("postgres"))
	if err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	name := fmt.Sprintf("db%d", s.made.Add(1))
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	return s.Address(name), nil
}

// Process is the server's first process.
func (s *Server) Process() *os.Process { return s.cmd.Process }

// Stop stops the server with all its processes (SIGSTOP): it takes connections
// and answers nothing until they go on.
func (s *Server) Stop() (goOn func() error, err error) {
	parent := s.cmd.Process.Pid
	var stopped []int
	goOn = func() (err error) {
		for _, pid := range stopped {
			if e := syscall.Kill(pid, syscall.SIGCONT); !errors.Is(e, syscall.ESRCH) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	stop := func(pid int) error {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("stopping postgres: %w", errors.Join(err, goOn()))
		}
		stopped = append(stopped, pid)
		return nil
	}
	if err := stop(parent); err != nil { // it makes no more
		return nil, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, errors.Join(err, goOn())
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if w := strings.Fields(rest); len(w) > 1 && w[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err == nil {
				err = stop(pid)
			}
			if err != nil {
				return nil, errors.Join(err, goOn())
			}
		}
	}
	return goOn, nil
}

// Kill ends the server at once, as a crash would.
func (s *Server) Kill() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	// SIGQUIT: its children end as well, and nothing is written.
	err := s.cmd.Process.Signal(syscall.SIGQUIT)
	if err == nil { // it may have been stopped
		err = s.cmd.Process.Signal(syscall.SIGCONT)
	}
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
	return err
}

// Close ends the server and removes what it left.
func (s *Server) Close() error { return errors.Join(s.Kill(), os.RemoveAll(s.dir)) }

// shared is the server that the tests of a process have in common.
var shared struct {
	sync.Mutex
	server *Server
	users  int
}

// Shared is a server for all tests of the process that run now; it ends with the
// last of them.
func Shared(t testing.TB) *Server {
	t.Helper()
	Need(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			if err := shared.server.Close(); err != nil {
				t.Error(err)
			}
			shared.server = nil
		}
	})
	return shared.server
}
