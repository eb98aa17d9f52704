-- +goose Up
-- Certificates of another CA stand among the others with an issuer 'external', and
-- 'external:HASH' of their issuer's certificate once they are there.
CREATE TABLE external_chains (
    issuer     TEXT PRIMARY KEY,
    chain      BLOB    NOT NULL, -- DER one behind the other, the issuer's first, the root's last
    created_at INTEGER NOT NULL
);
-- What that CA is to revoke, and when it was told; serial numbers that it need not
-- have used.
CREATE TABLE external_revocations (
    serial     TEXT PRIMARY KEY,
    reason     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    told_at    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX external_untold ON external_revocations (told_at, created_at);
CREATE INDEX certificates_status ON certificates (status, issuer);
