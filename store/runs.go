package store

import (
	"cmp"
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// OpenIntents implements signer.Records.
func (d *DB) OpenIntents(ctx context.Context) ([]signer.Intent, error) {
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := d.q.OpenIntents(ctx, micros(now))
	if err != nil {
		return nil, err
	}
	out := make([]signer.Intent, len(rows))
	for k := range rows {
		out[k] = intent(&rows[k])
	}
	return out, nil
}

func addRun(ctx context.Context, q *sqlc.Queries, run signer.Run, now time.Time) error {
	return q.AddRun(ctx, sqlc.AddRunParams{ID: run.ID, IntentID: run.Intent, LeaseUntil: micros(now.Add(run.Lease))})
}

// endRuns forgets the runs of an intent that is closed. A lone signature, of which there are most,
// has none.
func endRuns(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent) error {
	if in.Count == 1 && len(in.Activation) == 0 {
		return nil
	}
	return q.EndRunsOf(ctx, in.ID)
}

// claimOf is what ClaimItems is asked. A run's claims live as long as it; others have their own lease.
func claimOf(run signer.Run, batch string, n int, now time.Time) sqlc.ClaimItemsParams {
	p := sqlc.ClaimItemsParams{IntentID: run.Intent, RunID: run.ID, BatchID: batch, Lim: int64(n)}
	if run.ID == "" {
		p.LeaseUntil = micros(now.Add(run.Lease))
	}
	return p
}

func claimed(rows []sqlc.ClaimItemsRow, err error) (out []signer.Claimed, _ error) {
	for _, x := range rows {
		out = append(out, signer.Claimed{Attempt: x.Attempt, Document: signer.Document{Index: uint32(x.Idx), Name: string(x.Name), Hash: crypto.Hash(x.Hash),
			Digest: x.Digest, Blob: x.Blob, Size: x.Size, DocumentID: x.DocumentID, Reference: string(x.Reference)}})
	}
	return out, err
}

// Claim implements signer.Records. On PostgreSQL it is no part of the audit's order and does not
// wait for it: it locks the rows that it depends on, in the order in which an intent is closed, and
// skips documents that another node is just claiming or completing.
func (d *DB) Claim(ctx context.Context, run signer.Run, n int) (out []signer.Claimed, err error) {
	if !d.postgres || d.joined != nil {
		err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
			st, err := q.RunState(ctx, sqlc.RunStateParams{RunID: run.ID, Now: micros(now), IntentID: run.Intent})
			if err != nil {
				return absent(err, signer.ErrUnknown)
			}
			if err := claimable(&st, run); err != nil {
				return err
			}
			if st.Lost > 0 {
				if err := endLost(ctx, q, run, st.BatchID, now); err != nil {
					return err
				}
			}
			out, err = claimed(q.ClaimItems(ctx, claimOf(run, st.BatchID, n, now)))
			return err
		})
		return out, err
	}
	for {
		lost := false
		err := d.beside(ctx, d.write, func(t sqlc.DBTX, now time.Time) error {
			st, err := holdRun(ctx, t, run, now)
			if err != nil {
				return err
			}
			if err := claimable(&st, run); err != nil {
				return err
			}
			if lost = st.Lost > 0; lost {
				return nil
			}
			out, err = claimed(claimBeside(ctx, t, claimOf(run, st.BatchID, n, now)))
			return err
		})
		if err != nil || !lost {
			return out, err
		}
		// Whoever is completing such a claim is before this or after.
		err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
			in, err := q.Intent(ctx, run.Intent)
			if err != nil {
				return absent(err, signer.ErrUnknown)
			}
			return endLost(ctx, q, run, in.BatchID, now)
		})
		if err != nil {
			return nil, err
		}
	}
}

// claimable judges whether a run may claim.
func claimable(st *sqlc.RunStateRow, run signer.Run) error {
	if err := runs(st, run); err != nil {
		return err
	}
	switch {
	case st.StoppedAt > 0:
		return signer.ErrCancelled
	case st.Status == "PAUSED":
		return signer.ErrPaused
	}
	return nil
}

// runs judges whether a run is one of an open intent.
func runs(st *sqlc.RunStateRow, run signer.Run) error {
	switch {
	case st.State == "finished":
		return signer.ErrDone
	case st.State != "open":
		return signer.ErrFence
	case st.Runs == 0 && run.ID != "":
		return signer.ErrLease
	}
	return nil
}

// endLost takes what runs beside this one had claimed whose lease is over, or that are none; the write
// lock is held.
func endLost(ctx context.Context, q *sqlc.Queries, run signer.Run, batch string, now time.Time) error {
	if err := q.EndLostRuns(ctx, sqlc.EndLostRunsParams{IntentID: run.Intent, Own: run.ID, Now: micros(now)}); err != nil {
		return err
	}
	return q.ReleaseLostClaims(ctx, sqlc.ReleaseLostClaimsParams{BatchID: batch, IntentID: run.Intent, Now: micros(now)})
}

// beside is change on PostgreSQL for what has no place in the audit's order, and must not wait for
// those that have: it holds no more than the rows that f locks.
func (d *DB) beside(ctx context.Context, pool *sql.DB, f func(t sqlc.DBTX, now time.Time) error) error {
	t, err := again(func() (*sql.Tx, error) { return pool.BeginTx(ctx, nil) })
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // for an error or a panic; else it is done
	// Its locks end with it: a node that is stopped here would hold up all others for longer than a lease.
	if _, err := t.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = '5s'"); err != nil {
		return fmt.Errorf("bounding transaction: %w", err)
	}
	now := time.Time{}
	if d.Now != nil {
		now = d.Now()
	} else if now, err = serverTime(ctx, t); err != nil {
		return err
	}
	if err := f(t, now); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// holdRun is RunState with the rows locked against change, first the intent's, as whoever closes it
// does.
func holdRun(ctx context.Context, t sqlc.DBTX, run signer.Run, now time.Time) (st sqlc.RunStateRow, err error) {
	const intent = "SELECT state, stopped_at, batch_id FROM intents WHERE id = $1 FOR SHARE"
	if err := t.QueryRowContext(ctx, intent, run.Intent).Scan(&st.State, &st.StoppedAt, &st.BatchID); err != nil {
		return st, absent(err, signer.ErrUnknown)
	}
	const batch = "SELECT status FROM batches WHERE id = $1 FOR SHARE"
	if err := t.QueryRowContext(ctx, batch, st.BatchID).Scan(&st.Status); err != nil {
		return st, err
	}
	const own = "SELECT count(*) FROM (SELECT 1 FROM intent_runs WHERE id = $1 AND intent_id = $2 FOR SHARE) AS own"
	if err := t.QueryRowContext(ctx, own, run.ID, run.Intent).Scan(&st.Runs); err != nil {
		return st, err
	}
	const lost = "SELECT count(*) FROM intent_runs WHERE intent_id = $1 AND id <> $2 AND lease_until <= $3"
	return st, t.QueryRowContext(ctx, lost, run.Intent, run.ID, micros(now)).Scan(&st.Lost)
}

// claimBeside is ClaimItems that waits for nobody. The array is read once, however the rest is
// planned.
func claimBeside(ctx context.Context, t sqlc.DBTX, p sqlc.ClaimItemsParams) (out []sqlc.ClaimItemsRow, err error) {
	const claim = `UPDATE items SET state = 'claimed', attempt = attempt + 1, lease_until = $1, intent_id = $2, run_id = $3
WHERE batch_id = $4 AND idx = ANY (ARRAY(
    SELECT p.idx FROM items p WHERE p.batch_id = $4 AND p.state = 'pending' ORDER BY p.idx LIMIT $5 FOR UPDATE SKIP LOCKED))
RETURNING idx, name, hash, digest, blob, size, document_id, reference, attempt`
	rows, err := t.QueryContext(ctx, claim, p.LeaseUntil, p.IntentID, p.RunID, p.BatchID, p.Lim)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // read to its end, or the error is rows.Err
	for rows.Next() {
		var x sqlc.ClaimItemsRow
		if err := rows.Scan(&x.Idx, &x.Name, &x.Hash, &x.Digest, &x.Blob, &x.Size, &x.DocumentID, &x.Reference, &x.Attempt); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b sqlc.ClaimItemsRow) int { return cmp.Compare(a.Idx, b.Idx) })
	return out, rows.Err()
}

// Beat implements signer.Records. On PostgreSQL it waits for no change of others, nor for one of
// their connections: a lease must not end because they are many.
func (d *DB) Beat(ctx context.Context, run signer.Run) (state signer.RunState, err error) {
	beat := func(q *sqlc.Queries, now time.Time) error {
		if _, err := q.ExtendRun(ctx, sqlc.ExtendRunParams{LeaseUntil: micros(now.Add(run.Lease)), ID: run.ID, IntentID: run.Intent}); err != nil {
			return err
		}
		state, err = runState(ctx, q, run)
		return err
	}
	if !d.postgres || d.joined != nil {
		err = d.dated(ctx, beat)
	} else {
		err = d.beside(ctx, d.long, func(t sqlc.DBTX, now time.Time) error { return beat(d.queries(t), now) })
	}
	return state, err
}

// State implements signer.Records.
func (d *DB) State(ctx context.Context, run signer.Run) (signer.RunState, error) {
	return runState(ctx, d.q, run)
}

func runState(ctx context.Context, q *sqlc.Queries, run signer.Run) (signer.RunState, error) {
	st, err := q.RunState(ctx, sqlc.RunStateParams{RunID: run.ID, IntentID: run.Intent})
	if err != nil {
		return signer.RunState{}, absent(err, signer.ErrUnknown)
	}
	return signer.RunState{Paused: st.Status == "PAUSED", Stopped: st.StoppedAt > 0}, runs(&st, run)
}

// Requeue implements signer.Records.
func (d *DB) Requeue(ctx context.Context, run signer.Run) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		in, err := q.Intent(ctx, run.Intent)
		if err != nil {
			return absent(err, signer.ErrUnknown)
		}
		if in.State != "open" {
			return nil
		}
		if err := q.ReleaseClaimsOfRun(ctx, sqlc.ReleaseClaimsOfRunParams{BatchID: in.BatchID, RunID: run.ID}); err != nil {
			return err
		}
		return endLost(ctx, q, run, in.BatchID, now)
	})
}

// EndRun implements signer.Records.
func (d *DB) EndRun(ctx context.Context, run signer.Run, ev audit.Event, alone *audit.Event) (others bool, err error) {
	err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		in, err := q.Intent(ctx, run.Intent)
		if err != nil {
			return absent(err, signer.ErrUnknown)
		}
		if in.State != "open" {
			return nil // its runs ended with it
		}
		alive, err := q.Runs(ctx, sqlc.RunsParams{IntentID: run.Intent, Now: micros(now)})
		if err != nil {
			return err
		}
		others = slices.ContainsFunc(alive, func(id string) bool { return id != run.ID })
		if !others && alone != nil {
			return abandon(ctx, q, &in, *alone) // locks the intent before its runs, as a claim does
		}
		if run.ID != "" {
			if _, err := q.EndRun(ctx, sqlc.EndRunParams{ID: run.ID, IntentID: run.Intent}); err != nil {
				return err
			}
			if err := q.ReleaseClaimsOfRun(ctx, sqlc.ReleaseClaimsOfRunParams{BatchID: in.BatchID, RunID: run.ID}); err != nil {
				return err
			}
		}
		if ev.Action == "" {
			return nil
		}
		return appendEvent(ctx, q, ev)
	})
	return others && err == nil, err
}

// EndRuns implements signer.Records. A SQLite database has one gateway; PostgreSQL may have others,
// whose leases end by themselves.
func (d *DB) EndRuns(ctx context.Context) error {
	if d.postgres {
		return nil
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return errors.Join(q.EndAllRuns(ctx), q.EndLoneLeases(ctx))
	})
}

// Runs implements signer.Records.
func (d *DB) Runs(ctx context.Context, intent string) ([]string, error) {
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	return d.q.Runs(ctx, sqlc.RunsParams{IntentID: intent, Now: micros(now)})
}

// Stop implements signer.Records.
func (d *DB) Stop(ctx context.Context, transaction string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.StopIntent(ctx, sqlc.StopIntentParams{Now: micros(ev.At), TransactionID: transaction})
		if err != nil || n > 0 {
			return err
		}
		if n, err = q.OpenIntentOf(ctx, transaction); err == nil && n == 0 {
			err = signer.ErrFinished
		}
		return err
	})
}

// Unclaimed implements signer.Records.
func (d *DB) Unclaimed(ctx context.Context, batch string, most int) (int, error) {
	n, err := d.q.WaitingItems(ctx, sqlc.WaitingItemsParams{BatchID: batch, Lim: int64(most)})
	return int(n), err
}

// Moment implements signer.Records.
func (d *DB) Moment(ctx context.Context, f func(signer.Records) error) error {
	return d.snapshot(ctx, func(q *sqlc.Queries) error {
		return f(&DB{Now: d.Now, write: d.write, read: d.read, long: d.long, q: q, fields: d.fields, postgres: d.postgres})
	})
}
