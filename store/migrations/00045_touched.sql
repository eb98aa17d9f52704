-- +goose Up
-- When somebody last did something with a batch: by this it expires while it waits.
ALTER TABLE batches ADD COLUMN touched_at INTEGER NOT NULL DEFAULT 0;
UPDATE batches SET touched_at = MAX(created_at, started_at, finished_at,
    COALESCE((SELECT MAX(MAX(t.created_at, t.finished_at)) FROM transactions t WHERE t.batch_id = batches.id), 0));
DROP INDEX batches_waiting;
CREATE INDEX batches_waiting ON batches (touched_at) WHERE implicit = 0 AND status IN ('OPEN', 'SEALED', 'NEEDS_AUTHORISATION');
