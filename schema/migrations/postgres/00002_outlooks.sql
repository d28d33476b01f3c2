-- +goose Up

-- What people are told beside a plan, which names it by its hash.
CREATE TABLE outlooks (
    cycle    TEXT COLLATE "C" NOT NULL,
    plan     TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (cycle, plan)
);
