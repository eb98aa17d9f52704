-- +goose Up
-- SHA-256 of a certificate's SubjectPublicKeyInfo, and the TBSCertificate that was
-- recorded for one that is reserved. Certificates of an earlier release get their
-- hash from the program, which can compute it.
ALTER TABLE certificates ADD COLUMN key_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE certificates ADD COLUMN intent BLOB NOT NULL DEFAULT x'';
CREATE INDEX certificates_spki ON certificates (key_hash);
