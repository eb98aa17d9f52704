-- +goose Up
-- The secret that an app's events are signed with: what it is made of, with the key in the
-- HSM. old_generation is that of the one before, good until old_until; empty for none. Where
-- the events go is in apps.webhook.
CREATE TABLE webhooks (
    app_id         TEXT PRIMARY KEY REFERENCES apps (id),
    generation     BYTEA    NOT NULL,
    set_at         BIGINT NOT NULL,
    old_generation BYTEA    NOT NULL,
    old_until      BIGINT NOT NULL
);

-- What apps are told. data is JSON without anything of a person; object is what it is about,
-- whose events are delivered in their order. state is PENDING, DELIVERED, DEAD or DROPPED;
-- claims is the fence; status and why are of the last try.
CREATE TABLE events (
    id         TEXT PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    type       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    state      TEXT    NOT NULL DEFAULT 'PENDING',
    due_at     BIGINT NOT NULL,
    claims     BIGINT NOT NULL DEFAULT 0,
    tries      BIGINT NOT NULL DEFAULT 0,
    status     BIGINT NOT NULL DEFAULT 0,
    why        TEXT    NOT NULL DEFAULT '',
    tried_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX events_due ON events (app_id, due_at) WHERE state = 'PENDING';
CREATE INDEX events_order ON events (object, app_id, created_at) WHERE state = 'PENDING';
CREATE INDEX events_newest ON events (app_id, created_at, id);
CREATE INDEX events_old ON events (created_at);
