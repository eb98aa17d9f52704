package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Setup is what a [Cluster] is made of.
type Setup struct {
	Replicas, Sentinels int
	// Password is that of the servers, SentinelPassword that of the Sentinels;
	// both may be empty.
	Password, SentinelPassword string
	// CertFile and KeyFile, PEM, make all talk TLS alone. The certificate is its
	// own CA and names 127.0.0.1.
	CertFile, KeyFile string
}

// Cluster is a master, replicas and the Sentinels that watch them, on loopback.
type Cluster struct {
	Name      string    // of the master, as Sentinels are asked for it
	Addresses []string  // of the Sentinels
	Servers   []*Server // the first begins as the master

	setup     Setup
	ports     []string
	sentinels []*exec.Cmd
	dirs      []string
}

// StartCluster runs a cluster until the test ends, and waits until its Sentinels
// know all there is to know. See [Need].
func StartCluster(t testing.TB, setup Setup) *Cluster {
	t.Helper()
	Need(t)
	c := &Cluster{Name: "mohor", setup: setup}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.run(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Cluster) run() error {
	for k := range c.setup.Replicas + 1 {
		port, err := freePort()
		if err != nil {
			return err
		}
		args := append(c.listening(port), "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb")
		if c.setup.Password != "" {
			args = append(args, "--requirepass", c.setup.Password, "--masterauth", c.setup.Password)
		}
		if k > 0 {
			args = append(args, "--replicaof", "127.0.0.1", c.ports[0])
		}
		s, err := open(c.setup.Password, args)
		if err != nil {
			return err
		}
		c.Servers, c.ports = append(c.Servers, s), append(c.ports, port)
	}
	// A Sentinel asks at its start, and then every 10 seconds.
	if err := wait("the replicas", func(ctx context.Context) error {
		info, err := c.Servers[0].Client.Info(ctx, "replication").Result()
		if err == nil && strings.Count(info, "state=online") != c.setup.Replicas {
			err = errors.New("not all follow")
		}
		return err
	}); err != nil {
		return err
	}
	for range c.setup.Sentinels {
		if err := c.sentinel(); err != nil {
			return err
		}
	}
	return c.settle()
}

// listening are the options for a TCP port.
func (c *Cluster) listening(port string) []string {
	if c.setup.CertFile == "" {
		return []string{"--bind", "127.0.0.1", "--port", port}
	}
	return []string{"--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file", c.setup.CertFile, "--tls-key-file", c.setup.KeyFile,
		"--tls-ca-cert-file", c.setup.CertFile, "--tls-auth-clients", "no", "--tls-replication", "yes"}
}

// sentinel starts one more. It keeps what it learns in its configuration.
func (c *Cluster) sentinel() error {
	dir, err := os.MkdirTemp("", "sentinel")
	if err != nil {
		return fmt.Errorf("making a folder for a Sentinel: %w", err)
	}
	c.dirs = append(c.dirs, dir)
	port, err := freePort()
	if err != nil {
		return err
	}
	lines := []string{"dir " + dir, "unixsocket " + filepath.Join(dir, "s")}
	if c.setup.CertFile != "" {
		lines = append(lines, "port 0")
	}
	for opt := range strings.SplitSeq(strings.Join(c.listening(port), " "), " --") {
		lines = append(lines, strings.TrimPrefix(opt, "--"))
	}
	if c.setup.SentinelPassword != "" {
		lines = append(lines, "requirepass "+c.setup.SentinelPassword, "sentinel sentinel-pass "+c.setup.SentinelPassword)
	}
	lines = append(lines, fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s %d", c.Name, c.ports[0], c.setup.Sentinels/2+1),
		"sentinel down-after-milliseconds "+c.Name+" 1000", "sentinel failover-timeout "+c.Name+" 5000")
	if c.setup.Password != "" {
		lines = append(lines, "sentinel auth-pass "+c.Name+" "+c.setup.Password)
	}
	conf := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing a Sentinel's configuration: %w", err)
	}
	cmd := exec.Command("redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a Sentinel: %w", err)
	}
	c.sentinels, c.Addresses = append(c.sentinels, cmd), append(c.Addresses, "127.0.0.1:"+port)
	return nil
}

// settle waits until each Sentinel knows the others and all replicas.
func (c *Cluster) settle() error {
	for k := range c.sentinels {
		s := c.ask(k)
		err := wait("a Sentinel that knows the others", func(ctx context.Context) error {
			m, err := s.Master(ctx, c.Name).Result()
			if err == nil && (m["num-slaves"] != strconv.Itoa(c.setup.Replicas) || m["num-other-sentinels"] != strconv.Itoa(c.setup.Sentinels-1)) {
				err = fmt.Errorf("it knows %s replicas and %s Sentinels", m["num-slaves"], m["num-other-sentinels"])
			}
			return err
		})
		if err = errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	return nil
}

// ask is a client of a Sentinel, by its Unix socket.
func (c *Cluster) ask(k int) *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{Network: "unix", Addr: filepath.Join(c.dirs[k], "s"), Password: c.setup.SentinelPassword, MaxRetries: -1})
}

// Master is the server that the Sentinels agree on.
func (c *Cluster) Master(ctx context.Context) (*Server, error) {
	agreed := ""
	for k := range c.sentinels {
		s := c.ask(k)
		at, err := s.GetMasterAddrByName(ctx, c.Name).Result()
		if err = errors.Join(err, s.Close()); err != nil {
			return nil, fmt.Errorf("asking a Sentinel: %w", err)
		}
		if agreed != "" && agreed != at[1] {
			return nil, errors.New("the Sentinels do not agree")
		}
		agreed = at[1]
	}
	for k, port := range c.ports {
		if port == agreed {
			return c.Servers[k], nil
		}
	}
	return nil, fmt.Errorf("nobody is at port %s", agreed)
}

// Sentinel is the process of one.
func (c *Cluster) Sentinel(k int) *os.Process { return c.sentinels[k].Process }

// Cut makes the replicas follow nobody. The Sentinels mend that after 8 seconds.
func (c *Cluster) Cut(ctx context.Context) error {
	nobody, err := freePort()
	if err != nil {
		return err
	}
	for _, s := range c.Servers[1:] {
		if err := s.Client.ReplicaOf(ctx, "127.0.0.1", nobody).Err(); err != nil {
			return fmt.Errorf("cutting a replica off: %w", err)
		}
	}
	return nil
}

func (c *Cluster) close() (err error) {
	for _, s := range c.sentinels {
		err = errors.Join(err, s.Process.Kill())
		_ = s.Wait() // it was killed
	}
	for _, s := range c.Servers {
		err = errors.Join(err, s.Close())
	}
	for _, d := range c.dirs {
		err = errors.Join(err, os.RemoveAll(d))
	}
	return err
}

// wait asks until there is no error.
func wait(what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-tick.C:
		}
	}
}

// freePort is a port that was free a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
