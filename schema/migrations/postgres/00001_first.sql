-- Times are microseconds since 1970 in UTC, 0 for none. Lists and documents are
-- JSON text, '' when empty. There are no foreign keys: facts stay when what
-- they speak of is gone. Text is compared byte by byte (COLLATE "C"), so that
-- the order of ids is the same on every engine and server.

-- +goose Up

-- Content-addressed text: package sets, candidate sets, bundles, policies, plans.
CREATE TABLE content (
    digest TEXT COLLATE "C" PRIMARY KEY,
    kind   TEXT COLLATE "C" NOT NULL,
    body   BYTEA NOT NULL
);

CREATE TABLE settings (
    key   TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE counters (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('epoch', 1), ('seq', 0);

-- People. Appended only; the newest version counts.
CREATE TABLE accounts (
    name     TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL,
    roles    TEXT COLLATE "C" NOT NULL,
    scopes   TEXT COLLATE "C" NOT NULL,
    ssh_keys TEXT COLLATE "C" NOT NULL,
    token    TEXT COLLATE "C" NOT NULL,
    created  BIGINT NOT NULL,
    revoked  BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX accounts_token ON accounts (token);

CREATE TABLE enrol_tokens (
    hash        TEXT COLLATE "C" PRIMARY KEY,
    site        TEXT COLLATE "C" NOT NULL,
    uses        BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    made_by     TEXT COLLATE "C" NOT NULL,
    auto_accept BOOLEAN NOT NULL
);

CREATE TABLE devices (
    id       TEXT COLLATE "C" PRIMARY KEY,
    asset    TEXT COLLATE "C" NOT NULL,
    key      BYTEA NOT NULL UNIQUE,
    state    TEXT COLLATE "C" NOT NULL,
    site     TEXT COLLATE "C" NOT NULL,
    counter  BIGINT NOT NULL,
    boot     TEXT COLLATE "C" NOT NULL,
    enrolled BIGINT NOT NULL,
    token    TEXT COLLATE "C" NOT NULL,
    relay    TEXT COLLATE "C" NOT NULL,
    seen     BIGINT NOT NULL
);
CREATE INDEX devices_state ON devices (state);

-- Every message that was taken, by its counter: tells a repeat from a fork.
CREATE TABLE messages (
    device  TEXT COLLATE "C" NOT NULL,
    counter BIGINT NOT NULL,
    digest  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (device, counter)
);

CREATE TABLE assets (
    id                 TEXT COLLATE "C" PRIMARY KEY,
    device             TEXT COLLATE "C" NOT NULL,
    hostname           TEXT COLLATE "C" NOT NULL,
    site               TEXT COLLATE "C" NOT NULL,
    addresses          TEXT COLLATE "C" NOT NULL,
    macs               TEXT COLLATE "C" NOT NULL,
    serial             TEXT COLLATE "C" NOT NULL,
    cloud              TEXT COLLATE "C" NOT NULL,
    vendor             TEXT COLLATE "C" NOT NULL,
    model              TEXT COLLATE "C" NOT NULL,
    os_family          TEXT COLLATE "C" NOT NULL,
    os_name            TEXT COLLATE "C" NOT NULL,
    os_release         TEXT COLLATE "C" NOT NULL,
    os_revision        TEXT COLLATE "C" NOT NULL,
    os_kernel          TEXT COLLATE "C" NOT NULL,
    os_arch            TEXT COLLATE "C" NOT NULL,
    zone               TEXT COLLATE "C" NOT NULL,
    business_unit      TEXT COLLATE "C" NOT NULL,
    owner              TEXT COLLATE "C" NOT NULL,
    tags               TEXT COLLATE "C" NOT NULL,
    exposure           TEXT COLLATE "C" NOT NULL,
    criticality        TEXT COLLATE "C" NOT NULL,
    data_class         TEXT COLLATE "C" NOT NULL,
    services           TEXT COLLATE "C" NOT NULL,
    manager            TEXT COLLATE "C" NOT NULL,
    packages           TEXT COLLATE "C" NOT NULL,
    candidates         TEXT COLLATE "C" NOT NULL,
    allowed            TEXT COLLATE "C" NOT NULL,
    other_managers     TEXT COLLATE "C" NOT NULL,
    reboot_pending     BOOLEAN NOT NULL,
    carries_patchcycle BOOLEAN NOT NULL,
    inventoried        BIGINT NOT NULL
);
CREATE INDEX assets_site ON assets (site, id);
CREATE INDEX assets_device ON assets (device);

CREATE TABLE policy_versions (
    name    TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    digest  TEXT COLLATE "C" NOT NULL,
    applied BIGINT NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE cycles (
    id             TEXT COLLATE "C" PRIMARY KEY,
    kind           TEXT COLLATE "C" NOT NULL,
    policy         TEXT COLLATE "C" NOT NULL,
    policy_version TEXT COLLATE "C" NOT NULL,
    shadow         BOOLEAN NOT NULL,
    author         TEXT COLLATE "C" NOT NULL,
    reason         TEXT COLLATE "C" NOT NULL,
    opened         BIGINT NOT NULL,
    closed         BIGINT NOT NULL,
    phase          TEXT COLLATE "C" NOT NULL,
    words          TEXT COLLATE "C" NOT NULL,
    plan           TEXT COLLATE "C" NOT NULL,
    closed_as      TEXT COLLATE "C" NOT NULL,
    epoch          BIGINT NOT NULL,
    mode           TEXT COLLATE "C" NOT NULL,
    report         TEXT COLLATE "C" NOT NULL,
    state          BYTEA NOT NULL
);
CREATE INDEX cycles_policy ON cycles (policy, opened);

CREATE TABLE plans (
    cycle          TEXT COLLATE "C" NOT NULL,
    hash           TEXT COLLATE "C" NOT NULL,
    revision       BIGINT NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL,
    shadow         BOOLEAN NOT NULL,
    policy         TEXT COLLATE "C" NOT NULL,
    policy_version TEXT COLLATE "C" NOT NULL,
    author         TEXT COLLATE "C" NOT NULL,
    made           BIGINT NOT NULL,
    close_by       BIGINT NOT NULL,
    rings          TEXT COLLATE "C" NOT NULL,
    excluded       TEXT COLLATE "C" NOT NULL,
    recorded       BIGINT NOT NULL,
    PRIMARY KEY (cycle, hash)
);

-- The central table: one asset in one cycle, from the plan's item to the outcome.
CREATE TABLE deployments (
    cycle       TEXT COLLATE "C" NOT NULL,
    asset       TEXT COLLATE "C" NOT NULL,
    device      TEXT COLLATE "C" NOT NULL,
    site        TEXT COLLATE "C" NOT NULL,
    ring        TEXT COLLATE "C" NOT NULL,
    wave        TEXT COLLATE "C" NOT NULL,
    position    BIGINT NOT NULL,
    window_rule TEXT COLLATE "C" NOT NULL,
    starts      BIGINT NOT NULL,
    ends        BIGINT NOT NULL,
    bundle      TEXT COLLATE "C" NOT NULL,
    rollback    TEXT COLLATE "C" NOT NULL,
    stratum     TEXT COLLATE "C" NOT NULL,
    exclude     TEXT COLLATE "C" NOT NULL,
    why         TEXT COLLATE "C" NOT NULL,
    would       TEXT COLLATE "C" NOT NULL,
    fence       BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    batch       BIGINT NOT NULL,
    order_id    TEXT COLLATE "C" NOT NULL,
    released    BIGINT NOT NULL,
    answered    BIGINT NOT NULL,
    ended       BIGINT NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    detail      TEXT COLLATE "C" NOT NULL,
    signature   TEXT COLLATE "C" NOT NULL,
    repairs     BIGINT NOT NULL,
    freed       BIGINT NOT NULL,
    verified    BIGINT NOT NULL,
    PRIMARY KEY (cycle, asset)
);
CREATE INDEX deployments_wave ON deployments (wave, batch, state, position, asset);
CREATE INDEX deployments_ring ON deployments (cycle, ring, outcome);
CREATE INDEX deployments_device ON deployments (device);
CREATE INDEX deployments_asset ON deployments (asset);

-- What a machine answered after the server had ended its deployment.
CREATE TABLE corrections (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle       TEXT COLLATE "C" NOT NULL,
    asset       TEXT COLLATE "C" NOT NULL,
    order_id    TEXT COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    was_outcome TEXT COLLATE "C" NOT NULL,
    was_reason  TEXT COLLATE "C" NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    applied     BOOLEAN NOT NULL
);
CREATE INDEX corrections_cycle ON corrections (cycle, asset);

-- One row an asset for ever, so that its fence only grows.
CREATE TABLE asset_locks (
    asset TEXT COLLATE "C" PRIMARY KEY,
    cycle TEXT COLLATE "C" NOT NULL,
    fence BIGINT NOT NULL,
    taken BIGINT NOT NULL
);
CREATE INDEX asset_locks_cycle ON asset_locks (cycle) WHERE cycle <> '';

CREATE TABLE orders (
    id          TEXT COLLATE "C" PRIMARY KEY,
    device      TEXT COLLATE "C" NOT NULL,
    asset       TEXT COLLATE "C" NOT NULL,
    cycle       TEXT COLLATE "C" NOT NULL,
    ring        TEXT COLLATE "C" NOT NULL,
    wave        TEXT COLLATE "C" NOT NULL,
    verb        TEXT COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL UNIQUE,
    envelope    BYTEA NOT NULL,
    issued      BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    stage       TEXT COLLATE "C" NOT NULL,
    final       BOOLEAN NOT NULL,
    lease       BYTEA NOT NULL,
    lease_until BIGINT NOT NULL,
    withdrawn   BOOLEAN NOT NULL
);
CREATE INDEX orders_pending ON orders (device) WHERE NOT final AND NOT withdrawn;
CREATE INDEX orders_slice ON orders (cycle, verb, ring, wave);

-- What machines said, as they said it.
CREATE TABLE receipts (
    device    TEXT COLLATE "C" NOT NULL,
    counter   BIGINT NOT NULL,
    order_id  TEXT COLLATE "C" NOT NULL,
    stage     TEXT COLLATE "C" NOT NULL,
    boot      TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    received  BIGINT NOT NULL,
    outcome   TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    detail    TEXT COLLATE "C" NOT NULL,
    signature TEXT COLLATE "C" NOT NULL,
    repairs   BIGINT NOT NULL,
    freed     BIGINT NOT NULL,
    changes   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (device, counter, order_id, stage)
);

-- When which part of the path was listening.
CREATE TABLE presence (
    part  TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (part, since)
);

CREATE TABLE requests (
    id      TEXT COLLATE "C" PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    verb    TEXT COLLATE "C" NOT NULL,
    cycle   TEXT COLLATE "C" NOT NULL,
    plan    TEXT COLLATE "C" NOT NULL,
    body    TEXT COLLATE "C" NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX requests_cycle ON requests (cycle);

CREATE TABLE approvals (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle   TEXT COLLATE "C" NOT NULL,
    plan    TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL,
    via     TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    refused TEXT COLLATE "C" NOT NULL,
    UNIQUE (cycle, plan, account, verdict, via, at)
);

CREATE TABLE decisions (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle   TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    verb    TEXT COLLATE "C" NOT NULL,
    until   BIGINT NOT NULL,
    why     TEXT COLLATE "C" NOT NULL,
    gate    TEXT COLLATE "C" NOT NULL,
    params  TEXT COLLATE "C" NOT NULL,
    tally   TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    UNIQUE (cycle, subject, tally, verb, at)
);

CREATE TABLE tasks (
    id       TEXT COLLATE "C" PRIMARY KEY,
    cycle    TEXT COLLATE "C" NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    cause    TEXT COLLATE "C" NOT NULL,
    tried    TEXT COLLATE "C" NOT NULL,
    steps    TEXT COLLATE "C" NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL,
    due      BIGINT NOT NULL,
    opened   BIGINT NOT NULL,
    taken_by TEXT COLLATE "C" NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    asked    BIGINT NOT NULL,
    closed   BIGINT NOT NULL,
    note     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX tasks_cycle ON tasks (cycle);
CREATE INDEX tasks_open ON tasks (due, id) WHERE state <> 'done';

CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    verb    TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    body    TEXT COLLATE "C" NOT NULL,
    entry   TEXT COLLATE "C" NOT NULL UNIQUE,
    prev    TEXT COLLATE "C" NOT NULL,
    hash    TEXT COLLATE "C" NOT NULL
);
