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
    password    BYTEA    NOT NULL,
    totp        BYTEA    NOT NULL,
    totp_step   BIGINT NOT NULL DEFAULT 0,
    epoch       BIGINT NOT NULL DEFAULT 0,
    setup       BYTEA,
    setup_until BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_ic ON accounts (ic);
CREATE UNIQUE INDEX accounts_setup ON accounts (setup);

CREATE TABLE appointments (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    role       TEXT    NOT NULL,
    agency     TEXT    NOT NULL,
    system     TEXT    NOT NULL,
    from_at    BIGINT NOT NULL,
    until_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX appointments_account ON appointments (account_id);

CREATE TABLE passkeys (
    id         BYTEA PRIMARY KEY,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    label      TEXT    NOT NULL,
    data       BYTEA    NOT NULL,
    sign_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX passkeys_account ON passkeys (account_id);

CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY,
    id         TEXT    NOT NULL,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    method     TEXT    NOT NULL,
    bearer     BIGINT NOT NULL,
    address    TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
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
    used        BIGINT NOT NULL DEFAULT 0,
    keep_until  BIGINT NOT NULL,
    nonce       BYTEA,
    channel     TEXT    NOT NULL DEFAULT '',
    sent_to     TEXT    NOT NULL DEFAULT '',
    issued_at   BIGINT NOT NULL DEFAULT 0,
    expires_at  BIGINT NOT NULL DEFAULT 0,
    tries_left  BIGINT NOT NULL DEFAULT 0,
    delivery    TEXT    NOT NULL DEFAULT '',
    reply       TEXT    NOT NULL DEFAULT '',
    delivery_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX logins_keep ON logins (keep_until);

-- Log-ins that were begun and not finished, by who was named or by device.
CREATE TABLE login_failures (
    subject  TEXT PRIMARY KEY,
    count    BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    at       BIGINT NOT NULL
);

-- Administrators of earlier releases have no IC to log in with: `mohor admin reset` sets it.
INSERT INTO accounts (id, kind, email, name, state, password, totp, created_at)
    SELECT 'ac_' || replace(gen_random_uuid()::text, '-', ''), 'administrator', email, name, 'NEW', '', '', created_at FROM administrators;
INSERT INTO appointments (account_id, role, agency, system, from_at)
    SELECT a.id, o.role, '', '', o.created_at FROM administrators o JOIN accounts a ON a.email = o.email;
DROP TABLE administrators;
