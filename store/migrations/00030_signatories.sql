-- +goose Up
-- Who signed a reference of a work process in which role, or is about to: a row is written with
-- the intent, goes when the intent ends without that signature, and stays once signed_at is set.
-- The two keys are the rule: one person to a role, and nobody in two. They begin with what tells
-- most, or PostgreSQL takes the beginning of a key for the whole where it has no statistics.
CREATE TABLE signatories (
    system         TEXT    NOT NULL,
    process        TEXT    NOT NULL,
    reference      TEXT    NOT NULL,
    step           INTEGER NOT NULL, -- of the role in the process, from 1
    role           TEXT    NOT NULL,
    ic             TEXT    NOT NULL,
    next_role      TEXT    NOT NULL, -- that waits for this one; '' for none, or when it has signed, too
    transaction_id TEXT    NOT NULL,
    intent_id      TEXT    NOT NULL,
    batch_id       TEXT    NOT NULL,
    idx            INTEGER NOT NULL,
    document_id    TEXT    NOT NULL, -- '' for a bare digest
    hash           INTEGER NOT NULL,
    digest         BLOB    NOT NULL, -- that was authorised
    result         BLOB    NOT NULL DEFAULT x'', -- that the next role signs
    blob           TEXT    NOT NULL DEFAULT '', -- the signed file
    size           INTEGER NOT NULL DEFAULT 0,
    signed_at      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (reference, step, system, process),
    UNIQUE (reference, ic, system, process)
);
CREATE INDEX signatories_item ON signatories (batch_id, idx);
-- A document is of one reference.
CREATE UNIQUE INDEX signatories_document ON signatories (document_id, step) WHERE document_id <> '';
CREATE INDEX signatories_waiting ON signatories (system, signed_at, batch_id, idx) WHERE next_role <> '';

-- The reference once more, so that equal ones are equal.
ALTER TABLE items ADD COLUMN reference_key TEXT NOT NULL DEFAULT '';
ALTER TABLE transactions ADD COLUMN step INTEGER NOT NULL DEFAULT 0; -- of the role in the process, from 1; 0 without one
ALTER TABLE transactions ADD COLUMN next_role TEXT NOT NULL DEFAULT '';
