-- +goose Up
-- CAs of the installation. Their certificates are those of 'authority:NAME' that the
-- parent issued, a root's its own; an authority with a successor issues no more.
CREATE TABLE authorities (
    name       TEXT PRIMARY KEY,
    parent     TEXT    NOT NULL,
    algorithm  TEXT    NOT NULL,
    training   INTEGER NOT NULL,
    successor  TEXT    NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL
);
INSERT INTO authorities (name, parent, algorithm, training, created_at)
    SELECT 'root', '', '', 0, MIN(created_at) FROM certificates WHERE credential_id = 'authority:root' GROUP BY credential_id;
INSERT INTO authorities (name, parent, algorithm, training, created_at)
    SELECT 'issuing', 'root', '', 0, MIN(created_at) FROM certificates WHERE credential_id = 'authority:issuing' GROUP BY credential_id;
