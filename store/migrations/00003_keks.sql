-- +goose Up
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

-- The KEK that a sealed key names, read from it and so never at odds with it.
ALTER TABLE credentials ADD COLUMN kek TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(CAST(sealed AS TEXT)) THEN COALESCE(json_extract(CAST(sealed AS TEXT), '$.kek'), '') ELSE '' END) VIRTUAL;
CREATE INDEX credentials_kek ON credentials (kek, status);

-- The records of keys are found without reading the whole chain.
CREATE INDEX audit_events_keys ON audit_events (seq) WHERE action = 'hsm.key';
