// Package mohor is the client of the gateway for applications in Go.
package mohor
