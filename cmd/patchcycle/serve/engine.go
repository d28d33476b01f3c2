package serve

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// attributes are the search attributes that cycles are found by.
func attributes() map[string]enumspb.IndexedValueType {
	keyword, number, when := enumspb.INDEXED_VALUE_TYPE_KEYWORD, enumspb.INDEXED_VALUE_TYPE_INT, enumspb.INDEXED_VALUE_TYPE_DATETIME
	return map[string]enumspb.IndexedValueType{
		contract.AttrCycle.GetName(): keyword, contract.AttrPolicy.GetName(): keyword, contract.AttrKind.GetName(): keyword,
		contract.AttrPhase.GetName(): keyword, contract.AttrRing.GetName(): keyword, contract.AttrSite.GetName(): keyword,
		contract.AttrGate.GetName(): keyword, contract.AttrClosedAs.GetName(): keyword,
		contract.AttrDeadline.GetName(): when, contract.AttrFailed.GetName(): number, contract.AttrPending.GetName(): number,
	}
}

// historyFor is how long Temporal keeps histories. Our own record does not
// depend on it.
const historyFor = 90 * 24 * time.Hour

func startEngine(ctx context.Context, c Config, s *store.Store) (*engine.Engine, error) {
	o := engine.Options{
		Dir: filepath.Join(c.Dir, "engine"), Port: c.Frontend, Retention: historyFor, SearchAttributes: attributes(),
		Accounts: accounts{s}, Commands: map[string][]string{contract.CycleWorkflow: contract.VerbNames()},
		UI: c.UI != "", UIHelp: "Get a login link with \"patchcycle engine ui\".", Logger: c.Log.Named("engine"),
	}
	if c.DatabaseURL != "" {
		epoch, err := s.Epoch(ctx)
		if err != nil {
			return nil, err
		}
		if o.Postgres, err = engineDatabases(c.DatabaseURL, epoch); err != nil {
			return nil, err
		}
	}
	if c.TemporalAddress != "" {
		o.Dir, o.Postgres, o.UI, o.Accounts, o.Commands = "", nil, false, nil, nil
		o.External = &engine.External{Address: c.TemporalAddress, Token: c.TemporalToken}
	}
	e, err := engine.Start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	return e, nil
}

// engineDatabases names the engine's two databases after the store's, so that
// installations which share a PostgreSQL do not share an engine. A rebuilt
// engine gets databases of its own; the old ones stay for whoever wants to look
// at them.
func engineDatabases(url string, epoch int64) (*engine.Postgres, error) {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("--database-url: %w", err)
	}
	name := cmp.Or(conf.Database, conf.User) + "_temporal"
	if epoch > 1 {
		name += fmt.Sprintf("_%d", epoch)
	}
	const nameAtMost = 63 // PostgreSQL's own
	p := &engine.Postgres{URL: url, Database: name, Visibility: name + "_visibility"}
	if len(p.Visibility) > nameAtMost {
		return nil, fmt.Errorf("--database-url: the engine's database %s would have a name of more than %d letters, which PostgreSQL cuts: take a shorter name", p.Visibility, nameAtMost)
	}
	return p, nil
}
