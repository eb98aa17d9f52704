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

-- What brought about an enrolment, for whoever decides: origin is '' for a list, REPLACEMENT
-- or TRANSFER, and follows the serial number of the certificate there was.
ALTER TABLE enrolments ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE enrolments ADD COLUMN follows TEXT NOT NULL DEFAULT '';
UPDATE enrolments SET follows = COALESCE((SELECT c.serial FROM credentials c WHERE c.id = enrolments.replaces), '') WHERE replaces <> '';
