-- name: NewestEventAt :one
SELECT at FROM audit_events ORDER BY seq DESC LIMIT 1;

-- name: NewestNotBefore :one
SELECT not_before FROM certificates WHERE status <> 'RESERVED' ORDER BY not_before DESC LIMIT 1;

-- name: OfficersExpiring :one
SELECT COUNT(*) FROM certificates
WHERE status = 'ACTIVE' AND credential_id NOT LIKE 'authority:%' AND not_after >= @now AND not_after < @before;

-- name: NewestEvent :one
SELECT seq, at, actor, action, object, verdict, request_id, detail FROM audit_events
WHERE object = @object AND action = @action ORDER BY seq DESC LIMIT 1;

-- name: PagesFromApps :many
SELECT t.app_id, COUNT(*) AS n FROM signing_pages p JOIN transactions t ON t.id = p.transaction_id
WHERE p.from_app = 1 AND p.opened_at >= @since GROUP BY t.app_id;
