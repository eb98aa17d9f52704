-- +goose Up
-- How many documents of a batch have which outcome, kept by the commits that store them: who asks how
-- far a batch of 100,000 is reads one row.
ALTER TABLE batches ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
UPDATE batches SET signed = (SELECT COUNT(*) FROM items i WHERE i.batch_id = batches.id AND i.state = 'signed'),
    refused = (SELECT COUNT(*) FROM items i WHERE i.batch_id = batches.id AND i.state = 'refused');
