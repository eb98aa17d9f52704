//go:build !race

package gateway_test

import "testing"

// Killed at each step of a group of approvals, with keys in the token, and started again.
func TestKilledWhileApproving(t *testing.T) {
	killedAt(t, "before approved", "after approved", "before reserve", "after reserve", "before sign", "after sign", "before store", "after store", "before issued", "after issued")
}
