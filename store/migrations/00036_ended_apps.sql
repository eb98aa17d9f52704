-- +goose Up
-- What an app that has ended was still to be told: nobody delivers it.
UPDATE events SET state = 'DROPPED' WHERE state = 'PENDING' AND app_id IN (SELECT id FROM apps WHERE state = 'ENDED');
