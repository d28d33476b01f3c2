//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// What else the machines with clocks of their own need takes too long for every commit.
func TestThePoliciesOfEmulatedMachinesCanBeApplied(t *testing.T) {
	for name, which := range map[patching.PolicyName]string{"kernel": "==", "clocks": "!="} {
		p, err := policy.Adopted("policy.yaml", policyOf(name, which, 3*time.Minute))
		require.NoError(t, err, name)
		require.Equal(t, name, p.Name)
		require.Len(t, p.Rings, 2)
	}
}
