package otp_test

import (
	"testing"
	"time"

	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/store/storetest"
)

func TestMemoryCodesPassTheSuite(t *testing.T) {
	clock := time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)
	storetest.RunCodes(t, otp.NewMemoryCodes(func() time.Time { return clock }), func(d time.Duration) { clock = clock.Add(d) })
}
