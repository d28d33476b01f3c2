package engine

import (
	"context"

	"go.temporal.io/server/common/config"
)

// persistence is a database that is ready for the server.
type persistence struct {
	config config.Persistence
	close  func() // after the server has stopped
}

func (o Options) prepareDatabase(ctx context.Context, log *serverLog) (*persistence, error) {
	if o.Postgres != nil {
		return o.Postgres.prepare(ctx, log)
	}
	return prepareSQLite(ctx, o.Dir)
}

const (
	mainStore       = "main"
	visibilityStore = "visibility"
)

func stores(shards int32, main, visibility *config.SQL) config.Persistence {
	return config.Persistence{
		NumHistoryShards: shards,
		DefaultStore:     mainStore,
		VisibilityStore:  visibilityStore,
		DataStores: map[string]config.DataStore{
			mainStore:       {SQL: main},
			visibilityStore: {SQL: visibility},
		},
	}
}
