-- name: PutApp :execrows
INSERT INTO apps (id, name, systems, grants, pin_entry, rate, secret_hash, key_hash, created_at, redirect_uris, webhook, state, mtls, proposal, proposed_by, revision, person)
VALUES (@id, @name, @systems, @grants, @pin_entry, @rate, @secret_hash, @key_hash, @created_at, @redirect_uris, @webhook, @state, @mtls, @proposal, @proposed_by, 0, @person)
ON CONFLICT (id) DO NOTHING;

-- name: SetApp :execrows
UPDATE apps SET name = @name, systems = @systems, grants = @grants, pin_entry = @pin_entry, rate = @rate, redirect_uris = @redirect_uris, webhook = @webhook, state = @state,
    mtls = @mtls, proposal = @proposal, proposed_by = @proposed_by, revision = revision + 1
WHERE id = @id AND revision = @revision;

-- name: AppByID :one
SELECT * FROM apps WHERE id = @id;

-- name: Apps :many
SELECT * FROM apps WHERE id > @after AND person IS NULL ORDER BY id LIMIT @lim;

-- name: AppByCredential :many
SELECT sqlc.embed(apps), sqlc.embed(app_credentials) FROM app_credentials JOIN apps ON apps.id = app_credentials.app_id
WHERE app_credentials.hash = @hash AND app_credentials.kind = @kind;

-- name: AppCredentials :many
SELECT * FROM app_credentials WHERE app_id = @app_id ORDER BY created_at, id;

-- What the credentials of the apps behind one id, up to another, come to.
-- name: AppCredentialSums :many
SELECT c.app_id,
    COUNT(CASE WHEN c.awaits = 0 AND c.revoked_at = 0 AND (c.expires_at = 0 OR c.expires_at > @now) THEN 1 END) AS live,
    COUNT(CASE WHEN c.awaits = 1 AND c.revoked_at = 0 AND (c.expires_at = 0 OR c.expires_at > @now) THEN 1 END) AS awaiting,
    CAST(COALESCE(MIN(CASE WHEN c.awaits = 0 AND c.revoked_at = 0 AND c.expires_at > @now THEN c.expires_at END), 0) AS BIGINT) AS ends_at,
    CAST(MAX(c.last_used) AS BIGINT) AS last_used
FROM app_credentials c WHERE c.app_id > @after AND c.app_id <= @last GROUP BY c.app_id;

-- name: PutAppCredential :exec
INSERT INTO app_credentials (id, app_id, kind, hash, public, awaits, created_by, created_at, expires_at, revoked_at, replaces, replaces_until, last_used)
VALUES (@id, @app_id, @kind, @hash, @public, @awaits, @created_by, @created_at, @expires_at, 0, @replaces, @replaces_until, 0);

-- name: AppCredential :one
SELECT * FROM app_credentials WHERE id = @id AND app_id = @app_id;

-- name: BindApp :execrows
UPDATE apps SET mtls = 1, revision = revision + 1 WHERE id = @id;

-- name: ConfirmAppCredential :execrows
UPDATE app_credentials SET awaits = 0 WHERE id = @id AND app_id = @app_id AND awaits = 1 AND revoked_at = 0;

-- name: DoubtAppCredentials :exec
UPDATE app_credentials SET awaits = 1 WHERE app_id = @app_id AND revoked_at = 0;

-- name: ExpireAppCredential :execrows
UPDATE app_credentials SET expires_at = @expires_at WHERE id = @id AND app_id = @app_id AND revoked_at = 0 AND (expires_at = 0 OR expires_at > @expires_at);

-- name: RevokeAppCredential :execrows
UPDATE app_credentials SET revoked_at = @revoked_at WHERE id = @id AND app_id = @app_id AND revoked_at = 0;

-- name: UsedAppCredential :exec
UPDATE app_credentials SET last_used = @day WHERE id = @id AND last_used < @day;

-- name: PutToken :exec
INSERT INTO tokens (hash, app_id, expires_at, credential_id, bound) VALUES (@hash, @app_id, @expires_at, @credential_id, @bound);

-- name: AppByToken :one
SELECT sqlc.embed(apps), sqlc.embed(app_credentials), tokens.bound FROM tokens JOIN app_credentials ON app_credentials.id = tokens.credential_id JOIN apps ON apps.id = tokens.app_id
WHERE tokens.hash = @hash AND tokens.expires_at > @now;

-- name: DropTokens :exec
DELETE FROM tokens WHERE expires_at <= @now;

-- name: DropTokensOf :exec
DELETE FROM tokens WHERE credential_id = @credential_id;

-- name: UseAssertion :execrows
INSERT INTO app_assertions (app_id, id, expires_at) VALUES (@app_id, @id, @expires_at) ON CONFLICT (app_id, id) DO NOTHING;

-- name: DropAssertions :exec
DELETE FROM app_assertions WHERE expires_at <= @now;
