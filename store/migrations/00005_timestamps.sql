-- +goose Up
-- When the time-stamping authority saw the signature; 0 for a signature without a time-stamp.
ALTER TABLE items ADD COLUMN timestamp INTEGER NOT NULL DEFAULT 0;
