-- +goose Up
-- n counts the changes of status of an issuer's certificates, and covers says up to
-- which of them a CRL holds. What was revoked before is in a CRL already, but nobody
-- says in which: each issuer's next one is made at once.
CREATE TABLE status_changes (
    issuer TEXT PRIMARY KEY,
    n      BIGINT NOT NULL
);
INSERT INTO status_changes (issuer, n) SELECT issuer, 1 FROM certificates WHERE status = 'REVOKED' GROUP BY issuer;
ALTER TABLE crls ADD COLUMN covers BIGINT NOT NULL DEFAULT 0;

-- Revocations to come; the row goes with the deed.
CREATE TABLE scheduled_revocations (
    serial     TEXT PRIMARY KEY REFERENCES certificates (serial),
    due_at     BIGINT NOT NULL,
    reason     BIGINT NOT NULL,
    actor      TEXT    NOT NULL,
    created_at BIGINT NOT NULL
);

-- The history of a key tells of suspensions, too.
DROP INDEX audit_key_events;
CREATE INDEX audit_key_events ON audit_events (object, seq) WHERE action IN ('key.version', 'key.destroy', 'key.hold', 'key.release');

-- Why a transaction ended as NEEDS_AUTHORISATION.
ALTER TABLE transactions ADD COLUMN ended TEXT NOT NULL DEFAULT '';
