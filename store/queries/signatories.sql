-- name: AddSignatories :execrows
INSERT INTO signatories (system, process, reference, step, role, ic, next_role, transaction_id, intent_id, batch_id, idx, document_id, hash, digest)
SELECT t.system, t.process, i.reference_key, t.step, t.role, t.ic, t.next_role, t.id, CAST(@intent_id AS TEXT), i.batch_id, i.idx, i.document_id, i.hash, i.digest
FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state = 'pending' AND i.reference_key <> ''
WHERE t.id = @transaction_id AND t.step > 0
ON CONFLICT DO NOTHING;

-- What is against a request's documents being signed in its role now: the first index of each
-- kind, or -1. who: its officer has another role; turn: the role is taken, by its place or by its name,
-- one behind it has signed, or the one before it has not or is not followed by it; what: it is not what
-- that one left; bare: it has no reference.
-- name: OutOfPlace :one
SELECT CAST(COALESCE(MIN(CASE WHEN o.step IS NOT NULL THEN i.idx END), -1) AS BIGINT) AS who,
    CAST(COALESCE(MIN(CASE WHEN s.step IS NOT NULL OR t.step > 1 AND (COALESCE(p.signed_at, 0) = 0 OR p.next_role <> t.role) THEN i.idx END), -1) AS BIGINT) AS turn,
    CAST(COALESCE(MIN(CASE WHEN p.signed_at > 0 AND (p.result <> i.digest OR p.hash <> i.hash OR p.document_id <> i.document_id
        OR p.blob = '' AND i.blob <> '' OR p.blob <> '' AND i.blob = '') THEN i.idx END), -1) AS BIGINT) AS what,
    CAST(COALESCE(MIN(CASE WHEN i.reference_key = '' THEN i.idx END), -1) AS BIGINT) AS bare
FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state IN ('pending', 'claimed')
    LEFT JOIN signatories o ON o.system = t.system AND o.process = t.process AND o.reference = i.reference_key AND o.ic = t.ic AND o.step <> t.step
    LEFT JOIN signatories s ON s.system = t.system AND s.process = t.process AND s.reference = i.reference_key AND (s.step >= t.step OR s.role = t.role)
    LEFT JOIN signatories p ON p.system = t.system AND p.process = t.process AND p.reference = i.reference_key AND p.step = t.step - 1
WHERE t.id = @id AND t.step > 0;

-- A request's step, and the first of its documents that has another place already, by kind, or -1.
-- document: it, or with a role that begins a copy of it as it was before or after a signature, is
-- one of another reference of the system; process: its reference is one of another process, for a role
-- that begins; who: so it is, and the request's officer has a role there.
-- name: OfAnother :one
WITH other AS (
    SELECT t.ic, t.step, i.idx, d.system, d.process, d.reference, 'document' AS kind
    FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state IN ('pending', 'claimed') AND i.document_id <> ''
        JOIN signatories d ON d.document_id = i.document_id AND d.document_id <> ''
    WHERE t.id = @id AND (t.step = 0 OR d.system <> t.system OR d.process <> t.process OR d.reference <> i.reference_key)
    UNION ALL
    SELECT t.ic, t.step, i.idx, b.system, b.process, b.reference, 'copy' AS kind
    FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state IN ('pending', 'claimed') JOIN signatories b ON b.digest = i.digest AND b.system = t.system
    WHERE t.id = @id AND (t.step = 0 OR b.process <> t.process OR b.reference <> i.reference_key)
    UNION ALL
    SELECT t.ic, t.step, i.idx, a.system, a.process, a.reference, 'copy' AS kind
    FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state IN ('pending', 'claimed') JOIN signatories a ON a.result = i.digest AND a.blob <> '' AND a.system = t.system
    WHERE t.id = @id AND (t.step = 0 OR a.process <> t.process OR a.reference <> i.reference_key)
    UNION ALL
    SELECT t.ic, t.step, i.idx, r.system, r.process, r.reference, 'reference' AS kind
    FROM transactions t JOIN items i ON i.batch_id = t.batch_id AND i.state IN ('pending', 'claimed') AND i.reference_key <> ''
        JOIN signatories r ON r.reference = i.reference_key AND r.system = t.system AND r.process <> t.process
    WHERE t.id = @id AND t.step > 0
)
SELECT t.step,
    CAST(COALESCE((SELECT MIN(x.idx) FROM other x WHERE x.kind = 'document' OR x.kind = 'copy' AND x.step <= 1), -1) AS BIGINT) AS document,
    CAST(COALESCE((SELECT MIN(y.idx) FROM other y WHERE y.kind = 'reference' AND y.step = 1), -1) AS BIGINT) AS process,
    CAST(COALESCE((SELECT MIN(z.idx) FROM other z JOIN signatories w ON w.reference = z.reference AND w.ic = z.ic AND w.system = z.system AND w.process = z.process
        WHERE z.step > 0), -1) AS BIGINT) AS who
FROM transactions t WHERE t.id = @id;

-- name: StoreSignatory :execrows
UPDATE signatories SET result = @result, blob = @blob, size = @size, signed_at = @signed_at
WHERE batch_id = @batch_id AND idx = @idx AND intent_id = @intent_id AND signed_at = 0;

-- name: ReleaseSignatory :exec
DELETE FROM signatories WHERE batch_id = @batch_id AND idx = @idx AND intent_id = @intent_id AND signed_at = 0;

-- name: ReleaseSignatories :exec
DELETE FROM signatories WHERE batch_id = @batch_id AND intent_id = @intent_id AND signed_at = 0;

-- Those before the ones that signed under an intent wait no more.
-- name: PassOn :exec
UPDATE signatories SET next_role = '' WHERE (system, process, reference, step) IN (
    SELECT n.system, n.process, n.reference, n.step - 1 FROM signatories n
    WHERE n.batch_id = @batch_id AND n.intent_id = @intent_id AND n.signed_at > 0);

-- name: Signatories :many
SELECT s.process, s.reference, s.step, s.role, s.ic, o.name, s.signed_at, s.transaction_id, t.app_id, t.classification, s.document_id, i.name AS document, s.hash, s.result, s.blob, s.size
FROM signatories s JOIN transactions t ON t.id = s.transaction_id JOIN officers o ON o.ic = s.ic JOIN items i ON i.batch_id = s.batch_id AND i.idx = s.idx
WHERE s.system = @system AND s.reference IN (sqlc.slice('refs')) ORDER BY s.step;

-- The classifications under which references of a batch were signed.
-- name: ClassesBefore :many
SELECT DISTINCT t.classification FROM items i JOIN signatories s ON s.system = @system AND s.process = @process AND s.reference = i.reference_key
    JOIN transactions t ON t.id = s.transaction_id
WHERE i.batch_id = @batch_id AND i.state IN ('pending', 'claimed');

-- name: WaitingReferences :many
SELECT s.process, s.reference, s.next_role, s.signed_at, s.batch_id, s.idx
FROM signatories s
WHERE s.system = @system AND s.next_role <> '' AND s.signed_at > 0
    AND (CAST(@process AS TEXT) = '' OR s.process = @process) AND (CAST(@role AS TEXT) = '' OR s.next_role = @role)
    AND (s.signed_at > @after_at OR s.signed_at = @after_at AND (s.batch_id > @after_batch OR s.batch_id = @after_batch AND s.idx > @after_idx))
    AND NOT EXISTS (SELECT 1 FROM signatories n WHERE n.system = s.system AND n.process = s.process AND n.reference = s.reference AND n.step = s.step + 1)
ORDER BY s.signed_at, s.batch_id, s.idx LIMIT @lim;

-- Who may read a document that moves between roles: its reference's system, whether it waits for
-- a role, and whether an app signed it for somebody.
-- name: DocumentOnTheMove :one
SELECT s.system, CAST(MAX(CASE WHEN s.next_role <> '' AND s.signed_at > 0 THEN 1 ELSE 0 END) AS BIGINT) AS waits,
    CAST(MAX(CASE WHEN t.app_id = @app_id THEN 1 ELSE 0 END) AS BIGINT) AS part,
    CAST(MAX(CASE WHEN t.classification <> '' AND t.classification <> 'terbuka' THEN 1 ELSE 0 END) AS BIGINT) AS classified
FROM signatories s JOIN transactions t ON t.id = s.transaction_id
WHERE s.document_id = @document_id AND s.document_id <> '' AND s.signed_at > 0
GROUP BY s.system;

-- name: DropSignatoriesOfBatch :exec
DELETE FROM signatories WHERE batch_id = @batch_id;
