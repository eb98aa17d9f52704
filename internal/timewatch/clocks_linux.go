package timewatch

import (
	"time"

	"golang.org/x/sys/unix"
)

// Machine reads the clocks of this machine. Read one after the other, they are of
// one moment only if nothing came between: it tries a few times.
func Machine() Reading {
	const together = 10 * time.Millisecond
	var r Reading
	for range 4 {
		before := kernel(unix.CLOCK_BOOTTIME)
		r = Reading{Wall: time.Now().Round(0), Mono: kernel(unix.CLOCK_MONOTONIC), Raw: kernel(unix.CLOCK_MONOTONIC_RAW), Boot: kernel(unix.CLOCK_BOOTTIME)}
		if r.Boot-before < together {
			break
		}
	}
	// What sets the clock (clock_settime, adjtimex with ADJ_SETOFFSET) makes the
	// kernel say TIME_ERROR until a time service tells it otherwise.
	state, err := unix.Adjtimex(&unix.Timex{})
	r.Synchronised = err == nil && state != unix.TIME_ERROR
	return r
}

func kernel(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0 // each of these is there since Linux 2.6.39
	}
	return time.Duration(t.Nano())
}
