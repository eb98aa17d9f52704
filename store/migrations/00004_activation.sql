-- +goose Up
-- One half of a split activation while its intent is open; the other is in
-- Redis. NULL: none.
ALTER TABLE intents ADD COLUMN activation BLOB;

-- What happened to one object: a resumed batch is compared with it.
CREATE INDEX IF NOT EXISTS audit_events_object ON audit_events (object, action);
