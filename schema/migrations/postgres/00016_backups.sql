-- +goose Up

-- What a place with backups says of each machine, as it is now.
CREATE TABLE backups (
    source   TEXT COLLATE "C" NOT NULL,
    host     TEXT COLLATE "C" NOT NULL,
    tool     TEXT COLLATE "C" NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    last     BIGINT NOT NULL,
    verified BIGINT NOT NULL,
    proof    TEXT COLLATE "C" NOT NULL,
    checked  BIGINT NOT NULL,
    asked    BIGINT NOT NULL,
    PRIMARY KEY (source, host)
);
CREATE INDEX backups_asset ON backups (asset);
