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
		{"enrolment at once", enrolmentAtOnce},
		{"devices", devices},
		{"replaced devices", replaced},
		{"assets", assets},
		{"lists of assets", assetLists},
		{"imports", imports},
		{"policies", policies},
		{"cycles", cycles},
		{"plans", plans},
		{"standings", standings},
		{"plans made again", replanning},
		{"locks", locks},
		{"taking over", takingOver},
		{"waves", waves},
		{"staging", staging},
		{"lists of deployments", listing},
		{"ending", ending},
		{"ending orders", endingOrders},
		{"ending twice", endingTwice},
		{"verifying", verifying},
		{"tallies", tallies},
		{"what failures have in common", cells},
		{"diagnoses", diagnoses},
		{"trying again", tryingAgain},
		{"backups", backups},
		{"what was deferred", deferred},
		{"orders", orders},
		{"start permits and withdrawals", permits},
		{"messages", messages},
		{"inventories", inventories},
		{"strange inventories", strangeInventories},
		{"receipts", receipts},
		{"receipts move forward only", forwardOnly},
		{"going back", reverting},
		{"strange receipts", strangeReceipts},
		{"corrections", corrections},
		{"presence", presence},
		{"feeds", feeds},
		{"votes", votes},
		{"papers", papers},
		{"holds", holds},
		{"tasks", tasks},
		{"decisions of people", decisionsOfPeople},
		{"work-arounds", workArounds},
		{"first seen", firstSeen},
		{"advisories entered by hand", handAdvisories},
		{"notices", notices},
		{"silent machines", muteMachines},
		{"messages to people", digests},
		{"old notices", oldNotices},
		{"conservation", conservation},
	} {
		t.Run(concept.name, func(t *testing.T) {
			concept.run(t, engine(t).open(t))
		})
	}
	for _, whole := range []struct {
		name string
		run  func(*testing.T, Engine)
	}{
		{"audit", audit},
		{"forged audit", auditForged},
		{"opening", opening},
		{"server lock", serverLock},
	} {
		t.Run(whole.name, func(t *testing.T) { whole.run(t, engine) })
	}
}
