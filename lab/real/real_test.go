//go:build linux

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// The whole of it, on as few machines as fill three rings. What holds is checked
// by the program itself, from outside of the product. Serves G1, G7, G8, G9, Q1,
// Q2, Q3.
func TestRealMachinesGoThroughAGoodCycleAndABadOne(t *testing.T) {
	t.Parallel()
	onRealMachines(t, "-n", "3", "-notice", "0s", "-kill")
}

// What may befall a machine, a machine for each. Serves G7, G8, G9, G13, Q2, Q3, Q8.
func TestWhateverBefallsARealMachineEndsAsThePageOfFaultsSays(t *testing.T) {
	onRealMachines(t, "-cycle", "troubled", "-notice", "0s")
}

// A broken release of the agent is halted in the test ring and backed out by the machine
// itself. Serves Q13, G9, Q2.
func TestReleasesOfTheAgentGoThroughCyclesAndBrokenOnesGoBackByThemselves(t *testing.T) {
	t.Parallel()
	onRealMachines(t, "-cycle", "own", "-n", "3", "-notice", "0s")
}

// Serves Q13, Q1.
func TestAServerRestartsItsOwnMachineAndClosesTheCycle(t *testing.T) {
	t.Parallel()
	onRealMachines(t, "-cycle", "self", "-notice", "0s")
}

// Their whole cycle takes minutes of waiting for visits: that is -cycle ssh, by hand.
// Serves L6, Q15.
func TestARelaysBootstrapMakesRealMachinesThatAreVisitedWithoutAnAgentThatStays(t *testing.T) {
	t.Parallel()
	onRealMachines(t, "-cycle", "bootstrap", "-n", "3")
}

// Debian's own updates, for which people sign too, are left to -cycle grants by hand: they
// take minutes. Serves Q15, U1, G5.
func TestRealMachinesObeyOnlyWhatPeopleSignedWhoeverHasTheServer(t *testing.T) {
	t.Parallel()
	onRealMachines(t, "-cycle", "grants", "-n", "3", "-notice", "0s", "-short")
}

// A lab has its own network. Three machines wait more than they work: tests with so few are
// parallel, two cores or not.
func onRealMachines(t *testing.T, args ...string) {
	t.Helper()
	if err := nspawn.Check(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var said bytes.Buffer
	err := run(t.Context(), args, &said, t.Output())
	t.Log("\n" + said.String())
	require.NoError(t, err)
}

func TestThePageOfFaultsSaysWhatBecameOfRealMachines(t *testing.T) {
	const (
		page  = "../../docs/faults.md"
		begin = "<!-- made by TestThePageOfFaultsSaysWhatBecameOfRealMachines -->\n"
		end   = "<!-- end of what became of them -->"
	)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	table := "\n| what befell it | laid to | reason | signature | ended as | repaired | afterwards |\n| --- | --- | --- | --- | --- | --- | --- |\n"
	for _, t := range troubles() {
		table += t.row() + "\n"
	}
	want := before + begin + table + "\n" + end + after
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text), "UPDATE_GOLDEN=1 writes it")
}
