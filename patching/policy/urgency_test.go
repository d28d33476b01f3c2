package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Serves G4.
func TestAPolicySaysByWhichTablesUrgencyIsJudged(t *testing.T) {
	require.Equal(t, policy.Urgency{Regimes: []string{"ssvc-deployer"}, Unknown: "worst"}, parse(t, base).Urgency, "what is not said")
	own := parse(t, strings.Replace(base, "rings:", "urgency: {regimes: [pci-dss, cisa-bod-26-04], unknown: ask}\nrings:", 1))
	require.Equal(t, policy.Urgency{Regimes: []string{"pci-dss", "cisa-bod-26-04"}, Unknown: "ask"}, own.Urgency)
	require.Empty(t, own.Warnings())
	none := parse(t, strings.Replace(base, "rings:", "urgency: {regimes: []}\nrings:", 1))
	require.Empty(t, none.Urgency.Regimes, "whoever judges by none says so")

	house := parse(t, strings.Replace(base, "rings:", "urgency: {regimes: [house-rules]}\nrings:", 1))
	require.Len(t, house.Warnings(), 1)
	require.Contains(t, house.Warnings()[0].What, `"house-rules" is none of the tables that come along`)

	_, err := policy.Parse("p", []byte(strings.Replace(base, "rings:", "urgency: {regimes: [pci-dss, pci-dss]}\nrings:", 1)))
	require.ErrorContains(t, err, "written twice")
}

func TestEveryTableThatComesAlongIsKnownToPolicies(t *testing.T) {
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	for _, table := range tables {
		p := parse(t, strings.Replace(base, "rings:", "urgency: {regimes: ["+table.ID+"]}\nrings:", 1))
		require.Empty(t, p.Warnings(), table.ID)
	}
}
