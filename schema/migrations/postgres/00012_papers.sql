-- +goose Up

-- What people sign with their own keys, and who has signed it.
CREATE TABLE papers (
    digest   TEXT COLLATE "C" PRIMARY KEY,
    kind     TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    document BYTEA NOT NULL,
    machines BYTEA NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX papers_by_subject ON papers (kind, subject, at);

CREATE TABLE paper_signatures (
    paper     TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    account   TEXT COLLATE "C" NOT NULL,
    signature BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (paper, key)
);

ALTER TABLE approvals ADD COLUMN key TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN paper TEXT COLLATE "C" NOT NULL DEFAULT '';
