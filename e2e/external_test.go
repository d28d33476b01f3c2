package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// A second engine of our own serves as the cluster of somebody else: its people
// have tokens of its own.
func TestAServerRunsOnAClusterByItsAddress(t *testing.T) {
	keyword, number, when := enums.INDEXED_VALUE_TYPE_KEYWORD, enums.INDEXED_VALUE_TYPE_INT, enums.INDEXED_VALUE_TYPE_DATETIME
	known := &people{}
	cluster := engine.Options{
		ProductToken: gate.NewToken(), Accounts: known,
		Commands: map[string][]string{contract.CycleWorkflow: contract.VerbNames()},
		SearchAttributes: map[string]enums.IndexedValueType{
			"PcCycle": keyword, "PcPolicy": keyword, "PcKind": keyword, "PcPhase": keyword, "PcRing": keyword, "PcSite": keyword,
			"PcGate": keyword, "PcClosedAs": keyword, "PcDeadline": when, "PcFailed": number, "PcPending": number,
		},
	}
	at := startEngine(t, cluster)
	h := newHouse(t, func(c *serve.Config) {
		c.UI, c.TemporalAddress, c.TemporalToken = "", at.Addr(), cluster.ProductToken
	})
	require.Equal(t, at.Addr(), h.Engine.Addr())
	known.add(h.tokens[ben], engine.Account{Name: string(ben), Read: true, Command: true})
	s := h.newSite(t, "external", truth.Profile{Machines: 10}, nil)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	h.Stop()
	another := h.config
	another.TemporalAddress = startEngine(t, cluster).Addr()
	_, err := serve.Start(t.Context(), another)
	require.ErrorContains(t, err, "the engine does not know it", "Serves Q1")
	require.ErrorContains(t, err, "is "+another.TemporalAddress+" the cluster that ran it?")
	require.ErrorContains(t, err, "leave --temporal-address out")
	h.start(t)
	require.NoError(t, h.signal(t, ben, id, "approve", contract.Act{Plan: c.Plan}))
	c = h.await(t, id, patching.PhaseClosed)
	require.Equal(t, patching.ClosedSuccessful, c.ClosedAs, c.Words)
	h.requireConserved(t, id, 10)
	s.requireNoRepeat(t)
	votes, err := h.Store.Approvals(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, votes, 1)
	require.Equal(t, "signal", votes[0].Via)
	words, err := serve.Rebuild(t.Context(), h.config, "x")
	require.ErrorContains(t, err, "external cluster is not ours", words)
}
