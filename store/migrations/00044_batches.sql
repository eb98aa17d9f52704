-- +goose Up
-- Refusals of a batch in their order, by which a stream of events goes on where it was cut. What
-- was refused before stands in the order of the documents.
ALTER TABLE items ADD COLUMN refusal INTEGER NOT NULL DEFAULT 0;
UPDATE items SET refusal = idx + 1 WHERE state = 'refused';
CREATE INDEX items_refusal ON items (batch_id, refusal) WHERE refusal > 0;

-- Batches that wait for somebody: few beside those of single transactions.
CREATE INDEX batches_waiting ON batches (created_at) WHERE implicit = 0 AND status IN ('OPEN', 'SEALED', 'NEEDS_AUTHORISATION');
