-- +goose Up
-- A request with an Idempotency-Key: until when its gateway is alive, as far as one knows, and
-- what it was done to, from the commit that did it.
ALTER TABLE idempotency ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE idempotency ADD COLUMN object TEXT NOT NULL DEFAULT '';
