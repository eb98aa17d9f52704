package campaign_test

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	roleRounds = flag.Int("campaign.roles", 2, "references whose roles are asked for and confirmed at once")
	roleWidth  = flag.Int("campaign.roles.width", 5, "submissions of each code of a role")
)

// turn is a round about one role of a reference.
func (c *cluster) turn(ctx context.Context, n *rig, officer, credential int, role, reference string) *round {
	d := &round{officer: officer}
	o, from := n.dev.Officers[officer], time.Now()
	d.asked = n.send(ctx, "POST", "/v1/transactions", map[string]any{"ic": o.IC, "system": n.dev.System, "format": "RAW", "credential_id": o.Credentials[credential].CredentialID,
		"process": "AR-21", "role": role, "documents": []any{map[string]any{"name": "baucar", "reference": reference,
			"digest": map[string]string{"alg": "SHA-256", "value": base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-32s", reference)))}}}}, &d.tx)
	if d.asked.status != http.StatusCreated {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if d.code, err = n.code(ctx, o.Email, from); err != nil {
		d.asked = answer{code: "no mail"}
	}
	return d
}

// confirm submits the codes of all rounds at once, each many times, to the gateways in turn, and
// says whose round won.
func (c *cluster) confirm(t *testing.T, rounds []*round, told map[string]int) (winners []int) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, d := range rounds {
		d.answers = make([]answer, *roleWidth)
		for k := range d.answers {
			wg.Go(func() {
				<-start
				d.answers[k] = c.nodes[k%len(c.nodes)].submit(t.Context(), d, d.code)
			})
		}
	}
	close(start)
	wg.Wait()
	for _, d := range rounds {
		for _, a := range d.answers {
			told[a.String()]++
			if a.status == http.StatusOK {
				winners = append(winners, d.officer)
			}
		}
	}
	return winners
}

// TestNoOneManShow asks two officers, each with two credentials, for the same role of a reference
// at two gateways and confirms all at once: one person has the role, and not the next one.
func TestNoOneManShow(t *testing.T) {
	for _, v := range []struct {
		name string
		make func(*testing.T) *cluster
	}{{"two gateways, PostgreSQL, Redis", newCluster}, {"one gateway, SQLite, memory", newSingle}} {
		t.Run(v.name, func(t *testing.T) {
			c := v.make(t)
			told := map[string]int{}
			for k := range *roleRounds {
				reference := fmt.Sprint("R", k)
				node := func(n int) *rig { return c.nodes[n%len(c.nodes)] }
				var rounds []*round
				for n := range 4 { // the codes are told apart by when they came
					d := c.turn(t.Context(), node(n), n%2, n/2, "Perakuan 1", reference)
					if d.asked.status != 201 {
						t.Fatalf("asking: %v", d.asked)
					}
					rounds = append(rounds, d)
				}
				first := c.confirm(t, rounds, told)
				if len(first) != 1 {
					t.Fatalf("%d have the first role: %v", len(first), told)
				}
				rounds = nil
				for n := range 4 {
					d := c.turn(t.Context(), node(n), n%2, n/2, "Perakuan 2", reference)
					if n%2 == first[0] {
						if d.asked.String() != "409 duplicate_signatory" {
							t.Errorf("the first one asks for the second role: %v", d.asked)
						}
						continue
					}
					if d.asked.status != 201 {
						t.Fatalf("asking: %v", d.asked)
					}
					rounds = append(rounds, d)
				}
				if second := c.confirm(t, rounds, told); len(second) != 1 || second[0] == first[0] {
					t.Errorf("the second role: %v after %v", second, first)
				}
			}
			for _, answer := range slices.Sorted(maps.Keys(told)) {
				if answer != "200" && answer != "409 otp_already_used" && answer != "409 role_out_of_order" {
					t.Errorf("%d were told %q", told[answer], answer)
				}
			}
			if told["200"] != 2**roleRounds {
				t.Errorf("%d signed in %d rounds", told["200"], *roleRounds)
			}
			t.Logf("%d references: answers %v", *roleRounds, told)
		})
	}
}
