-- name: AddOrder :exec
INSERT INTO certificate_orders (id, serial, action, reason, why, actor, at, due_at) VALUES (@id, @serial, @action, @reason, @why, @actor, @at, @due_at);

-- What was ordered of an officer's certificates, or taken back, the newest first.
-- name: OrderEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash FROM audit_events
WHERE object IN (@officer, @certificate) AND verdict = 'accepted' AND action IN ('certificate.revoke', 'certificate.suspend', 'certificate.release', 'certificate.unschedule', 'officer.retire', 'officer.transfer')
ORDER BY seq DESC;

-- Revocations to come with their officer. The agency is that of the certificate: of the
-- newest enrolment that led to one. CROSS JOIN: SQLite begins with what is joined first, which is few;
-- else it began with all credentials.
-- name: Leaving :many
SELECT s.serial, c.ic, o.name, c.system, s.due_at, s.reason, s.actor, s.created_at,
    CAST(COALESCE((SELECT e.agency FROM enrolments e WHERE e.ic = c.ic AND e.system = c.system AND e.state = 'ISSUED' ORDER BY e.since DESC, e.id DESC LIMIT 1), '') AS TEXT) AS agency,
    w.why
FROM scheduled_revocations s CROSS JOIN credentials c JOIN officers o ON o.ic = c.ic
    LEFT JOIN certificate_orders w ON w.id = (SELECT x.id FROM certificate_orders x WHERE x.serial = s.serial AND x.due_at > 0 ORDER BY x.at DESC, x.id DESC LIMIT 1)
WHERE c.serial = s.serial AND (CAST(@serial AS TEXT) = '' OR s.serial = @serial) AND (CAST(@system AS TEXT) = '' OR c.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR @agency = (SELECT e.agency FROM enrolments e WHERE e.ic = c.ic AND e.system = c.system AND e.state = 'ISSUED' ORDER BY e.since DESC, e.id DESC LIMIT 1))
    AND (s.due_at > @after_due OR s.due_at = @after_due AND s.serial > @after)
ORDER BY s.due_at, s.serial LIMIT @lim;

-- name: WaitingOf :many
UPDATE transactions SET status = 'CANCELLED', finished_at = @now, ended = @ended WHERE credential_id = @credential_id AND status = 'WAITING' RETURNING id;

-- The account of an officer, who is no administrator, without a key that could ever sign.
-- name: OfficerWithoutKey :many
SELECT a.id FROM accounts a WHERE a.ic = @ic AND a.kind = 'officer'
    AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.ic = a.ic AND c.status IN ('ACTIVE', 'SUSPENDED'));

-- The AP of the agency of a certificate.
-- name: APsOf :many
SELECT DISTINCT a.id, a.email, a.name FROM appointments p JOIN accounts a ON a.id = p.account_id
WHERE p.role = 'AP' AND p.awaits = 0 AND p.from_at <= @now AND (p.until_at = 0 OR p.until_at > @now) AND a.state = 'ACTIVE'
    AND p.agency = (SELECT e.agency FROM enrolments e WHERE e.ic = @ic AND e.system = @system AND e.state = 'ISSUED' ORDER BY e.since DESC, e.id DESC LIMIT 1)
ORDER BY a.id;

-- name: Steps :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash FROM audit_events
WHERE object = @object AND verdict = 'accepted' AND action IN ('enrol.list', 'enrol.admit', 'enrol.resend', 'enrol.correct', 'enrol.confirm', 'enrol.apply', 'enrol.validate', 'enrol.return',
    'enrol.reject', 'enrol.approve', 'enrol.withdraw', 'enrol.issue', 'enrol.give-back', 'enrol.expire', 'enrol.renew', 'enrol.rekey', 'enrol.rekey.apply', 'enrol.rekey.confirm', 'enrol.replace', 'officer.transfer') ORDER BY seq;
