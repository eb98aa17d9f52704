-- name: PutMeta :exec
INSERT INTO meta (name, value) VALUES (@name, @value) ON CONFLICT (name) DO NOTHING;

-- name: Meta :one
SELECT value FROM meta WHERE name = @name;

-- name: LastEvent :one
SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1;

-- name: AddEvent :exec
INSERT INTO audit_events (seq, at, actor, action, object, verdict, request_id, detail, prev, hash)
VALUES (@seq, @at, @actor, @action, @object, @verdict, @request_id, @detail, @prev, @hash);

-- name: AddTokenEvent :exec
INSERT INTO audit_events (seq, at, actor, action, object, verdict, request_id, detail, prev, hash)
VALUES (@seq, @at, CAST(@actor AS TEXT), CAST(@action AS TEXT), CAST(@object AS TEXT), @verdict, @request_id, CAST(@detail AS TEXT), @prev, @hash);

-- name: EventsAfter :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE seq > @after ORDER BY seq LIMIT @lim;

-- The first record of a range that stands in clear though its action is not about the token: who
-- looks for what it is about would not find it; 0 when there is none.
-- name: ClearEvent :one
SELECT CAST(COALESCE(MIN(seq), 0) AS BIGINT) AS seq FROM audit_events WHERE seq > @after AND seq <= @last AND action NOT LIKE 'hsm.%'
    AND ((actor <> '' AND actor NOT LIKE '~actor:%') OR (object <> '' AND object NOT LIKE '~object:%') OR (detail <> '' AND detail NOT LIKE '~detail:%'));

-- Whether any record is sealed.
-- name: HasSealedEvent :one
SELECT COUNT(*) AS n FROM (SELECT 1 FROM audit_events WHERE action NOT LIKE 'hsm.%' AND (actor LIKE '~actor:%' OR object LIKE '~object:%' OR detail LIKE '~detail:%') LIMIT 1) AS found;

-- name: KeyEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE object = @object AND action IN ('key.version', 'key.destroy', 'key.hold', 'key.release') ORDER BY seq;

-- name: PutOfficer :exec
INSERT INTO officers (ic, name, email, created_at) VALUES (@ic, @name, @email, @created_at)
ON CONFLICT (ic) DO UPDATE SET name = excluded.name, email = excluded.email;

-- name: Officer :one
SELECT ic, name, email, created_at, pin_in_a_row, pin_total, pin_locked_until, pin_blocked FROM officers WHERE ic = @ic;

-- name: PutMedium :exec
INSERT INTO media (ic, system, medium, status) VALUES (@ic, @system, @medium, 'ACTIVE')
ON CONFLICT (ic, system) DO UPDATE SET medium = excluded.medium, status = excluded.status;

-- name: Media :many
SELECT ic, system, medium, status FROM media WHERE ic = @ic ORDER BY system;

-- name: Medium :one
SELECT medium FROM media WHERE ic = @ic AND system = @system;

-- name: PutCredential :exec
INSERT INTO credentials (id, ic, system, algorithm, version, sealed, serial, image, status, created_at, remind_at)
VALUES (@id, @ic, @system, @algorithm, @version, @sealed, @serial, @image, 'ACTIVE', @created_at, @remind_at);

-- name: CredentialByID :one
SELECT c.id, c.ic, c.system, c.algorithm, c.version, c.sealed, c.serial, c.image, c.status, o.name, o.email, x.der, x.issuer, m.medium,
    o.pin_in_a_row, o.pin_total, o.pin_locked_until, o.pin_blocked
FROM credentials c JOIN officers o ON o.ic = c.ic JOIN certificates x ON x.serial = c.serial JOIN media m ON m.ic = c.ic AND m.system = c.system
WHERE c.id = @id;

-- name: FirstCredential :one
SELECT id FROM credentials WHERE ic = @ic AND system = @system
ORDER BY CASE status WHEN 'ACTIVE' THEN 0 WHEN 'SUPERSEDED' THEN 2 ELSE 1 END, created_at, id LIMIT 1;

-- name: CredentialsOf :many
SELECT c.id, c.system, c.algorithm, c.serial, c.status, x.der
FROM credentials c JOIN certificates x ON x.serial = c.serial
WHERE c.ic = @ic AND c.status <> 'SUPERSEDED' ORDER BY c.created_at, c.id;

-- name: Reseal :one
UPDATE credentials SET version = version + 1, sealed = @sealed WHERE id = @id AND version = @version AND status = 'ACTIVE' RETURNING ic, system, version;

-- name: CredentialsAfter :many
SELECT id, version, sealed, status FROM credentials WHERE id > @after ORDER BY id LIMIT @lim;

-- name: DestroyKey :exec
UPDATE credentials SET sealed = substr(sealed, 1, 0) WHERE id = @id;

-- name: SetPIN :exec
UPDATE officers SET pin_in_a_row = @in_a_row, pin_total = @total, pin_locked_until = @locked_until, pin_blocked = @blocked WHERE ic = @ic;

-- name: BeginReply :execrows
INSERT INTO idempotency (app_id, key, fingerprint, created_at, lease_until) VALUES (@app_id, @key, @fingerprint, @created_at, @lease_until)
ON CONFLICT (app_id, key) DO NOTHING;

-- A claim whose lease is over is that of a request that was cut off: the same request
-- may take it, and learns what was done before.
-- name: TakeReply :execrows
UPDATE idempotency SET created_at = @created_at, lease_until = @lease_until
WHERE app_id = @app_id AND key = @key AND status = 0 AND lease_until < @now AND fingerprint = @fingerprint;

-- name: Reply :one
SELECT fingerprint, status, headers, body, object FROM idempotency WHERE app_id = @app_id AND key = @key;

-- name: ExtendReply :exec
UPDATE idempotency SET lease_until = @lease_until WHERE app_id = @app_id AND key = @key AND created_at = @created_at;

-- name: MarkReply :execrows
UPDATE idempotency SET object = @object WHERE app_id = @app_id AND key = @key AND created_at = @created_at;

-- name: HoldsReply :one
SELECT COUNT(*) FROM idempotency WHERE app_id = @app_id AND key = @key AND created_at = @created_at;

-- name: FinishReply :exec
UPDATE idempotency SET status = @status, headers = @headers, body = @body WHERE app_id = @app_id AND key = @key AND created_at = @created_at;

-- name: LeaveReply :exec
UPDATE idempotency SET lease_until = 0 WHERE app_id = @app_id AND key = @key AND created_at = @created_at;

-- name: DropOldReplies :exec
DELETE FROM idempotency WHERE created_at < @before;

-- name: LeaveReplies :exec
UPDATE idempotency SET lease_until = 0 WHERE status = 0;

-- name: SecurityImage :one
SELECT image FROM credentials WHERE ic = @ic AND image <> '' AND status IN ('ACTIVE', 'SUSPENDED') ORDER BY created_at DESC, id DESC LIMIT 1;

-- Whom an event is about that does not name them.
-- name: OfficerOfTransaction :one
SELECT ic, system FROM transactions WHERE id = @id;

-- name: OfficerOfCredential :one
SELECT ic, system FROM credentials WHERE id = @id;

-- name: OfficerOfEnrolment :one
SELECT ic, system FROM enrolments WHERE id = @id;

-- name: OfficerOfCertificate :one
SELECT c.ic, c.system FROM certificates x JOIN credentials c ON c.id = x.credential_id WHERE x.serial = @serial;

-- name: PutAbout :exec
INSERT INTO audit_about (ic, seq, looked) VALUES (@ic, @seq, @looked) ON CONFLICT DO NOTHING;

-- name: PutRefusal :exec
INSERT INTO refusals (seq, at, ic, system, code) VALUES (@seq, @at, @ic, @system, @code) ON CONFLICT DO NOTHING;
