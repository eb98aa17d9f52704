-- +goose Up
-- Agencies and the ICT systems they own. token_ends is when the system takes no more
-- certificates on tokens; 0: it still does.
CREATE TABLE agencies (
    code          TEXT PRIMARY KEY,
    name          TEXT    NOT NULL,
    personal_mail BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE TABLE systems (
    code       TEXT PRIMARY KEY,
    title      TEXT    NOT NULL,
    agency     TEXT    NOT NULL REFERENCES agencies (code),
    token_ends BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- One officer's way to a certificate for one system. link and code are the SHA-256 of
-- what was mailed. due_at is when the gateway has to do something by itself (mail, issue),
-- or the end of a lease on that; 0: nothing.
CREATE TABLE enrolments (
    id           TEXT PRIMARY KEY,
    ic           TEXT    NOT NULL REFERENCES officers (ic),
    system       TEXT    NOT NULL REFERENCES systems (code),
    agency       TEXT    NOT NULL REFERENCES agencies (code),
    office       TEXT    NOT NULL,
    phase        TEXT    NOT NULL,
    ticket       TEXT    NOT NULL,
    list         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    since        BIGINT NOT NULL,
    listed_by    TEXT    NOT NULL,
    listed_at    BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL DEFAULT 0,
    mailed_at    BIGINT NOT NULL DEFAULT 0,
    reply        TEXT    NOT NULL DEFAULT '',
    link         BYTEA,
    link_until   BIGINT NOT NULL DEFAULT 0,
    code         BYTEA,
    code_until   BIGINT NOT NULL DEFAULT 0,
    reason       TEXT    NOT NULL DEFAULT '',
    validated_by TEXT    NOT NULL DEFAULT '',
    validated_ic TEXT    NOT NULL DEFAULT '',
    validated_at BIGINT NOT NULL DEFAULT 0,
    approved_by  TEXT    NOT NULL DEFAULT '',
    approved_ic  TEXT    NOT NULL DEFAULT '',
    approved_at  BIGINT NOT NULL DEFAULT 0
);
-- One open enrolment of an officer for a system: the database itself refuses the second.
CREATE UNIQUE INDEX enrolments_open ON enrolments (ic, system)
    WHERE state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED');
CREATE UNIQUE INDEX enrolments_link ON enrolments (link);
CREATE UNIQUE INDEX enrolments_code ON enrolments (code);
CREATE INDEX enrolments_state ON enrolments (state, since, id);
CREATE INDEX enrolments_officer ON enrolments (ic);
CREATE INDEX enrolments_due ON enrolments (due_at) WHERE due_at > 0;

-- The newest application of an enrolment. sealed is the key, which becomes a credential with
-- its certificate, request what that is issued from (PKCS #10), and copy the MyKad copy; sealed and copy both are empty once they are not needed. form and
-- copy are encrypted under keys that the HSM makes.
CREATE TABLE applications (
    enrolment_id  TEXT PRIMARY KEY REFERENCES enrolments (id),
    credential_id TEXT    NOT NULL UNIQUE,
    algorithm     TEXT    NOT NULL,
    version       BIGINT NOT NULL,
    sealed        BYTEA    NOT NULL,
    request       BYTEA    NOT NULL,
    form          BYTEA    NOT NULL,
    copy          BYTEA    NOT NULL,
    applied_at    BIGINT NOT NULL,
    kek TEXT GENERATED ALWAYS AS (mohor_kek(sealed)) STORED
);
CREATE INDEX applications_kek ON applications (kek);
