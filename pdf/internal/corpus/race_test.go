//go:build race

package corpus_test

// slower is how much more a program may take under the race detector.
const slower = 15
