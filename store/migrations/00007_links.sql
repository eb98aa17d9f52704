-- +goose Up
-- SHA-256 of the token in the link "this was not me" that the live code's message carries; NULL: there is none, or it was used.
ALTER TABLE challenges ADD COLUMN link BLOB;
CREATE UNIQUE INDEX challenges_link ON challenges (link);
