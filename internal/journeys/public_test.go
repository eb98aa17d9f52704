//go:build !race

package journeys_test

import (
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// The pages that anybody may open, in both languages, on a phone and on a desktop.
func TestJourneyPublic(t *testing.T) {
	g := gatewaytest.New(t)
	run(t, g, "public", given{}, nil)
}
