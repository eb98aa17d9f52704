//go:build !linux

package store

import "os"

// syncTogether is not to be had here: each file is synced by itself.
func syncTogether([]stagedFile) (done bool, err error) { return false, nil }

// uncache does nothing here.
func uncache(*os.File) {}
