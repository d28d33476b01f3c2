package golden

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

func almaLinux(b *testing.B) []patching.Advisory {
	b.Helper()
	files, refused, err := advisories.ReadFolder(b.Context(), os.DirFS(inplace.Path(b, "feeds/osv/AlmaLinux-8-10")), advisories.DefaultLimits())
	require.NoError(b, err)
	require.Empty(b, refused)
	return files[0].Advisories
}

func host(b *testing.B, name string) assess.Machine {
	b.Helper()
	return decode[vuls](b, "feeds/inventories/hosts/"+name+".json.gz").machine("almalinux")
}

// BenchmarkLoadAlmaLinux reads all of AlmaLinux 8 and 10's OSV records and makes the index.
func BenchmarkLoadAlmaLinux(b *testing.B) {
	for b.Loop() {
		assess.NewIndex(almaLinux(b))
	}
}

// BenchmarkMachine matches one real machine with them, whose packages nobody has yet.
func BenchmarkMachine(b *testing.B) {
	all, m := almaLinux(b), host(b, "alma_8")
	for b.Loop() {
		b.StopTimer()
		x := assess.NewIndex(all)
		b.StartTimer()
		require.NotEmpty(b, x.Match(m, forever))
	}
}

// BenchmarkFleet matches the package sets of 100,000 machines: so many different ones,
// each derived from a real machine's by giving one package in twenty another version that
// an advisory names.
func BenchmarkFleet(b *testing.B) {
	all := almaLinux(b)
	hosts := []assess.Machine{host(b, "alma_8"), host(b, "alma_10")}
	for _, sets := range []int{2_000, 30_000} {
		b.Run(fmt.Sprint(sets), func(b *testing.B) {
			for b.Loop() {
				x, chance := assess.NewIndex(all), rand.New(rand.NewPCG(1, uint64(sets))) //nolint:gosec // it has to be the same each time
				matches := 0
				for n := range sets {
					matches += len(x.Match(derived(hosts[n%len(hosts)], chance), forever))
				}
				require.Positive(b, matches)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/float64(sets), "ms/set")
		})
	}
}

// derived is a machine like another one, somewhat differently patched.
func derived(m assess.Machine, chance *rand.Rand) assess.Machine {
	packages := make([]patching.Package, len(m.Packages.Packages))
	copy(packages, m.Packages.Packages)
	for range len(packages) / 20 {
		p := &packages[chance.IntN(len(packages))]
		if offer := m.Offers[assess.Installed{Name: p.Name, Arch: p.Arch}]; offer != "" {
			p.Version = offer
		}
		// Also what nobody else has: of versions in the field there is no end.
		if chance.IntN(4) == 0 {
			p.Version += fmt.Sprintf(".%d", chance.IntN(1000))
		}
	}
	m.Packages.Packages = packages
	return m
}
