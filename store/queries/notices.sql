-- name: AddNotice :exec
INSERT INTO notices (id, ic, name, email, kind, detail, created_at, due_at)
SELECT CAST(@id AS TEXT), o.ic, o.name, o.email, CAST(@kind AS TEXT), CAST(@detail AS TEXT), CAST(@created_at AS BIGINT), CAST(@due_at AS BIGINT)
FROM officers o WHERE o.ic = @ic;

-- name: AddAccountNotice :exec
INSERT INTO notices (id, ic, name, email, kind, detail, created_at, due_at)
SELECT CAST(@id AS TEXT), COALESCE(a.ic, ''), a.name, a.email, CAST(@kind AS TEXT), CAST(@detail AS TEXT), CAST(@created_at AS BIGINT), CAST(@due_at AS BIGINT)
FROM accounts a WHERE a.id = @account_id;

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
VALUES (@id, '', '', @email, @kind, @detail, @created_at, @due_at);
