-- +goose Up

-- Whose act a task reviews, who cannot be the ones to close it: a JSON list; '': it is no
-- review.
ALTER TABLE tasks ADD COLUMN not_by TEXT NOT NULL DEFAULT '';
