-- +goose Up
-- What was signed in a role is found by its digest, so that a copy is known for what it is: as it
-- was authorised, and, of a file, as it came out. Of a bare digest both are one.
CREATE INDEX signatories_digest ON signatories (digest);
CREATE INDEX signatories_result ON signatories (result) WHERE blob <> '';
