-- +goose Up

-- Version of the agent that sent the last inventory; '': it did not say.
ALTER TABLE assets ADD COLUMN agent TEXT NOT NULL DEFAULT '';

-- How often a machine was tried again.
ALTER TABLE deployments ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- What failures had in common: of a ring when it was judged, of the cycle (ring '')
-- at its end.
CREATE TABLE diagnoses (
    cycle    TEXT NOT NULL,
    ring     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (cycle, ring)
) WITHOUT ROWID;
