-- +goose Up
-- The gateway's own page for a transaction: whoever has a row here gives PIN and code there alone.
CREATE TABLE signing_pages (
    transaction_id TEXT    PRIMARY KEY REFERENCES transactions (id),
    token          BYTEA   NOT NULL, -- SHA-256 of the token in the page's address
    redirect_uri   TEXT    NOT NULL, -- where the browser goes in the end; '' nowhere
    state          TEXT    NOT NULL, -- goes with it
    session        BYTEA,            -- SHA-256 of the cookie of the browser that opened the page; NULL: none has
    opened_at      BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX signing_pages_token ON signing_pages (token);
