-- +goose Up

-- Each time that a list from elsewhere changed what is known of an asset, or made it
-- known: which list, and who took it in.
CREATE TABLE imports (
    asset  TEXT NOT NULL,
    source TEXT NOT NULL,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    PRIMARY KEY (asset, source, at)
) WITHOUT ROWID;
