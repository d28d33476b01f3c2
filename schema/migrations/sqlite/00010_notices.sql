-- +goose Up

-- What people should hear of. The same fact has the same id: it is told once.
CREATE TABLE notices (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    severity TEXT NOT NULL,
    site     TEXT NOT NULL,
    policy   TEXT NOT NULL,
    owner    TEXT NOT NULL,
    subject  TEXT NOT NULL,
    words    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    over     INTEGER NOT NULL
);
CREATE INDEX notices_hold ON notices (kind, id) WHERE over = 0;
CREATE INDEX notices_recorded ON notices (recorded);

-- Up to which notice a recipient was told, and when it last got a message.
CREATE TABLE notice_cursors (
    recipient TEXT NOT NULL,
    lane      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (recipient, lane)
) WITHOUT ROWID;

-- Messages, written down before they are sent.
CREATE TABLE digests (
    id        TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    lane      TEXT NOT NULL,
    made      INTEGER NOT NULL,
    document  TEXT NOT NULL,
    state     TEXT NOT NULL,
    failed    INTEGER NOT NULL,
    next      INTEGER NOT NULL,
    ended     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX digests_open ON digests (next) WHERE state = 'pending';
CREATE INDEX digests_made ON digests (made);

-- Each time that a message was tried. ended is 0 where the server broke off: nobody
-- knows then whether it arrived.
CREATE TABLE digest_tries (
    digest TEXT NOT NULL,
    began  INTEGER NOT NULL,
    ended  INTEGER NOT NULL,
    words  TEXT NOT NULL,
    PRIMARY KEY (digest, began)
) WITHOUT ROWID;
