-- +goose Up
-- Whose a certificate is, by its number: for searches, reports of what ends, and revocations, which
-- read all credentials until now.
CREATE INDEX credentials_serial ON credentials (serial);
