//go:build linux

package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// The whole of it, on as few machines as fill three rings. What holds is checked
// by the program itself, from outside of the product. Serves G1, G7, G8, G9, Q1,
// Q2, Q3.
func TestRealMachinesGoThroughAGoodCycleAndABadOne(t *testing.T) {
	if err := nspawn.Check(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var said bytes.Buffer
	err := run(t.Context(), []string{"-n", "3", "-notice", "0s", "-kill"}, &said, t.Output())
	t.Log("\n" + said.String())
	require.NoError(t, err)
}
