-- +goose Up
-- SHA-256 of a certificate's SubjectPublicKeyInfo, and the TBSCertificate that was
-- recorded for one that is reserved. Certificates of an earlier release get their
-- hash from the program, which can compute it.
ALTER TABLE certificates ADD COLUMN key_hash BYTEA NOT NULL DEFAULT ''::bytea;
ALTER TABLE certificates ADD COLUMN intent BYTEA NOT NULL DEFAULT ''::bytea;
CREATE INDEX certificates_spki ON certificates (key_hash);
