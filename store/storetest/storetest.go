// Package storetest says how a store has to behave, whichever engine is under
// it: every engine runs the whole suite.
package storetest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/store"
)

// Engine makes a new, empty database, which goes when the test ends.
type Engine func(t testing.TB) Database

// Database is a database under test.
type Database struct {
	// Open opens a store over it, as another process would.
	Open func(ctx context.Context) (*store.Store, error)
	// Raw reaches it past the store, for tests that do what only a stranger would.
	Raw *sql.DB
}

// open opens a store that is closed when the test ends.
func (d Database) open(t testing.TB) *store.Store {
	t.Helper()
	s, err := d.Open(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Run runs the suite on an engine. Tests of one concept share a store and keep
// apart by names of their own.
func Run(t *testing.T, engine Engine) {
	for _, concept := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"content", content},
		{"settings", settings},
		{"people", people},
		{"enrolment", enrolment},
		{"devices", devices},
		{"assets", assets},
		{"policies", policies},
		{"cycles", cycles},
		{"plans", plans},
		{"locks", locks},
		{"taking over", takingOver},
		{"waves", waves},
		{"ending", ending},
		{"verifying", verifying},
		{"tallies", tallies},
		{"orders", orders},
		{"messages", messages},
		{"inventories", inventories},
		{"receipts", receipts},
		{"corrections", corrections},
		{"presence", presence},
		{"votes", votes},
		{"tasks", tasks},
		{"conservation", conservation},
	} {
		t.Run(concept.name, func(t *testing.T) {
			concept.run(t, engine(t).open(t))
		})
	}
	t.Run("audit", func(t *testing.T) { audit(t, engine) })
	t.Run("opening", func(t *testing.T) { opening(t, engine) })
}
