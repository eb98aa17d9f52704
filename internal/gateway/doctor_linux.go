package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is the user a file belongs to.
func owner(st fs.FileInfo) int {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return os.Geteuid()
}

// room is what a file system has left for this user.
func room(path string) (bytes, inodes uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	inodes = s.Ffree
	if s.Files == 0 { // btrfs and others make them as they are needed
		inodes = 1 << 30
	}
	return s.Bavail * uint64(s.Bsize), inodes, nil
}

// lockHolder is the process that holds a lock on a file (flock), 0 for none.
// It only looks: to try the lock could keep a gateway from starting.
func lockHolder(path string) (pid int) {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF
		field := strings.Fields(in.Text())
		if len(field) < 6 || field[1] != "FLOCK" || !strings.HasSuffix(field[5], fmt.Sprintf(":%d", s.Ino)) {
			continue
		}
		if n, err := strconv.Atoi(field[4]); err == nil {
			return n
		}
	}
	return 0
}

// machine: limits of the gateway's process if it runs, of ours else; swap.
func (d *doctor) machine(context.Context) {
	whose, path := "this shell", "/proc/self/limits"
	if d.pid > 0 {
		if p := fmt.Sprintf("/proc/%d/limits", d.pid); readable(p) {
			whose, path = fmt.Sprintf("the gateway (process %d)", d.pid), p
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		d.skipped("limits", cause(err))
		return
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			d.openFiles(whose, strings.Fields(rest))
		}
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			d.cores(whose, strings.Fields(rest))
		}
	}
	swaps, err := os.ReadFile("/proc/swaps")
	if err == nil && strings.Count(string(swaps), "\n") > 1 {
		d.warning("swap is on", "memory holds the token PIN and opened keys, and could be written to disk", "swapoff -a, or encrypt swap")
	} else if err == nil {
		d.ok("swap is off")
	}
}

func readable(path string) bool {
	f, err := os.Open(path)
	return err == nil && f.Close() == nil
}

// openFiles looks at the hard limit: Go's runtime raises the soft one to it.
func (d *doctor) openFiles(whose string, limits []string) {
	if len(limits) < 2 {
		return
	}
	n, err := strconv.ParseUint(limits[1], 10, 64)
	if err == nil && n < 4096 {
		d.warning(fmt.Sprintf("%s may open %d files", whose, n), "each connection and each document in work takes some", "LimitNOFILE=65536 in the service's unit, or ulimit -Hn 65536")
		return
	}
	d.ok("%s may open %s files", whose, limits[1])
}

func (d *doctor) cores(whose string, limits []string) {
	if len(limits) < 1 {
		return
	}
	if limits[0] != "0" {
		d.warning("core dumps of "+whose+" are on", "a dump holds the token PIN and opened keys", "LimitCORE=0 in the service's unit, or ulimit -c 0")
		return
	}
	d.ok("core dumps of %s are off", whose)
}

// synchronised asks the kernel (adjtimex(2)) whether somebody keeps its time.
func (d *doctor) synchronised() {
	state, err := unix.Adjtimex(&unix.Timex{})
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
		d.skipped("whether the clock is synchronised", "the kernel does not say so here")
	case err != nil:
		d.skipped("whether the clock is synchronised", err.Error())
	case state == unix.TIME_ERROR:
		d.warning("the kernel's clock is not synchronised", "signing times, codes and CRLs drift away from everybody else's", "timedatectl set-ntp true, or chrony")
	default:
		d.ok("the kernel's clock is synchronised")
	}
}
