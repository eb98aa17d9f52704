-- +goose Up
-- Archive files. WRITING: being made, everything is still in its tables; STORED: the file
-- alone has it; DISPOSED: destroyed. newest_at is when the newest thing in it ended.
CREATE TABLE archives (
    id           TEXT PRIMARY KEY,
    state        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    newest_at    INTEGER NOT NULL DEFAULT 0,
    transactions INTEGER NOT NULL DEFAULT 0,
    signatures   INTEGER NOT NULL DEFAULT 0,
    size         INTEGER NOT NULL DEFAULT 0,
    manifest     BLOB    NOT NULL DEFAULT x'' -- SHA-256 of manifest.json
);
-- Who and which documents are in an archive, for holds and for whoever asks what is kept.
CREATE TABLE archive_people (
    archive_id TEXT NOT NULL REFERENCES archives (id),
    ic         TEXT NOT NULL,
    PRIMARY KEY (archive_id, ic)
);
CREATE INDEX archive_people_ic ON archive_people (ic);
CREATE TABLE archive_references (
    archive_id TEXT NOT NULL REFERENCES archives (id),
    reference  TEXT NOT NULL,
    PRIMARY KEY (archive_id, reference)
);
CREATE INDEX archive_references_reference ON archive_references (reference);

-- Files that nothing refers to any more; the row goes when the file has gone.
CREATE TABLE file_removals (
    kind TEXT NOT NULL, -- 'blob' or 'archive'
    name TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Legal holds: what is about this person or document is not disposed of.
CREATE TABLE holds (
    id        TEXT PRIMARY KEY,
    ic        TEXT    NOT NULL, -- '' when it is about a document
    reference TEXT    NOT NULL, -- '' when it is about a person
    reason    TEXT    NOT NULL,
    placed_by TEXT    NOT NULL,
    placed_at INTEGER NOT NULL,
    ended_by  TEXT    NOT NULL DEFAULT '',
    ended_at  INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX holds_ic ON holds (ic);
CREATE INDEX holds_reference ON holds (reference);

-- Disposals: proposed by one central administrator, done by another's confirmation.
CREATE TABLE disposals (
    id           TEXT PRIMARY KEY,
    state        TEXT    NOT NULL, -- PROPOSED, DONE or CANCELLED
    kept_before  INTEGER NOT NULL,
    proposed_by  TEXT    NOT NULL,
    proposed_ic  TEXT    NOT NULL,
    proposed_at  INTEGER NOT NULL,
    until_at     INTEGER NOT NULL,
    decided_by   TEXT    NOT NULL DEFAULT '',
    decided_at   INTEGER NOT NULL DEFAULT 0,
    report       BLOB    NOT NULL DEFAULT x''
);
CREATE INDEX disposals_age ON disposals (proposed_at);
CREATE TABLE disposal_items (
    disposal_id TEXT    NOT NULL REFERENCES disposals (id),
    n           INTEGER NOT NULL,
    archive_id  TEXT    NOT NULL, -- '' for a person
    ic          TEXT    NOT NULL, -- '' for an archive, and once it is done
    PRIMARY KEY (disposal_id, n)
);

CREATE INDEX batches_created ON batches (created_at, id);
CREATE INDEX transactions_batch ON transactions (batch_id);
CREATE INDEX transactions_officer ON transactions (ic, created_at);
CREATE INDEX code_sends_age ON code_sends (sent_at);
CREATE INDEX documents_age ON documents (created_at);
CREATE INDEX officers_age ON officers (created_at, ic);
CREATE INDEX intents_batch ON intents (batch_id);
