-- +goose Up
-- Faults and events that somebody must see to. One of a check lasts until the check finds the
-- part well again, one of an event (object is what it is about) until it is acknowledged. node is
-- the gateway that found it, '' for what all gateways share.
CREATE TABLE alarms (
    id         TEXT PRIMARY KEY,
    kind       TEXT    NOT NULL, -- the check's id, or the event's kind
    node       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    code       TEXT    NOT NULL, -- of the words, with args (JSON)
    args       TEXT    NOT NULL,
    raised_at  INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL, -- by its node
    told       INTEGER NOT NULL DEFAULT 0, -- 1: mailed to whom it may concern
    cleared_at INTEGER NOT NULL DEFAULT 0,
    acked_by   TEXT    NOT NULL DEFAULT '',
    acked_at   INTEGER NOT NULL DEFAULT 0,
    note       TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX alarms_open ON alarms (kind, node, object) WHERE cleared_at = 0;
CREATE INDEX alarms_cleared ON alarms (cleared_at, id) WHERE cleared_at > 0;
CREATE INDEX alarms_untold ON alarms (raised_at) WHERE told = 0;
