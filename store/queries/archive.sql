-- A batch is old when it began, when each of its transactions was made and ended, and when
-- it ended, before a time, and each role that signed a reference of it; one of its transactions that waits still has ended at its expiry.
-- Nothing that is being signed is old. eCertificates stay: whoever scans the code on one
-- is answered from their rows.
-- name: OldBatches :many
SELECT b.id FROM batches b
WHERE b.created_at < @before AND b.finished_at < @before AND b.started_at < @before AND b.status <> 'SIGNING' AND b.kind <> 'ecert' AND b.id > @after
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.batch_id = b.id
        AND (t.created_at >= @before OR t.finished_at >= @before OR t.status = 'SIGNING' OR t.status = 'WAITING' AND t.expires_at >= @before))
    AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.batch_id = b.id AND i.state = 'open')
    AND NOT EXISTS (SELECT 1 FROM signatories s JOIN signatories n ON n.system = s.system AND n.process = s.process AND n.reference = s.reference
        WHERE s.batch_id = b.id AND (n.signed_at = 0 OR n.signed_at >= @before))
ORDER BY b.id LIMIT @lim;

-- name: BatchIsOld :one
SELECT COUNT(*) FROM batches b
WHERE b.id = @id AND b.created_at < @before AND b.finished_at < @before AND b.started_at < @before AND b.status <> 'SIGNING' AND b.kind <> 'ecert'
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.batch_id = b.id
        AND (t.created_at >= @before OR t.finished_at >= @before OR t.status = 'SIGNING' OR t.status = 'WAITING' AND t.expires_at >= @before))
    AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.batch_id = b.id AND i.state = 'open')
    AND NOT EXISTS (SELECT 1 FROM signatories s JOIN signatories n ON n.system = s.system AND n.process = s.process AND n.reference = s.reference
        WHERE s.batch_id = b.id AND (n.signed_at = 0 OR n.signed_at >= @before));

-- name: TransactionsOfBatch :many
SELECT id, app_id, system_name, ic, system, data_header, process, role, classification, credential_id, options, options_hash,
    batch_id, implicit, count, root, status, created_at, expires_at, finished_at, ended
FROM transactions WHERE batch_id = @batch_id ORDER BY created_at, id;

-- name: IntentsOfBatch :many
SELECT id, transaction_id, credential_id, batch_id, root, count, options_hash, created_at, deadline, seal, state, closed_at
FROM intents WHERE batch_id = @batch_id ORDER BY created_at, id;

-- name: RefusedRowsOf :many
SELECT batch_id, row, col, name, code, detail FROM refused_rows WHERE batch_id = @batch_id ORDER BY seq;

-- name: LastSigned :one
SELECT CAST(COALESCE(MAX(signed_at), 0) AS BIGINT) AS at, COUNT(*) AS items, COUNT(CASE WHEN state = 'signed' THEN 1 END) AS signed FROM items WHERE batch_id = @batch_id;

-- name: CertificateOfCredential :one
SELECT x.serial, x.issuer, x.der FROM credentials c JOIN certificates x ON x.serial = c.serial WHERE c.id = @id;

-- name: NextCRL :one
SELECT issuer, number, der, this_update, next_update, covers FROM crls WHERE issuer = @issuer AND this_update >= @at ORDER BY this_update, number LIMIT 1;

-- name: CRLInForce :one
SELECT issuer, number, der, this_update, next_update, covers FROM crls WHERE issuer = @issuer AND this_update <= @at ORDER BY number DESC LIMIT 1;

-- name: AddArchive :exec
INSERT INTO archives (id, state, created_at) VALUES (@id, 'WRITING', @created_at);

-- name: StoreArchive :execrows
UPDATE archives SET state = 'STORED', newest_at = @newest_at, transactions = @transactions, signatures = @signatures, size = @size, manifest = @manifest
WHERE id = @id AND state = 'WRITING';

-- name: DropArchive :execrows
DELETE FROM archives WHERE id = @id AND state = 'WRITING';

-- name: Archives :many
SELECT id, state, created_at, newest_at, transactions, signatures, size, manifest FROM archives WHERE id > @after ORDER BY id LIMIT @lim;

-- name: Archive :one
SELECT id, state, created_at, newest_at, transactions, signatures, size, manifest FROM archives WHERE id = @id;

-- name: AddArchivePerson :exec
INSERT INTO archive_people (archive_id, ic) VALUES (@archive_id, @ic) ON CONFLICT (archive_id, ic) DO NOTHING;

-- name: AddArchiveReference :exec
INSERT INTO archive_references (archive_id, reference) VALUES (@archive_id, @reference) ON CONFLICT (archive_id, reference) DO NOTHING;

-- name: ArchivesOf :many
SELECT a.id, a.state, a.created_at, a.newest_at FROM archives a JOIN archive_people p ON p.archive_id = a.id WHERE p.ic = @ic ORDER BY a.id;

-- name: DropCodeSendsOfBatch :exec
DELETE FROM code_sends WHERE transaction_id IN (SELECT t.id FROM transactions t WHERE t.batch_id = @batch_id);

-- name: DropChallengesOfBatch :exec
DELETE FROM challenges WHERE transaction_id IN (SELECT t.id FROM transactions t WHERE t.batch_id = @batch_id);

-- name: DropSigningPagesOfBatch :exec
DELETE FROM signing_pages WHERE transaction_id IN (SELECT t.id FROM transactions t WHERE t.batch_id = @batch_id);

-- name: DropIntentsOfBatch :exec
DELETE FROM intents WHERE batch_id = @batch_id;

-- name: DropTransactionsOfBatch :execrows
DELETE FROM transactions WHERE batch_id = @batch_id;

-- name: DropRefusedRowsOfBatch :exec
DELETE FROM refused_rows WHERE batch_id = @batch_id;

-- name: DropPaymentsOfBatch :exec
DELETE FROM payments WHERE batch_id = @batch_id;

-- name: DropItemsOfBatch :execrows
DELETE FROM items WHERE batch_id = @batch_id;

-- name: DropOutcomesOfBatch :exec
DELETE FROM batch_outcomes WHERE batch_id = @batch_id;

-- name: DropBatch :execrows
DELETE FROM batches WHERE id = @id;

-- name: BlobsOfBatch :many
SELECT idx, blob, signed_blob, document_id, reference, attempt FROM items WHERE batch_id = @batch_id ORDER BY idx;

-- A document that another batch names is that one's still.
-- name: DropDocument :many
DELETE FROM documents WHERE id = @id AND created_at < @before AND NOT EXISTS (SELECT 1 FROM items i WHERE i.document_id = documents.id) RETURNING blob;

-- name: AddFileRemoval :exec
INSERT INTO file_removals (kind, name) VALUES (@kind, @name) ON CONFLICT (kind, name) DO NOTHING;

-- name: FileRemovals :many
SELECT kind, name FROM file_removals ORDER BY kind, name LIMIT @lim;

-- name: DropFileRemoval :exec
DELETE FROM file_removals WHERE kind = @kind AND name = @name;
