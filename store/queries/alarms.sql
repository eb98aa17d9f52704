-- name: OpenAlarms :many
SELECT id, kind, node, object, code, args, raised_at, seen_at, cleared_at, acked_by, acked_at, note FROM alarms
WHERE cleared_at = 0 ORDER BY CASE WHEN object = '' THEN 0 ELSE 1 END, raised_at DESC, id DESC LIMIT 200;

-- Those that last behind a place in the same order.
-- name: RaisedAlarms :many
SELECT id, kind, node, object, code, args, raised_at, seen_at, cleared_at, acked_by, acked_at, note FROM alarms
WHERE cleared_at = 0 AND (CASE WHEN object = '' THEN 0 ELSE 1 END > CAST(@event AS BIGINT)
    OR CASE WHEN object = '' THEN 0 ELSE 1 END = @event AND (raised_at < @before OR raised_at = @before AND id < @before_id))
ORDER BY CASE WHEN object = '' THEN 0 ELSE 1 END, raised_at DESC, id DESC LIMIT @lim;

-- name: ClearedAlarms :many
SELECT id, kind, node, object, code, args, raised_at, seen_at, cleared_at, acked_by, acked_at, note FROM alarms
WHERE cleared_at > 0 AND (cleared_at < @before OR cleared_at = @before AND id < @before_id)
ORDER BY cleared_at DESC, id DESC LIMIT @lim;

-- name: AddAlarmRow :execrows
INSERT INTO alarms (id, kind, node, object, code, args, raised_at, seen_at, told)
VALUES (@id, @kind, @node, @object, @code, @args, @raised_at, @seen_at, @told) ON CONFLICT DO NOTHING;

-- name: EndAlarm :execrows
UPDATE alarms SET cleared_at = @at WHERE id = @id AND cleared_at = 0;

-- name: ConfirmAlarms :exec
UPDATE alarms SET seen_at = @at WHERE node = @node AND cleared_at = 0 AND seen_at < @before;

-- name: HoldAlarm :exec
UPDATE alarms SET seen_at = @at WHERE id = @id AND cleared_at = 0;

-- name: UnconfirmedAlarms :one
SELECT COUNT(*) FROM alarms WHERE node = @node AND cleared_at = 0 AND seen_at < @before;

-- name: DesertedAlarms :many
SELECT id, kind, node FROM alarms WHERE cleared_at = 0 AND node <> '' AND seen_at < @before LIMIT 100;

-- name: AcknowledgeAlarm :execrows
UPDATE alarms SET acked_by = @acked_by, acked_at = @at, note = @note, cleared_at = CASE WHEN object <> '' AND cleared_at = 0 THEN @at ELSE cleared_at END
WHERE id = @id AND acked_at = 0;

-- name: AlarmAcknowledged :one
SELECT acked_at FROM alarms WHERE id = @id;

-- name: UntoldAlarms :many
SELECT id, kind, node, object, code, args, raised_at FROM alarms WHERE told = 0 ORDER BY raised_at LIMIT 20;

-- name: AlarmTold :execrows
UPDATE alarms SET told = 1 WHERE id = @id AND told = 0;

-- name: OutboxWaits :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(w.created_at), 0) AS BIGINT) AS oldest FROM (SELECT created_at FROM notices ORDER BY due_at LIMIT 10000) AS w;

-- name: CodesUndelivered :one
SELECT COUNT(*) FROM (SELECT c.sent_at FROM code_sends c WHERE c.sent_at >= @since AND c.delivery IN ('bounced', 'refused') LIMIT 10000) AS u;

-- name: BatchesStopped :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(b.touched_at), 0) AS BIGINT) AS oldest FROM batches b
WHERE b.implicit = 0 AND b.status IN ('OPEN', 'SEALED', 'NEEDS_AUTHORISATION') AND b.status = 'NEEDS_AUTHORISATION';
