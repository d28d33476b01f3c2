-- +goose Up

-- Which advisories a cycle's machines still had when its report was made.
CREATE TABLE standings (
    cycle    TEXT COLLATE "C" PRIMARY KEY,
    document TEXT COLLATE "C" NOT NULL
);
