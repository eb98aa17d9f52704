-- name: ReserveSerial :exec
INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at, key_hash, intent)
VALUES (@serial, @issuer, @subject, @credential_id, 'RESERVED', @der, @not_before, @not_after, @created_at, @key_hash, @intent);

-- name: StoreCertificate :execrows
UPDATE certificates SET status = 'ACTIVE', der = @der, intent = @intent WHERE serial = @serial AND status = 'RESERVED';

-- name: CertificateBySerial :one
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at, key_hash, intent
FROM certificates WHERE serial = @serial;

-- A CA that was revoked still publishes and answers; its key gets no other certificate.
-- name: AuthorityCertificate :one
SELECT c.serial, c.issuer, c.subject, c.credential_id, c.status, c.der, c.not_before, c.not_after, c.revoked_at, c.reason, c.created_at, c.key_hash, c.intent
FROM certificates c LEFT JOIN authorities a ON a.name = @name
WHERE c.credential_id = @credential_id AND (c.status = 'ACTIVE' AND a.name IS NULL
    OR c.status IN ('ACTIVE', 'REVOKED') AND c.issuer = CASE a.parent WHEN '' THEN a.name ELSE a.parent END)
ORDER BY CASE c.status WHEN 'ACTIVE' THEN 0 ELSE 1 END, c.created_at DESC LIMIT 1;

-- name: CertificateOf :one
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at, key_hash, intent
FROM certificates WHERE credential_id = @credential_id AND status IN ('ACTIVE', 'SUSPENDED', 'REVOKED')
ORDER BY CASE status WHEN 'ACTIVE' THEN 0 ELSE 1 END, created_at DESC LIMIT 1;

-- name: CrossCertificate :one
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at, key_hash, intent
FROM certificates WHERE credential_id = @credential_id AND issuer = @issuer AND status = 'ACTIVE' ORDER BY created_at DESC LIMIT 1;

-- name: Authorities :many
SELECT name, parent, algorithm, training, successor, created_at FROM authorities ORDER BY created_at, CASE parent WHEN '' THEN 0 ELSE 1 END, name;

-- name: PutAuthority :execrows
INSERT INTO authorities (name, parent, algorithm, training, created_at) VALUES (@name, @parent, @algorithm, @training, @created_at) ON CONFLICT (name) DO NOTHING;

-- name: Succeed :execrows
UPDATE authorities SET successor = @successor WHERE name = @name AND successor = '';

-- What was on hold keeps the date of that (ITU-T X.509, reason code certificateHold).
-- name: RevokeCertificate :execrows
UPDATE certificates SET status = 'REVOKED', revoked_at = CASE status WHEN 'SUSPENDED' THEN revoked_at ELSE CAST(@revoked_at AS BIGINT) END, reason = @reason
WHERE serial = @serial AND status IN ('ACTIVE', 'SUSPENDED');

-- name: SuspendCertificate :execrows
UPDATE certificates SET status = 'SUSPENDED', revoked_at = @revoked_at, reason = @reason
WHERE serial = @serial AND status = 'ACTIVE';

-- name: ReleaseCertificate :execrows
UPDATE certificates SET status = 'ACTIVE', revoked_at = 0, reason = 0
WHERE serial = @serial AND status = 'SUSPENDED';

-- name: SetCredentialStatus :many
UPDATE credentials SET status = @status WHERE serial = @serial AND status = @was RETURNING id, version, ic, system;

-- name: RevokeCredential :many
UPDATE credentials SET status = 'REVOKED', sealed = substr(sealed, 1, 0), remind_at = 0 WHERE serial = @serial AND status <> 'SUPERSEDED' RETURNING id, version, ic, system;

-- name: HolderOf :one
SELECT id, ic, system FROM credentials WHERE serial = @serial;

-- name: RevokedBy :many
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at, key_hash, intent
FROM certificates WHERE issuer = @issuer AND status IN ('REVOKED', 'SUSPENDED') ORDER BY revoked_at, serial;

-- name: Listed :many
SELECT serial, revoked_at, reason FROM certificates WHERE issuer = @issuer AND status IN ('REVOKED', 'SUSPENDED') ORDER BY revoked_at, serial;

-- name: DropCRLs :exec
DELETE FROM crls WHERE issuer = @issuer AND number < @before;

-- name: LatestCRL :one
SELECT issuer, number, der, this_update, next_update, covers FROM crls WHERE issuer = @issuer ORDER BY number DESC LIMIT 1;

-- name: StoreCRL :exec
INSERT INTO crls (issuer, number, der, this_update, next_update, covers) VALUES (@issuer, @number, @der, @this_update, @next_update, @covers);

-- name: CountChange :exec
INSERT INTO status_changes (issuer, n) SELECT c.issuer, 1 FROM certificates c WHERE c.serial = @serial
ON CONFLICT (issuer) DO UPDATE SET n = status_changes.n + 1;

-- name: LastChange :one
SELECT n FROM status_changes WHERE issuer = @issuer;

-- name: ScheduleRevocation :exec
INSERT INTO scheduled_revocations (serial, due_at, reason, actor, created_at) VALUES (@serial, @due_at, @reason, @actor, @created_at)
ON CONFLICT (serial) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason, actor = excluded.actor, created_at = excluded.created_at;

-- name: ScheduledRevocation :one
SELECT serial, due_at, reason, actor, created_at FROM scheduled_revocations WHERE serial = @serial;

-- name: ScheduledRevocations :many
SELECT serial, due_at, reason, actor, created_at FROM scheduled_revocations WHERE due_at <= @until ORDER BY due_at, serial LIMIT @lim;

-- name: CertificatesByKey :many
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at, key_hash, intent
FROM certificates WHERE key_hash = @key_hash AND status <> 'RESERVED' ORDER BY created_at, serial;

-- name: CertificatesWithoutKey :many
SELECT serial, der FROM certificates WHERE key_hash = @none AND status <> 'RESERVED' AND serial > @after ORDER BY serial LIMIT @lim;

-- name: SetCertificateKey :exec
UPDATE certificates SET key_hash = @key_hash WHERE serial = @serial;

-- name: DropScheduledRevocation :execrows
DELETE FROM scheduled_revocations WHERE serial = @serial;
