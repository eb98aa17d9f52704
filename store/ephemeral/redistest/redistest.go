// Package redistest runs a redis-server of one's own for a test: on a Unix
// socket, without files, ended by its process id.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience bounds the wait for a server to answer.
const patience = 30 * time.Second

// Server is a redis-server. Its address stays the same over Kill and Run.
type Server struct {
	Address string // path of its socket
	Client  *redis.Client

	dir  string
	args []string
	cmd  *exec.Cmd
}

// Missing says why there can be no server here; nil when there can.
func Missing() error {
	_, err := exec.LookPath("redis-server")
	return err
}

// Need skips the test without redis-server, or fails it with MOHOR_TEST_REQUIRE=all.
func Need(t testing.TB) {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("redis-server is required: %v", err)
		}
		t.Skipf("redis-server is missing: %v", err)
	}
}

// Start runs a server until the test ends; args are options like
// "--requirepass". See [Need].
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

// New runs a server; Close it.
func New(args ...string) (*Server, error) { return open("", args) }

func open(password string, args []string) (*Server, error) {
	dir, err := os.MkdirTemp("", "redis") // sockets have short names
	if err != nil {
		return nil, fmt.Errorf("making a folder for Redis: %w", err)
	}
	s := &Server{Address: filepath.Join(dir, "s"), dir: dir, args: args}
	s.Client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.Address, Password: password, MaxRetries: -1})
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Run starts the server anew, empty.
func (s *Server) Run() error {
	s.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", s.Address, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting redis-server: %w", err)
	}
	return wait("redis-server", func(ctx context.Context) error {
		err := s.Client.Ping(ctx).Err()
		if _, refused := errors.AsType[redis.Error](err); refused { // that is an answer
			return nil
		}
		return err
	})
}

// Kill ends the server at once.
func (s *Server) Kill() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
	return err
}

// Close ends the server and removes what it left.
func (s *Server) Close() error {
	return errors.Join(s.Kill(), s.Client.Close(), os.RemoveAll(s.dir))
}

// Process is the server's process.
func (s *Server) Process() *os.Process { return s.cmd.Process }
