package diagnose

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

var update = flag.Bool("update", false, "write docs/causes.md anew")

// world draws fleets in which what machines have in common goes across: sites of
// unequal size, one or two relays each, agent versions, releases with bundles of
// their own, windows.
type world struct {
	*rand.Rand
	machines, sites int
}

func (w world) draw() fleet {
	f := make(fleet, w.machines)
	for i := range f {
		site := min(w.IntN(w.sites), w.IntN(w.sites)) // the first ones are larger
		release := w.IntN(3)
		c := cell(fmt.Sprintf("s%d", site), "", fmt.Sprintf("debian %d", 11+release), patching.Digest(fmt.Sprint(release, w.IntN(2))))
		c.Relay = fmt.Sprintf("s%d-r%d", site, w.IntN(1+site%2))
		c.Agent = []string{"0.1", "0.2", "0.2", "0.2"}[w.IntN(4)]
		c.Rule = []string{"daily 22:00 for 4h", "weekly sun 02:00 for 6h"}[site%2]
		f[i] = c
	}
	return f
}

// folded counts machines that are alike as one cell, as the store does.
func (f fleet) folded() []Cell {
	var out []Cell
	at := map[Cell]int{}
	for _, c := range f {
		i, known := at[c]
		if !known {
			i = len(out)
			at[c] = i
			out = append(out, c)
			continue
		}
		out[i].Machines += c.Machines
	}
	return out
}

// worldBundles are the packages of a world's bundles: some are everywhere, some
// on one release, some on machines of one role.
func worldBundles(d patching.Digest) []string {
	names := []string{"bash", "curl", "openssl", "tzdata", "zlib"}
	release, role, _ := strings.Cut(string(d), " ")
	for i := range 5 {
		names = append(names, fmt.Sprintf("lib%s-%d", release, i))
	}
	if role == "1" {
		names = append(names, "nginx", "nginx-common")
	}
	return names
}

// fail lets a machine fail by itself, naming any package of its bundle.
func (w world) fail(c Cell) Cell {
	names := worldBundles(c.Bundle)
	switch w.IntN(3) {
	case 0:
		return c.failed(patching.ReasonInstallFailed, names[w.IntN(len(names))]+": postinst")
	case 1:
		return c.failed(patching.ReasonDisk, "")
	default:
		c.Outcome, c.Reason, c.Answered = patching.Unreachable, patching.ReasonSilent, false
		return c
	}
}

// Serves Q8: the error rate that is stated is kept, whatever the fleet and however
// many fail, when failures are random.
func TestRandomFailuresAreRarelyGivenACause(t *testing.T) {
	const cycles = 800
	for _, rate := range []float64{0.01, 0.05} {
		for _, c := range []struct {
			machines, sites int
			failing         float64
		}{{60, 4, 0.2}, {300, 12, 0.02}, {300, 12, 0.3}, {600, 30, 0.01}} {
			t.Run(fmt.Sprintf("%g of %d machines at %d sites, error rate %g", c.failing, c.machines, c.sites, rate), func(t *testing.T) {
				w := world{rand.New(rand.NewPCG(7, uint64(c.machines))), c.machines, c.sites}
				p := Defaults()
				p.Rate, p.Times = rate, 0 // the rate has to hold without the other limit
				wrong := 0
				for range cycles {
					f := w.draw()
					for i := range f {
						if w.Float64() < c.failing {
							f[i] = w.fail(f[i])
						}
					}
					if len(Of(f.folded(), worldBundles, p).Causes) > 0 {
						wrong++
					}
				}
				// Three standard deviations above what would be just kept.
				most := rate*cycles + 3*math.Sqrt(rate*(1-rate)*cycles)
				t.Logf("%d of %d random cycles were given a cause (%.2f %%)", wrong, cycles, 100*float64(wrong)/cycles)
				require.LessOrEqual(t, float64(wrong), most)
			})
		}
	}
}

// The proof that the test above can fail: without the correction random failures
// are given causes.
func TestWithoutTheCorrectionTheRateIsNotKept(t *testing.T) {
	w := world{rand.New(rand.NewPCG(7, 1)), 300, 12}
	wrong := 0
	for range 200 {
		f := w.draw()
		for i := range f {
			if w.Float64() < 0.3 {
				f[i] = w.fail(f[i])
			}
		}
		for _, h := range newSample(f, worldBundles).hypotheses(Defaults()) {
			if h.logP <= math.Log(0.05) {
				wrong++
				break
			}
		}
	}
	require.Greater(t, wrong, 60)
}

const docsFile = "../../docs/causes.md"

// Serves Q8: what the page says of what is found is what is found.
func TestThePageShowsHowSurelyCausesAreFound(t *testing.T) {
	var b strings.Builder
	b.WriteString("| machines | of them in the group | of it fail | of the others fail | found | another found too |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, c := range []struct {
		machines, group int
		inside, outside float64
	}{
		{100, 5, 1, 0.01},
		{100, 10, 0.5, 0.01},
		{100, 20, 0.3, 0.01},
		{1000, 10, 0.5, 0.01},
		{1000, 20, 0.3, 0.01},
		{1000, 50, 0.1, 0.01},
		{1000, 50, 0.2, 0.05},
		{10000, 100, 0.1, 0.01},
		{10000, 1000, 0.03, 0.01},
	} {
		found, more := power(c.machines, c.group, c.inside, c.outside)
		fmt.Fprintf(&b, "| %d | %d | %g %% | %g %% | %d %% | %d %% |\n", c.machines, c.group, 100*c.inside, 100*c.outside, found, more)
	}
	page, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), "<!-- begin power -->\n")
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, "<!-- end power -->\n")
	require.True(t, ok)
	want := before + "<!-- begin power -->\n" + b.String() + "<!-- end power -->\n" + after
	if *update {
		require.NoError(t, os.WriteFile(docsFile, []byte(want), 0o644))
	}
	require.Equal(t, want, string(page), "run go test ./patching/diagnose -update")
}

// power returns, in percent of 100 cycles, how often a relay with a group of
// machines is found, and how often something else is named beside it.
func power(machines, group int, inside, outside float64) (found, more int) {
	w := world{rand.New(rand.NewPCG(11, uint64(machines+group))), machines, max(4, machines/50)}
	for range 100 {
		f := w.draw()
		at := w.IntN(machines - group + 1)
		for i := range f {
			in := i >= at && i < at+group
			if in {
				f[i].Relay, f[i].Site = "the-relay", "the-site"
			}
			if w.Float64() < map[bool]float64{true: inside, false: outside}[in] {
				f[i] = w.fail(f[i])
			}
		}
		causes := Of(f.folded(), worldBundles, Defaults()).Causes
		hit := 0
		for _, c := range causes {
			if c.Name == "the-relay" {
				hit = 1
			}
		}
		found += hit
		if len(causes) > hit {
			more++
		}
	}
	return found, more
}
