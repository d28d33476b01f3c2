package diagnose

import (
	"fmt"
	"math"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Words says what the failures have in common; empty: nothing failed.
func (d Diagnosis) Words() string {
	if d.Failed == 0 {
		return ""
	}
	s := []string{fmt.Sprintf("%d of %s failed.", d.Failed, phrase.Count(d.Tried, "machine"))}
	for _, c := range d.Causes {
		s = append(s, c.Words())
	}
	left := 0
	for _, c := range d.Single {
		left += c.Machines
	}
	switch {
	case len(d.Causes) == 0 && d.Failed < d.Least:
		s = append(s, "They are too few to have something in common: each is its machine's own.")
	case len(d.Causes) == 0:
		s = append(s, "They have nothing in common beyond chance: each is its machine's own.")
	case left > 0:
		s = append(s, fmt.Sprintf("%s beyond that share nothing: each is its machine's own.", phrase.Count(left, "failure")))
	}
	return strings.Join(s, " ")
}

// Words says what machines have in common, how many of them failed, and how
// likely that is by chance.
func (c Cause) Words() string {
	var words string
	if c.Kind == KindNamed {
		words = fmt.Sprintf("%d of %d failures name the package %s, where chance would name it %s",
			c.InsideFailed, c.Inside, c.Name, times(c.By))
	} else {
		words = fmt.Sprintf("Of %s %s %d failed, of the others %d of %d",
			phrase.Count(c.Inside, "machine"), c.Kind.with(c.Name), c.InsideFailed, c.OutsideFailed, c.Outside)
	}
	words += ": " + c.chance() + "."
	if len(c.Same) > 0 {
		words += " The same machines share " + sameWords(c.Same) + ", so it can be that as well."
	}
	return words
}

// with says what the machines of a group have in common.
func (k Kind) with(name string) string {
	switch k {
	case KindRelay:
		return "behind the relay " + name
	case KindSite:
		return "at the site " + name
	case KindAgent:
		return "with the agent's version " + name
	case KindPackage:
		return "that were to get the package " + name
	case KindRule:
		return "with the window \"" + name + "\""
	case KindRing:
		return "of the ring " + name
	default:
		return "with " + name
	}
}

func sameWords(same []Group) string {
	names := make([]string, len(same))
	for i, g := range same {
		names[i] = "the " + string(g.Kind) + " " + g.Name
	}
	return phrase.Few(names, 3)
}

// chance says how likely it is, rounded to a power of ten that is not less.
func (c Cause) chance() string {
	exponent := 6
	if c.P > 1e-6 {
		exponent = int(-math.Log10(c.P))
	}
	if exponent < 3 {
		return fmt.Sprintf("by chance that happens once in %.0f times", 1/c.P)
	}
	return "by chance that happens less than once in " + []string{"1,000", "10,000", "100,000", "1,000,000"}[exponent-3] + " times"
}

func times(n float64) string {
	switch {
	case n < 0.5:
		return "less than once"
	case n < 1.5:
		return "once"
	default:
		return fmt.Sprintf("%.0f times", n)
	}
}

// Whose says in words who a cause is laid to.
func Whose(c patching.Cause) string {
	switch c {
	case patching.CausePackage:
		return "the patch"
	case patching.CauseNone:
		return "not known"
	case patching.CauseServer:
		return "the server"
	default:
		return "the " + string(c)
	}
}
