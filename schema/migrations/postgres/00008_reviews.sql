-- +goose Up

-- What people decide about urgency. Rows are appended and never changed; how a
-- decision ended before its date is a row of decision_ends.
CREATE TABLE reviews (
    id       TEXT COLLATE "C" PRIMARY KEY,
    account  TEXT COLLATE "C" NOT NULL,
    role     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL,
    advisory TEXT COLLATE "C" NOT NULL,
    cve      TEXT COLLATE "C" NOT NULL,
    package  TEXT COLLATE "C" NOT NULL,
    selector TEXT COLLATE "C" NOT NULL,
    answer   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX reviews_until ON reviews (until);

CREATE TABLE exceptions (
    id        TEXT COLLATE "C" PRIMARY KEY,
    account   TEXT COLLATE "C" NOT NULL,
    role      TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    until     BIGINT NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    advisory  TEXT COLLATE "C" NOT NULL,
    cve       TEXT COLLATE "C" NOT NULL,
    package   TEXT COLLATE "C" NOT NULL,
    selector  TEXT COLLATE "C" NOT NULL,
    owner     TEXT COLLATE "C" NOT NULL,
    measure   TEXT COLLATE "C" NOT NULL,
    review_by BIGINT NOT NULL,
    renews    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX exceptions_until ON exceptions (until);

CREATE TABLE decision_ends (
    decision   TEXT COLLATE "C" PRIMARY KEY,
    at         BIGINT NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    renewed_by TEXT COLLATE "C" NOT NULL
);

CREATE TABLE workarounds (
    id       TEXT COLLATE "C" PRIMARY KEY,
    advisory TEXT COLLATE "C" NOT NULL,
    cve      TEXT COLLATE "C" NOT NULL,
    package  TEXT COLLATE "C" NOT NULL,
    selector TEXT COLLATE "C" NOT NULL,
    what     TEXT COLLATE "C" NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL
);

-- The life of a work-around. The step after which it is on no machine ends it.
CREATE TABLE workaround_steps (
    workaround TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    assets     TEXT COLLATE "C" NOT NULL,
    note       TEXT COLLATE "C" NOT NULL,
    ends       BOOLEAN NOT NULL,
    PRIMARY KEY (workaround, seq)
);

-- When this house first had an advisory on a machine, and was first offered its
-- fix: what clocks count from where feeds tell no day.
CREATE TABLE first_seen (
    advisory TEXT COLLATE "C" NOT NULL,
    what     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (advisory, what)
);

-- Advisories that people entered: every version, with the document that it stood in.
CREATE TABLE hand_advisories (
    id        TEXT COLLATE "C" NOT NULL,
    version   BIGINT NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,
    document  TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    account   TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (id, version)
);
