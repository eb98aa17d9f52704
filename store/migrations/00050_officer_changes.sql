-- +goose Up
-- Whose entry in the directory of officers changed: each gateway keeps that directory in memory, as
-- names are sealed here under random nonces, and asks for what came since. seq only rises, in the
-- order in which transactions commit, for there is one writer at a time. A row of nobody ('') says
-- that somebody was taken out of the register.
CREATE TABLE officer_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    ic  TEXT NOT NULL UNIQUE
);
INSERT INTO officer_changes (ic) SELECT ic FROM officers;

-- +goose StatementBegin
CREATE TRIGGER officer_changes_added AFTER INSERT ON officers BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_named AFTER UPDATE OF name, email ON officers BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_gone AFTER DELETE ON officers BEGIN
    DELETE FROM officer_changes WHERE ic IN (OLD.ic, '');
    INSERT INTO officer_changes (ic) VALUES ('');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_listed AFTER INSERT ON enrolments BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_stepped AFTER UPDATE OF state ON enrolments BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_medium AFTER INSERT ON media BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_held AFTER UPDATE ON media BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_dropped AFTER DELETE ON media BEGIN
    DELETE FROM officer_changes WHERE ic = OLD.ic;
    INSERT INTO officer_changes (ic) VALUES (OLD.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_certified AFTER INSERT ON credentials BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER officer_changes_status AFTER UPDATE OF status ON credentials BEGIN
    DELETE FROM officer_changes WHERE ic = NEW.ic;
    INSERT INTO officer_changes (ic) VALUES (NEW.ic);
END;
-- +goose StatementEnd

-- A revocation that was asked for and waits for a second person: system and serial say of
-- which certificate, crl_reason is its CRLReason (RFC 5280, Section 5.3.1). One waits for each system.
ALTER TABLE officer_requests ADD COLUMN system TEXT NOT NULL DEFAULT '';
ALTER TABLE officer_requests ADD COLUMN serial TEXT NOT NULL DEFAULT '';
ALTER TABLE officer_requests ADD COLUMN crl_reason TEXT NOT NULL DEFAULT '';
DROP INDEX officer_requests_open;
CREATE UNIQUE INDEX officer_requests_open ON officer_requests (ic, kind, system) WHERE state = 'PENDING';
CREATE INDEX officer_requests_waiting ON officer_requests (asked_at, id) WHERE state = 'PENDING';
