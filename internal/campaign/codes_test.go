package campaign_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm/hsmtest"
	"github.com/mohor-sign/mohor/internal/gateway"
)

// tries is how often a code may be compared.
const tries = 3

// documented are the codes that a submission or a question for a code may be
// answered with, whatever fails.
var documented = []string{"otp_wrong", "otp_expired", "otp_attempts_exhausted", "otp_already_used", "nonce_mismatch", "rate_limited",
	"store_unavailable", "mail_unavailable", "hsm_unavailable", "transaction_cancelled", "transaction_finished"}

// judge gives what must not be in the answers.
func judge(rounds []*round) (violations []string) {
	bad := func(format string, a ...any) { violations = append(violations, fmt.Sprintf(format, a...)) }
	for _, d := range rounds {
		if n := d.won(); n > 1 {
			bad("%s: %d submissions were told of a signature", d.tx.ID, n)
		}
		for _, a := range append([]answer{d.asked}, d.answers...) {
			switch {
			case a.status == http.StatusOK && a.code == "", a.status == http.StatusCreated && a.code == "":
			case a.status == http.StatusServiceUnavailable && !a.wait:
				bad("%s: %v without Retry-After", d.tx.ID, a)
			case !slices.Contains(documented, a.code):
				bad("%s: answered %v", d.tx.ID, a)
			}
		}
	}
	return violations
}

// signatures counts the signatures that the module made of a document.
func signatures(calls []hsmtest.Call) map[string]int {
	made := map[string]int{}
	for _, c := range calls {
		if c.Asked && c.Real == 0 {
			made[string(c.Input)]++
		}
	}
	return made
}

// comparisons counts the MACs made for each code, transaction and nonce, beyond
// the one that it was issued with. What the log has of an input holds the
// transaction and most of the nonce.
func comparisons(calls []hsmtest.Call) map[string]int {
	const head = "mohor otp v2\n"
	made := map[string]int{}
	for _, c := range calls {
		if len(c.Input) < len(head)+4 || string(c.Input[:len(head)]) != head {
			continue
		}
		rest := c.Input[len(head):]
		if n := int(binary.BigEndian.Uint32(rest)); n < len(rest)-4 {
			made[fmt.Sprintf("%s %x", rest[4:4+n], rest[4+n:])]++
		}
	}
	for k := range made {
		made[k]--
	}
	return made
}

// tooOften lists the codes that were compared more often than allowed.
func tooOften(calls []hsmtest.Call) (violations []string) {
	for code, n := range comparisons(calls) {
		if n > tries {
			violations = append(violations, fmt.Sprintf("code %s was compared %d times", code, n))
		}
	}
	return violations
}

// rows are what no row of the database may be: each question gives those that are.
var rows = map[string]string{
	"tries out of range":                   "SELECT transaction_id FROM challenges WHERE tries_left < 0 OR tries_left > 3",
	"two intents of one transaction":       "SELECT transaction_id FROM intents GROUP BY transaction_id HAVING COUNT(*) > 1",
	"an intent whose code was not spent":   "SELECT i.id FROM intents i LEFT JOIN challenges c ON c.transaction_id = i.transaction_id WHERE c.redeemed IS NULL OR c.redeemed <> 1",
	"a code spent without an intent":       "SELECT c.transaction_id FROM challenges c LEFT JOIN intents i ON i.transaction_id = c.transaction_id WHERE c.redeemed = 1 AND i.id IS NULL",
	"a signature without an intent":        "SELECT t.batch_id FROM items t LEFT JOIN intents i ON i.id = t.intent_id WHERE t.state = 'signed' AND i.id IS NULL",
	"signed while its intent was not done": "SELECT t.id FROM transactions t JOIN intents i ON i.transaction_id = t.id WHERE t.status = 'SIGNED' AND i.state <> 'finished'",
}

// check looks at all that the rounds left behind: answers, rows, audit chain and
// the calls of the module. winners is how many were told of a signature.
func (c *cluster) check(t *testing.T, rounds []*round) (winners int, violations []string) {
	t.Helper()
	violations = judge(rounds)
	calls := c.Calls(t, "C_Sign")
	violations = append(violations, tooOften(calls)...)
	made := signatures(calls)
	for _, d := range rounds {
		n := d.won()
		winners += n
		if got := made[string(d.digest)]; got > 1 || got < n {
			violations = append(violations, fmt.Sprintf("%s: %d signatures were made, %d told of", d.tx.ID, got, n))
		}
	}
	db, err := sql.Open(c.driver, c.address)
	must(t, err)
	defer db.Close()
	for what, q := range rows {
		must(t, each(t.Context(), db, q, nil, func(r *sql.Rows) error {
			var id string
			err := r.Scan(&id)
			violations = append(violations, what+": "+id)
			return err
		}))
	}
	if err := c.chain(t.Context()); err != nil {
		violations = append(violations, "audit: "+err.Error())
	}
	return winners, violations
}

// chain verifies the audit chain.
func (c *cluster) chain(ctx context.Context) error {
	_, err := auditOf(ctx, c.nodes[0].dir, c.Env)
	return err
}

// ofRounds are the module's signatures of the rounds' documents.
func (c *cluster) ofRounds(t *testing.T, rounds []*round) (calls []hsmtest.Call) {
	t.Helper()
	ours := map[string]bool{}
	for _, d := range rounds {
		ours[string(d.digest)] = true
	}
	for _, call := range c.Calls(t, "C_Sign") {
		if ours[string(call.Input)] {
			calls = append(calls, call)
		}
	}
	return calls
}
