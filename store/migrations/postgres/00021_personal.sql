-- +goose Up
-- An officer's transactions are found, as everything else of one is. The columns that say something
-- of people hold ciphertext from now on: the program encrypts what is there (docs/personal.md).
CREATE INDEX transactions_officer ON transactions (ic);
