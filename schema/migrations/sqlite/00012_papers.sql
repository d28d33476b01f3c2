-- +goose Up

-- What people sign with their own keys, and who has signed it.
CREATE TABLE papers (
    digest   TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    document BLOB NOT NULL,
    machines BLOB NOT NULL,
    at       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX papers_by_subject ON papers (kind, subject, at);

CREATE TABLE paper_signatures (
    paper     TEXT NOT NULL,
    key       TEXT NOT NULL,
    account   TEXT NOT NULL,
    signature BLOB NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (paper, key)
) WITHOUT ROWID;

ALTER TABLE approvals ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN paper TEXT NOT NULL DEFAULT '';
