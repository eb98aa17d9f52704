-- name: Phone :one
SELECT ic, mobile, changed_at FROM phones WHERE ic = @ic;

-- name: PutPhone :exec
INSERT INTO phones (ic, mobile, changed_at) VALUES (@ic, @mobile, @changed_at)
ON CONFLICT (ic) DO UPDATE SET mobile = excluded.mobile, changed_at = excluded.changed_at;

-- name: DropPhone :exec
DELETE FROM phones WHERE ic = @ic;

-- name: AddOfficerRequest :execrows
INSERT INTO officer_requests (id, kind, ic, account_id, epoch, password, state, asked_by, asked_ic, asked_at, until_at, reason, system, serial, crl_reason)
VALUES (@id, @kind, @ic, @account_id, @epoch, @password, 'PENDING', @asked_by, @asked_ic, @asked_at, @until_at, @reason, @system, @serial, @crl_reason)
ON CONFLICT (ic, kind, system) WHERE state = 'PENDING' DO NOTHING;

-- name: OfficerRequest :one
SELECT id, kind, ic, account_id, epoch, password, state, asked_by, asked_ic, asked_at, until_at, reason, system, serial, crl_reason FROM officer_requests WHERE id = @id;

-- name: OfficerRequestsOf :many
SELECT id, kind, ic, account_id, epoch, password, state, asked_by, asked_ic, asked_at, until_at, reason, system, serial, crl_reason FROM officer_requests
WHERE ic = @ic ORDER BY asked_at DESC, id LIMIT 20;

-- name: EndOfficerRequest :execrows
UPDATE officer_requests SET state = @state, password = @nothing WHERE id = @id AND state = 'PENDING';

-- Those that nobody confirms any more, and of one kind if it is named.
-- name: EndOfficerRequests :exec
UPDATE officer_requests SET state = @state, password = @nothing
WHERE ic = @ic AND state = 'PENDING' AND (CAST(@kind AS TEXT) = '' OR kind = @kind) AND until_at <= @until;

-- name: LivingCredentials :many
SELECT id, serial FROM credentials WHERE ic = @ic AND (CAST(@system AS TEXT) = '' OR system = @system) AND status IN ('ACTIVE', 'SUSPENDED') ORDER BY created_at, id;

-- name: DropMedia :execrows
DELETE FROM media WHERE ic = @ic AND (CAST(@system AS TEXT) = '' OR system = @system);

-- name: PendingAddressChange :one
SELECT id FROM address_changes WHERE ic = @ic AND state = 'PENDING';

-- name: DeleteAccount :execrows
UPDATE accounts SET state = 'DELETED', password = @nothing, totp = @nothing, epoch = epoch + 1 WHERE id = @id AND kind = 'officer' AND state = 'ACTIVE';

-- name: ResetPassword :execrows
UPDATE accounts SET password = @password, epoch = epoch + 1 WHERE id = @id AND epoch = @epoch AND kind = 'officer' AND state = 'ACTIVE';

-- name: CloseSessionsOfOfficer :exec
DELETE FROM sessions WHERE account_id IN (SELECT a.id FROM accounts a WHERE a.ic = @ic AND a.kind = 'officer');

-- name: PendingRevocation :one
SELECT id FROM officer_requests WHERE ic = @ic AND system = @system AND kind = 'REVOKE' AND state = 'PENDING' AND until_at > @now;

-- name: PendingRequests :many
SELECT id, kind, ic, account_id, epoch, password, state, asked_by, asked_ic, asked_at, until_at, reason, system, serial, crl_reason FROM officer_requests
WHERE state = 'PENDING' AND until_at > @now AND (asked_at > @after OR asked_at = @after AND id > @after_id) ORDER BY asked_at, id LIMIT @lim;
