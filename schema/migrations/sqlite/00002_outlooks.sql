-- +goose Up

-- What people are told beside a plan, which names it by its hash.
CREATE TABLE outlooks (
    cycle    TEXT NOT NULL,
    plan     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (cycle, plan)
) WITHOUT ROWID;
