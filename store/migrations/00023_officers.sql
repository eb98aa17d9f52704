-- +goose Up
-- What officers changed of their telephone since the application.
CREATE TABLE phones (
    ic         TEXT PRIMARY KEY REFERENCES officers (ic),
    mobile     TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
);

-- What concerns an officer and waits for a second person: RESET of a forgotten password
-- (password is its hash, epoch that of the account when it was asked for), DELETE of the
-- account of who has left.
CREATE TABLE officer_requests (
    id         TEXT PRIMARY KEY,
    kind       TEXT    NOT NULL,
    ic         TEXT    NOT NULL REFERENCES officers (ic),
    account_id TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    password   BLOB    NOT NULL,
    state      TEXT    NOT NULL,
    asked_by   TEXT    NOT NULL,
    asked_ic   TEXT    NOT NULL,
    asked_at   INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    reason     TEXT    NOT NULL
);
-- One of a kind at a time: the database itself refuses the second.
CREATE UNIQUE INDEX officer_requests_open ON officer_requests (ic, kind) WHERE state = 'PENDING';
CREATE INDEX officer_requests_officer ON officer_requests (ic, asked_at);
