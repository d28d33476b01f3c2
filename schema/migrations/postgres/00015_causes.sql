-- +goose Up

-- Version of the agent that sent the last inventory; '': it did not say.
ALTER TABLE assets ADD COLUMN agent TEXT COLLATE "C" NOT NULL DEFAULT '';

-- How often a machine was tried again.
ALTER TABLE deployments ADD COLUMN again BIGINT NOT NULL DEFAULT 0;

-- What failures had in common: of a ring when it was judged, of the cycle (ring '')
-- at its end.
CREATE TABLE diagnoses (
    cycle    TEXT COLLATE "C" NOT NULL,
    ring     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (cycle, ring)
);
