-- +goose Up
-- The picture by which an officer knows a genuine page: chosen with the application, shown
-- wherever PIN and code are asked for.
ALTER TABLE applications ADD COLUMN image TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN image TEXT NOT NULL DEFAULT '';
