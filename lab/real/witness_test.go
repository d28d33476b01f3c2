//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatDpkgDidTwiceIsSeen(t *testing.T) {
	log := `2026-11-28 10:00:01 startup archives unpack
2026-11-28 10:00:01 upgrade libssl3:amd64 3.0.20-1~deb12u2 3.0.22-1~deb12u2
2026-11-28 10:00:01 status half-configured libssl3:amd64 3.0.20-1~deb12u2
2026-11-28 10:00:02 upgrade tzdata:all 2026b-0+deb12u1 2026f-0+deb12u1
2026-11-28 10:00:03 upgrade libssl3:amd64 3.0.22-1~deb12u2 3.0.20-1~deb12u2
2026-11-28 10:00:04 install lab-big:all <none> 1.0
2026-11-28 10:00:05 remove lab-big:all 1.0 <none>
2026-11-28 10:00:05 purge lab-big:all 1.0 <none>
2026-11-28 10:00:05 status installed lab-big:all 1.0
`
	done := transactions(log)
	require.Equal(t, map[string]int{
		"libssl3 from 3.0.20-1~deb12u2 to 3.0.22-1~deb12u2": 1, "libssl3 from 3.0.22-1~deb12u2 to 3.0.20-1~deb12u2": 1,
		"tzdata from 2026b-0+deb12u1 to 2026f-0+deb12u1": 1, "lab-big from  to 1.0": 1, "lab-big from 1.0 to ": 1,
	}, done, "a way back is no repetition")
	done = transactions(log + log)
	require.Equal(t, 2, done["tzdata from 2026b-0+deb12u1 to 2026f-0+deb12u1"])
}

func TestWhatWasCutOffWhileItWasUnpackedMayBeBegunAgain(t *testing.T) {
	const began = `2026-11-28 10:00:01 upgrade lab-big:all 1.0 1.1
2026-11-28 10:00:01 status half-configured lab-big:all 1.0
2026-11-28 10:00:01 status unpacked lab-big:all 1.0
2026-11-28 10:00:01 status half-installed lab-big:all 1.0
`
	const unpacked = began + "2026-11-28 10:00:02 status unpacked lab-big:all 1.1\n"
	require.Empty(t, repeated(began+"2026-11-28 10:00:09 upgrade lab-big:all 1.0 1.0\n2026-11-28 10:00:10 upgrade lab-big:all 1.0 1.1\n"))
	const before = "2026-11-28 10:00:01 upgrade lab-big:all 1.0 1.1\n2026-11-28 10:00:01 status unpacked lab-big:all 1.0\n"
	require.Empty(t, repeated(before+"2026-11-28 10:00:09 upgrade lab-big:all 1.0 1.0\n"), "cut off before its first file")
	require.Equal(t, []string{"lab-big:all from 1.1 to 1.1"}, repeated(unpacked+"2026-11-28 10:00:09 upgrade lab-big:all 1.1 1.1\n"))
	require.Equal(t, []string{"lab-big:all from 1.0 to 1.1"}, repeated(unpacked+began))
}

func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	for line, want := range map[string]string{"now": `"now" is no flag`, "-n 2": "-n from 3", "-cycle ugly": "write one of good, bad, both, troubled, waves", "-cycle bad -kill": "-kill is for the good cycle"} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), strings.Fields(line), &out, &out), want)
	}
}
