package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// standInsFrom returns machines that test in the place of those that the policy
// selects for the test ring, where none of these takes part: they are up to
// date, at work elsewhere, or left out. A cycle neither skips its test for that
// nor is lost. Stand-ins come from the next ring that has machines, mirror it,
// and are as many as the ring would have had. Nobody pre-approved them: the plan
// says so, and is approved before they are touched.
//
// A policy that selects nobody, or only machines that patchcycle itself runs on,
// which come last, is mistaken and gets none: see [builder.checkRings].
func (b *builder) standInsFrom(left []*machine, room int) ([]*machine, error) {
	selected, err := b.takenBy(0, b.machines)
	if err != nil {
		return nil, err
	}
	selected = slices.DeleteFunc(selected, func(m *machine) bool { return m.alone })
	if len(selected) == 0 {
		return nil, nil
	}
	for i := 1; i < len(b.Policy.Rings); i++ {
		pool, err := b.takenBy(i, left)
		if err != nil {
			return nil, err
		}
		if len(pool) > 0 {
			pool = pick(pool, min(room, len(selected)))
			b.standIns = standInWords(selected, len(pool), b.Policy.Rings[i].Name)
			return pool, nil
		}
	}
	return nil, nil
}

// standInWords says why none of the selected machines takes part and who stands
// in for them: "its 3 machines are already up to date; 2 machines of ring early
// stand in".
func standInWords(selected []*machine, n int, from patching.RingName) string {
	count := map[string]int{}
	for _, m := range selected {
		count[whyOut(m.item)]++
	}
	var whys []string
	for why := range count {
		whys = append(whys, why)
	}
	slices.SortFunc(whys, func(x, y string) int { return cmp.Or(cmp.Compare(count[y], count[x]), cmp.Compare(x, y)) })
	words := fmt.Sprintf("its %s %s", phrase.Count(len(selected), "machine"), isOrAre(len(selected))+whys[0])
	if len(whys) > 1 {
		for i, why := range whys {
			whys[i] = fmt.Sprint(count[why], " ", isOrAre(count[why]), why)
		}
		last := len(whys) - 1
		words = fmt.Sprintf("of its %d machines %s and %s", len(selected), strings.Join(whys[:last], ", "), whys[last])
	}
	verb := map[bool]string{true: "stands", false: "stand"}[n == 1]
	return fmt.Sprintf("%s; %s of ring %s %s in", words, phrase.Count(n, "machine"), from, verb)
}

// NeedsApproval reports whether people approve the plan before a ring may start:
// where the policy says so, and where others stand in for the machines that it
// selects, for which a pre-approval was not meant (ADR 0008).
func NeedsApproval(rules policy.Ring, r patching.PlanRing) bool {
	return rules.Approve || r.StandIns != ""
}

func isOrAre(n int) string {
	if n == 1 {
		return "is "
	}
	return "are "
}

// whyOut completes "the machine is …". What is neither up to date nor at work
// elsewhere is left out, for the reason that everyone prints.
func whyOut(i patching.PlanItem) string {
	switch i.Exclude {
	case patching.ReasonNothingMissing:
		return patching.AlreadyUpToDate.Words()
	case patching.ReasonBusyElsewhere:
		return "busy in " + i.Why
	default:
		words := strings.TrimSuffix(i.Exclude.Words(), ".")
		first, size := utf8.DecodeRuneInString(words)
		return "left out (" + string(unicode.ToLower(first)) + words[size:] + ")"
	}
}
