//go:build race

package syntax_test

// slow is how much slower and larger the race detector makes programs.
const slow = 15
