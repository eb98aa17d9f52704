-- +goose Up
-- Who signs the documents of an intent, and until when it counts as alive without another sign of
-- life, by the database's clock. A claim is its run's; one without a run, of a lone signature,
-- has a lease of its own.
CREATE TABLE intent_runs (
    id          TEXT PRIMARY KEY,
    intent_id   TEXT    NOT NULL,
    lease_until INTEGER NOT NULL
);
CREATE INDEX intent_runs_intent ON intent_runs (intent_id);
ALTER TABLE items ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
-- When its app asked that an intent be used no further; its runs look.
ALTER TABLE intents ADD COLUMN stopped_at INTEGER NOT NULL DEFAULT 0;
-- Claims of the release before were leased until the deadline, with nobody to extend it.
UPDATE items SET lease_until = 0 WHERE state = 'claimed';
