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
