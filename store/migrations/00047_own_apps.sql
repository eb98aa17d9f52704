-- +goose Up
-- What a person asks for at the gateway's own portal, with a session, belongs to an app of that
-- person alone, made at the first need; person is the account. NULL: an app that is a program.
-- Nobody can log in as one with a person: it has no credentials, and what it may is not read here.
-- No reference: the app outlives an account that is disposed of, for records name it.
ALTER TABLE apps ADD COLUMN person TEXT;
CREATE UNIQUE INDEX apps_person ON apps (person) WHERE person IS NOT NULL;
