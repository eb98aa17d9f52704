-- +goose Up
-- The schema as SQLite has it after its migration 5; from here on both have the same
-- migrations. Times are microseconds since 1970 UTC; 0 means "not yet".
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE audit_events (
    seq        BIGINT  PRIMARY KEY,
    at         BIGINT  NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    verdict    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    prev       BYTEA   NOT NULL,
    hash       BYTEA   NOT NULL
);

-- What is asked of the chain without reading all of it.
CREATE INDEX audit_key_events ON audit_events (object, seq) WHERE action IN ('key.version', 'key.destroy');
CREATE INDEX audit_events_keys ON audit_events (seq) WHERE action = 'hsm.key';
CREATE INDEX audit_events_object ON audit_events (object, action);

CREATE TABLE administrators (
    email      TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at BIGINT  NOT NULL
);

CREATE TABLE officers (
    ic               TEXT PRIMARY KEY,
    name             TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    pin_in_a_row     BIGINT  NOT NULL DEFAULT 0,
    pin_total        BIGINT  NOT NULL DEFAULT 0,
    pin_locked_until BIGINT  NOT NULL DEFAULT 0,
    pin_blocked      BIGINT  NOT NULL DEFAULT 0
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
    der           BYTEA   NOT NULL,
    not_before    BIGINT  NOT NULL,
    not_after     BIGINT  NOT NULL,
    revoked_at    BIGINT  NOT NULL DEFAULT 0,
    reason        BIGINT  NOT NULL DEFAULT 0,
    created_at    BIGINT  NOT NULL
);
CREATE INDEX certificates_credential ON certificates (credential_id);
CREATE INDEX certificates_revoked ON certificates (issuer, status);

-- +goose StatementBegin
CREATE FUNCTION mohor_kek(sealed BYTEA) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN COALESCE(convert_from(sealed, 'UTF8')::json ->> 'kek', '');
EXCEPTION WHEN data_exception THEN
    RETURN ''; -- what no gateway has written
END $$;
-- +goose StatementEnd

CREATE TABLE credentials (
    id         TEXT PRIMARY KEY,
    ic         TEXT    NOT NULL REFERENCES officers (ic),
    system     TEXT    NOT NULL,
    algorithm  TEXT    NOT NULL,
    version    BIGINT  NOT NULL,
    sealed     BYTEA   NOT NULL,
    serial     TEXT    NOT NULL REFERENCES certificates (serial),
    status     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    -- The KEK that a sealed key names, read from it and so never at odds with it.
    kek        TEXT    GENERATED ALWAYS AS (mohor_kek(sealed)) STORED
);
CREATE INDEX credentials_kek ON credentials (kek, status);
CREATE INDEX credentials_officer ON credentials (ic, system);

CREATE TABLE crls (
    issuer      TEXT    NOT NULL,
    number      BIGINT  NOT NULL,
    der         BYTEA   NOT NULL,
    this_update BIGINT  NOT NULL,
    next_update BIGINT  NOT NULL,
    PRIMARY KEY (issuer, number)
);

CREATE TABLE apps (
    id          TEXT PRIMARY KEY,
    name        TEXT    NOT NULL,
    systems     TEXT    NOT NULL,
    grants      TEXT    NOT NULL,
    pin_entry   TEXT    NOT NULL,
    rate        DOUBLE PRECISION NOT NULL,
    secret_hash BYTEA   NOT NULL,
    key_hash    BYTEA   NOT NULL UNIQUE,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE tokens (
    hash       BYTEA PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    expires_at BIGINT  NOT NULL
);

CREATE TABLE documents (
    id         TEXT PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    name       TEXT    NOT NULL,
    size       BIGINT  NOT NULL,
    pages      BIGINT  NOT NULL,
    digest     BYTEA   NOT NULL,
    blob       TEXT    NOT NULL,
    created_at BIGINT  NOT NULL
);

CREATE TABLE batches (
    id           TEXT PRIMARY KEY,
    app_id       TEXT    NOT NULL REFERENCES apps (id),
    name         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    implicit     BIGINT  NOT NULL,
    status       TEXT    NOT NULL,
    next_index   BIGINT  NOT NULL DEFAULT 0,
    count        BIGINT  NOT NULL DEFAULT 0,
    root         BYTEA   NOT NULL,
    refused_rows BIGINT  NOT NULL DEFAULT 0,
    created_at   BIGINT  NOT NULL,
    started_at   BIGINT  NOT NULL DEFAULT 0,
    finished_at  BIGINT  NOT NULL DEFAULT 0
);

CREATE TABLE items (
    batch_id    TEXT    NOT NULL REFERENCES batches (id),
    idx         BIGINT  NOT NULL,
    name        TEXT    NOT NULL,
    hash        BIGINT  NOT NULL,
    digest      BYTEA   NOT NULL,
    blob        TEXT    NOT NULL,
    size        BIGINT  NOT NULL,
    document_id TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    record_id   TEXT,
    number      TEXT,
    record      TEXT,
    state       TEXT    NOT NULL,
    attempt     BIGINT  NOT NULL DEFAULT 0,
    lease_until BIGINT  NOT NULL DEFAULT 0,
    code        TEXT    NOT NULL DEFAULT '',
    detail      TEXT    NOT NULL DEFAULT '',
    signature   BYTEA,
    signed_blob TEXT    NOT NULL DEFAULT '',
    signed_size BIGINT  NOT NULL DEFAULT 0,
    signed_at   BIGINT  NOT NULL DEFAULT 0,
    intent_id   TEXT    NOT NULL DEFAULT '',
    -- When the time-stamping authority saw the signature; 0 for a signature without one.
    timestamp   BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (batch_id, idx)
);
CREATE INDEX items_state ON items (batch_id, state, idx);
CREATE UNIQUE INDEX items_record ON items (record_id);
CREATE UNIQUE INDEX items_number ON items (batch_id, number);
CREATE INDEX items_document ON items (document_id);

CREATE TABLE refused_rows (
    batch_id TEXT    NOT NULL REFERENCES batches (id),
    row      BIGINT  NOT NULL,
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
    options_hash   BYTEA   NOT NULL,
    batch_id       TEXT    NOT NULL REFERENCES batches (id),
    implicit       BIGINT  NOT NULL,
    count          BIGINT  NOT NULL,
    root           BYTEA   NOT NULL,
    status         TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    expires_at     BIGINT  NOT NULL,
    finished_at    BIGINT  NOT NULL DEFAULT 0
);
-- One live transaction a batch: the database itself refuses the second.
CREATE UNIQUE INDEX transactions_live ON transactions (batch_id) WHERE status IN ('WAITING', 'SIGNING');
CREATE INDEX transactions_waiting ON transactions (expires_at) WHERE status = 'WAITING';

CREATE TABLE challenges (
    transaction_id TEXT PRIMARY KEY REFERENCES transactions (id),
    ic             TEXT    NOT NULL,
    nonce          BYTEA   NOT NULL,
    channel        TEXT    NOT NULL,
    sent_to        TEXT    NOT NULL,
    issued_at      BIGINT  NOT NULL,
    expires_at     BIGINT  NOT NULL,
    resend_after   BIGINT  NOT NULL,
    tries_left     BIGINT  NOT NULL,
    sends          BIGINT  NOT NULL,
    redeemed       BIGINT  NOT NULL DEFAULT 0
);

-- Every code sent; a redeemed transaction's sends no longer count.
CREATE TABLE code_sends (
    transaction_id TEXT    NOT NULL,
    ic             TEXT    NOT NULL,
    sent_at        BIGINT  NOT NULL,
    redeemed       BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX code_sends_officer ON code_sends (ic, sent_at);
CREATE INDEX code_sends_transaction ON code_sends (transaction_id);

CREATE TABLE intents (
    id             TEXT PRIMARY KEY,
    transaction_id TEXT    NOT NULL UNIQUE REFERENCES transactions (id),
    credential_id  TEXT    NOT NULL REFERENCES credentials (id),
    batch_id       TEXT    NOT NULL REFERENCES batches (id),
    root           BYTEA   NOT NULL,
    count          BIGINT  NOT NULL,
    options_hash   BYTEA   NOT NULL,
    created_at     BIGINT  NOT NULL,
    deadline       BIGINT  NOT NULL,
    seal           BYTEA   NOT NULL,
    state          TEXT    NOT NULL,
    closed_at      BIGINT  NOT NULL DEFAULT 0,
    -- One half of a split activation while the intent is open; the other is in
    -- Redis. NULL: none.
    activation     BYTEA
);
CREATE INDEX intents_open ON intents (state);

CREATE TABLE idempotency (
    app_id      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BYTEA   NOT NULL,
    status      BIGINT  NOT NULL DEFAULT 0,
    headers     TEXT    NOT NULL DEFAULT '',
    body        BYTEA,
    created_at  BIGINT  NOT NULL,
    PRIMARY KEY (app_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Key-encryption keys of the token. MAKING: a rotation makes it, nothing is wrapped by it yet.
-- CURRENT: wraps new keys. OLD: only opens. RETIRING: is being destroyed. RETIRED: is gone, and
-- its label is never used again.
CREATE TABLE keks (
    label TEXT PRIMARY KEY,
    state TEXT NOT NULL
);
-- One is current, and one is being made at most: the database itself refuses the second.
CREATE UNIQUE INDEX keks_one ON keks (state) WHERE state IN ('CURRENT', 'MAKING');
INSERT INTO keks (label, state) VALUES ('mohor-kek-1', 'CURRENT');
