-- +goose Up
-- An upload of many rows is stored a page at a time, at indexes from next_index (refused rows: from
-- refused_rows), where nobody looks. One update makes all of it the batch's, or it is taken away.
-- intake names the upload that may do so, '' for none: then nothing lies there.
ALTER TABLE batches ADD COLUMN intake TEXT NOT NULL DEFAULT '';
ALTER TABLE batches ADD COLUMN intake_until BIGINT NOT NULL DEFAULT 0; -- when the upload is taken for dead

ALTER TABLE refused_rows ADD COLUMN seq BIGINT NOT NULL DEFAULT 0; -- in the batch, from 0
UPDATE refused_rows SET seq = n.k
FROM (SELECT ctid AS r, ROW_NUMBER() OVER (PARTITION BY batch_id ORDER BY ctid) - 1 AS k FROM refused_rows) AS n
WHERE refused_rows.ctid = n.r;
DROP INDEX refused_rows_batch;
CREATE UNIQUE INDEX refused_rows_batch ON refused_rows (batch_id, seq);

-- A certificate's number is looked for in all batches.
CREATE INDEX items_any_number ON items (number) WHERE number IS NOT NULL;

-- What financial documents of a batch amount to, and to whom, as the application says.
CREATE TABLE payments (
    batch_id TEXT    NOT NULL REFERENCES batches (id),
    idx      BIGINT  NOT NULL, -- of the item
    amount   TEXT    NOT NULL, -- ringgit, 29911.35; '' for none
    payee    TEXT    NOT NULL, -- '' for none
    PRIMARY KEY (batch_id, idx)
);
