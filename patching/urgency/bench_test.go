package urgency_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// BenchmarkDecide is one machine with ten missing patches, in a house with 100 decisions
// that have 20 selectors.
func BenchmarkDecide(b *testing.B) {
	var all patching.Decisions
	for i := range 100 {
		about := patching.Subject{Advisory: patching.AdvisoryID(fmt.Sprintf("DSA-%d", i%50)), Selector: fmt.Sprintf("site == \"s%d\" && \"web\" in tags", i%20)}
		all.Reviews = append(all.Reviews, review(patching.DecisionID(fmt.Sprintf("r-%d", i)), patching.AnswerAccept, about))
	}
	book, err := urgency.OpenBook(all, today)
	require.NoError(b, err)
	asset := &patching.Asset{ID: "web-1", Site: "s7", Tags: []string{"eu", "web"}}
	for b.Loop() {
		on, err := book.On(asset)
		require.NoError(b, err)
		for i := range 10 {
			m := matter
			m.Advisory = patching.AdvisoryID(fmt.Sprintf("DSA-%d", i))
			urgency.Decide(m, dueIn5, on, today)
		}
	}
}

// BenchmarkTakes is a fleet of 100,000 machines in a house with 100 decisions, each with a
// selector of its own: by what machines have in common, and by their names.
func BenchmarkTakes(b *testing.B) {
	for name, selector := range map[string]string{
		"likeness": `site == "s%d" && "web" in tags`, "name": `hostname in ["h%[1]d", "h%[1]d1"]`,
	} {
		b.Run(name, func(b *testing.B) { takes(b, selector) })
	}
}

func takes(b *testing.B, selector string) {
	var all patching.Decisions
	for i := range 100 {
		about := patching.Subject{Advisory: "DSA-1", Selector: fmt.Sprintf(selector, i)}
		all.Reviews = append(all.Reviews, review(patching.DecisionID(fmt.Sprintf("r-%d", i)), patching.AnswerAccept, about))
	}
	book, err := urgency.OpenBook(all, today)
	require.NoError(b, err)
	fleet := make([]patching.Asset, 100_000)
	for i := range fleet {
		fleet[i] = patching.Asset{ID: patching.AssetID(fmt.Sprint(i)), Hostname: fmt.Sprintf("h%d", i), Site: patching.SiteName(fmt.Sprintf("s%d", i%120)), Tags: []string{"eu", "web"}}
	}
	for b.Loop() {
		alike := map[urgency.Taken]int{}
		for i := range fleet {
			taken, err := book.Takes(&fleet[i])
			require.NoError(b, err)
			alike[taken]++
		}
		require.GreaterOrEqual(b, len(alike), 101)
	}
}
