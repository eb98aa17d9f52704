-- +goose Up
-- What administrators and officers ordered of certificates, and why: reason is a CRLReason
-- (RFC 5280, Section 5.3.1), due_at when it takes effect. What became of it stands in
-- certificates and scheduled_revocations.
CREATE TABLE certificate_orders (
    id     TEXT PRIMARY KEY,
    serial TEXT    NOT NULL REFERENCES certificates (serial),
    action TEXT    NOT NULL,
    reason BIGINT NOT NULL,
    why    TEXT    NOT NULL,
    actor  TEXT    NOT NULL,
    at     BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX certificate_orders_serial ON certificate_orders (serial, at);
CREATE INDEX transactions_credential ON transactions (credential_id) WHERE status = 'WAITING';
