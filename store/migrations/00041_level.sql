-- +goose Up
-- The level that a signature reached (B-B, B-T, B-LT, B-LTA): below the one asked for when it was
-- finished without a time-stamp or without revocation data. Empty for one of an earlier release,
-- and where there are no levels.
ALTER TABLE items ADD COLUMN level TEXT NOT NULL DEFAULT '';
