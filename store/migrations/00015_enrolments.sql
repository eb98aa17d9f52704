-- +goose Up
-- Agencies and the ICT systems they own. token_ends is when the system takes no more
-- certificates on tokens; 0: it still does.
CREATE TABLE agencies (
    code          TEXT PRIMARY KEY,
    name          TEXT    NOT NULL,
    personal_mail INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
);
CREATE TABLE systems (
    code       TEXT PRIMARY KEY,
    title      TEXT    NOT NULL,
    agency     TEXT    NOT NULL REFERENCES agencies (code),
    token_ends INTEGER NOT NULL,
    created_at INTEGER NOT NULL
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
    since        INTEGER NOT NULL,
    listed_by    TEXT    NOT NULL,
    listed_at    INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    mailed_at    INTEGER NOT NULL DEFAULT 0,
    reply        TEXT    NOT NULL DEFAULT '',
    link         BLOB,
    link_until   INTEGER NOT NULL DEFAULT 0,
    code         BLOB,
    code_until   INTEGER NOT NULL DEFAULT 0,
    reason       TEXT    NOT NULL DEFAULT '',
    validated_by TEXT    NOT NULL DEFAULT '',
    validated_ic TEXT    NOT NULL DEFAULT '',
    validated_at INTEGER NOT NULL DEFAULT 0,
    approved_by  TEXT    NOT NULL DEFAULT '',
    approved_ic  TEXT    NOT NULL DEFAULT '',
    approved_at  INTEGER NOT NULL DEFAULT 0
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
    version       INTEGER NOT NULL,
    sealed        BLOB    NOT NULL,
    request       BLOB    NOT NULL,
    form          BLOB    NOT NULL,
    copy          BLOB    NOT NULL,
    applied_at    INTEGER NOT NULL,
    kek TEXT GENERATED ALWAYS AS (
        CASE WHEN json_valid(CAST(sealed AS TEXT)) THEN COALESCE(json_extract(CAST(sealed AS TEXT), '$.kek'), '') ELSE '' END) VIRTUAL
);
CREATE INDEX applications_kek ON applications (kek);
