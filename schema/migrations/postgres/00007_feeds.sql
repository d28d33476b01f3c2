-- +goose Up

-- Each attempt to bring a feed of advisories up to date, and the edition that counted
-- after it.
CREATE TABLE feed_syncs (
    feed     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    made_by  TEXT NOT NULL,
    origin   TEXT NOT NULL,
    result   TEXT NOT NULL,
    why      TEXT NOT NULL,
    accepted TEXT NOT NULL,
    bytes    BIGINT NOT NULL,
    edition  TEXT NOT NULL,
    PRIMARY KEY (feed, at)
);
