package api_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/api"
)

// Who sends slowly keeps others from the public verification neither for long nor alone.
func TestVisitsAreShared(t *testing.T) {
	var v api.Visits
	for k := range 5 {
		if got := v.Enter("203.0.113.1"); got != (k < 4) {
			t.Errorf("place %d of one network: %v", k+1, got)
		}
	}
	for k := range 13 {
		if got := v.Enter(fmt.Sprint("network ", k)); got != (k < 12) {
			t.Errorf("place %d of others: %v", k+1, got)
		}
	}
	v.Leave("203.0.113.1")
	if !v.Enter("somebody") {
		t.Error("a place that was given back is not to be had")
	}
	if b, err := io.ReadAll(api.Hurried(strings.NewReader("abc"), time.Now().Add(time.Hour))); err != nil || string(b) != "abc" {
		t.Errorf("in time: %q, %v", b, err)
	}
	if _, err := io.ReadAll(api.Hurried(strings.NewReader("abc"), time.Now())); err == nil {
		t.Error("a body that did not arrive in time is read on")
	}
}
