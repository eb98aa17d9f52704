//go:build !linux

package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// What is known of Linux alone.

func owner(fs.FileInfo) int { return os.Geteuid() }

func room(string) (bytes, inodes uint64, err error) { return 0, 0, errors.ErrUnsupported }

func lockHolder(string) int { return 0 }

func (d *doctor) machine(context.Context) { d.skipped("limits and swap", "this is not Linux") }

func (d *doctor) synchronised() { d.skipped("whether the clock is synchronised", "this is not Linux") }
