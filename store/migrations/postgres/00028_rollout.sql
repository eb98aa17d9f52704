-- +goose Up
-- enrolled is how an officer came to a certificate for a system, the newest time: renewals
-- and new keys, and what becomes of them, are no part of the rollout.
CREATE OR REPLACE VIEW enrolled AS
SELECT e.id, e.ic, e.system, e.agency, e.office, e.phase, e.state, e.since
FROM enrolments e
WHERE e.kind = '' AND NOT EXISTS (SELECT 1 FROM enrolments n WHERE n.ic = e.ic AND n.system = e.system AND n.kind = ''
    AND (n.listed_at > e.listed_at OR n.listed_at = e.listed_at AND n.id > e.id));
