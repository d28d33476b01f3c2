-- +goose Up

-- Each inventory that showed other packages than the one before it: what no order
-- explains was changed outside of patchcycle.
CREATE TABLE inventories (
    asset  TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    since  BIGINT NOT NULL,
    before TEXT COLLATE "C" NOT NULL,
    after  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (asset, at)
);
