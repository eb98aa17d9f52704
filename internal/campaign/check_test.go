package campaign_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm/hsmtest"
)

// evidence is all that a run left behind.
type evidence struct {
	public  *ecdsa.PublicKey
	digests [][]byte // what the application gave, by index
	files   bool     // the documents are files: their signatures are in them, over more than the digest
	items   []itemRow
	intents map[string]intentRow
	signed  int            // what the audit says was completed, summed
	wrong   int            // PINs held against officers
	lost    bool           // runs lost their leases: what they had in hand is made again by whoever is next
	calls   []hsmtest.Call // C_Sign, C_Login and the faults
}

type itemRow struct {
	index     int
	digest    []byte
	state     string
	signature []byte
	intent    string
}

type intentRow struct {
	batch   string
	created time.Time
	state   string
}

// check gives what must not be, and how many signatures were made beyond one a document.
func (e *evidence) check(batch string) (violations []string, extra int) {
	bad := func(format string, a ...any) { violations = append(violations, fmt.Sprintf(format, a...)) }
	if len(e.items) != len(e.digests) {
		bad("%d documents are stored, %d were given", len(e.items), len(e.digests))
		return violations, 0
	}
	made := e.madeFor()
	signed := 0
	for k, it := range e.items {
		if it.index != k || !bytes.Equal(it.digest, e.digests[k]) {
			bad("document %d: stored with another digest", k)
			continue
		}
		calls := made[string(it.digest)]
		extra += max(0, len(calls)-1)
		if it.state != "signed" {
			bad("document %d is %s at the end", k, it.state)
			continue
		}
		signed++
		if !e.files && !ecdsa.VerifyASN1(e.public, e.digests[k], it.signature) {
			bad("document %d: its signature does not verify", k)
		}
		in, ok := e.intents[it.intent]
		if !ok || in.batch != batch {
			bad("document %d: signed under the intent %q, which is not of this batch", k, it.intent)
		}
		if !e.files && !given(calls) {
			bad("document %d is signed, and the module gave no signature for it", k)
		}
		for _, c := range calls {
			if c.At.Before(e.firstIntent()) {
				bad("document %d: the key was used before any intent", k)
			}
		}
	}
	violations = append(violations, e.unexplained(made)...)
	if e.signed != signed {
		bad("the audit counts %d completed documents, the database %d", e.signed, signed)
	}
	if e.wrong != 0 {
		bad("%d wrong PINs are held against officers who made none", e.wrong)
	}
	for id, in := range e.intents {
		if in.state == "open" {
			bad("intent %s is open at the end", id)
		}
	}
	for _, c := range e.calls {
		if c.Function == "C_Login" && c.Asked && c.Real == 0xA0 {
			bad("the token PIN was refused")
		}
	}
	return violations, extra
}

// madeFor lists the signatures that the real module made, by document.
func (e *evidence) madeFor() map[string][]hsmtest.Call {
	made := make(map[string][]hsmtest.Call)
	for _, d := range e.digests {
		made[string(d)] = nil
	}
	for _, c := range e.calls {
		if _, ours := made[string(c.Input)]; ours && c.Function == "C_Sign" && c.Asked && c.Real == 0 {
			made[string(c.Input)] = append(made[string(c.Input)], c)
		}
	}
	return made
}

func given(calls []hsmtest.Call) bool {
	for _, c := range calls {
		if c.Told == 0 {
			return true
		}
	}
	return false
}

// unexplained: a document may be signed again only where the gateway could not have the signature
// that was made first: it was told of an error, it found the signature wrong, the process ended, or
// the call did not come back in time.
func (e *evidence) unexplained(made map[string][]hsmtest.Call) (violations []string) {
	spoiled, hung := 0, false
	for _, c := range e.calls {
		switch c.Function {
		case "fault:wrong-signature":
			spoiled++
		case "fault:hang", "fault:hang-after":
			hung = true
		}
	}
	for k, d := range e.digests {
		calls := made[string(d)]
		for i := 0; i+1 < len(calls); i++ {
			switch {
			case calls[i].Told != 0, calls[i].PID != calls[i+1].PID, hung, e.lost:
			case spoiled > 0:
				spoiled--
			default:
				violations = append(violations, fmt.Sprintf("document %d was signed again for no reason", k))
			}
		}
	}
	return violations
}

func (e *evidence) firstIntent() (first time.Time) {
	for _, in := range e.intents {
		if first.IsZero() || in.created.Before(first) {
			first = in.created
		}
	}
	return first
}

// gather reads the evidence of a batch past the gateway.
func (r *rig) gather(t *testing.T, b *job) *evidence {
	t.Helper()
	return r.gatherFrom(t, b, "sqlite", "file:"+filepath.Join(r.dir, "mohor.db")+"?mode=ro&_pragma=busy_timeout(15000)")
}

// gatherFrom is gather with any database.
func (r *rig) gatherFrom(t *testing.T, b *job, driver, address string) *evidence {
	t.Helper()
	e := &evidence{public: r.public, digests: b.digests, intents: map[string]intentRow{}, calls: r.Calls(t, "C_Sign", "C_Login", "fault:")}
	db, err := sql.Open(driver, address)
	must(t, err)
	defer db.Close()
	ctx := t.Context()
	must(t, each(ctx, db, "SELECT idx, digest, state, intent_id FROM items WHERE batch_id = $1 ORDER BY idx", []any{b.id}, func(row *sql.Rows) error {
		var it itemRow
		err := row.Scan(&it.index, &it.digest, &it.state, &it.intent)
		e.items = append(e.items, it)
		return err
	}))
	// What the database holds is sealed: the signatures are those that an application is given.
	for after := -1; after+1 < len(e.items); {
		var page struct {
			Items []struct {
				Index     int
				Signature []byte
			}
		}
		status, err := r.do(ctx, http.MethodGet, fmt.Sprintf("/v1/batches/%s/items?limit=1000&after=%d", b.id, after), nil, &page)
		if must(t, err); status != http.StatusOK || len(page.Items) == 0 {
			t.Fatalf("items of batch: status %d, %d items", status, len(page.Items))
		}
		for _, it := range page.Items {
			e.items[it.Index].signature, after = it.Signature, it.Index
		}
	}
	transactions := map[string]bool{}
	must(t, each(ctx, db, "SELECT id, batch_id, transaction_id, created_at, state FROM intents WHERE batch_id = $1", []any{b.id}, func(row *sql.Rows) error {
		var id, tx string
		var in intentRow
		var at int64
		err := row.Scan(&id, &in.batch, &tx, &at, &in.state)
		in.created = time.UnixMicro(at)
		e.intents[id], transactions[tx] = in, true
		return err
	}))
	records, err := auditOf(ctx, r.dir, r.Env)
	must(t, err)
	for _, rec := range records {
		if strings.HasPrefix(rec.Action, "signer.complete") && rec.Verdict == audit.Accepted && transactions[rec.Object] {
			n, err := strconv.Atoi(rec.Detail["signed"])
			must(t, err)
			e.signed += n
		}
	}
	e.files = b.rows != nil
	e.exact(t, db, b, records)
	must(t, db.QueryRowContext(ctx, "SELECT COALESCE(SUM(pin_total + pin_in_a_row), 0) FROM officers").Scan(&e.wrong))
	return e
}

func each(ctx context.Context, db *sql.DB, query string, args []any, f func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// The checker finds each thing that must not be: without this its silence says nothing.
func TestCheckerFindsWhatMustNotBe(t *testing.T) {
	key := newKey(t)
	start := time.Now()
	sound := func() *evidence {
		e := &evidence{public: &key.PublicKey, intents: map[string]intentRow{"in_1": {"ba_1", start, "closed"}}}
		for k := range 5 {
			d := sha256.Sum256([]byte{byte(k)})
			sig, err := ecdsa.SignASN1(nil, key, d[:])
			must(t, err)
			e.digests = append(e.digests, d[:])
			e.items = append(e.items, itemRow{k, d[:], "signed", sig, "in_1"})
			e.calls = append(e.calls, hsmtest.Call{At: start.Add(time.Second), PID: 1, Function: "C_Sign", Asked: true, Input: d[:]})
			e.signed++
		}
		return e
	}
	again := func(e *evidence, change func(first, second *hsmtest.Call)) {
		c := e.calls[2]
		change(&e.calls[2], &c)
		e.calls = append(e.calls, c)
	}
	for _, c := range []struct {
		name   string
		change func(*evidence)
		found  int
		extra  int
	}{
		{"nothing", func(*evidence) {}, 0, 0},
		{"lost", func(e *evidence) { e.items = e.items[:4] }, 1, 0},
		{"not signed", func(e *evidence) { e.items[1].state = "pending"; e.signed-- }, 1, 0},
		{"signature of another", func(e *evidence) { e.items[1].signature = e.items[2].signature }, 1, 0},
		{"digest of another", func(e *evidence) { e.items[1] = e.items[2] }, 2, 0},
		{"foreign intent", func(e *evidence) { e.items[1].intent = "in_2" }, 1, 0},
		{"open intent", func(e *evidence) { e.intents["in_1"] = intentRow{"ba_1", start, "open"} }, 1, 0},
		{"before the intent", func(e *evidence) { e.calls[1].At = start.Add(-time.Second) }, 1, 0},
		{"signature from nowhere", func(e *evidence) { e.calls = e.calls[1:] }, 1, 0},
		{"completed twice", func(e *evidence) { e.signed++ }, 1, 0},
		{"PIN counted", func(e *evidence) { e.wrong = 1 }, 1, 0},
		{"token PIN", func(e *evidence) {
			e.calls = append(e.calls, hsmtest.Call{Function: "C_Login", Asked: true, Real: 0xA0, Told: 0xA0})
		}, 1, 0},
		{"signed twice", func(e *evidence) { again(e, func(_, _ *hsmtest.Call) {}) }, 1, 1},
		{"signed again after an error", func(e *evidence) { again(e, func(a, _ *hsmtest.Call) { a.Told = 0x30 }) }, 0, 1},
		{"signed again after a crash", func(e *evidence) { again(e, func(_, b *hsmtest.Call) { b.PID++ }) }, 0, 1},
		{"signed again after a wrong one", func(e *evidence) {
			again(e, func(_, _ *hsmtest.Call) {})
			e.calls = append(e.calls, hsmtest.Call{Function: "fault:wrong-signature"})
		}, 0, 1},
	} {
		e := sound()
		c.change(e)
		if found, extra := e.check("ba_1"); len(found) != c.found || extra != c.extra {
			t.Errorf("%s: %d beyond one each, %q", c.name, extra, found)
		}
	}
}
