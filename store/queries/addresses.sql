-- name: AddAddressChange :execrows
INSERT INTO address_changes (id, ic, old_email, new_email, state, asked_by, asked_ic, asked_at, until_at, due_at)
VALUES (@id, @ic, @old_email, @new_email, 'PENDING', @asked_by, @asked_ic, @asked_at, @until_at, @asked_at)
ON CONFLICT (ic) WHERE state = 'PENDING' DO NOTHING;

-- name: AddressChange :one
SELECT sqlc.embed(c), o.name FROM address_changes c JOIN officers o ON o.ic = c.ic WHERE c.id = @id;

-- name: AddressChangeByLink :one
SELECT id FROM address_changes WHERE old_link = @link OR new_link = @link;

-- name: AddressChangesOf :many
SELECT sqlc.embed(c), o.name FROM address_changes c JOIN officers o ON o.ic = c.ic WHERE c.ic = @ic ORDER BY c.asked_at DESC, c.id LIMIT 20;

-- name: DueAddressChange :one
SELECT id FROM address_changes WHERE due_at > 0 AND due_at <= @now AND until_at > @now AND state = 'PENDING' ORDER BY due_at, id LIMIT 1;

-- name: ClaimAddressChange :execrows
UPDATE address_changes SET due_at = @lease_until, attempts = attempts + 1 WHERE id = @id AND due_at > 0 AND due_at <= @now AND state = 'PENDING';

-- name: PutOldLink :execrows
UPDATE address_changes SET old_link = @link, links_until = @until WHERE id = @id AND state = 'PENDING' AND attempts = @attempts AND old_at = 0;

-- name: PutNewLink :execrows
UPDATE address_changes SET new_link = @link, links_until = @until WHERE id = @id AND state = 'PENDING' AND attempts = @attempts AND new_at = 0;

-- name: SettleAddressChange :exec
UPDATE address_changes SET due_at = @due_at, old_reply = @old_reply, new_reply = @new_reply WHERE id = @id AND state = 'PENDING' AND attempts = @attempts;

-- name: ProveOldAddress :execrows
UPDATE address_changes SET old_at = @at, old_proof = @proof, old_link = NULL WHERE id = @id AND state = 'PENDING' AND old_at = 0 AND until_at > @at;

-- name: ProveNewAddress :execrows
UPDATE address_changes SET new_at = @at, new_link = NULL WHERE id = @id AND state = 'PENDING' AND new_at = 0 AND until_at > @at;

-- name: EndAddressChange :execrows
UPDATE address_changes SET state = @state, ended_at = @at, old_link = NULL, new_link = NULL, due_at = 0 WHERE id = @id AND state = 'PENDING';

-- name: ExpireAddressChanges :exec
UPDATE address_changes SET state = 'EXPIRED', ended_at = until_at, old_link = NULL, new_link = NULL, due_at = 0 WHERE ic = @ic AND state = 'PENDING' AND until_at <= @now;

-- name: SetAccountEmail :exec
UPDATE accounts SET email = @email WHERE ic = @ic;
