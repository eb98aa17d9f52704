-- +goose Up
-- How many documents of a batch that is being signed have which outcome, so that who asks how far
-- one of 100,000 is reads one row: counted when its signing begins, and on by the commits that store outcomes.
-- A table of its own, for they would lock the batch's row, which others lock in another order.
CREATE TABLE batch_outcomes (
    batch_id TEXT    NOT NULL PRIMARY KEY REFERENCES batches (id),
    signed   INTEGER NOT NULL,
    refused  INTEGER NOT NULL
);
