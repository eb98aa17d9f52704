//go:build !linux

package store

// syncTogether is not to be had here: each file is synced by itself.
func syncTogether([]stagedFile) (done bool, err error) { return false, nil }
