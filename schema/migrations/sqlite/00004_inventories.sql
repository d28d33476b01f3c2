-- +goose Up

-- Each inventory that showed other packages than the one before it: what no order
-- explains was changed outside of patchcycle.
CREATE TABLE inventories (
    asset  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    since  INTEGER NOT NULL,
    before TEXT NOT NULL,
    after  TEXT NOT NULL,
    PRIMARY KEY (asset, at)
) WITHOUT ROWID;
