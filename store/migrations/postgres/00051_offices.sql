-- +goose Up
-- Accounting offices of an agency: what lists may name, not what they must.
CREATE TABLE agency_offices (
    agency     TEXT   NOT NULL REFERENCES agencies (code),
    code       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    phase      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agency, code)
);
CREATE INDEX enrolments_office ON enrolments (agency, office);
CREATE INDEX appointments_newest ON appointments (from_at, id);

-- How a reset's reason is known: the second person reads it.
ALTER TABLE account_resets ADD COLUMN why TEXT NOT NULL DEFAULT '';
