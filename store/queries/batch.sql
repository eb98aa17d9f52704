-- name: AddBatch :exec
INSERT INTO batches (id, app_id, name, kind, implicit, status, next_index, count, root, created_at, touched_at, look, look_sum)
VALUES (@id, @app_id, @name, @kind, @implicit, @status, @next_index, @count, @root, @created_at, @created_at, @look, @look_sum);

-- What somebody has done with a batch keeps it: see StaleBatches.
-- name: TouchBatch :exec
UPDATE batches SET touched_at = @now WHERE id = @id AND touched_at < @now;

-- name: TouchBatchOf :exec
UPDATE batches SET touched_at = @now
WHERE id = (SELECT t.batch_id FROM transactions t WHERE t.id = @transaction_id) AND implicit = 0 AND touched_at < @now;

-- name: Batch :one
SELECT id, app_id, name, kind, implicit, status, next_index, count, root, refused_rows, created_at, started_at, finished_at, intake, intake_until, look, look_sum
FROM batches WHERE id = @id;

-- Begins anew what CountOutcomes adds to.
-- name: BeginOutcomes :exec
INSERT INTO batch_outcomes (batch_id, signed, refused)
SELECT @batch_id, COUNT(CASE WHEN i.state = 'signed' THEN 1 END), COUNT(CASE WHEN i.state = 'refused' THEN 1 END) FROM items i WHERE i.batch_id = @batch_id
ON CONFLICT (batch_id) DO UPDATE SET signed = excluded.signed, refused = excluded.refused;

-- name: CountOutcomes :exec
UPDATE batch_outcomes SET signed = signed + @signed, refused = refused + @refused WHERE batch_id = @batch_id;

-- name: Outcomes :one
SELECT signed, refused FROM batch_outcomes WHERE batch_id = @batch_id;

-- name: CountStates :many
SELECT state, COUNT(*) AS n FROM items
WHERE batch_id = @batch_id AND idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) GROUP BY state;

-- One is enough: a batch has thousands.
-- name: UnfinishedItems :one
SELECT COUNT(*) FROM (SELECT 1 FROM items WHERE batch_id = @batch_id AND state IN ('pending', 'claimed') LIMIT 1) AS unfinished;

-- name: GrowBatch :execrows
UPDATE batches SET next_index = next_index + @added, refused_rows = refused_rows + @refused, touched_at = @now
WHERE id = @id AND status = 'OPEN' AND intake = @intake AND next_index = @expected;

-- name: ClaimIntake :execrows
UPDATE batches SET intake = @intake, intake_until = @until, touched_at = @now
WHERE id = @id AND status = 'OPEN' AND (intake = '' OR intake_until < @now);

-- Also of a batch that was cancelled meanwhile.
-- name: InheritIntake :execrows
UPDATE batches SET intake = @intake, intake_until = @until WHERE id = @id AND intake = @dead AND intake_until < @now;

-- name: ExtendIntake :execrows
UPDATE batches SET intake_until = @until, touched_at = @now WHERE id = @id AND status = 'OPEN' AND intake = @intake;

-- name: ReleaseIntake :exec
UPDATE batches SET intake = '', intake_until = 0 WHERE id = @id AND intake = @intake;

-- name: LapsedIntakes :many
SELECT id, intake FROM batches WHERE intake <> '' AND intake_until < @now;

-- name: LeaveIntakes :exec
UPDATE batches SET intake_until = 0 WHERE intake <> '';

-- name: DropStagedItems :execrows
DELETE FROM items WHERE items.batch_id = @batch_id AND items.idx IN (SELECT p.idx FROM items p WHERE p.batch_id = @batch_id
    AND p.idx >= (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY p.idx DESC LIMIT @lim);

-- name: DropStagedPayments :execrows
DELETE FROM payments WHERE payments.batch_id = @batch_id AND payments.idx IN (SELECT p.idx FROM payments p WHERE p.batch_id = @batch_id
    AND p.idx >= (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY p.idx DESC LIMIT @lim);

-- name: DropStagedRows :execrows
DELETE FROM refused_rows WHERE refused_rows.batch_id = @batch_id AND refused_rows.seq IN (SELECT p.seq FROM refused_rows p WHERE p.batch_id = @batch_id
    AND p.seq >= (SELECT b.refused_rows FROM batches b WHERE b.id = @batch_id) ORDER BY p.seq DESC LIMIT @lim);

-- Of other batches, and of uploads to them that are under way; what was cancelled before it was signed does not count.
-- name: NumbersElsewhere :many
SELECT i.number, b.app_id, b.name, b.created_at FROM items i JOIN batches b ON b.id = i.batch_id
WHERE i.batch_id <> @batch_id AND (b.status NOT IN ('CANCELLED', 'EXPIRED') OR i.state = 'signed')
    AND (i.idx < b.next_index OR b.intake_until > @now) AND i.number IN (sqlc.slice('numbers'));

-- name: AddPayment :exec
INSERT INTO payments (batch_id, idx, amount, payee) VALUES (@batch_id, @idx, @amount, @payee);

-- name: PaymentsAfter :many
SELECT i.idx, CAST(COALESCE(p.amount, '') AS TEXT) AS amount, CAST(COALESCE(p.payee, '') AS TEXT) AS payee
FROM items i LEFT JOIN payments p ON p.batch_id = i.batch_id AND p.idx = i.idx
WHERE i.batch_id = @batch_id AND i.state IN ('pending', 'claimed') AND i.idx > @after
    AND i.idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY i.idx LIMIT @lim;

-- name: HasPayments :one
SELECT COUNT(*) FROM (SELECT 1 FROM payments WHERE batch_id = @batch_id LIMIT 1) AS one;

-- name: RefusedRowsAfter :many
SELECT seq, row, col, name, code, detail FROM refused_rows
WHERE batch_id = @batch_id AND seq > @after AND seq < (SELECT b.refused_rows FROM batches b WHERE b.id = @batch_id) ORDER BY seq LIMIT @lim;

-- name: AddItem :exec
INSERT INTO items (batch_id, idx, name, hash, digest, blob, size, document_id, reference, reference_key, record_id, number, record, sealed_record, state)
VALUES (@batch_id, @idx, @name, @hash, @digest, @blob, @size, @document_id, @reference, @reference_key, @record_id, @number, @record, @sealed_record, 'pending');

-- name: AddRefusedRow :exec
INSERT INTO refused_rows (batch_id, seq, row, col, name, code, detail) VALUES (@batch_id, @seq, @row, @col, @name, @code, @detail);

-- name: SealBatch :execrows
UPDATE batches SET status = 'SEALED', count = @count, root = @root, touched_at = @now WHERE id = @id AND status = 'OPEN' AND intake = '' AND next_index = @count;

-- name: SetBatchStatus :execrows
UPDATE batches SET status = @status, touched_at = @now WHERE id = @id AND status = @was;

-- name: StartBatch :execrows
UPDATE batches SET status = 'SIGNING', started_at = CASE started_at WHEN 0 THEN @now ELSE started_at END, touched_at = @now
WHERE id = @id AND status IN ('SEALED', 'NEEDS_AUTHORISATION');

-- name: FinishBatch :exec
UPDATE batches SET status = @status, finished_at = @now, touched_at = @now WHERE id = @id AND status IN ('SIGNING', 'PAUSED');

-- name: AbandonBatch :exec
UPDATE batches SET status = 'NEEDS_AUTHORISATION', touched_at = @now WHERE id = @id AND status IN ('SIGNING', 'PAUSED');

-- name: ReopenBatch :execrows
UPDATE batches SET status = 'NEEDS_AUTHORISATION', finished_at = 0, touched_at = @now WHERE id = @id AND status = 'SIGNED_WITH_REFUSALS';

-- Refused documents wait to be signed again; the next claim has another attempt. RetryItems takes
-- some, RetryAll all.
-- name: RetryItems :execrows
UPDATE items SET state = 'pending', code = '', detail = '', signed_at = 0, intent_id = '', run_id = '', lease_until = 0
WHERE batch_id = @batch_id AND state = 'refused' AND idx IN (sqlc.slice('indexes'));

-- name: RetryAll :execrows
UPDATE items SET state = 'pending', code = '', detail = '', signed_at = 0, intent_id = '', run_id = '', lease_until = 0
WHERE batch_id = @batch_id AND state = 'refused';

-- name: WaitingItems :one
SELECT COUNT(*) FROM (SELECT 1 FROM items WHERE batch_id = @batch_id AND state = 'pending' LIMIT @lim) AS waiting;

-- Whether an outcome is that of this very claim.
-- name: OutcomeStored :one
SELECT COUNT(*) FROM items WHERE batch_id = @batch_id AND idx = @idx AND state IN ('signed', 'refused') AND attempt = @attempt AND intent_id = @intent_id;

-- name: ItemsAfter :many
SELECT batch_id, idx, name, hash, digest, blob, size, document_id, reference, record_id, number, record, state, attempt, lease_until, code, detail,
    signature, signed_blob, signed_size, signed_at, intent_id, timestamp, reference_key, run_id, level, sealed_record, refusal
FROM items WHERE batch_id = @batch_id AND idx > @after
    AND idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY idx LIMIT @lim;

-- name: ItemsInState :many
SELECT batch_id, idx, name, hash, digest, blob, size, document_id, reference, record_id, number, record, state, attempt, lease_until, code, detail,
    signature, signed_blob, signed_size, signed_at, intent_id, timestamp, reference_key, run_id, level, sealed_record, refusal
FROM items WHERE batch_id = @batch_id AND state = @state AND idx > @after
    AND idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY idx LIMIT @lim;

-- name: ItemByRecord :one
SELECT batch_id, idx, record_id, record, sealed_record, state, signed_blob, signed_at FROM items WHERE record_id = @record_id
    AND idx < (SELECT b.next_index FROM batches b WHERE b.id = items.batch_id);

-- name: PendingAfter :many
SELECT idx, name, hash, digest, blob, size, document_id, reference, reference_key, attempt
FROM items WHERE batch_id = @batch_id AND state IN ('pending', 'claimed') AND idx > @after ORDER BY idx LIMIT @lim;

-- name: AuthorisedAfter :many
SELECT idx, name, hash, digest, blob, size, document_id, reference, reference_key, state
FROM items WHERE batch_id = @batch_id AND (state IN ('pending', 'claimed') OR intent_id = @intent_id) AND idx > @after ORDER BY idx LIMIT @lim;

-- name: ClaimItems :many
UPDATE items SET state = 'claimed', attempt = attempt + 1, lease_until = @lease_until, intent_id = @intent_id, run_id = @run_id
WHERE items.batch_id = @batch_id AND items.idx IN (
    SELECT p.idx FROM items p WHERE p.batch_id = @batch_id AND p.state = 'pending' ORDER BY p.idx LIMIT @lim)
RETURNING items.idx, items.name, items.hash, items.digest, items.blob, items.size, items.document_id, items.reference, items.attempt;

-- name: SignItem :execrows
UPDATE items SET state = 'signed', signature = @signature, signed_blob = @signed_blob, signed_size = @signed_size, signed_at = @signed_at, timestamp = @timestamp, level = @level
WHERE batch_id = @batch_id AND idx = @idx AND state = 'claimed' AND attempt = @attempt AND intent_id = @intent_id;

-- Writers take turns, so that a refusal's number is above all that anybody has read.
-- name: RefuseItem :execrows
UPDATE items SET state = 'refused', code = @code, detail = @detail, signed_at = @signed_at,
    refusal = (SELECT COALESCE(MAX(r.refusal), 0) + 1 FROM items r WHERE r.batch_id = @batch_id AND r.refusal > 0)
WHERE items.batch_id = @batch_id AND items.idx = @idx AND items.state = 'claimed' AND items.attempt = @attempt AND items.intent_id = @intent_id;

-- name: ReleaseClaims :exec
UPDATE items SET state = 'pending' WHERE batch_id = @batch_id AND state = 'claimed' AND intent_id = @intent_id;

-- name: RefusalsAfter :many
SELECT idx, name, code, detail, refusal FROM items
WHERE batch_id = @batch_id AND refusal > @after AND state = 'refused' ORDER BY refusal LIMIT @lim;

-- name: RefusedByCode :many
SELECT code, COUNT(*) AS n FROM items WHERE batch_id = @batch_id AND state = 'refused' GROUP BY code ORDER BY code;

-- The commits in which the last ones were signed: documents are taken in their order.
-- name: LastCommits :many
SELECT r.signed_at, COUNT(*) AS n FROM (SELECT i.signed_at FROM items i WHERE i.batch_id = @batch_id AND i.state = 'signed' ORDER BY i.idx DESC LIMIT @lim) AS r
GROUP BY r.signed_at ORDER BY r.signed_at;

-- name: LeavesAfter :many
SELECT idx, name, hash, digest FROM items WHERE batch_id = @batch_id AND idx > @after ORDER BY idx LIMIT @lim;

-- name: Item :one
SELECT batch_id, idx, name, hash, digest, blob, size, document_id, reference, record_id, number, record, state, attempt, lease_until, code, detail,
    signature, signed_blob, signed_size, signed_at, intent_id, timestamp, reference_key, run_id, level, sealed_record, refusal
FROM items WHERE batch_id = @batch_id AND idx = @idx;

-- name: OptionsOfIntents :many
SELECT i.id, t.options FROM intents i JOIN transactions t ON t.id = i.transaction_id WHERE i.batch_id = @batch_id;

-- What nobody has touched since a time, and no upload is coming into. One that is being signed has
-- a transaction that says so.
-- name: StaleBatches :many
SELECT b.id FROM batches b
WHERE b.implicit = 0 AND b.status IN ('OPEN', 'SEALED', 'NEEDS_AUTHORISATION') AND b.touched_at < @before
    AND (b.intake = '' OR b.intake_until < @now)
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.batch_id = b.id AND t.status = 'SIGNING')
ORDER BY b.touched_at LIMIT @lim;

-- With the passwords of those that are encrypted. Parts of packs are no files: see PartsAfter.
-- name: RemoveUnsignedOriginals :exec
INSERT INTO file_removals (kind, name)
SELECT 'blob', i.blob FROM items i WHERE i.batch_id = @batch_id AND i.state <> 'signed' AND i.blob <> '' AND i.blob NOT LIKE '%#%'
UNION ALL SELECT 'blob', i.blob || '.password' FROM items i WHERE i.batch_id = @batch_id AND i.state <> 'signed' AND i.blob <> '' AND i.blob NOT LIKE '%#%';

-- name: PartsAfter :many
SELECT idx, blob, state FROM items WHERE batch_id = @batch_id AND blob LIKE '%#%' AND idx > @after ORDER BY idx LIMIT @lim;

-- name: ReleaseClaimsOfRun :exec
UPDATE items SET state = 'pending' WHERE batch_id = @batch_id AND state = 'claimed' AND run_id = @run_id;

-- What nobody has in work any more.
-- name: ReleaseLostClaims :exec
UPDATE items SET state = 'pending' WHERE items.batch_id = @batch_id AND items.state = 'claimed' AND items.intent_id = @intent_id AND items.lease_until <= @now
    AND items.run_id NOT IN (SELECT r.id FROM intent_runs r WHERE r.intent_id = @intent_id);

-- Leases of claims without a run are over: for a gateway that is alone and has just started.
-- name: EndLoneLeases :exec
UPDATE items SET lease_until = 0 WHERE lease_until > 0 AND state = 'claimed' AND batch_id IN (SELECT i.batch_id FROM intents i WHERE i.state = 'open');

-- name: BatchesOfApp :many
SELECT b.id, b.app_id, b.name, b.kind, b.status, b.next_index, b.count, b.root, b.refused_rows, b.created_at, b.started_at, b.finished_at, b.intake,
    CAST(COALESCE(o.signed, -1) AS BIGINT) AS signed, CAST(COALESCE(o.refused, 0) AS BIGINT) AS refused
FROM batches b LEFT JOIN batch_outcomes o ON o.batch_id = b.id
WHERE b.app_id = @app_id AND b.implicit = 0 AND b.created_at <= @at AND (b.created_at < @at OR b.id < @id)
    AND (CAST(@waiting AS BIGINT) = 0 OR b.status IN ('SEALED', 'NEEDS_AUTHORISATION'))
ORDER BY b.created_at DESC, b.id DESC LIMIT @lim;

-- name: ItemsByNumber :many
SELECT i.record_id, i.record, i.state, i.signed_at, b.status FROM items i JOIN batches b ON b.id = i.batch_id
WHERE i.number = @number AND i.number IS NOT NULL AND i.idx < b.next_index AND (b.status NOT IN ('CANCELLED', 'EXPIRED') OR i.state = 'signed')
ORDER BY b.created_at DESC, i.batch_id LIMIT 20;
