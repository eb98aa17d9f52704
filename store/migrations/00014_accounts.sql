-- +goose Up
-- People who log in. password and totp are of no use without the HSM; setup is SHA-256
-- of a set-up code that was not spent. One account a person: NULLs are distinct.
CREATE TABLE accounts (
    id          TEXT PRIMARY KEY,
    kind        TEXT    NOT NULL,
    ic          TEXT,
    email       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    password    BLOB    NOT NULL,
    totp        BLOB    NOT NULL,
    totp_step   INTEGER NOT NULL DEFAULT 0,
    epoch       INTEGER NOT NULL DEFAULT 0,
    setup       BLOB,
    setup_until INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX accounts_ic ON accounts (ic);
CREATE UNIQUE INDEX accounts_setup ON accounts (setup);

CREATE TABLE appointments (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    role       TEXT    NOT NULL,
    agency     TEXT    NOT NULL,
    system     TEXT    NOT NULL,
    from_at    INTEGER NOT NULL,
    until_at   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX appointments_account ON appointments (account_id);

CREATE TABLE passkeys (
    id         BLOB PRIMARY KEY,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    label      TEXT    NOT NULL,
    data       BLOB    NOT NULL,
    sign_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX passkeys_account ON passkeys (account_id);

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    id         TEXT    NOT NULL,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    method     TEXT    NOT NULL,
    bearer     INTEGER NOT NULL,
    address    TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_account ON sessions (account_id);

-- Log-ins under way, and the code of each as challenges has those of transactions. An
-- empty account is nobody's: no code is right.
CREATE TABLE logins (
    id          TEXT PRIMARY KEY,
    purpose     TEXT    NOT NULL,
    account_id  TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    data        TEXT    NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,
    keep_until  INTEGER NOT NULL,
    nonce       BLOB,
    channel     TEXT    NOT NULL DEFAULT '',
    sent_to     TEXT    NOT NULL DEFAULT '',
    issued_at   INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER NOT NULL DEFAULT 0,
    tries_left  INTEGER NOT NULL DEFAULT 0,
    delivery    TEXT    NOT NULL DEFAULT '',
    reply       TEXT    NOT NULL DEFAULT '',
    delivery_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX logins_keep ON logins (keep_until);

-- Log-ins that were begun and not finished, by who was named or by device.
CREATE TABLE login_failures (
    subject  TEXT PRIMARY KEY,
    count    INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    at       INTEGER NOT NULL
);

-- Administrators of earlier releases have no IC to log in with: `mohor admin reset` sets it.
INSERT INTO accounts (id, kind, email, name, state, password, totp, created_at)
    SELECT 'ac_' || lower(hex(randomblob(16))), 'administrator', email, name, 'NEW', x'', x'', created_at FROM administrators;
INSERT INTO appointments (account_id, role, agency, system, from_at)
    SELECT a.id, o.role, '', '', o.created_at FROM administrators o JOIN accounts a ON a.email = o.email;
DROP TABLE administrators;
