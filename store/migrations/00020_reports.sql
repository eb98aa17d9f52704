-- +goose Up
-- What reports read. enrolled is the newest enrolment of an officer for a system; holders
-- is each medium with its agency and, where there is one, its newest certificate.
CREATE VIEW enrolled AS
SELECT e.id, e.ic, e.system, e.agency, e.office, e.phase, e.state, e.since
FROM enrolments e
WHERE NOT EXISTS (SELECT 1 FROM enrolments n WHERE n.ic = e.ic AND n.system = e.system
    AND (n.listed_at > e.listed_at OR n.listed_at = e.listed_at AND n.id > e.id));

CREATE VIEW holders AS
SELECT m.ic, o.name, m.system, COALESCE(e.agency, '') AS agency, COALESCE(e.office, '') AS office, m.medium,
    COALESCE(c.status, CASE m.medium WHEN 'ROAMING_OTP' THEN CASE m.status WHEN 'NEW' THEN 'NEW' ELSE 'NO_CERTIFICATE' END ELSE m.status END) AS status,
    COALESCE(x.serial, '') AS serial, COALESCE(x.not_after, 0) AS not_after
FROM media m
JOIN officers o ON o.ic = m.ic
LEFT JOIN enrolled e ON e.ic = m.ic AND e.system = m.system
LEFT JOIN credentials c ON m.medium = 'ROAMING_OTP' AND c.ic = m.ic AND c.system = m.system
    AND NOT EXISTS (SELECT 1 FROM credentials n WHERE n.ic = c.ic AND n.system = c.system
        AND (n.created_at > c.created_at OR n.created_at = c.created_at AND n.id > c.id))
LEFT JOIN certificates x ON x.serial = c.serial;

CREATE INDEX certificates_ends ON certificates (not_after);
CREATE INDEX intents_created ON intents (created_at);
CREATE INDEX appointments_agency ON appointments (agency, role);
