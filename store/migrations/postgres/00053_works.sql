-- +goose Up
-- What administrators changed of the look of eCertificates, version by version; version 0 is the
-- configuration. What a version changes is JSON of ecert.Look. One at most is proposed, one in force.
CREATE TABLE ecert_looks (
    number      BIGINT PRIMARY KEY,
    base        BIGINT NOT NULL,
    template    TEXT    NOT NULL,
    changes     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    proposed_by TEXT    NOT NULL,
    proposed_at BIGINT NOT NULL,
    decided_by  TEXT    NOT NULL DEFAULT '',
    decided_at  BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX ecert_looks_proposed ON ecert_looks (state) WHERE state = 'PROPOSED';
CREATE UNIQUE INDEX ecert_looks_current ON ecert_looks (state) WHERE state = 'CURRENT';

-- The version that a batch of eCertificates is drawn in, and SHA-256 of all that it was drawn from.
ALTER TABLE batches ADD COLUMN look BIGINT NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN look_sum TEXT NOT NULL DEFAULT '';
CREATE INDEX batches_newest ON batches (created_at, id) WHERE implicit = 0;

-- Letters that could not be delivered are kept for a while, so that somebody can see to it; they
-- are due never.
ALTER TABLE notices ADD COLUMN failed_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX notices_failed ON notices (failed_at) WHERE failed_at > 0;

-- Codes that did not reach the officer's mail server, or came back from it.
CREATE INDEX code_sends_undelivered ON code_sends (sent_at) WHERE delivery IN ('deferred', 'refused', 'bounced');
