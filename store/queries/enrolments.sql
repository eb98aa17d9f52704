-- name: PutAgency :exec
INSERT INTO agencies (code, name, personal_mail, created_at) VALUES (@code, @name, @personal_mail, @created_at)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, personal_mail = excluded.personal_mail;

-- name: Agencies :many
SELECT code, name, personal_mail, created_at FROM agencies ORDER BY code;

-- name: PutOffice :exec
INSERT INTO agency_offices (agency, code, name, phase, created_at) VALUES (@agency, @code, @name, @phase, @created_at)
ON CONFLICT (agency, code) DO UPDATE SET name = excluded.name, phase = excluded.phase;

-- name: DropOffice :execrows
DELETE FROM agency_offices WHERE agency = @agency AND code = @code;

-- name: Offices :many
SELECT agency, code, name, phase, created_at FROM agency_offices WHERE agency = @agency ORDER BY code;

-- What enrolments call offices that are registered neither by that code nor by that name.
-- name: StrayOffices :many
SELECT e.office, COUNT(*) AS officers FROM enrolments e
WHERE e.agency = @agency AND e.office <> '' AND NOT EXISTS (SELECT 1 FROM agency_offices o WHERE o.agency = e.agency AND (o.code = e.office OR o.name = e.office))
GROUP BY e.office ORDER BY e.office LIMIT 200;

-- name: PutSystem :exec
INSERT INTO systems (code, title, agency, token_ends, created_at) VALUES (@code, @title, @agency, @token_ends, @created_at)
ON CONFLICT (code) DO UPDATE SET title = excluded.title, agency = excluded.agency, token_ends = excluded.token_ends;

-- name: EndTokens :execrows
UPDATE systems SET token_ends = @token_ends WHERE code = @code;

-- name: ShowSystem :execrows
UPDATE systems SET title = @title, notice = @notice, header_template = @header_template WHERE code = @code;

-- name: SetLogo :execrows
UPDATE systems SET logo = @logo, logo_type = @logo_type WHERE code = @code;

-- name: System :one
SELECT code, title, agency, token_ends, created_at, logo, logo_type, notice, header_template FROM systems WHERE code = @code;

-- Without the logos, which are up to 64 KiB each.
-- name: Systems :many
SELECT code, title, agency, token_ends, notice, header_template FROM systems ORDER BY code;

-- Who still holds a token for a system.
-- name: CountTokens :one
SELECT COUNT(*) FROM media WHERE system = @system AND medium = 'TOKEN';

-- name: NewOfficer :execrows
INSERT INTO officers (ic, name, email, created_at) VALUES (@ic, @name, @email, @created_at) ON CONFLICT (ic) DO NOTHING;

-- name: NewMedium :execrows
INSERT INTO media (ic, system, medium, status) VALUES (@ic, @system, @medium, @status) ON CONFLICT (ic, system) DO NOTHING;

-- name: Standing :one
SELECT o.name, o.email, COALESCE(m.medium, '') AS medium, COALESCE(e.id, '') AS id, COALESCE(e.state, '') AS state, COALESCE(e.list, '') AS list,
    (SELECT COUNT(*) FROM credentials c JOIN certificates x ON x.serial = c.serial WHERE c.ic = o.ic AND c.system = @system AND c.status IN ('ACTIVE', 'SUSPENDED') AND x.not_after > @now) AS live
FROM officers o
LEFT JOIN media m ON m.ic = o.ic AND m.system = @system
LEFT JOIN enrolments e ON e.ic = o.ic AND e.system = @system AND e.state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED')
WHERE o.ic = @ic;

-- name: AddEnrolment :execrows
INSERT INTO enrolments (id, ic, system, agency, office, phase, ticket, list, state, since, listed_by, listed_at, due_at, kind, replaces, origin, follows)
VALUES (@id, @ic, @system, @agency, @office, @phase, @ticket, @list, @state, @since, @listed_by, @listed_at, @due_at, @kind, @replaces, @origin, @follows)
ON CONFLICT (ic, system) WHERE state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED') DO NOTHING;

-- name: Enrolment :one
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic WHERE e.id = @id;

-- name: EnrolmentByLink :one
SELECT id FROM enrolments WHERE link = @link;

-- name: EnrolmentByCode :one
SELECT id FROM enrolments WHERE code = @code;

-- name: EnrolmentsOf :many
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic WHERE e.ic = @ic ORDER BY e.listed_at, e.id;

-- Each by its own index: of all, of a system, and of an agency (and a system).
-- name: Enrolments :many
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic
WHERE e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until AND (e.since > @after_since OR e.since = @after_since AND e.id > @after_id)
ORDER BY e.since, e.id LIMIT @lim;

-- name: SystemEnrolments :many
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic
WHERE e.system = @system AND e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until AND (e.since > @after_since OR e.since = @after_since AND e.id > @after_id)
ORDER BY e.since, e.id LIMIT @lim;

-- name: AgencyEnrolments :many
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic
WHERE e.agency = @agency AND (CAST(@system AS TEXT) = '' OR e.system = @system) AND e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until AND (e.since > @after_since OR e.since = @after_since AND e.id > @after_id)
ORDER BY e.since, e.id LIMIT @lim;

-- name: CountEnrolments :one
SELECT COUNT(*) FROM enrolments e
WHERE e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until;

-- name: CountSystemEnrolments :one
SELECT COUNT(*) FROM enrolments e
WHERE e.system = @system AND e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until;

-- name: CountAgencyEnrolments :one
SELECT COUNT(*) FROM enrolments e
WHERE e.agency = @agency AND (CAST(@system AS TEXT) = '' OR e.system = @system) AND e.state = @state
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 WHEN 'NOT_REKEY' THEN CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END
        ELSE CASE CASE WHEN e.kind <> '' THEN e.kind WHEN e.origin <> '' THEN e.origin ELSE 'FIRST' END WHEN @kind THEN 1 ELSE 0 END END = 1
    AND e.since <= @until;

-- What waits, as far as somebody wants to know: never more than @most are looked at.
-- name: Waiting :one
SELECT COUNT(*) FROM (SELECT 1 FROM enrolments e WHERE e.state = @state
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 ELSE CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END END = 1 LIMIT @most) AS waiting;

-- name: SystemWaiting :one
SELECT COUNT(*) FROM (SELECT 1 FROM enrolments e WHERE e.system = @system AND e.state = @state
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 ELSE CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END END = 1 LIMIT @most) AS waiting;

-- name: AgencyWaiting :one
SELECT COUNT(*) FROM (SELECT 1 FROM enrolments e WHERE e.agency = @agency AND e.state = @state
    AND CASE CAST(@kind AS TEXT) WHEN '' THEN 1 ELSE CASE e.kind WHEN 'REKEY' THEN 0 ELSE 1 END END = 1 LIMIT @most) AS waiting;

-- Forgotten PINs alone, by the index of them.
-- name: RekeyEnrolments :many
SELECT sqlc.embed(e), o.name, o.email FROM enrolments e JOIN officers o ON o.ic = e.ic
WHERE e.kind = 'REKEY' AND e.state = @state AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency) AND (CAST(@system AS TEXT) = '' OR e.system = @system)
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND e.since <= @until AND (e.since > @after_since OR e.since = @after_since AND e.id > @after_id)
ORDER BY e.since, e.id LIMIT @lim;

-- name: CountRekeys :one
SELECT COUNT(*) FROM enrolments e
WHERE e.kind = 'REKEY' AND e.state = @state AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency) AND (CAST(@system AS TEXT) = '' OR e.system = @system)
    AND (CAST(@office AS TEXT) = '' OR e.office = @office) AND (CAST(@phase AS TEXT) = '' OR e.phase = @phase)
    AND e.since <= @until;

-- name: RekeysWaiting :one
SELECT COUNT(*) FROM (SELECT 1 FROM enrolments e WHERE e.kind = 'REKEY' AND e.state = @state AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency) AND (CAST(@system AS TEXT) = '' OR e.system = @system) LIMIT @most) AS waiting;

-- name: MoveEnrolment :execrows
UPDATE enrolments SET state = @state, since = @at, due_at = @due_at, attempts = 0, reply = '', reason = @reason,
    validated_by = CASE CAST(@step AS TEXT) WHEN 'validated' THEN @actor WHEN 'approved' THEN validated_by WHEN 'kept' THEN validated_by ELSE '' END,
    validated_ic = CASE CAST(@step AS TEXT) WHEN 'validated' THEN @actor_ic WHEN 'approved' THEN validated_ic WHEN 'kept' THEN validated_ic ELSE '' END,
    validated_at = CASE CAST(@step AS TEXT) WHEN 'validated' THEN @at WHEN 'approved' THEN validated_at WHEN 'kept' THEN validated_at ELSE 0 END,
    approved_by = CASE CAST(@step AS TEXT) WHEN 'approved' THEN @actor WHEN 'kept' THEN approved_by ELSE '' END,
    approved_ic = CASE CAST(@step AS TEXT) WHEN 'approved' THEN @actor_ic WHEN 'kept' THEN approved_ic ELSE '' END,
    approved_at = CASE CAST(@step AS TEXT) WHEN 'approved' THEN @at WHEN 'kept' THEN approved_at ELSE 0 END
WHERE id = @id AND state = @was;

-- name: SpendEnrolmentLink :exec
UPDATE enrolments SET link = NULL WHERE id = @id;

-- name: SpendEnrolmentCode :exec
UPDATE enrolments SET code = NULL WHERE id = @id;

-- name: PutEnrolmentLink :execrows
UPDATE enrolments SET link = @link, link_until = @until, mailed_at = @at WHERE id = @id AND state = @state AND attempts = @attempts;

-- name: PutEnrolmentCode :execrows
UPDATE enrolments SET code = @code, code_until = @until, mailed_at = @at WHERE id = @id AND state = @state AND attempts = @attempts;

-- name: EnrolmentsDue :one
SELECT COUNT(*) FROM (SELECT 1 FROM enrolments WHERE due_at > 0 AND due_at <= @now LIMIT 1) AS due;

-- name: ClaimEnrolment :one
UPDATE enrolments SET due_at = @lease_until, attempts = attempts + 1
WHERE id = (SELECT e.id FROM enrolments e WHERE e.due_at > 0 AND e.due_at <= @now ORDER BY e.due_at, e.id LIMIT 1) RETURNING id;

-- name: SettleEnrolment :exec
UPDATE enrolments SET due_at = @due_at, reply = @reply WHERE id = @id AND state = @state AND attempts = @attempts;

-- A mail that left is something that happened; one that did not is none.
-- name: StaleEnrolment :one
SELECT id FROM enrolments WHERE state = @state AND since < @before AND due_at = 0 AND (mailed_at < @before OR reply <> '') ORDER BY since LIMIT 1;

-- name: DecisionEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE object = @object AND action IN ('enrol.list', 'enrol.replace', 'enrol.correct', 'enrol.apply', 'enrol.validate', 'enrol.approve', 'enrol.renew', 'enrol.rekey', 'enrol.rekey.apply', 'enrol.rekey.confirm') AND verdict = 'accepted' ORDER BY seq;

-- name: LastIssue :one
SELECT CAST(COALESCE(MAX(a.seq), 0) AS BIGINT) AS seq FROM audit_events a WHERE a.object = @object AND a.action = 'enrol.issue' AND a.verdict = 'accepted';

-- Who chose an officer's address, or asked or vouched for another.
-- name: MailboxEvents :many
SELECT a.seq, a.at, a.actor, a.action, a.object, a.verdict, a.request_id, a.detail, a.prev, a.hash
FROM audit_events a WHERE a.object = @object AND a.action IN ('enrol.list', 'enrol.correct', 'enrol.replace', 'officer.address', 'officer.address.vouch') AND a.verdict = 'accepted' AND a.seq > @after
ORDER BY a.seq;

-- name: EnrolmentIDsOf :many
SELECT id FROM enrolments WHERE ic = @ic ORDER BY id;

-- name: AddressChangeIDsOf :many
SELECT id FROM address_changes WHERE ic = @ic ORDER BY id;

-- name: SetEmail :exec
UPDATE officers SET email = @email WHERE ic = @ic;

-- name: PutApplication :exec
INSERT INTO applications (enrolment_id, credential_id, algorithm, version, sealed, request, form, image, copy, applied_at)
VALUES (@enrolment_id, @credential_id, @algorithm, @version, @sealed, @request, @form, @image, @copy, @applied_at)
ON CONFLICT (enrolment_id) DO UPDATE SET credential_id = excluded.credential_id, algorithm = excluded.algorithm, version = excluded.version,
    sealed = excluded.sealed, request = excluded.request, form = excluded.form, image = excluded.image, copy = excluded.copy, applied_at = excluded.applied_at;

-- name: Application :one
SELECT credential_id, algorithm, version, sealed, request, form, image, copy, applied_at FROM applications WHERE enrolment_id = @enrolment_id;

-- name: ApplicationCopy :one
SELECT CAST(length(copy) AS BIGINT) AS size FROM applications WHERE enrolment_id = @enrolment_id;

-- name: DropApplicationKey :many
UPDATE applications SET sealed = substr(sealed, 1, 0), copy = CASE length(copy) WHEN 0 THEN copy ELSE substr(copy, 1, 0) END
WHERE enrolment_id = @enrolment_id AND length(sealed) > 0 RETURNING credential_id, version;

-- name: Held :many
SELECT c.id, c.algorithm, c.status, c.serial, x.issuer, x.not_after, x.revoked_at, x.der, CAST(COALESCE(s.due_at, 0) AS BIGINT) AS ends_at
FROM credentials c JOIN certificates x ON x.serial = c.serial LEFT JOIN scheduled_revocations s ON s.serial = c.serial
WHERE c.ic = @ic AND c.system = @system AND c.status <> 'SUPERSEDED' ORDER BY CASE c.status WHEN 'REVOKED' THEN 1 ELSE 0 END, c.created_at DESC, c.id;

-- name: Supersede :many
UPDATE credentials SET status = 'SUPERSEDED', sealed = substr(sealed, 1, 0), remind_at = 0 WHERE id = @id AND status = 'ACTIVE' RETURNING serial, version;

-- name: MarkRevoked :exec
UPDATE credentials SET status = 'REVOKED' WHERE id = @id;

-- name: MoveScheduledRevocation :exec
UPDATE scheduled_revocations SET serial = @serial WHERE serial = @was;

-- name: DueReminder :one
SELECT c.id, c.ic, c.system, c.status, c.serial, c.remind_at, x.not_after
FROM credentials c JOIN certificates x ON x.serial = c.serial
WHERE c.remind_at > 0 AND c.remind_at <= @now ORDER BY c.remind_at, c.id LIMIT 1;

-- name: SetReminder :execrows
UPDATE credentials SET remind_at = @remind_at WHERE id = @id AND remind_at = @was;
