//go:build !race

package corpus_test

const slower = 1
