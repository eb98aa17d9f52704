-- +goose Up
-- Set-up codes that are to be mailed to administrators: due_at is when, 0: nothing is due.
-- The code is made when it is sent; accounts.setup keeps its hash.
CREATE TABLE setup_mails (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id),
    due_at     BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    mailed_at  BIGINT NOT NULL DEFAULT 0,
    reply      TEXT    NOT NULL DEFAULT '' -- of the mail server, when it did not take it
);
CREATE INDEX setup_mails_due ON setup_mails (due_at) WHERE due_at > 0;

-- Resets of an administrator's proofs that await a second administrator.
CREATE TABLE account_resets (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id),
    asked_by   TEXT    NOT NULL,
    asked_at   BIGINT NOT NULL
);
