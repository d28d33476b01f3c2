package activities_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// registry notes what is registered.
type registry struct{ names []string }

func (r *registry) RegisterActivity(any) { r.names = append(r.names, "a nameless activity") }

func (r *registry) RegisterActivityWithOptions(_ any, o activity.RegisterOptions) {
	r.names = append(r.names, o.Name)
}

func (r *registry) RegisterDynamicActivity(any, activity.DynamicRegisterOptions) {
	r.names = append(r.names, "a dynamic activity")
}

// A workflow that asks for an activity that nobody registered waits for ever.
func TestEveryActivityOfTheContractIsRegistered(t *testing.T) {
	text, err := os.ReadFile("../workflows/contract/testdata/names.golden")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(text), "\nactivities\n")
	require.True(t, found)
	var pinned []string
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ",")
		pinned = append(pinned, name)
	}
	var r registry
	activities.All{}.Register(&r)
	require.ElementsMatch(t, pinned, r.names)
}

type printer struct{ file string }

func (p printer) Render(context.Context, patching.CycleID) (string, error) { return p.file, nil }

func TestWhereTheReportIsStandsInTheCyclesRecord(t *testing.T) {
	h := newHouse(t)
	s := h.begin(monthly, patching.Monthly)
	reports := &activities.Reports{Store: h.Store, Render: printer{"reports/november.html"}, Remedying: h.remedying}
	out, err := reports.Make(h.ctx, contract.MakeReportIn{State: s})
	require.NoError(t, err)
	require.Equal(t, "reports/november.html", out.File)
	record, err := h.Store.Cycle(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, out.File, record.Report)
}
