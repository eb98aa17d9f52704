-- name: PutExternalChain :exec
INSERT INTO external_chains (issuer, chain, created_at) VALUES (@issuer, @chain, @created_at) ON CONFLICT (issuer) DO NOTHING;

-- name: ExternalChain :one
SELECT chain FROM external_chains WHERE issuer = @issuer;

-- name: StoreExternal :execrows
UPDATE certificates SET status = 'ACTIVE', der = @der, issuer = @issuer, not_before = @not_before, not_after = @not_after
WHERE certificates.serial = @serial AND status = 'RESERVED' AND issuer = 'external'
    AND NOT EXISTS (SELECT 1 FROM external_revocations r WHERE r.serial = certificates.serial);

-- name: OpenExternal :many
SELECT c.serial, c.created_at FROM certificates c WHERE c.status = 'RESERVED' AND c.issuer = 'external' AND c.credential_id = @credential_id
    AND NOT EXISTS (SELECT 1 FROM external_revocations r WHERE r.serial = c.serial) ORDER BY c.created_at, c.serial;

-- name: StaleExternal :many
SELECT c.serial FROM certificates c WHERE c.status = 'RESERVED' AND c.issuer = 'external' AND c.created_at < @before
    AND NOT EXISTS (SELECT 1 FROM external_revocations r WHERE r.serial = c.serial) ORDER BY c.created_at, c.serial LIMIT @lim;

-- name: PutExternalRevocation :execrows
INSERT INTO external_revocations (serial, reason, created_at, told_at) VALUES (@serial, @reason, @created_at, @told_at) ON CONFLICT (serial) DO NOTHING;

-- name: UntoldExternal :many
SELECT serial, reason FROM external_revocations WHERE told_at = 0 ORDER BY created_at, serial LIMIT @lim;

-- name: ToldExternal :execrows
UPDATE external_revocations SET told_at = @told_at WHERE serial = @serial AND told_at = 0;
