-- +goose Up
-- What an auditor asks: who did it, what was done, and, in audit_about, who it was about: an event
-- names people in its object, its actor and its sealed detail, which no query can look into. What is
-- in the chain already is entered at the next start, up to audit_unindexed (meta).
CREATE INDEX audit_events_actor ON audit_events (actor, seq);
CREATE INDEX audit_events_action ON audit_events (action, seq);
CREATE TABLE audit_about (
    ic     TEXT    NOT NULL,
    seq    BIGINT NOT NULL,
    looked BIGINT NOT NULL, -- 1: another person's look at what is kept about this one
    PRIMARY KEY (ic, seq)
);
-- What was refused to be signed, counted in reports: the reasons stand in the sealed detail.
CREATE TABLE refusals (
    seq    BIGINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    ic     TEXT    NOT NULL,
    system TEXT    NOT NULL,
    code   TEXT    NOT NULL
);
CREATE INDEX refusals_at ON refusals (at);
INSERT INTO meta (name, value) SELECT 'audit_unindexed', CAST(m.top AS TEXT) FROM (SELECT MAX(seq) AS top FROM audit_events) m WHERE m.top IS NOT NULL;
