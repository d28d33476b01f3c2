package patchcycle_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// What is planted must be found by the rules of this house, and by the one that
// was meant; and every rule must have found something.
func TestARuleFindsWhatIsPlanted(t *testing.T) {
	idle := map[string]bool{}
	for _, r := range rules {
		idle[r.because] = true
	}
	for name, planted := range map[string]struct {
		files map[string]string // their bodies, below the package clause
		want  []string          // how each finding begins; none: all is well
	}{
		"a library in the vocabulary": {
			files: map[string]string{"patching/asset.go": `import "github.com/google/uuid"`},
			want:  []string{"patching/asset.go imports github.com/google/uuid: the vocabulary"},
		},
		"a library that nobody listed in a decision": {
			files: map[string]string{"patching/gate/gate.go": `import "github.com/google/uuid"`},
			want:  []string{"patching/gate/gate.go imports github.com/google/uuid: decisions"},
		},
		"YAML outside of the policy": {
			files: map[string]string{
				"patching/policy/policy.go": `import "github.com/goccy/go-yaml/ast"`,
				"patching/plan/plan.go":     `import "github.com/goccy/go-yaml"`,
			},
			want: []string{"patching/plan/plan.go imports github.com/goccy/go-yaml: decisions"},
		},
		"a policy that is read by a library of its own": {
			files: map[string]string{"patching/policy/read.go": `import "gopkg.in/yaml.v3"`},
			want:  []string{"patching/policy/read.go imports gopkg.in/yaml.v3: one package knows"},
		},
		"a clock under another name": {
			files: map[string]string{"patching/gate/gate.go": "import clock \"time\"\nvar began = clock.Now()"},
			want:  []string{"patching/gate/gate.go uses time.Now: a decision"},
		},
		"chance and files in a decision": {
			files: map[string]string{"patching/plan/plan.go": "import (\n\"math/rand/v2\"\n\"os\"\n)"},
			want: []string{
				"patching/plan/plan.go imports math/rand/v2: a decision",
				"patching/plan/plan.go imports os: a decision",
			},
		},
		"an address is a value": {
			files: map[string]string{"patching/asset.go": `import "net/netip"`},
		},
		"a decision's test may read files": {
			files: map[string]string{"patching/plan/plan_test.go": "import (\n\"os\"\n\"testing\"\n)"},
		},
		"a decision's test that looks at the truth": {
			files: map[string]string{"patching/gate/gate_test.go": `import "github.com/patchcycle/patchcycle/lab/sim/truth"`},
			want:  []string{"patching/gate/gate_test.go imports ./lab/sim/truth: the simulated fleet"},
		},
		"a workflow that reaches for the network": {
			files: map[string]string{"workflows/cycle.go": `import "net/http"`},
			want:  []string{"workflows/cycle.go imports net/http: what differs"},
		},
		"a workflow that calls an activity directly": {
			files: map[string]string{"workflows/cycle.go": `import "github.com/patchcycle/patchcycle/activities"`},
			want:  []string{"workflows/cycle.go imports ./activities: a workflow is replayed"},
		},
		"a contract that knows one side": {
			files: map[string]string{"workflows/contract/names.go": `import "github.com/patchcycle/patchcycle/workflows"`},
			want:  []string{"workflows/contract/names.go imports ./workflows: the contract"},
		},
		"a starter that carries the workflows' code": {
			files: map[string]string{"starter/starter.go": `import "github.com/patchcycle/patchcycle/workflows"`},
			want:  []string{"starter/starter.go imports ./workflows: whoever starts"},
		},
		"an API that writes SQL": {
			files: map[string]string{"console/api/assets.go": `import "github.com/jackc/pgx/v5/pgxpool"`},
			want:  []string{"console/api/assets.go imports github.com/jackc/pgx/v5/pgxpool: the API asks"},
		},
		"a feed that keeps what it read": {
			files: map[string]string{"integrations/advisories/osv.go": `import "github.com/patchcycle/patchcycle/store"`},
			want:  []string{"integrations/advisories/osv.go imports ./store: an integration translates"},
		},
		"a store that steers": {
			files: map[string]string{"store/cycles.go": `import "github.com/patchcycle/patchcycle/starter"`},
			want:  []string{"store/cycles.go imports ./starter: the store keeps facts"},
		},
		"a verifier that asks the store": {
			files: map[string]string{"trust/order.go": `import "github.com/patchcycle/patchcycle/store"`},
			want:  []string{"trust/order.go imports ./store: the agent verifies"},
		},
		"a report that asks the running workflow": {
			files: map[string]string{"report/html.go": `import "go.temporal.io/sdk/client"`},
			want:  []string{"report/html.go imports go.temporal.io/sdk/client: a report renders"},
		},
		"an activity that chose its engine": {
			files: map[string]string{"activities/facts.go": `import "github.com/patchcycle/patchcycle/store/sqlite"`},
			want:  []string{"activities/facts.go imports ./store/sqlite: activities hold ports"},
		},
		"integrations that know each other": {
			files: map[string]string{
				"integrations/notify/mail.go":     "import (\n\"github.com/patchcycle/patchcycle/integrations/tickets\"\n\"github.com/patchcycle/patchcycle/integrations/notify/text\"\n)",
				"integrations/notify/text/t.go":   "",
				"integrations/tickets/tickets.go": "",
			},
			want: []string{"integrations/notify/mail.go imports ./integrations/tickets: each source"},
		},
		"a relay with a database": {
			files: map[string]string{"edge/relay/spool.go": `import "database/sql"`},
			want:  []string{"edge/relay/spool.go imports database/sql: what runs away from the server"},
		},
		"a relay that answers for the server": {
			files: map[string]string{"edge/relay/relay.go": `import "github.com/patchcycle/patchcycle/edge/root"`},
			want:  []string{"edge/relay/relay.go imports ./edge/root: a relay passes on"},
		},
		"files that know who serves them": {
			files: map[string]string{"edge/blobs/blobs.go": `import "github.com/patchcycle/patchcycle/edge/depot"`},
			want:  []string{"edge/blobs/blobs.go imports ./edge/depot: files by their hash"},
		},
		"a visitor that acts": {
			files: map[string]string{"edge/visit/visit.go": `import "github.com/patchcycle/patchcycle/edge/uplink"`},
			want:  []string{"edge/visit/visit.go imports ./edge/uplink: who holds the key"},
		},
		"a stream that reads what it carries": {
			files: map[string]string{"edge/stream/stream.go": `import "github.com/patchcycle/patchcycle/edge/uplink"`},
			want:  []string{"edge/stream/stream.go imports ./edge/uplink: the agent reads"},
		},
		"a judge who rests on the agent": {
			files: map[string]string{"edge/probation/judge.go": `import "github.com/patchcycle/patchcycle/edge/agent"`},
			want:  []string{"edge/probation/judge.go imports ./edge/agent: it acts as root"},
		},
		"a courier that acts": {
			files: map[string]string{"edge/courier/carry.go": `import "github.com/patchcycle/patchcycle/edge/agent"`},
			want:  []string{"edge/courier/carry.go imports ./edge/agent: whoever takes over"},
		},
		"an agent that links Temporal through someone": {
			files: map[string]string{
				"cmd/patchcycle-agent/main.go": `import "github.com/patchcycle/patchcycle/helper"`,
				"helper/helper.go":             `import "go.temporal.io/sdk/client"`,
			},
			want: []string{"helper/helper.go (linked into ./cmd/patchcycle-agent) imports go.temporal.io/sdk/client: these run at sites"},
		},
		"the server elsewhere than in its folder": {
			files: map[string]string{"worker/worker.go": `import "go.temporal.io/server/temporal"`},
			want:  []string{"worker/worker.go imports go.temporal.io/server/temporal: the Temporal server is one folder's business"},
		},
		"a test that links the server through someone": {
			files: map[string]string{
				"worker/engine/engine.go": `import "go.temporal.io/server/temporal"`,
				"worker/worker.go":        `import "github.com/patchcycle/patchcycle/worker/engine"`,
				"worker/worker_test.go":   `import "testing"`,
				"e2e/cycle_test.go":       `import "github.com/patchcycle/patchcycle/worker"`,
			},
			want: []string{"worker/engine/engine.go (linked into ./worker) imports go.temporal.io/server/temporal: linking the server"},
		},
		"a command that is imported": {
			files: map[string]string{"console/api/api_test.go": `import "github.com/patchcycle/patchcycle/cmd/patchcycle/flags"`},
			want:  []string{"console/api/api_test.go imports ./cmd/patchcycle/flags: commands are flags"},
		},
		"the product that leans on its lab": {
			files: map[string]string{"edge/agent/agent.go": `import "github.com/patchcycle/patchcycle/lab/sim"`},
			want:  []string{"edge/agent/agent.go imports ./lab/sim: the product does not know"},
		},
		"a shell": {
			files: map[string]string{"edge/agent/run.go": "import \"os/exec\"\nvar c = exec.Command(\"/bin/sh\", \"-c\", \"true\")"},
			want:  []string{"edge/agent/run.go starts the shell /bin/sh: there is no verb"},
		},
		"nested modules and testdata are not ours": {
			files: map[string]string{
				"tools/go.mod":             "module x",
				"tools/patching/x.go":      `import "os"`,
				"patching/testdata/bad.go": `import "os"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, body := range planted.files {
				if strings.HasSuffix(path, ".go") {
					body = "package p\n" + body
				}
				root[path] = &fstest.MapFile{Data: []byte(body)}
			}
			house := parseTree(t, root)
			var found []string
			for _, r := range rules {
				broken, _ := r.check(house)
				if len(broken) > 0 {
					delete(idle, r.because)
				}
				found = append(found, broken...)
			}
			for _, want := range planted.want {
				require.True(t, containsPrefix(found, want), "want %q, found\n%s", want, strings.Join(found, "\n"))
			}
			if len(planted.want) == 0 {
				require.Empty(t, found)
			}
		})
	}
	require.Empty(t, idle, "rules that nothing planted breaks")
}

func containsPrefix(lines []string, prefix string) bool {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			return true
		}
	}
	return false
}
