-- +goose Up

-- Packages that are half installed on a machine, as it says.
ALTER TABLE assets ADD COLUMN broken TEXT COLLATE "C" NOT NULL DEFAULT '';
