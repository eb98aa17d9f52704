-- +goose Up
-- What waits in one state, of all, of an agency and of a system, longest first: read page by page and
-- counted from the index alone. kind is in them because a forgotten PIN waits for another step.
DROP INDEX enrolments_state;
CREATE INDEX enrolments_state ON enrolments (state, since, id, kind);
CREATE INDEX enrolments_agency ON enrolments (agency, state, since, id, kind);
CREATE INDEX enrolments_system ON enrolments (system, state, since, id, kind);
