-- +goose Up
-- What became of the message with each code: sent, deferred or refused, '' while
-- nothing is known, with the server's numeric reply.
ALTER TABLE code_sends ADD COLUMN nonce BLOB;
ALTER TABLE code_sends ADD COLUMN channel TEXT NOT NULL DEFAULT '';
ALTER TABLE code_sends ADD COLUMN sent_to TEXT NOT NULL DEFAULT '';
ALTER TABLE code_sends ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE code_sends ADD COLUMN delivery TEXT NOT NULL DEFAULT '';
ALTER TABLE code_sends ADD COLUMN reply TEXT NOT NULL DEFAULT '';
ALTER TABLE code_sends ADD COLUMN delivery_at INTEGER NOT NULL DEFAULT 0;

-- Messages to officers that hold no secret, until they are delivered or given
-- up. The id makes their Message-ID, due_at is the next try or the end of a lease.
CREATE TABLE notices (
    id         TEXT PRIMARY KEY,
    ic         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    reply      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX notices_due ON notices (due_at);
