-- +goose Up
-- Certificates of another CA stand among the others with an issuer 'external', and
-- 'external:HASH' of their issuer's certificate once they are there.
CREATE TABLE external_chains (
    issuer     TEXT PRIMARY KEY,
    chain      BYTEA   NOT NULL, -- DER one behind the other, the issuer's first, the root's last
    created_at BIGINT NOT NULL
);
-- What that CA is to revoke, and when it was told; serial numbers that it need not
-- have used.
CREATE TABLE external_revocations (
    serial     TEXT PRIMARY KEY,
    reason     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    told_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX external_untold ON external_revocations (told_at, created_at);
CREATE INDEX certificates_status ON certificates (status, issuer);
