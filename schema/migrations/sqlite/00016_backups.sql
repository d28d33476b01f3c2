-- +goose Up

-- What a place with backups says of each machine, as it is now.
CREATE TABLE backups (
    source   TEXT NOT NULL,
    host     TEXT NOT NULL,
    tool     TEXT NOT NULL,
    asset    TEXT NOT NULL,
    last     INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    proof    TEXT NOT NULL,
    checked  INTEGER NOT NULL,
    asked    INTEGER NOT NULL,
    PRIMARY KEY (source, host)
) WITHOUT ROWID;
CREATE INDEX backups_asset ON backups (asset);
