-- Of code_sends the rows of some transactions at a time: they have no key of their own.
-- name: ExpungeCodeSends :execrows
DELETE FROM code_sends WHERE code_sends.sent_at < @before AND transaction_id IN (SELECT s.transaction_id FROM code_sends s WHERE s.sent_at < @before
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.ic = s.ic AND h.ended_at = 0) ORDER BY s.sent_at LIMIT @lim);

-- name: ExpungeAddressChanges :execrows
DELETE FROM address_changes WHERE id IN (SELECT c.id FROM address_changes c WHERE c.state <> 'PENDING' AND c.asked_at < @before AND c.ended_at < @before
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.ic = c.ic AND h.ended_at = 0) LIMIT @lim);

-- name: OldMailedLogins :execrows
DELETE FROM logins WHERE id IN (SELECT l.id FROM logins l WHERE l.keep_until < @before
    AND NOT EXISTS (SELECT 1 FROM accounts a JOIN holds h ON h.ic = a.ic WHERE a.id = l.account_id AND h.ended_at = 0) LIMIT @lim);

-- Only those of whom no key or certificate is left.
-- name: OldRefused :many
SELECT e.id, e.ic FROM enrolments e
WHERE e.state IN ('REJECTED', 'WITHDRAWN', 'EXPIRED') AND e.since < @before AND e.due_at = 0
    AND NOT EXISTS (SELECT 1 FROM applications a JOIN certificates x ON x.credential_id = a.credential_id WHERE a.enrolment_id = e.id)
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.ic = e.ic AND h.ended_at = 0)
ORDER BY e.since, e.id LIMIT @lim;

-- name: DropApplication :exec
DELETE FROM applications WHERE enrolment_id = @enrolment_id AND length(sealed) = 0;

-- name: DropEnrolment :exec
DELETE FROM enrolments WHERE id = @id;

-- What is left of an officer besides the row, a medium still to come and an account: a
-- person of whom nothing is has only been listed.
-- name: RemainsOf :one
SELECT (SELECT COUNT(*) FROM enrolments e WHERE e.ic = o.ic) + (SELECT COUNT(*) FROM credentials c WHERE c.ic = o.ic)
    + (SELECT COUNT(*) FROM transactions t WHERE t.ic = o.ic) + (SELECT COUNT(*) FROM media m WHERE m.ic = o.ic AND m.status <> 'NEW')
    + (SELECT COUNT(*) FROM archive_people p JOIN archives a ON a.id = p.archive_id WHERE p.ic = o.ic AND a.state <> 'DISPOSED')
    + (SELECT COUNT(*) FROM accounts a WHERE a.ic = o.ic AND a.kind <> 'officer') AS n
FROM officers o WHERE o.ic = @ic;

-- name: OldDocuments :many
SELECT d.id FROM documents d WHERE d.created_at < @before AND NOT EXISTS (SELECT 1 FROM items i WHERE i.document_id = d.id) ORDER BY d.created_at LIMIT @lim;

-- Officers of whom nothing was needed since a time: no open enrolment, no medium of another
-- kind, no certificate that was valid, no appointment in force, nothing signed that is not
-- in an archive, and no archive that is not disposed of.
-- name: DisposableOfficers :many
SELECT o.ic FROM officers o
WHERE o.created_at < @before
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.ic = o.ic)
    AND NOT EXISTS (SELECT 1 FROM media m WHERE m.ic = o.ic AND m.medium <> 'ROAMING_OTP')
    AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.ic = o.ic AND (e.since >= @before OR e.state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED')))
    AND NOT EXISTS (SELECT 1 FROM credentials c JOIN certificates x ON x.serial = c.serial WHERE c.ic = o.ic AND x.not_after >= @before)
    AND NOT EXISTS (SELECT 1 FROM address_changes a WHERE a.ic = o.ic AND a.asked_at >= @before)
    AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.ic = o.ic AND a.created_at >= @before)
    AND NOT EXISTS (SELECT 1 FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE a.ic = o.ic)
    AND NOT EXISTS (SELECT 1 FROM accounts a JOIN appointments p ON p.account_id = a.id WHERE a.ic = o.ic AND (p.until_at = 0 OR p.until_at >= @before))
    AND NOT EXISTS (SELECT 1 FROM archive_people p JOIN archives a ON a.id = p.archive_id WHERE p.ic = o.ic AND a.state <> 'DISPOSED')
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.ic = o.ic AND h.ended_at = 0)
ORDER BY o.created_at LIMIT @lim;

-- name: OfficerDisposable :one
SELECT COUNT(*) FROM officers o
WHERE o.ic = @ic AND o.created_at < @before
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.ic = o.ic)
    AND NOT EXISTS (SELECT 1 FROM media m WHERE m.ic = o.ic AND m.medium <> 'ROAMING_OTP')
    AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.ic = o.ic AND (e.since >= @before OR e.state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED')))
    AND NOT EXISTS (SELECT 1 FROM credentials c JOIN certificates x ON x.serial = c.serial WHERE c.ic = o.ic AND x.not_after >= @before)
    AND NOT EXISTS (SELECT 1 FROM address_changes a WHERE a.ic = o.ic AND a.asked_at >= @before)
    AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.ic = o.ic AND a.created_at >= @before)
    AND NOT EXISTS (SELECT 1 FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE a.ic = o.ic)
    AND NOT EXISTS (SELECT 1 FROM accounts a JOIN appointments p ON p.account_id = a.id WHERE a.ic = o.ic AND (p.until_at = 0 OR p.until_at >= @before))
    AND NOT EXISTS (SELECT 1 FROM archive_people p JOIN archives a ON a.id = p.archive_id WHERE p.ic = o.ic AND a.state <> 'DISPOSED')
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.ic = o.ic AND h.ended_at = 0);

-- name: DisposableArchives :many
SELECT a.id, a.state, a.created_at, a.newest_at, a.transactions, a.signatures, a.size, a.manifest FROM archives a
WHERE a.state = 'STORED' AND a.newest_at < @before
    AND NOT EXISTS (SELECT 1 FROM archive_people p JOIN holds h ON h.ic = p.ic WHERE p.archive_id = a.id AND h.ended_at = 0)
    AND NOT EXISTS (SELECT 1 FROM archive_references r JOIN holds h ON h.reference = r.reference WHERE r.archive_id = a.id AND h.ended_at = 0)
ORDER BY a.newest_at, a.id LIMIT @lim;

-- name: ArchiveDisposable :one
SELECT COUNT(*) FROM archives a
WHERE a.id = @id AND a.state = 'STORED' AND a.newest_at < @before
    AND NOT EXISTS (SELECT 1 FROM archive_people p JOIN holds h ON h.ic = p.ic WHERE p.archive_id = a.id AND h.ended_at = 0)
    AND NOT EXISTS (SELECT 1 FROM archive_references r JOIN holds h ON h.reference = r.reference WHERE r.archive_id = a.id AND h.ended_at = 0);

-- name: HeldArchives :one
SELECT COUNT(*) FROM archives a
WHERE a.state = 'STORED' AND a.newest_at < @before
    AND (EXISTS (SELECT 1 FROM archive_people p JOIN holds h ON h.ic = p.ic WHERE p.archive_id = a.id AND h.ended_at = 0)
        OR EXISTS (SELECT 1 FROM archive_references r JOIN holds h ON h.reference = r.reference WHERE r.archive_id = a.id AND h.ended_at = 0));

-- name: DisposeArchive :execrows
UPDATE archives SET state = 'DISPOSED' WHERE id = @id AND state = 'STORED';

-- name: DropArchivePeople :execrows
DELETE FROM archive_people WHERE archive_id = @archive_id;

-- name: DropArchiveReferences :exec
DELETE FROM archive_references WHERE archive_id = @archive_id;

-- name: AddHold :exec
INSERT INTO holds (id, ic, reference, reason, placed_by, placed_at) VALUES (@id, @ic, @reference, @reason, @placed_by, @placed_at);

-- name: EndHold :execrows
UPDATE holds SET ended_by = @ended_by, ended_at = @ended_at WHERE id = @id AND ended_at = 0;

-- name: Holds :many
SELECT id, ic, reference, reason, placed_by, placed_at, ended_by, ended_at FROM holds WHERE ended_at = 0 ORDER BY placed_at, id;

-- name: AddDisposal :exec
INSERT INTO disposals (id, state, kept_before, proposed_by, proposed_ic, proposed_at, until_at) VALUES (@id, 'PROPOSED', @kept_before, @proposed_by, @proposed_ic, @proposed_at, @until_at);

-- name: AddDisposalItem :exec
INSERT INTO disposal_items (disposal_id, n, archive_id, ic) VALUES (@disposal_id, @n, @archive_id, @ic);

-- name: Disposal :one
SELECT id, state, kept_before, proposed_by, proposed_ic, proposed_at, until_at, decided_by, decided_at, report FROM disposals WHERE id = @id;

-- name: Disposals :many
SELECT id, state, kept_before, proposed_by, proposed_ic, proposed_at, until_at, decided_by, decided_at, report FROM disposals ORDER BY proposed_at DESC, id LIMIT @lim;

-- name: DisposalItems :many
SELECT disposal_id, n, archive_id, ic FROM disposal_items WHERE disposal_id = @disposal_id ORDER BY n;

-- name: EndDisposal :execrows
UPDATE disposals SET state = @state, decided_by = @decided_by, decided_at = @decided_at, report = @report WHERE id = @id AND state = 'PROPOSED';

-- name: ForgetDisposalPeople :exec
UPDATE disposal_items SET ic = '' WHERE disposal_id = @disposal_id AND ic <> '';

-- name: CredentialKeysOf :many
SELECT c.id, c.version, c.serial, c.system, c.algorithm, c.status, c.created_at, CAST(length(c.sealed) AS BIGINT) AS sealed, x.issuer, x.subject, x.der, x.not_before, x.not_after, x.revoked_at, x.reason
FROM credentials c JOIN certificates x ON x.serial = c.serial WHERE c.ic = @ic ORDER BY c.created_at, c.id;

-- name: EnrolmentIDs :many
SELECT e.id FROM enrolments e WHERE e.ic = @ic ORDER BY e.id;

-- name: DropCodeSendsOf :exec
DELETE FROM code_sends WHERE ic = @ic;

-- name: DropNoticesOf :exec
DELETE FROM notices WHERE ic = @ic;

-- name: DropAddressChangesOf :exec
DELETE FROM address_changes WHERE ic = @ic;

-- name: DropApplicationsOf :exec
DELETE FROM applications WHERE enrolment_id IN (SELECT e.id FROM enrolments e WHERE e.ic = @ic);

-- name: DropEnrolmentsOf :exec
DELETE FROM enrolments WHERE ic = @ic;

-- name: DropMediaOf :exec
DELETE FROM media WHERE ic = @ic;

-- name: DropCredential :exec
DELETE FROM credentials WHERE id = @id;

-- name: CertificatesOfKey :many
SELECT serial, der FROM certificates WHERE credential_id = @credential_id AND status <> 'RESERVED' ORDER BY created_at, serial;

-- name: DropScheduledOfKey :exec
DELETE FROM scheduled_revocations WHERE serial IN (SELECT x.serial FROM certificates x WHERE x.credential_id = @credential_id);

-- name: DropCertificatesOfKey :exec
DELETE FROM certificates WHERE credential_id = @credential_id;

-- name: ApplicationKeysOf :many
SELECT a.credential_id, a.version, CAST(length(a.sealed) AS BIGINT) AS sealed FROM applications a JOIN enrolments e ON e.id = a.enrolment_id WHERE e.ic = @ic ORDER BY a.credential_id;

-- name: DropOfficer :exec
DELETE FROM officers WHERE ic = @ic;

-- name: DropAppointmentsOf :exec
DELETE FROM appointments WHERE account_id = @account_id;

-- name: DropLoginsOf :exec
DELETE FROM logins WHERE account_id = @account_id;

-- name: DropAccount :exec
DELETE FROM accounts WHERE id = @id;

-- name: TransactionsOf :many
SELECT t.id, t.app_id, t.system, t.data_header, t.process, t.role, t.classification, t.credential_id, t.batch_id, t.count, t.status, t.created_at, t.expires_at, t.finished_at
FROM transactions t WHERE t.ic = @ic ORDER BY t.created_at, t.id;

-- name: DocumentsOf :many
SELECT DISTINCT i.batch_id, i.idx, i.name, i.reference, i.digest, i.state, i.code, i.signed_at, i.timestamp
FROM items i JOIN transactions t ON t.batch_id = i.batch_id WHERE t.ic = @ic ORDER BY i.batch_id, i.idx;
