package assess_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// Serves G4, G20.
func TestWhatNoFeedKnowsMayBeATypingMistake(t *testing.T) {
	k := assess.Knowledge{
		Advisories: assess.NewIndex([]patching.Advisory{fixes("DSA-5888-1", bookworm, "nginx", "1.22", func(a *patching.Advisory) { a.SetCVEs("CVE-2026-1000") })}),
		Risks:      assess.RisksBy([]patching.Risk{{CVE: "CVE-2026-2000"}}),
	}
	for about, want := range map[patching.Subject]string{
		{Advisory: "DSA-5888-1"}:                       "",
		{CVE: "CVE-2026-1000"}:                         "",
		{CVE: "CVE-2026-2000"}:                         "", // only KEV has it
		{Package: "whatever"}:                          "",
		{Advisory: "DSA-5888-11"}:                      "No feed knows DSA-5888-11: is it written",
		{Advisory: "dsa-5888-1"}:                       "No feed knows dsa-5888-1: its publisher writes DSA-5888-1.",
		{CVE: "CVE-2026-1001"}:                         "No feed knows CVE-2026-1001: is it written",
		{Advisory: "DSA-5888-1", CVE: "CVE-2026-3000"}: "No feed knows CVE-2026-3000",
	} {
		got := k.Doubt(about)
		require.Equal(t, want == "", got == "", got)
		require.Contains(t, got, want)
	}
	nothing := assess.Knowledge{Advisories: assess.NewIndex(nil)}
	require.Contains(t, nothing.Doubt(patching.Subject{CVE: "CVE-2026-1000"}), "The server knows no advisories yet: whether CVE-2026-1000 is written")
}
