package gateway

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// syncFolder makes all files of a folder durable, with everything else of its file system (syncfs(2)).
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return errors.Join(fmt.Errorf("syncing: %w", err), f.Close())
	}
	return f.Close()
}
