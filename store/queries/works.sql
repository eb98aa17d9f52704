-- name: Looks :many
SELECT number, base, template, state, reason, proposed_by, proposed_at, decided_by, decided_at FROM ecert_looks ORDER BY number DESC LIMIT @lim;

-- name: Look :one
SELECT number, base, template, changes, state, reason, proposed_by, proposed_at, decided_by, decided_at FROM ecert_looks WHERE number = @number;

-- name: CurrentLook :one
SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) AS number FROM ecert_looks WHERE state = 'CURRENT';

-- name: ProposedLook :one
SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) AS number FROM ecert_looks WHERE state = 'PROPOSED';

-- name: LastLook :one
SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) AS number FROM ecert_looks;

-- name: AddLook :exec
INSERT INTO ecert_looks (number, base, template, changes, state, reason, proposed_by, proposed_at)
VALUES (@number, @base, @template, @changes, 'PROPOSED', @reason, @proposed_by, @proposed_at);

-- name: RetireLook :exec
UPDATE ecert_looks SET state = 'PAST' WHERE state = 'CURRENT';

-- name: DecideLook :execrows
UPDATE ecert_looks SET state = @state, decided_by = @decided_by, decided_at = @decided_at WHERE number = @number AND state = 'PROPOSED';

-- Batches of all apps, and those of some: of one index each.
-- name: AllBatches :many
SELECT b.id FROM batches b
WHERE b.implicit = 0 AND b.created_at <= @at AND (b.created_at < @at OR b.id < @id)
    AND (CAST(@status AS TEXT) = '' OR b.status = @status) AND (CAST(@app AS TEXT) = '' OR b.app_id = @app)
ORDER BY b.created_at DESC, b.id DESC LIMIT @lim;

-- name: BatchesOfApps :many
SELECT b.id FROM batches b
WHERE b.implicit = 0 AND b.created_at <= @at AND (b.created_at < @at OR b.id < @id)
    AND (CAST(@status AS TEXT) = '' OR b.status = @status) AND b.app_id IN (sqlc.slice('apps'))
ORDER BY b.created_at DESC, b.id DESC LIMIT 200;

-- Who was asked last to sign a batch.
-- name: SignatoryOf :one
SELECT t.id, t.ic, t.system, t.status, o.name FROM transactions t JOIN officers o ON o.ic = t.ic
WHERE t.batch_id = @batch_id ORDER BY t.created_at DESC, t.id DESC LIMIT 1;

-- name: Letters :many
SELECT id, ic, name, email, kind, created_at, due_at, attempts, reply, failed_at FROM notices
WHERE notices.created_at <= @at AND (notices.created_at < @at OR notices.id < @id)
    AND (CAST(@state AS TEXT) = '' OR CAST(@state AS TEXT) = CASE WHEN notices.failed_at > 0 THEN 'failed' WHEN notices.attempts > 0 THEN 'deferred' ELSE 'waiting' END)
    AND (CAST(@kind AS TEXT) = '' OR notices.kind = @kind)
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: LettersByKind :many
SELECT kind, COUNT(CASE WHEN failed_at = 0 AND attempts = 0 THEN 1 END) AS waiting, COUNT(CASE WHEN failed_at = 0 AND attempts > 0 THEN 1 END) AS put_off,
    COUNT(CASE WHEN failed_at > 0 THEN 1 END) AS failed, CAST(MIN(created_at) AS BIGINT) AS oldest
FROM notices GROUP BY kind ORDER BY kind;

-- name: Letter :one
SELECT id, ic, name, email, kind, created_at, due_at, attempts, reply, failed_at FROM notices WHERE id = @id;

-- name: RetryLetter :execrows
UPDATE notices SET due_at = @due_at, failed_at = 0 WHERE id = @id AND attempts = @attempts AND attempts > 0;

-- name: DropLetter :execrows
DELETE FROM notices WHERE id = @id AND attempts = @attempts AND failed_at > 0;

-- name: FailNotice :execrows
UPDATE notices SET due_at = 9223372036854775807, failed_at = @now, reply = @reply WHERE id = @id AND attempts = @attempts;

-- name: ExpungeLetters :execrows
DELETE FROM notices WHERE notices.id IN (SELECT n.id FROM notices n WHERE n.failed_at > 0 AND n.failed_at < @before LIMIT @lim);

-- name: UndeliveredCodes :many
SELECT s.transaction_id, s.ic, s.nonce, s.sent_at, s.expires_at, s.channel, s.sent_to, s.redeemed, s.delivery, s.reply, s.delivery_at
FROM code_sends s WHERE s.delivery IN ('deferred', 'refused', 'bounced') AND s.sent_at > @since ORDER BY s.sent_at DESC LIMIT @lim;
