-- name: AddNotice :exec
INSERT INTO notices (id, ic, name, email, kind, detail, created_at, due_at)
VALUES (@id, @ic, @name, @email, @kind, @detail, @created_at, @due_at);

-- name: NoticesDue :one
SELECT COUNT(*) FROM (SELECT n.id FROM notices n WHERE n.due_at <= @now LIMIT 1) AS due;

-- name: ClaimNotice :one
UPDATE notices SET due_at = @lease_until, attempts = attempts + 1
WHERE notices.id IN (SELECT p.id FROM notices p WHERE p.due_at <= @now ORDER BY p.due_at, p.id LIMIT 1)
RETURNING notices.id, notices.ic, notices.name, notices.email, notices.kind, notices.detail, notices.created_at, notices.attempts;

-- name: DeferNotice :execrows
UPDATE notices SET due_at = @due_at, reply = @reply WHERE id = @id AND attempts = @attempts;

-- name: DropNotice :execrows
DELETE FROM notices WHERE id = @id AND attempts = @attempts;

-- name: AddAlarm :exec
INSERT INTO notices (id, ic, name, email, kind, detail, created_at, due_at)
VALUES (@id, '', @name, @email, @kind, @detail, @created_at, @due_at);

-- How a batch went on after PIN and code, for the officer; a single transaction tells it itself.
-- name: BatchEnding :one
SELECT t.ic, t.system_name, t.classification, t.batch_id, t.count, t.root, t.status, t.ended, b.name
FROM transactions t JOIN batches b ON b.id = t.batch_id
WHERE t.id = @id AND t.implicit = 0 AND t.status IN ('SIGNED', 'SIGNED_WITH_REFUSALS', 'FAILED', 'NEEDS_AUTHORISATION');
