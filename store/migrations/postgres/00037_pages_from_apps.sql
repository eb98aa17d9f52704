-- +goose Up
-- 1: opened from the address from which the app had asked for the transaction.
ALTER TABLE signing_pages ADD COLUMN from_app BIGINT NOT NULL DEFAULT 0;
CREATE INDEX signing_pages_from_app ON signing_pages (opened_at) WHERE from_app = 1;
