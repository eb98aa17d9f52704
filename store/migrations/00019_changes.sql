-- +goose Up
-- What an appointment rests on: who made and ended it, and the document (letter, form) of
-- each. awaits is 1 until a second central administrator has confirmed it.
ALTER TABLE appointments ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN document TEXT NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN appointed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN appointed_ic TEXT NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN awaits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE appointments ADD COLUMN ended_by TEXT NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN end_document TEXT NOT NULL DEFAULT '';
UPDATE appointments SET id = 'ap_' || lower(hex(randomblob(16)));
CREATE UNIQUE INDEX appointments_id ON appointments (id);

-- Changes of an officer's address under way. old_link and new_link are the SHA-256 of what
-- was mailed to either address; due_at is when the gateway has to mail, 0: nothing.
CREATE TABLE address_changes (
    id           TEXT PRIMARY KEY,
    ic           TEXT    NOT NULL REFERENCES officers (ic),
    old_email    TEXT    NOT NULL,
    new_email    TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    asked_by     TEXT    NOT NULL,
    asked_ic     TEXT    NOT NULL,
    asked_at     INTEGER NOT NULL,
    until_at     INTEGER NOT NULL,
    links_until  INTEGER NOT NULL DEFAULT 0,
    old_link     BLOB,
    new_link     BLOB,
    old_proof    TEXT    NOT NULL DEFAULT '', -- who confirmed for the old address
    old_at       INTEGER NOT NULL DEFAULT 0,
    new_at       INTEGER NOT NULL DEFAULT 0,
    ended_at     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    old_reply    TEXT    NOT NULL DEFAULT '', -- of the mail server, when it refused
    new_reply    TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX address_changes_open ON address_changes (ic) WHERE state = 'PENDING';
CREATE UNIQUE INDEX address_changes_old ON address_changes (old_link);
CREATE UNIQUE INDEX address_changes_new ON address_changes (new_link);
CREATE INDEX address_changes_due ON address_changes (due_at) WHERE due_at > 0;
CREATE INDEX address_changes_officer ON address_changes (ic, asked_at);
