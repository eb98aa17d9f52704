// Package disktest makes small disks for tests.
package disktest

import (
	"os"
	"os/exec"
	"testing"
)

// Small mounts a disk in memory of so many bytes and inodes until the test ends, and gives its
// folder. Who may not mount skips the test, and fails it where everything is required.
func Small(t testing.TB, options string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options+",mode=0700", "mohor-test", dir).CombinedOutput(); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("a small disk is required (root): %v: %s", err, out)
		}
		t.Skipf("no small disk without root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// Lazily: what is open there closes with the test.
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}
