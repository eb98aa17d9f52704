-- name: ReserveSerial :exec
INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at)
VALUES (@serial, @issuer, @subject, @credential_id, 'RESERVED', @der, @not_before, @not_after, @created_at);

-- name: StoreCertificate :execrows
UPDATE certificates SET status = 'ACTIVE', der = @der WHERE serial = @serial AND status = 'RESERVED';

-- name: CertificateBySerial :one
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at
FROM certificates WHERE serial = @serial;

-- name: AuthorityCertificate :one
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at
FROM certificates WHERE credential_id = @credential_id AND status = 'ACTIVE' ORDER BY created_at DESC LIMIT 1;

-- name: RevokeCertificate :execrows
UPDATE certificates SET status = 'REVOKED', revoked_at = @revoked_at, reason = @reason WHERE serial = @serial AND status = 'ACTIVE';

-- name: RevokeCredential :many
UPDATE credentials SET status = 'REVOKED', sealed = substr(sealed, 1, 0) WHERE serial = @serial RETURNING id, version;

-- name: RevokedBy :many
SELECT serial, issuer, subject, credential_id, status, der, not_before, not_after, revoked_at, reason, created_at
FROM certificates WHERE issuer = @issuer AND status = 'REVOKED' ORDER BY revoked_at, serial;

-- name: LatestCRL :one
SELECT issuer, number, der, this_update, next_update FROM crls WHERE issuer = @issuer ORDER BY number DESC LIMIT 1;

-- name: StoreCRL :exec
INSERT INTO crls (issuer, number, der, this_update, next_update) VALUES (@issuer, @number, @der, @this_update, @next_update);

-- name: LastRevocation :one
SELECT revoked_at FROM certificates WHERE issuer = @issuer AND status = 'REVOKED' ORDER BY revoked_at DESC LIMIT 1;
