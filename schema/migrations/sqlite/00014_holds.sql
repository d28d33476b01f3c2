-- +goose Up

-- That nothing starts on any machine, and that it may again: the latest word counts.
CREATE TABLE holds (
    version INTEGER PRIMARY KEY,
    lifted  BOOLEAN NOT NULL,
    actor   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    until   INTEGER NOT NULL
);
