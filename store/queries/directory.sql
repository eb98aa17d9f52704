-- Officers whose entry in the directory changed since, in the order of the changes; an IC of '' says
-- that somebody is gone.
-- name: ChangedOfficers :many
SELECT h.seq, h.ic, COALESCE(o.name, '') AS name, COALESCE(o.email, '') AS email
FROM officer_changes h LEFT JOIN officers o ON o.ic = h.ic
WHERE h.seq > @after ORDER BY h.seq LIMIT @lim;

-- name: ChangedEnrolments :many
SELECT e.ic, e.system, e.agency, e.office, e.phase, e.kind, e.state
FROM officer_changes h JOIN enrolments e ON e.ic = h.ic
WHERE h.seq > @after AND h.seq <= @last ORDER BY h.seq, e.listed_at, e.id;

-- name: ChangedMedia :many
SELECT m.ic, m.system, m.medium, m.status
FROM officer_changes h JOIN media m ON m.ic = h.ic
WHERE h.seq > @after AND h.seq <= @last ORDER BY h.seq, m.system;

-- name: ChangedCredentials :many
SELECT c.ic, c.system, c.status, c.serial, x.not_after
FROM officer_changes h JOIN credentials c ON c.ic = h.ic JOIN certificates x ON x.serial = c.serial
WHERE h.seq > @after AND h.seq <= @last AND c.status <> 'SUPERSEDED' ORDER BY h.seq, c.created_at, c.id;

-- The condition on delivery is that of an index, of few among many; with DISTINCT, SQLite would go by
-- another one through all.
-- name: UnreachedOfficers :many
SELECT s.ic FROM code_sends s
WHERE s.delivery IN ('deferred', 'refused', 'bounced') AND s.delivery <> 'deferred'
    AND NOT EXISTS (SELECT 1 FROM code_sends n WHERE n.ic = s.ic AND n.sent_at > s.sent_at AND n.delivery <> '');
