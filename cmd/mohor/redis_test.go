package main

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

// cmdRedis starts a Redis for this story and sets REDIS to its address, or
// empties it, or ends it at once: redis start|flush|kill.
func cmdRedis(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: redis start|flush|kill")
	}
	s := of(ts)
	switch {
	case args[0] == "start" && s.redis == nil:
		srv, err := redistest.New()
		ts.Check(err)
		s.redis = srv
		ts.Setenv("REDIS", srv.Address)
	case args[0] == "flush" && s.redis != nil:
		ts.Check(s.redis.Client.FlushAll(context.Background()).Err())
	case args[0] == "kill" && s.redis != nil:
		ts.Check(s.redis.Kill())
	default:
		ts.Fatalf("redis %s: not now", args[0])
	}
}

// cmdMidway waits until a quarter of a batch's documents is signed, and expects
// that some are not: midway BATCH DIR.
func cmdMidway(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: midway BATCH DIR")
	}
	midway(ts, args[1], args[0])
}
