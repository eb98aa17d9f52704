package campaign_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	raceRounds = flag.Int("campaign.rounds", 20, "codes that are submitted many times at once")
	raceWidth  = flag.Int("campaign.width", 50, "submissions of each")
)

// TestOneWinner submits one right code many times at once, spread over all
// gateways: one wins, the key signs once, and the others are told that the code
// was used.
func TestOneWinner(t *testing.T) {
	for _, v := range []struct {
		name string
		make func(*testing.T) *cluster
	}{{"two gateways, PostgreSQL, Redis", newCluster}, {"one gateway, SQLite, memory", newSingle}} {
		t.Run(v.name, func(t *testing.T) {
			c := v.make(t)
			from := time.Now()
			var rounds []*round
			told := map[string]int{}
			for k := range *raceRounds {
				d := c.ask(t.Context(), c.nodes[k%len(c.nodes)], k%2)
				if d.asked.status != 201 {
					t.Fatalf("round %d: asking: %v", k, d.asked)
				}
				c.race(t, d, *raceWidth)
				if d.won() != 1 {
					t.Errorf("round %d: %d winners: %v", k, d.won(), d.answers)
				}
				for _, a := range d.answers {
					told[a.String()]++
				}
				rounds = append(rounds, d)
			}
			took := time.Since(from)
			winners, violations := c.check(t, rounds)
			for _, s := range violations {
				t.Error(s)
			}
			made := 0
			for _, n := range signatures(c.ofRounds(t, rounds)) {
				made += n
			}
			if winners != *raceRounds || made != winners {
				t.Errorf("%d winners and %d signatures in %d rounds", winners, made, *raceRounds)
			}
			for _, k := range slices.Sorted(maps.Keys(told)) {
				if k != "200" && k != "409 otp_already_used" {
					t.Errorf("%d losers were told %q", told[k], k)
				}
			}
			t.Logf("%d rounds × %d submissions in %v: %d winners, %d C_Sign, answers %v", *raceRounds, *raceWidth, took.Round(time.Millisecond), winners, made, fmt.Sprint(told))
		})
	}
}

// race submits the right code n times at once, to the gateways in turn.
func (c *cluster) race(t *testing.T, d *round, n int) {
	d.answers = make([]answer, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for k := range n {
		wg.Go(func() {
			<-start
			d.answers[k] = c.nodes[k%len(c.nodes)].submit(t.Context(), d, d.code)
		})
	}
	close(start)
	wg.Wait()
}
