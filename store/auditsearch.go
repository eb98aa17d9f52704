package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.AuditRecords = (*DB)(nil)

// How many records of the chain one question goes through: those of an index may be far apart.
const (
	searchWindow  = 250_000
	indexedWindow = 20_000_000
)

// searchSlack is by how much nodes' clocks, and so the times of neighbours in the chain, may
// differ. Times are found by halving; those of the answer are compared one by one.
const searchSlack = 15 * time.Minute

// SearchAudit implements enrol.AuditRecords.
func (d *DB) SearchAudit(ctx context.Context, r enrol.AuditRead) (seqs []int64, next int64, err error) {
	first, last, err := d.searched(ctx, &r)
	if err != nil || first > last {
		return nil, 0, err
	}
	window := int64(searchWindow)
	if r.About != "" || len(r.Actors) > 0 || len(r.Objects) > 0 || r.Action != "" {
		window = indexedWindow
	}
	low := max(first, last-window+1)
	actions := []string{""}
	if r.Action != "" && r.About == "" && len(r.Actors) == 0 && len(r.Objects) == 0 {
		if actions, err = d.actionsOf(ctx, r.Action); err != nil {
			return nil, 0, err
		}
	}
	for _, action := range actions { // each has its own place in the index
		list, err := d.searchIn(ctx, &r, action, low, last)
		if err != nil {
			return nil, 0, fmt.Errorf("searching the audit: %w", err)
		}
		seqs = append(seqs, list...)
	}
	slices.SortFunc(seqs, func(a, b int64) int { return int(b - a) })
	if seqs = slices.Compact(seqs); len(seqs) > r.Limit {
		seqs = seqs[:r.Limit]
		return seqs, seqs[r.Limit-1], nil
	}
	if low > first {
		next = low
	}
	return seqs, next, nil
}

// searched are the first and the last record that may be part of the answer.
func (d *DB) searched(ctx context.Context, r *enrol.AuditRead) (first, last int64, err error) {
	last, _, err = d.AuditHead(ctx)
	if err != nil {
		return 0, 0, err
	}
	first = 1
	if r.Before > 0 {
		last = min(last, r.Before-1)
	}
	if !r.To.IsZero() {
		seq, err := d.firstAt(ctx, r.To.Add(searchSlack), last+1)
		if err != nil {
			return 0, 0, err
		}
		last = min(last, seq-1)
	}
	if !r.From.IsZero() {
		if first, err = d.firstAt(ctx, r.From.Add(-searchSlack), last+1); err != nil {
			return 0, 0, err
		}
	}
	return first, last, nil
}

// firstAt halves 1 to end for the first record that is not before a time; end when there is none.
func (d *DB) firstAt(ctx context.Context, at time.Time, end int64) (int64, error) {
	low, high := int64(1), end
	for low < high {
		mid := low + (high-low)/2
		var when int64
		err := d.reader().QueryRowContext(ctx, "SELECT at FROM audit_events WHERE seq = ?1", mid).Scan(&when)
		if err != nil && !errors.Is(err, sql.ErrNoRows) && !misread(err) { // a gap is for whoever verifies
			return 0, fmt.Errorf("searching the audit: %w", err)
		}
		if err == nil && when < micros(at) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// reader asks in the engine's own kind of parameters.
func (d *DB) reader() sqlc.DBTX {
	if d.postgres {
		return numbered{asker{d.read}}
	}
	return d.read
}

// actionsOf are the actions that begin so and are in the chain, each found in one step.
func (d *DB) actionsOf(ctx context.Context, prefix string) (out []string, err error) {
	for from, op := prefix, ">="; ; {
		var action string
		err := d.reader().QueryRowContext(ctx, "SELECT action FROM audit_events WHERE action "+op+" ?1 ORDER BY action LIMIT 1", from).Scan(&action)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(action, prefix) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("searching the audit: %w", err)
		}
		out, from, op = append(out, action), action, ">"
	}
}

// searchIn gives at most one more than is wanted, the newest first.
func (d *DB) searchIn(ctx context.Context, r *enrol.AuditRead, action string, low, high int64) (seqs []int64, err error) {
	var where []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("?%d", len(args))
	}
	from := "audit_events a"
	if r.About != "" {
		from = "audit_about x JOIN audit_events a ON a.seq = x.seq"
		where = append(where, "x.ic = "+arg(personal.As("ic", r.About)), "x.seq >= "+arg(low), "x.seq <= "+arg(high))
		if r.Looks {
			where = append(where, "x.looked = 1")
		}
	} else {
		where = append(where, "a.seq >= "+arg(low), "a.seq <= "+arg(high))
	}
	in := func(column, kind string, values []string) {
		var list []string
		for _, v := range values { // of what is about the token it stands in clear
			list = append(list, arg(personal.As(kind, v)), arg(v))
		}
		if len(list) > 0 {
			where = append(where, "a."+column+" IN ("+strings.Join(list, ", ")+")")
		}
	}
	in("actor", "actor", r.Actors)
	in("object", "object", r.Objects)
	switch {
	case action != "":
		where = append(where, "a.action = "+arg(action))
	case r.Action != "":
		where = append(where, "a.action >= "+arg(r.Action), "a.action < "+arg(r.Action+"\x7f"))
	}
	if r.Verdict != "" {
		where = append(where, "a.verdict = "+arg(r.Verdict))
	}
	if r.Request != "" {
		where = append(where, "a.request_id = "+arg(r.Request))
	}
	if !r.From.IsZero() {
		where = append(where, "a.at >= "+arg(micros(r.From)))
	}
	if !r.To.IsZero() {
		where = append(where, "a.at < "+arg(micros(r.To)))
	}
	order := "a.seq"
	if r.About != "" {
		order = "x.seq"
	}
	rows, err := d.reader().QueryContext(ctx, "SELECT a.seq FROM "+from+" WHERE "+strings.Join(where, " AND ")+" ORDER BY "+order+" DESC LIMIT "+arg(int64(r.Limit+1)), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, rows.Err()
}

// AuditRecord implements enrol.AuditRecords.
func (d *DB) AuditRecord(ctx context.Context, seq int64) (audit.Record, error) {
	rows, err := d.q.EventsAfter(ctx, sqlc.EventsAfterParams{After: seq - 1, Lim: 1})
	if misread(err) {
		return audit.Record{}, unread(seq, err)
	}
	if err != nil {
		return audit.Record{}, fmt.Errorf("reading audit: %w", err)
	}
	if len(rows) == 0 || rows[0].Seq != seq {
		return audit.Record{}, enrol.ErrUnknown
	}
	clear, err := d.firstClear(ctx, rows)
	if err == nil && clear == seq {
		err = inClear(seq)
	}
	if err != nil {
		return audit.Record{}, err
	}
	return record(rows[0])
}

// ActorNames implements enrol.AuditRecords.
func (d *DB) ActorNames(ctx context.Context, actors []string) (map[string]string, error) {
	out := map[string]string{}
	for _, actor := range actors {
		id, ok := strings.CutPrefix(actor, "account:")
		if !ok || out[actor] != "" {
			continue
		}
		a, err := d.q.Account(ctx, id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("reading an account: %w", err)
		}
		out[actor] = string(a.Name)
	}
	return out, nil
}

// ActorsOf implements enrol.AuditRecords.
func (d *DB) ActorsOf(ctx context.Context, ic string) ([]string, error) {
	out := []string{"officer:" + ic}
	rows, err := d.reader().QueryContext(ctx, "SELECT id FROM accounts WHERE ic = ?1", personal.As("ic", ic))
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("reading accounts: %w", err)
		}
		out = append(out, "account:"+id)
	}
	return out, rows.Err()
}
