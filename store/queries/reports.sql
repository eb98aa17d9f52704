-- name: ReportUsers :many
SELECT h.agency, h.system, h.medium, CAST(CASE WHEN h.status = 'ACTIVE' AND h.serial <> '' AND h.not_after <= @now THEN 'EXPIRED' ELSE h.status END AS TEXT) AS status, COUNT(*) AS users
FROM holders h
WHERE (CAST(@system AS TEXT) = '' OR h.system = @system) AND (CAST(@agency AS TEXT) = '' OR h.agency = @agency)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: ReportOfficers :many
SELECT h.ic, h.name, h.agency, h.office, h.system, h.medium, CAST(CASE WHEN h.status = 'ACTIVE' AND h.serial <> '' AND h.not_after <= @now THEN 'EXPIRED' ELSE h.status END AS TEXT) AS status,
    h.serial, h.not_after
FROM holders h
WHERE (h.ic > @after_ic OR h.ic = @after_ic AND h.system > @after_system)
    AND (CAST(@system AS TEXT) = '' OR h.system = @system) AND (CAST(@agency AS TEXT) = '' OR h.agency = @agency)
ORDER BY h.ic, h.system LIMIT @lim;

-- What ends is read in the order of its end and from the certificates, of which most end at other
-- times; so not from the view holders, which begins with all who hold something.
-- name: ReportExpiring :many
SELECT c.ic, o.name, CAST(COALESCE(e.agency, '') AS TEXT) AS agency, CAST(COALESCE(e.office, '') AS TEXT) AS office, c.system, c.status, x.serial, x.not_after
FROM certificates x
JOIN credentials c ON c.serial = x.serial
JOIN media m ON m.ic = c.ic AND m.system = c.system AND m.medium = 'ROAMING_OTP'
JOIN officers o ON o.ic = c.ic
LEFT JOIN enrolled e ON e.ic = c.ic AND e.system = c.system
WHERE x.not_after > @now AND x.not_after <= @until AND c.status IN ('ACTIVE', 'SUSPENDED')
    AND NOT EXISTS (SELECT 1 FROM credentials n WHERE n.ic = c.ic AND n.system = c.system AND (n.created_at > c.created_at OR n.created_at = c.created_at AND n.id > c.id))
    AND (x.not_after > @after_end OR x.not_after = @after_end AND x.serial > @after_serial)
    AND (CAST(@system AS TEXT) = '' OR c.system = @system) AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency)
ORDER BY x.not_after, x.serial LIMIT @lim;

-- name: ReportPending :many
SELECT e.agency, e.system, e.state, COUNT(*) AS pending, COUNT(CASE WHEN e.since > @day THEN 1 END) AS day,
    COUNT(CASE WHEN e.since <= @day AND e.since > @week THEN 1 END) AS week, COUNT(CASE WHEN e.since <= @week AND e.since > @month THEN 1 END) AS month,
    COUNT(CASE WHEN e.since <= @month THEN 1 END) AS older, CAST(MIN(e.since) AS BIGINT) AS oldest
FROM enrolments e
WHERE e.state IN ('LISTED', 'CONFIRMING', 'CONFIRMED', 'APPLIED', 'VALIDATED', 'APPROVED', 'RETURNED')
    AND (CAST(@system AS TEXT) = '' OR e.system = @system) AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency)
GROUP BY e.agency, e.system, e.state ORDER BY e.agency, e.system, e.state;

-- name: ReportSignatures :many
SELECT CAST(COALESCE(e.agency, '') AS TEXT) AS agency, t.system, COUNT(DISTINCT t.ic) AS officers, COUNT(DISTINCT i.id) AS authorisations,
    COUNT(CASE WHEN d.state = 'signed' THEN 1 END) AS signatures, COUNT(CASE WHEN d.state = 'refused' THEN 1 END) AS refused
FROM intents i
JOIN transactions t ON t.id = i.transaction_id
JOIN items d ON d.batch_id = i.batch_id AND d.intent_id = i.id
LEFT JOIN enrolled e ON e.ic = t.ic AND e.system = t.system
WHERE i.created_at >= @start AND i.created_at < @stop
    AND (CAST(@system AS TEXT) = '' OR t.system = @system) AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency)
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: ReportWithoutAP :many
SELECT g.code, g.name, COUNT(e.id) AS officers, (SELECT COUNT(*) FROM enrolments w WHERE w.agency = g.code AND w.state = 'APPLIED') AS waiting,
    CAST(COALESCE((SELECT MAX(p.until_at) FROM appointments p WHERE p.agency = g.code AND p.role = 'AP' AND p.until_at > 0), 0) AS BIGINT) AS ended
FROM agencies g
LEFT JOIN enrolled e ON e.agency = g.code
WHERE NOT EXISTS (SELECT 1 FROM appointments p JOIN accounts a ON a.id = p.account_id
        WHERE p.agency = g.code AND p.role = 'AP' AND p.awaits = 0 AND a.state = 'ACTIVE' AND p.from_at <= @now AND (p.until_at = 0 OR p.until_at > @now))
    AND (CAST(@agency AS TEXT) = '' OR g.code = @agency)
    AND (CAST(@system AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolments s WHERE s.agency = g.code AND s.system = @system))
GROUP BY g.code, g.name ORDER BY g.code;

-- name: ReportDaily :many
SELECT CAST((i.created_at + @zone) / 86400000000 AS BIGINT) AS day, t.system, COUNT(DISTINCT t.ic) AS officers, COUNT(DISTINCT i.id) AS authorisations,
    COUNT(CASE WHEN d.state = 'signed' THEN 1 END) AS signatures, COUNT(CASE WHEN d.state = 'refused' THEN 1 END) AS refused
FROM intents i
JOIN transactions t ON t.id = i.transaction_id
JOIN items d ON d.batch_id = i.batch_id AND d.intent_id = i.id
WHERE i.created_at >= @start AND i.created_at < @stop
    AND (CAST(@system AS TEXT) = '' OR t.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolled e WHERE e.ic = t.ic AND e.system = t.system AND e.agency = @agency))
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: ReportCalendar :many
SELECT CAST((x.not_after + @zone) / 86400000000 AS BIGINT) AS day, c.system, COUNT(*) AS certificates
FROM certificates x
JOIN credentials c ON c.serial = x.serial
JOIN media m ON m.ic = c.ic AND m.system = c.system AND m.medium = 'ROAMING_OTP'
WHERE x.not_after > @now AND x.not_after < @until AND c.status IN ('ACTIVE', 'SUSPENDED')
    AND NOT EXISTS (SELECT 1 FROM credentials n WHERE n.ic = c.ic AND n.system = c.system AND (n.created_at > c.created_at OR n.created_at = c.created_at AND n.id > c.id))
    AND (CAST(@system AS TEXT) = '' OR c.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolled e WHERE e.ic = c.ic AND e.system = c.system AND e.agency = @agency))
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: ReportChannels :many
SELECT CAST((s.sent_at + @zone) / 86400000000 AS BIGINT) AS day, t.system, s.channel, COUNT(*) AS codes,
    COUNT(CASE WHEN s.delivery = 'sent' THEN 1 END) AS delivered, COUNT(CASE WHEN s.delivery IN ('refused', 'bounced') THEN 1 END) AS failed,
    COUNT(CASE WHEN s.delivery NOT IN ('sent', 'refused', 'bounced') THEN 1 END) AS unknown, COUNT(CASE WHEN s.redeemed = 1 THEN 1 END) AS used
FROM code_sends s
JOIN transactions t ON t.id = s.transaction_id
WHERE s.sent_at >= @start AND s.sent_at < @stop
    AND (CAST(@system AS TEXT) = '' OR t.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolled e WHERE e.ic = t.ic AND e.system = t.system AND e.agency = @agency))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: ReportRefusals :many
SELECT CAST((r.at + @zone) / 86400000000 AS BIGINT) AS day, r.system, r.code AS reason, COUNT(*) AS refusals
FROM refusals r
WHERE r.at >= @start AND r.at < @stop
    AND (CAST(@system AS TEXT) = '' OR r.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolled e WHERE e.ic = r.ic AND e.system = r.system AND e.agency = @agency))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: ReportRefusedDocuments :many
SELECT CAST((i.created_at + @zone) / 86400000000 AS BIGINT) AS day, t.system, d.code AS reason, COUNT(*) AS refusals
FROM intents i
JOIN transactions t ON t.id = i.transaction_id
JOIN items d ON d.batch_id = i.batch_id AND d.intent_id = i.id AND d.state = 'refused'
WHERE i.created_at >= @start AND i.created_at < @stop
    AND (CAST(@system AS TEXT) = '' OR t.system = @system)
    AND (CAST(@agency AS TEXT) = '' OR EXISTS (SELECT 1 FROM enrolled e WHERE e.ic = t.ic AND e.system = t.system AND e.agency = @agency))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Rows of lists for batches: of a system once somebody is asked to sign them.
-- name: ReportRefusedRows :many
SELECT CAST((b.created_at + @zone) / 86400000000 AS BIGINT) AS day, CAST(COALESCE(t.system, '') AS TEXT) AS system, r.code AS reason, COUNT(*) AS refusals
FROM batches b
JOIN refused_rows r ON r.batch_id = b.id
LEFT JOIN transactions t ON t.id = (SELECT n.id FROM transactions n WHERE n.batch_id = b.id ORDER BY n.created_at DESC, n.id DESC LIMIT 1)
LEFT JOIN enrolled e ON e.ic = t.ic AND e.system = t.system
WHERE b.created_at >= @start AND b.created_at < @stop
    AND (CAST(@system AS TEXT) = '' OR t.system = @system) AND (CAST(@agency AS TEXT) = '' OR e.agency = @agency)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
