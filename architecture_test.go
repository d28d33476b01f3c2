// Package patchcycle_test keeps the house in order: who may import whom, with
// the reason. docs/architecture.md draws the same as a picture.
package patchcycle_test

import (
	"os"
	"strings"
	"testing"
)

// Libraries by what they bring into a binary.
var (
	temporal = []string{"go.temporal.io/..."}
	engine   = []string{"go.temporal.io/server/...", "github.com/temporalio/ui-server/..."}
	database = []string{"database/sql/...", "github.com/jackc/pgx/...", "modernc.org/sqlite/...", "github.com/pressly/goose/..."}
)

// Folders by what they do.
var (
	// process is what runs a cycle: packages that only look or only speak stay
	// below it.
	process   = []string{"./workflows", "./activities/...", "./worker/...", "./starter/...", "./console/..."}
	theStore  = []string{"./store/..."}
	theEngine = []string{"./store/sqlite/...", "./store/postgres/...", "./worker/..."}
	lab       = []string{"./lab/..."}
)

// pure is what a decision may use of the standard library's less innocent
// neighbourhood: nothing. Values such as netip.Addr are values.
var (
	impure     = []string{"os/...", "io/fs", "io/ioutil", "net/...", "path/filepath", "log/...", "database/sql/...", "math/rand/...", "crypto/rand", "hash/maphash", "syscall", "runtime/...", "testing/..."}
	pureValues = []string{"net/netip", "net/url"}
	clock      = []string{
		"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
		"time.Tick", "time.NewTimer", "time.NewTicker", "fmt.Print", "fmt.Printf", "fmt.Println",
	}
)

// rules reads: from these folders, only or never import those, because.
var rules = []rule{
	{
		from: []string{"./patching"}, only: []string{"std"},
		because: "the vocabulary is what everyone speaks: a library in it would be everyone's library",
	},
	{
		from: []string{"./patching/..."}, except: []string{"./patching", "./patching/policy"},
		only: []string{
			"std", "./patching/...",
			"cel.dev/cel-go/...",             // the policy's selectors
			"github.com/teambition/rrule-go", // recurring windows
		},
		because: "decisions are tested by the thousand and run again by an auditor: they stand on pure libraries only, listed here",
	},
	{
		from: []string{"./patching/policy"},
		only: []string{
			"std", "./patching/...", "./schema/...", "cel.dev/cel-go/...", "github.com/teambition/rrule-go",
			"github.com/goccy/go-yaml/...", "github.com/invopop/jsonschema/...", "github.com/santhosh-tekuri/jsonschema/...",
		},
		because: "one package knows that policies are YAML: everyone else gets values that were checked",
	},
	{
		from: []string{"./patching/..."}, never: impure, unless: pureValues, uses: clock,
		because: "a decision is a function of values with now passed in: with a clock, chance or I/O in it nobody could run it again and get the same",
	},
	{
		from: []string{"./patching/..."}, never: lab, binds: codeAndTests,
		unlessTests: []string{"./lab/fixtures/..."},
		because:     "the simulated fleet knows the truth that decisions have to find out: what could look it up would prove nothing",
	},
	{
		from: []string{"./workflows"},
		only: []string{
			"std", "./workflows/...", "./patching/...",
			"go.temporal.io/sdk/workflow", "go.temporal.io/sdk/temporal", "go.temporal.io/sdk/log",
			"go.temporal.io/sdk/worker",    // the registry that Register takes
			"go.temporal.io/sdk/converter", // payloads of signals that anyone may have sent
			"go.temporal.io/api/enums/v1",
		},
		because: "a workflow is replayed: it tells the story, and touches the world through the typed activities of contract",
	},
	{
		from: []string{"./workflows/contract"},
		only: []string{
			"std", "./patching/...",
			"go.temporal.io/sdk/workflow", "go.temporal.io/sdk/temporal",
			"go.temporal.io/sdk/activity", "go.temporal.io/sdk/worker", // to register activities by name
			"go.temporal.io/api/enums/v1",
		},
		because: "the contract is what both sides of Temporal hold: it knows names and payloads, and neither side",
	},
	{
		from: []string{"./workflows/..."}, never: impure, uses: clock,
		because: "what differs between two runs of the same history breaks the replay: time comes from workflow.Now, chance and I/O from activities",
	},
	{
		from: []string{"./activities/..."}, never: join([]string{"./integrations/...", "./edge/...", "./console/...", "./starter/...", "./workflows"}, theEngine, engine, lab),
		because: "activities hold ports: what is behind them is chosen where the worker is put together",
	},
	{
		from: []string{"./starter/..."}, never: join([]string{"./workflows", "./activities/...", "./console/..."}, theEngine, database, engine),
		because: "whoever starts or steers a cycle needs its contract, not its code",
	},
	{
		from: []string{"./console/..."}, never: join([]string{"./workflows", "./activities/...", "./worker/...", "./integrations/...", "./store/sqlite/...", "./store/postgres/..."}, database, engine, lab),
		because: "the API asks the starter and its ports, so that its client and its tests stay small",
	},
	{
		from: []string{"./integrations/..."}, apart: true,
		because: "each source can be added, replaced or removed by itself",
	},
	{
		from: []string{"./integrations/..."}, never: join(temporal, theStore, database, process, []string{"./edge/..."}),
		because: "an integration translates what the world says; when to ask and what to keep is decided elsewhere",
	},
	{
		from: []string{"./edge/..."}, never: join(temporal, theStore, database, process),
		because: "what runs away from the server holds no credential of Temporal and no database: stolen, it can neither approve nor signal",
	},
	{
		from: []string{"./edge/relay/...", "./cmd/patchcycle-relay/..."}, never: []string{"./edge/root/...", "./edge/agent/...", "./edge/machine/...", "./integrations/..."},
		because: "a relay passes on: it is neither end, signs for none, and acts on no machine",
	},
	{
		from: []string{"./edge/visit"},
		only: []string{
			"std", "./edge/stream", "./patching", "./internal/pause", "./internal/plainyaml", "./internal/unpack",
			"golang.org/x/crypto/ssh", "github.com/goccy/go-yaml", "go.uber.org/zap",
		},
		because: "who holds the key to a site's machines starts their agents and serves them what it is handed: it knows no order and no file",
	},
	{
		from:    []string{"./edge/stream"},
		only:    []string{"std", "github.com/hashicorp/yamux", "golang.org/x/net/netutil", "go.uber.org/zap"},
		because: "the agent reads with this package, as root, what whoever started it says",
	},
	{
		from: []string{"./edge/blobs/..."}, never: []string{"net/url", "./edge/depot/...", "./edge/relay/...", "./edge/uplink/..."},
		because: "files by their hash know neither who serves them nor from where they came",
	},
	{
		from:    []string{"./edge/probation"},
		only:    []string{"std", "./edge/uplink", "./internal/command", "./internal/durable", "./patching"},
		because: "it acts as root where the agent is broken: it rests on as little as can be",
	},
	{
		from: []string{"./edge/courier"},
		only: []string{
			"std", "./edge/uplink", "./patching", "./internal/stall",
			"go.uber.org/zap", "golang.org/x/sync/errgroup", "golang.org/x/time/rate",
		},
		because: "whoever takes over the part that speaks to the network finds nothing in it that acts, keeps or signs",
	},
	{
		from: []string{"./cmd/patchcycle-agent", "./cmd/patchcycle-relay"}, never: join(temporal, database), binds: binary,
		because: "these run at sites and on every machine: small, and with nothing in them that could steer a cycle",
	},
	{
		from: []string{"./store/..."}, except: []string{"./store/storetest/..."}, never: join(temporal, process, []string{"./edge/...", "./integrations/...", "./workflows/..."}, lab),
		because: "the store keeps facts and is asked: it calls nobody",
	},
	{
		from: []string{"./trust/..."}, never: join(temporal, theStore, database, process, []string{"./edge/...", "./integrations/...", "./workflows/..."}, lab),
		because: "the agent verifies with this package as root: little to read, nothing that talks to the outside",
	},
	{
		from: []string{"./report/..."}, never: join(temporal, database, process, []string{"./store/sqlite/...", "./store/postgres/...", "./edge/...", "./integrations/..."}, lab),
		because: "a report renders what is on record, for years after: it must not need the engine that ran the cycle",
	},
	{
		from: []string{"./..."}, except: []string{"./worker/engine/...", "./e2e/..."}, never: engine, binds: codeAndTests,
		because: "the Temporal server is one folder's business: it is pinned, patched and replaced there",
	},
	{
		from: []string{"./..."}, except: []string{"./e2e/..."}, never: engine, binds: testBinary,
		because: "linking the server takes minutes: one folder's tests pay for it, all others answer in seconds",
	},
	{
		from: []string{"./..."}, except: []string{"./lab/...", "./e2e/...", "./cmd/patchcycle/..."}, never: lab,
		because: "the product does not know that it is being tried",
	},
	{
		// The end-to-end tests are where the wired program itself is tried.
		from: []string{"./..."}, except: []string{"./cmd/...", "./e2e/..."}, never: []string{"./cmd/..."}, binds: codeAndTests,
		because: "commands are flags, wiring and exit codes: what another package wants from one is in the wrong place",
	},
	{
		from: []string{"./..."}, except: []string{"./lab/...", "./store/storetest/..."}, noShell: true,
		because: "there is no verb that runs a script: arguments go to programs as they are, package names after --",
	},
}

// Serves Q15.
func TestImportsPointTheWayTheHouseIsBuilt(t *testing.T) {
	house := parseTree(t, os.DirFS("."))
	for _, r := range rules {
		found, bound := r.check(house)
		for _, v := range found {
			t.Error(v)
		}
		if bound == 0 {
			t.Logf("a rule that binds nothing yet: from %s", strings.Join(r.from, ", "))
		}
	}
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
