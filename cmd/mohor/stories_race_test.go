//go:build race

package main

import "testing"

// TestStories plays, under the race detector, those in which a gateway works for several
// at once, is stopped, or killed: most of the others are one command after another.
func TestStories(t *testing.T) {
	var files []string
	for _, name := range []string{"batch", "kill9", "resume", "serve", "sign", "webhook"} {
		files = append(files, "testdata/script/"+name+".txt")
	}
	play(t, "", files...)
}
