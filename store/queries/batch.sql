-- name: AddBatch :exec
INSERT INTO batches (id, app_id, name, kind, implicit, status, next_index, count, root, created_at)
VALUES (@id, @app_id, @name, @kind, @implicit, @status, @next_index, @count, @root, @created_at);

-- name: Batch :one
SELECT id, app_id, name, kind, implicit, status, next_index, count, root, refused_rows, created_at, started_at, finished_at, intake, intake_until
FROM batches WHERE id = @id;

-- name: CountStates :many
SELECT state, COUNT(*) AS n FROM items
WHERE batch_id = @batch_id AND idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) GROUP BY state;

-- One is enough: a batch has thousands.
-- name: UnfinishedItems :one
SELECT COUNT(*) FROM (SELECT 1 FROM items WHERE batch_id = @batch_id AND state IN ('pending', 'claimed') LIMIT 1) AS unfinished;

-- name: GrowBatch :execrows
UPDATE batches SET next_index = next_index + @added, refused_rows = refused_rows + @refused
WHERE id = @id AND status = 'OPEN' AND intake = @intake AND next_index = @expected;

-- name: ClaimIntake :execrows
UPDATE batches SET intake = @intake, intake_until = @until
WHERE id = @id AND status = 'OPEN' AND (intake = '' OR intake_until < @now);

-- name: ExtendIntake :execrows
UPDATE batches SET intake_until = @until WHERE id = @id AND status = 'OPEN' AND intake = @intake;

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
UPDATE batches SET status = 'SEALED', count = @count, root = @root WHERE id = @id AND status = 'OPEN' AND intake = '' AND next_index = @count;

-- name: SetBatchStatus :execrows
UPDATE batches SET status = @status WHERE id = @id AND status = @was;

-- name: StartBatch :execrows
UPDATE batches SET status = 'SIGNING', started_at = CASE started_at WHEN 0 THEN @now ELSE started_at END
WHERE id = @id AND status IN ('SEALED', 'NEEDS_AUTHORISATION');

-- name: FinishBatch :exec
UPDATE batches SET status = @status, finished_at = @now WHERE id = @id AND status = 'SIGNING';

-- name: ItemsAfter :many
SELECT batch_id, idx, name, hash, digest, blob, size, document_id, reference, record_id, number, record, state, attempt, lease_until, code, detail,
    signature, signed_blob, signed_size, signed_at, intent_id, timestamp, reference_key, sealed_record
FROM items WHERE batch_id = @batch_id AND idx > @after
    AND idx < (SELECT b.next_index FROM batches b WHERE b.id = @batch_id) ORDER BY idx LIMIT @lim;

-- name: ItemsInState :many
SELECT batch_id, idx, name, hash, digest, blob, size, document_id, reference, record_id, number, record, state, attempt, lease_until, code, detail,
    signature, signed_blob, signed_size, signed_at, intent_id, timestamp, reference_key, sealed_record
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
UPDATE items SET state = 'claimed', attempt = attempt + 1, lease_until = @lease_until, intent_id = @intent_id
WHERE items.batch_id = @batch_id AND items.idx IN (
    SELECT p.idx FROM items p WHERE p.batch_id = @batch_id AND p.state = 'pending' ORDER BY p.idx LIMIT @lim)
RETURNING items.idx, items.name, items.hash, items.digest, items.blob, items.size, items.document_id, items.reference, items.attempt;

-- name: SignItem :execrows
UPDATE items SET state = 'signed', signature = @signature, signed_blob = @signed_blob, signed_size = @signed_size, signed_at = @signed_at, timestamp = @timestamp
WHERE batch_id = @batch_id AND idx = @idx AND state = 'claimed' AND attempt = @attempt AND intent_id = @intent_id;

-- name: RefuseItem :execrows
UPDATE items SET state = 'refused', code = @code, detail = @detail, signed_at = @signed_at
WHERE batch_id = @batch_id AND idx = @idx AND state = 'claimed' AND attempt = @attempt AND intent_id = @intent_id;

-- name: ReleaseClaims :exec
UPDATE items SET state = 'pending' WHERE batch_id = @batch_id AND state = 'claimed' AND intent_id = @intent_id;
