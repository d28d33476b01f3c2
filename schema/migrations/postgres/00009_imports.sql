-- +goose Up

-- Each time that a list from elsewhere changed what is known of an asset, or made it
-- known: which list, and who took it in.
CREATE TABLE imports (
    asset  TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    actor  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (asset, source, at)
);
