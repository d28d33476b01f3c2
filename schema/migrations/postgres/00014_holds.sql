-- +goose Up

-- That nothing starts on any machine, and that it may again: the latest word counts.
CREATE TABLE holds (
    version BIGINT PRIMARY KEY,
    lifted  BOOLEAN NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    until   BIGINT NOT NULL
);
