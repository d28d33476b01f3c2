-- +goose Up

-- How far a machine's clock is ahead of the server's, in microseconds; 0: close enough.
ALTER TABLE devices ADD COLUMN clock_off BIGINT NOT NULL DEFAULT 0;
