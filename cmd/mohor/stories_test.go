//go:build !race

package main

import "testing"

func TestStories(t *testing.T) { play(t, "testdata/script") }
