package gateway

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// shield keeps what is in this process's memory, PINs among it, from landing on
// a disk and from other processes of the same user: no core file, no core sent
// to a collector, no ptrace (prctl(2), PR_SET_DUMPABLE).
func shield() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("shielding the process's memory: %w", err)
	}
	return nil
}
