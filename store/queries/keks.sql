-- name: KEKs :many
SELECT label, state FROM keks ORDER BY label;

-- name: CurrentKEK :one
SELECT label FROM keks WHERE state = 'CURRENT';

-- name: KEKState :one
SELECT state FROM keks WHERE label = @label;

-- name: AddKEK :execrows
INSERT INTO keks (label, state) VALUES (@label, @state) ON CONFLICT (label) DO NOTHING;

-- name: SetKEK :execrows
UPDATE keks SET state = @state WHERE label = @label AND state = @was;

-- name: AgeKEK :execrows
UPDATE keks SET state = 'OLD' WHERE state = 'CURRENT';

-- name: LiveByKEK :many
SELECT kek, COUNT(*) AS n FROM credentials WHERE status IN ('ACTIVE', 'SUSPENDED') GROUP BY kek;

-- name: LiveUnderKEK :one
SELECT COUNT(*) FROM credentials WHERE kek = @kek AND status IN ('ACTIVE', 'SUSPENDED');

-- name: KEKOfCredential :one
SELECT k.state FROM credentials c JOIN keks k ON k.label = c.kek WHERE c.id = @id;

-- name: HSMKeyEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE action = 'hsm.key' ORDER BY seq;

-- name: SealedKeys :many
SELECT id, sealed FROM credentials WHERE id > @after ORDER BY id LIMIT @lim;
