-- +goose Up

-- A watched cycle is counted once a second: what an index holds need not be read
-- from the rows, which are large.
CREATE INDEX deployments_gave ON deployments (cycle, repairs, freed) WHERE repairs > 0 OR freed > 0;
