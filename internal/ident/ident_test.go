package ident_test

import (
	"regexp"
	"testing"

	"github.com/mohor-sign/mohor/internal/ident"
)

func TestNewIsFreshAndReadable(t *testing.T) {
	form, seen := regexp.MustCompile(`^tx_[a-z2-7]{26}$`), map[string]bool{}
	for range 1000 {
		id := ident.New("tx", 16)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
}
