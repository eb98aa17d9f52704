-- +goose Up
-- What an app is registered with. redirect_uris is a JSON list of exact strings; state is
-- PROPOSED, ACTIVE, SUSPENDED or ENDED; mtls 1: nothing of the app works without a bound client
-- certificate; proposal is what awaits a second person, as JSON, '' for nothing; revision counts
-- the changes, so that nobody overwrites one unseen.
ALTER TABLE apps ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '[]';
ALTER TABLE apps ADD COLUMN webhook TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVE';
ALTER TABLE apps ADD COLUMN mtls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN proposal TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN proposed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- What an app proves itself with. hash is the SHA-256 of a secret or of a certificate, empty where
-- there is none; public is a JWK set or a subject. awaits 1: until a second person has confirmed
-- it. replaces is the credential whose end is replaces_until once this one is in force. expires_at
-- and revoked_at are 0 where there is no such time; last_used is the day alone.
CREATE TABLE app_credentials (
    id         TEXT PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    kind       TEXT    NOT NULL,
    hash       BYTEA   NOT NULL,
    public     TEXT    NOT NULL,
    awaits     BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    revoked_at BIGINT  NOT NULL,
    replaces   TEXT    NOT NULL DEFAULT '',
    replaces_until BIGINT NOT NULL DEFAULT 0,
    last_used  BIGINT NOT NULL
);
CREATE INDEX app_credentials_hash ON app_credentials (hash);
CREATE INDEX app_credentials_app ON app_credentials (app_id);

-- Apps registered until now had one secret, good at the token endpoint and as Basic, and one key.
INSERT INTO app_credentials (id, app_id, kind, hash, public, awaits, created_by, created_at, expires_at, revoked_at, last_used)
SELECT 'ac_' || replace(gen_random_uuid()::text, '-', ''), id, 'client_secret', secret_hash, '', 0, '', created_at, 0, 0, 0 FROM apps
UNION ALL
SELECT 'ac_' || replace(gen_random_uuid()::text, '-', ''), id, 'basic', secret_hash, '', 0, '', created_at, 0, 0, 0 FROM apps
UNION ALL
SELECT 'ac_' || replace(gen_random_uuid()::text, '-', ''), id, 'api_key', key_hash, '', 0, '', created_at, 0, 0, 0 FROM apps;
-- The old columns hold nothing any more; one set of queries serves both engines, and SQLite cannot drop them.
UPDATE apps SET secret_hash = '', key_hash = convert_to(id, 'UTF8');
-- They could do everything but RAW, which was a grant already.
UPDATE apps SET grants = CASE WHEN grants IN ('null', '[]') THEN '["sign","lookup","verify"]' ELSE '["sign","lookup","verify",' || substr(grants, 2) END;

-- A token dies with the credential it came from: those without one are asked for anew. bound is
-- the SHA-256 of the certificate it is bound to, empty for none (RFC 8705, Section 3).
DELETE FROM tokens;
ALTER TABLE tokens ADD COLUMN credential_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN bound BYTEA NOT NULL DEFAULT '';

-- Assertions that were accepted (RFC 7523, Section 3), until they expire; id is the SHA-256 of jti.
CREATE TABLE app_assertions (
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    id         BYTEA   NOT NULL,
    expires_at BIGINT  NOT NULL,
    PRIMARY KEY (app_id, id)
);

-- How a system looks on the signing page, and what its data headers are made of.
ALTER TABLE systems ADD COLUMN logo BYTEA NOT NULL DEFAULT '';
ALTER TABLE systems ADD COLUMN logo_type TEXT NOT NULL DEFAULT '';
ALTER TABLE systems ADD COLUMN notice TEXT NOT NULL DEFAULT 'sijil';
ALTER TABLE systems ADD COLUMN header_template TEXT NOT NULL DEFAULT '';
