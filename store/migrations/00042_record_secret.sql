-- +goose Up
-- What the public page of an eCertificate shows, under the secret that is in its QR code and
-- nowhere in clear: AES-256-GCM, the nonce first. NULL for documents of other kinds, and for
-- certificates of releases before, whose page asks for no secret.
ALTER TABLE items ADD COLUMN sealed_record BLOB;
