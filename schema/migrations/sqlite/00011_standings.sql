-- +goose Up

-- Which advisories a cycle's machines still had when its report was made.
CREATE TABLE standings (
    cycle    TEXT PRIMARY KEY,
    document TEXT NOT NULL
) WITHOUT ROWID;
