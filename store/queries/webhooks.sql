-- Where an app's events go, and what their secrets are made of.
-- name: Webhook :one
SELECT a.webhook, w.generation, w.set_at, w.old_generation, w.old_until FROM webhooks w JOIN apps a ON a.id = w.app_id
WHERE w.app_id = @app_id AND a.webhook <> '';

-- name: SetWebhook :exec
INSERT INTO webhooks (app_id, generation, set_at, old_generation, old_until)
VALUES (@app_id, @generation, @set_at, @nothing, @old_until)
ON CONFLICT (app_id) DO UPDATE SET old_generation = webhooks.generation, old_until = excluded.old_until,
    generation = excluded.generation, set_at = excluded.set_at;

-- name: SetWebhookAddress :execrows
UPDATE apps SET webhook = @webhook, revision = revision + 1 WHERE id = @id;

-- name: DropWebhook :execrows
DELETE FROM webhooks WHERE app_id = @app_id;

-- name: DropEvents :exec
UPDATE events SET state = 'DROPPED' WHERE app_id = @app_id AND state = 'PENDING';

-- The transaction that has ended, if its app is to be told.
-- name: EndingToTell :one
SELECT t.app_id, t.system, t.batch_id, t.implicit, t.count, t.status, t.created_at, t.finished_at
FROM transactions t JOIN webhooks w ON w.app_id = t.app_id JOIN apps a ON a.id = t.app_id
WHERE t.id = @id AND a.webhook <> '' AND a.state <> 'ENDED';

-- What became of a transaction's own documents.
-- name: OutcomesOf :one
SELECT COUNT(CASE WHEN i.state = 'signed' THEN 1 END) AS signed, COUNT(CASE WHEN i.state = 'refused' THEN 1 END) AS refused
FROM items i JOIN intents n ON n.id = i.intent_id WHERE i.batch_id = @batch_id AND n.transaction_id = @transaction_id;

-- name: AppsToTell :many
SELECT a.id, a.systems FROM apps a JOIN webhooks w ON w.app_id = a.id WHERE a.webhook <> '' AND a.state <> 'ENDED' ORDER BY a.id;

-- name: AddEventToTell :exec
INSERT INTO events (id, app_id, type, object, data, created_at, due_at) VALUES (@id, @app_id, @type, @object, @data, @created_at, @due_at);

-- name: Receivers :many
SELECT w.app_id FROM webhooks w JOIN apps a ON a.id = w.app_id
WHERE a.webhook <> '' AND a.state = 'ACTIVE'
    AND EXISTS (SELECT 1 FROM events e WHERE e.app_id = w.app_id AND e.state = 'PENDING' AND e.due_at <= @now)
ORDER BY w.app_id LIMIT @lim;

-- name: ClaimEvent :one
UPDATE events SET due_at = @lease_until, claims = claims + 1
WHERE events.id IN (SELECT e.id FROM events e WHERE e.app_id = @app_id AND e.state = 'PENDING' AND e.due_at <= @now
    AND NOT EXISTS (SELECT 1 FROM events p WHERE p.object = e.object AND p.app_id = e.app_id AND p.state = 'PENDING'
        AND (p.created_at < e.created_at OR p.created_at = e.created_at AND p.id < e.id))
    ORDER BY e.due_at, e.id LIMIT 1)
RETURNING events.id, events.type, events.data, events.created_at, events.tries, events.claims;

-- name: SettleEvent :execrows
UPDATE events SET state = @state, due_at = @due_at, tries = tries + 1, status = @status, why = @why, tried_at = @tried_at
WHERE id = @id AND claims = @claims AND state = 'PENDING';

-- name: Redeliver :execrows
UPDATE events SET state = 'PENDING', due_at = @now, tries = 0, claims = claims + 1 WHERE id = @id AND app_id = @app_id;

-- The newest first, behind one of them.
-- name: Deliveries :many
SELECT e.id, e.type, e.object, e.created_at, e.state, e.due_at, e.tries, e.status, e.why, e.tried_at FROM events e
WHERE e.app_id = @app_id AND (CAST(@state AS TEXT) = '' OR e.state = @state)
    AND (CAST(@after AS TEXT) = '' OR EXISTS (SELECT 1 FROM events l WHERE l.id = @after AND l.app_id = e.app_id
        AND (l.created_at > e.created_at OR l.created_at = e.created_at AND l.id > e.id)))
ORDER BY e.created_at DESC, e.id DESC LIMIT @lim;

-- name: ExpungeEvents :execrows
DELETE FROM events WHERE id IN (SELECT e.id FROM events e WHERE e.created_at < @before ORDER BY e.created_at LIMIT @lim);

-- name: EventBacklog :one
SELECT COUNT(CASE WHEN e.state = 'PENDING' THEN 1 END) AS pending, COUNT(CASE WHEN e.state = 'DEAD' THEN 1 END) AS dead,
    CAST(COALESCE(MIN(CASE WHEN e.state = 'PENDING' THEN e.created_at END), 0) AS BIGINT) AS oldest FROM events e;

-- name: OverdueTransactions :many
UPDATE transactions SET status = 'EXPIRED', finished_at = @now
WHERE id IN (SELECT t.id FROM transactions t WHERE t.status = 'WAITING' AND t.expires_at <= @now ORDER BY t.expires_at LIMIT @lim) RETURNING id;
