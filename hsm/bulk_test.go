package hsm_test

import (
	"testing"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/hsm/hsmtest"
)

// What is left of the sessions when people who wait have theirs, as many as the module gives.
func TestBulkSessions(t *testing.T) {
	size := func(c *hsm.Config) { c.Sessions, c.Interactive = 6, 2 }
	if n, err := open(t, size).BulkSessions(t.Context()); err != nil || n != 4 {
		t.Errorf("of 6 sessions with 2 kept: %d, %v", n, err)
	}
	p, _ := openProcess(t, size)
	if n, err := p.BulkSessions(t.Context()); err != nil || n != 4 {
		t.Errorf("in a process of its own: %d, %v", n, err)
	}
	f := hsmtest.New(t, config(t).Module)
	f.Here(t)
	m := open(t, func(c *hsm.Config) { c.Module, c.Sessions, c.Interactive = f.Module, 24, 2 })
	f.Set(t, "error 0xB1 C_OpenSession 1+") // CKR_SESSION_COUNT
	if n, err := m.BulkSessions(t.Context()); err != nil || n < 1 || n > 20 {
		t.Errorf("of a module that gives no more than it has: %d, %v", n, err)
	}
	f.Set(t)
	if n, err := m.BulkSessions(t.Context()); err != nil || n != 22 {
		t.Errorf("of one that does again: %d, %v", n, err)
	}
}
