-- +goose Up
-- Times are microseconds since 1970 UTC; 0 means "not yet".
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE audit_events (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    verdict    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    prev       BLOB    NOT NULL,
    hash       BLOB    NOT NULL
);

CREATE TABLE administrators (
    email      TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE officers (
    ic               TEXT PRIMARY KEY,
    name             TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    pin_in_a_row     INTEGER NOT NULL DEFAULT 0,
    pin_total        INTEGER NOT NULL DEFAULT 0,
    pin_locked_until INTEGER NOT NULL DEFAULT 0,
    pin_blocked      INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE media (
    ic     TEXT NOT NULL REFERENCES officers (ic),
    system TEXT NOT NULL,
    medium TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (ic, system)
);

CREATE TABLE certificates (
    serial        TEXT PRIMARY KEY,
    issuer        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    credential_id TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    der           BLOB    NOT NULL,
    not_before    INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    revoked_at    INTEGER NOT NULL DEFAULT 0,
    reason        INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
);
CREATE INDEX certificates_credential ON certificates (credential_id);
CREATE INDEX certificates_revoked ON certificates (issuer, status);

CREATE TABLE credentials (
    id         TEXT PRIMARY KEY,
    ic         TEXT    NOT NULL REFERENCES officers (ic),
    system     TEXT    NOT NULL,
    algorithm  TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    serial     TEXT    NOT NULL REFERENCES certificates (serial),
    status     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX credentials_officer ON credentials (ic, system);

CREATE TABLE crls (
    issuer      TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    der         BLOB    NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    PRIMARY KEY (issuer, number)
);

CREATE TABLE apps (
    id          TEXT PRIMARY KEY,
    name        TEXT    NOT NULL,
    systems     TEXT    NOT NULL,
    grants      TEXT    NOT NULL,
    pin_entry   TEXT    NOT NULL,
    rate        REAL    NOT NULL,
    secret_hash BLOB    NOT NULL,
    key_hash    BLOB    NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL
);

CREATE TABLE tokens (
    hash       BLOB PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    expires_at INTEGER NOT NULL
);

CREATE TABLE documents (
    id         TEXT PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    name       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    pages      INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    blob       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE batches (
    id           TEXT PRIMARY KEY,
    app_id       TEXT    NOT NULL REFERENCES apps (id),
    name         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    implicit     INTEGER NOT NULL,
    status       TEXT    NOT NULL,
    next_index   INTEGER NOT NULL DEFAULT 0,
    count        INTEGER NOT NULL DEFAULT 0,
    root         BLOB    NOT NULL,
    refused_rows INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER NOT NULL DEFAULT 0,
    finished_at  INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE items (
    batch_id    TEXT    NOT NULL REFERENCES batches (id),
    idx         INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    hash        INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    blob        TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    document_id TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    record_id   TEXT,
    number      TEXT,
    record      TEXT,
    state       TEXT    NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    code        TEXT    NOT NULL DEFAULT '',
    detail      TEXT    NOT NULL DEFAULT '',
    signature   BLOB,
    signed_blob TEXT    NOT NULL DEFAULT '',
    signed_size INTEGER NOT NULL DEFAULT 0,
    signed_at   INTEGER NOT NULL DEFAULT 0,
    intent_id   TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, idx)
);
CREATE INDEX items_state ON items (batch_id, state, idx);
CREATE UNIQUE INDEX items_record ON items (record_id);
CREATE UNIQUE INDEX items_number ON items (batch_id, number);
CREATE INDEX items_document ON items (document_id);

CREATE TABLE refused_rows (
    batch_id TEXT    NOT NULL REFERENCES batches (id),
    row      INTEGER NOT NULL,
    col      TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    code     TEXT    NOT NULL,
    detail   TEXT    NOT NULL
);
CREATE INDEX refused_rows_batch ON refused_rows (batch_id);

CREATE TABLE transactions (
    id             TEXT PRIMARY KEY,
    app_id         TEXT    NOT NULL REFERENCES apps (id),
    system_name    TEXT    NOT NULL,
    ic             TEXT    NOT NULL REFERENCES officers (ic),
    system         TEXT    NOT NULL,
    data_header    TEXT    NOT NULL,
    process        TEXT    NOT NULL,
    role           TEXT    NOT NULL,
    classification TEXT    NOT NULL,
    credential_id  TEXT    NOT NULL REFERENCES credentials (id),
    options        TEXT    NOT NULL,
    options_hash   BLOB    NOT NULL,
    batch_id       TEXT    NOT NULL REFERENCES batches (id),
    implicit       INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    root           BLOB    NOT NULL,
    status         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    finished_at    INTEGER NOT NULL DEFAULT 0
);
-- One live transaction a batch: the database itself refuses the second.
CREATE UNIQUE INDEX transactions_live ON transactions (batch_id) WHERE status IN ('WAITING', 'SIGNING');
CREATE INDEX transactions_waiting ON transactions (expires_at) WHERE status = 'WAITING';

CREATE TABLE challenges (
    transaction_id TEXT PRIMARY KEY REFERENCES transactions (id),
    ic             TEXT    NOT NULL,
    nonce          BLOB    NOT NULL,
    channel        TEXT    NOT NULL,
    sent_to        TEXT    NOT NULL,
    issued_at      INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    resend_after   INTEGER NOT NULL,
    tries_left     INTEGER NOT NULL,
    sends          INTEGER NOT NULL,
    redeemed       INTEGER NOT NULL DEFAULT 0
);

-- Every code sent; a redeemed transaction's sends no longer count.
CREATE TABLE code_sends (
    transaction_id TEXT    NOT NULL,
    ic             TEXT    NOT NULL,
    sent_at        INTEGER NOT NULL,
    redeemed       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX code_sends_officer ON code_sends (ic, sent_at);
CREATE INDEX code_sends_transaction ON code_sends (transaction_id);

CREATE TABLE intents (
    id             TEXT PRIMARY KEY,
    transaction_id TEXT    NOT NULL UNIQUE REFERENCES transactions (id),
    credential_id  TEXT    NOT NULL REFERENCES credentials (id),
    batch_id       TEXT    NOT NULL REFERENCES batches (id),
    root           BLOB    NOT NULL,
    count          INTEGER NOT NULL,
    options_hash   BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    deadline       INTEGER NOT NULL,
    seal           BLOB    NOT NULL,
    state          TEXT    NOT NULL,
    closed_at      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX intents_open ON intents (state);

CREATE TABLE idempotency (
    app_id      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL DEFAULT 0,
    headers     TEXT    NOT NULL DEFAULT '',
    body        BLOB,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (app_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
