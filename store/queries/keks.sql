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
SELECT kek, COUNT(*) AS n FROM (SELECT c.kek FROM credentials c WHERE c.status IN ('ACTIVE', 'SUSPENDED')
    UNION ALL SELECT a.kek FROM applications a WHERE length(a.sealed) > 0) AS live GROUP BY kek;

-- name: LiveUnderKEK :one
SELECT (SELECT COUNT(*) FROM credentials c WHERE c.kek = @kek AND c.status IN ('ACTIVE', 'SUSPENDED'))
    + (SELECT COUNT(*) FROM applications a WHERE a.kek = @kek AND length(a.sealed) > 0) AS live;

-- name: KEKOfCredential :one
SELECT k.state FROM credentials c JOIN keks k ON k.label = c.kek WHERE c.id = @id;

-- name: HSMKeyEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE action = 'hsm.key' ORDER BY seq;

-- name: TokenEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail, prev, hash
FROM audit_events WHERE action = @action ORDER BY seq;

-- name: SealedKeys :many
SELECT id, sealed FROM (SELECT c.id, c.sealed FROM credentials c
    UNION ALL SELECT a.credential_id, a.sealed FROM applications a WHERE length(a.sealed) > 0) AS keys WHERE id > @after ORDER BY id LIMIT @lim;

-- name: KEKOfApplication :one
SELECT k.state FROM applications a JOIN keks k ON k.label = a.kek WHERE a.credential_id = @id;
