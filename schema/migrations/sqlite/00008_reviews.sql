-- +goose Up

-- What people decide about urgency. Rows are appended and never changed; how a
-- decision ended before its date is a row of decision_ends.
CREATE TABLE reviews (
    id       TEXT PRIMARY KEY,
    account  TEXT NOT NULL,
    role     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    advisory TEXT NOT NULL,
    cve      TEXT NOT NULL,
    package  TEXT NOT NULL,
    selector TEXT NOT NULL,
    answer   TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX reviews_until ON reviews (until);

CREATE TABLE exceptions (
    id        TEXT PRIMARY KEY,
    account   TEXT NOT NULL,
    role      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    advisory  TEXT NOT NULL,
    cve       TEXT NOT NULL,
    package   TEXT NOT NULL,
    selector  TEXT NOT NULL,
    owner     TEXT NOT NULL,
    measure   TEXT NOT NULL,
    review_by INTEGER NOT NULL,
    renews    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX exceptions_until ON exceptions (until);

CREATE TABLE decision_ends (
    decision   TEXT PRIMARY KEY,
    at         INTEGER NOT NULL,
    account    TEXT NOT NULL,
    role       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    renewed_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE workarounds (
    id       TEXT PRIMARY KEY,
    advisory TEXT NOT NULL,
    cve      TEXT NOT NULL,
    package  TEXT NOT NULL,
    selector TEXT NOT NULL,
    what     TEXT NOT NULL,
    owner    TEXT NOT NULL
) WITHOUT ROWID;

-- The life of a work-around. The step after which it is on no machine ends it.
CREATE TABLE workaround_steps (
    workaround TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    state      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    account    TEXT NOT NULL,
    role       TEXT NOT NULL,
    assets     TEXT NOT NULL,
    note       TEXT NOT NULL,
    ends       BOOLEAN NOT NULL,
    PRIMARY KEY (workaround, seq)
) WITHOUT ROWID;

-- When this house first had an advisory on a machine, and was first offered its
-- fix: what clocks count from where feeds tell no day.
CREATE TABLE first_seen (
    advisory TEXT NOT NULL,
    what     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (advisory, what)
) WITHOUT ROWID;

-- Advisories that people entered: every version, with the document that it stood in.
CREATE TABLE hand_advisories (
    id        TEXT NOT NULL,
    version   INTEGER NOT NULL,
    source    TEXT NOT NULL,
    document  TEXT NOT NULL,
    at        INTEGER NOT NULL,
    account   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    PRIMARY KEY (id, version)
) WITHOUT ROWID;
