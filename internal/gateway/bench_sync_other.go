//go:build !linux

package gateway

import (
	"errors"
	"os"
	"path/filepath"
)

// syncFolder makes all files of a folder durable, one by one.
func syncFolder(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range names {
		f, oerr := os.Open(name)
		if oerr != nil {
			return errors.Join(err, oerr)
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return err
}
