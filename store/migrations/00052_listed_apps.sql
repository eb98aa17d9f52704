-- +goose Up
-- Registered apps are listed without reading every officer's own, and who still holds a token for a
-- system is counted without reading other media.
CREATE INDEX apps_registered ON apps (id) WHERE person IS NULL;
CREATE INDEX media_tokens ON media (system) WHERE medium = 'TOKEN';
