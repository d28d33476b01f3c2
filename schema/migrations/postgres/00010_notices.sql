-- +goose Up

-- What people should hear of. The same fact has the same id: it is told once.
CREATE TABLE notices (
    seq      BIGINT PRIMARY KEY,
    id       TEXT COLLATE "C" NOT NULL UNIQUE,
    kind     TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C" NOT NULL,
    site     TEXT COLLATE "C" NOT NULL,
    policy   TEXT COLLATE "C" NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    words    TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    over     BIGINT NOT NULL
);
CREATE INDEX notices_hold ON notices (kind, id) WHERE over = 0;
CREATE INDEX notices_recorded ON notices (recorded);

-- Up to which notice a recipient was told, and when it last got a message.
CREATE TABLE notice_cursors (
    recipient TEXT COLLATE "C" NOT NULL,
    lane      TEXT COLLATE "C" NOT NULL,
    seq       BIGINT NOT NULL,
    last      BIGINT NOT NULL,
    PRIMARY KEY (recipient, lane)
);

-- Messages, written down before they are sent.
CREATE TABLE digests (
    id        TEXT COLLATE "C" PRIMARY KEY,
    recipient TEXT COLLATE "C" NOT NULL,
    lane      TEXT COLLATE "C" NOT NULL,
    made      BIGINT NOT NULL,
    document  TEXT COLLATE "C" NOT NULL,
    state     TEXT COLLATE "C" NOT NULL,
    failed    BIGINT NOT NULL,
    next      BIGINT NOT NULL,
    ended     BIGINT NOT NULL
);
CREATE INDEX digests_open ON digests (next) WHERE state = 'pending';
CREATE INDEX digests_made ON digests (made);

-- Each time that a message was tried. ended is 0 where the server broke off: nobody
-- knows then whether it arrived.
CREATE TABLE digest_tries (
    digest TEXT COLLATE "C" NOT NULL,
    began  BIGINT NOT NULL,
    ended  BIGINT NOT NULL,
    words  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (digest, began)
);
