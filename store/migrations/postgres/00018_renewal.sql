-- +goose Up
-- What an enrolment is for: '' a first certificate, RENEWAL or REKEY of the credential
-- that it replaces.
ALTER TABLE enrolments ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE enrolments ADD COLUMN replaces TEXT NOT NULL DEFAULT '';

-- When the officer is told next that the certificate is about to end; 0: never again.
ALTER TABLE credentials ADD COLUMN remind_at BIGINT NOT NULL DEFAULT 0;
UPDATE credentials SET remind_at = (SELECT x.not_after - 2592000000000 FROM certificates x WHERE x.serial = credentials.serial) WHERE status IN ('ACTIVE', 'SUSPENDED');
CREATE INDEX credentials_remind ON credentials (remind_at) WHERE remind_at > 0;
