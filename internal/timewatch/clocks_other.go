//go:build !linux

package timewatch

import "time"

// Machine reads the clocks of this machine: the wall clock and Go's monotonic one,
// which stands for all others. A corrected rate and a suspension are not told apart.
func Machine() Reading {
	now := time.Now()
	since := now.Sub(epoch)
	return Reading{Wall: now.Round(0), Boot: since, Mono: since, Raw: since}
}

// epoch is any moment with a monotonic reading.
var epoch = time.Now()
