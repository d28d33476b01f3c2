package urgency_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Serves G2: a fleet is judged by groups, and each machine by what was decided of it.
func TestMachinesThatTheSameDecisionsTakeAreAlikeAndNoOthersAre(t *testing.T) {
	selectors := []string{
		"", `site == "bern"`, `"web" in tags`, `hostname == "h1"`, `hostname in ["h2", "h3"] && site == "bern"`, `tags.exists(t, t == "db")`,
		`hostname != "h4"`, `hostname.startsWith("h") && !("db" in tags)`, `tags.exists(t, t == hostname)`, `"h2" == hostname || site == "basel"`, `hostname == site`,
		`hostname in tags`, `hostname.size() > 2`, `(hostname == "h1" ? site : owner) == "bern"`,
	}
	rapid.Check(t, func(t *rapid.T) {
		var all patching.Decisions
		for i := range rapid.IntRange(0, 12).Draw(t, "decisions") {
			id := patching.DecisionID(rune('a' + i))
			about := patching.Subject{Advisory: "DSA-1", Selector: rapid.SampledFrom(selectors).Draw(t, "selector")}
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				all.Reviews = append(all.Reviews, review(id, patching.AnswerAccept, about))
			case 1:
				all.Exceptions = append(all.Exceptions, exception(id, about))
			default:
				w := inPlace(id, rapid.SliceOfDistinct(rapid.SampledFrom([]patching.AssetID{"h1", "h2", "h3", "h4"}), rapid.ID).Draw(t, "in place")...)
				w.Selector = about.Selector
				all.WorkArounds = append(all.WorkArounds, w)
			}
		}
		book, err := urgency.OpenBook(all, today)
		require.NoError(t, err)
		alike := map[urgency.Taken]patching.AssetID{}
		for range rapid.IntRange(1, 8).Draw(t, "machines") {
			name := rapid.SampledFrom([]string{"h1", "h2", "h3", "h4", "bern"}).Draw(t, "name")
			a := &patching.Asset{
				ID: patching.AssetID(name), Hostname: name, Site: rapid.SampledFrom([]patching.SiteName{"bern", "basel"}).Draw(t, "site"),
				Tags: rapid.SliceOf(rapid.SampledFrom([]string{"web", "db", "h1"})).Draw(t, "tags"),
			}
			taken, err := book.Takes(a)
			require.NoError(t, err)
			on := book.Of(taken)
			takes := func(s patching.Subject) bool {
				compiled, err := policy.Compile(s.Selector)
				require.NoError(t, err)
				ok, err := compiled.Match(a)
				require.NoError(t, err)
				return ok
			}
			want := patching.Decisions{}
			for _, r := range all.Reviews {
				if takes(r.Subject) {
					want.Reviews = append(want.Reviews, r)
				}
			}
			for _, e := range all.Exceptions {
				if takes(e.Subject) {
					want.Exceptions = append(want.Exceptions, e)
				}
			}
			for _, w := range all.WorkArounds {
				if takes(w.Subject) {
					want.WorkArounds = append(want.WorkArounds, w)
				}
			}
			require.Equal(t, want, on)
			other, known := alike[taken]
			if !known {
				alike[taken] = a.ID
				continue
			}
			for _, w := range all.WorkArounds {
				require.Equal(t, w.Stands(other, today), w.Stands(a.ID, today), "of work-arounds that are in place on one of them")
			}
		}
	})
}

func TestWhereNothingIsDecidedAllMachinesAreAlike(t *testing.T) {
	var none *urgency.Book
	taken, err := none.Takes(&patching.Asset{ID: "a"})
	require.NoError(t, err)
	require.Empty(t, taken)
	require.Zero(t, none.Of(taken))
}
