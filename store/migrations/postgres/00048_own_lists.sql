-- +goose Up
-- What an officer was asked to sign, and what somebody's own app has in batches, the newest first
-- and page by page: one of 100,000 is found without reading the others.
DROP INDEX transactions_officer;
CREATE INDEX transactions_officer ON transactions (ic, created_at, id, status);
CREATE INDEX batches_app ON batches (app_id, created_at, id) WHERE implicit = 0;
