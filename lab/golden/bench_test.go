package golden

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

func almaLinux(b *testing.B) (k assess.Knowledge) {
	b.Helper()
	var all []patching.Advisory
	var risks []patching.Risk
	for _, folder := range []string{"feeds/osv/AlmaLinux-8-10", "feeds/kev", "feeds/epss"} {
		files, _, err := advisories.ReadFolder(b.Context(), os.DirFS(inplace.Path(b, folder)), advisories.DefaultLimits())
		require.NoError(b, err)
		for _, f := range files {
			all, risks = append(all, f.Advisories...), append(risks, f.Risks...)
		}
	}
	k.Advisories, k.Risks, k.Catalogue = assess.NewIndex(all), assess.RisksBy(risks), scanDay
	return k
}

// scanDay is when the hosts were looked at.
var scanDay = time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)

func host(b *testing.B, name string) assess.Machine {
	b.Helper()
	return decode[vuls](b, "feeds/inventories/hosts/"+name+".json.gz").machine("almalinux")
}

func shipped(b *testing.B) assess.Judgement {
	b.Helper()
	tables, err := urgency.Shipped()
	require.NoError(b, err)
	return assess.Judgement{Regimes: tables, Unknown: urgency.AsWorst, AsOf: scanDay}
}

// spent are the seconds of CPU that this process took so far.
func spent(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds()
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+([0-9]+) kB$`)

// reportPeak tells the most memory that the process ever had. A benchmark that wants its
// own has to run in a process of its own.
func reportPeak(b *testing.B) {
	b.Helper()
	peak, ok := peakMiB(os.Getpid())
	require.True(b, ok)
	b.ReportMetric(peak, "peak-MiB")
}

// peakMiB is the most memory that a process ever had, as far as it still runs.
func peakMiB(pid int) (float64, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		return 0, false
	}
	kB, err := strconv.ParseFloat(string(m[1]), 64)
	return kB / 1024, err == nil
}

// BenchmarkLoadAlmaLinux reads all of AlmaLinux 8 and 10's OSV records, with KEV and what
// is here of EPSS, and makes the index.
func BenchmarkLoadAlmaLinux(b *testing.B) {
	cpu := spent(b)
	for b.Loop() {
		almaLinux(b)
	}
	b.ReportMetric(1000*(spent(b)-cpu)/float64(b.N), "cpu-ms")
	reportPeak(b)
}

// BenchmarkMachine assesses one real machine by feeds that were read already.
func BenchmarkMachine(b *testing.B) {
	k, j := almaLinux(b), shipped(b)
	for _, name := range []string{"alma_8", "alma_10"} {
		b.Run(name, func(b *testing.B) {
			m := host(b, name)
			cpu := spent(b)
			for b.Loop() {
				require.NotEmpty(b, assess.NewSheet(k, m, patching.Asset{}, j).Findings)
			}
			b.ReportMetric(1000*(spent(b)-cpu)/float64(b.N), "cpu-ms")
		})
	}
}

// classes are assets as they differ for urgency: the third part of fleets that have data
// worth protecting is as made up as the rest.
func classes() (all []patching.Asset) {
	for _, e := range []patching.Exposure{patching.Internet, patching.Internal, patching.ExposureUnknown} {
		for _, c := range []patching.Criticality{patching.Low, patching.Medium, patching.High} {
			all = append(all, patching.Asset{Exposure: e, Criticality: c})
		}
	}
	return all
}

// BenchmarkFleet judges fleets: so many machines with so many different package sets, each
// derived from a real machine's by giving one package in twenty another version. A set is
// judged once for each class of assets that has it, as the server does.
func BenchmarkFleet(b *testing.B) {
	k, j := almaLinux(b), shipped(b)
	hosts := []assess.Machine{host(b, "alma_8"), host(b, "alma_10")}
	for _, size := range []struct{ machines, sets int }{
		{100_000, 500}, {100_000, 2_000}, {100_000, 8_000}, {100_000, 30_000}, {10_000, 2_000}, {1_000_000, 2_000},
	} {
		b.Run(fmt.Sprintf("%d-machines-%d-sets", size.machines, size.sets), func(b *testing.B) {
			cpu, sheets := spent(b), 0
			for b.Loop() {
				sheets = judgeFleet(b, assess.NewAssessor(k, j), hosts, size.machines, size.sets)
			}
			b.ReportMetric((spent(b)-cpu)/float64(b.N), "cpu-s")
			b.ReportMetric(float64(sheets), "sheets")
			reportPeak(b)
		})
	}
}

// judgeFleet returns how many sheets that were. Of a sheet the server keeps its rows; here
// they are counted.
func judgeFleet(b *testing.B, a *assess.Assessor, hosts []assess.Machine, machines, sets int) int {
	b.Helper()
	chance := rand.New(rand.NewPCG(1, uint64(sets))) //nolint:gosec // it has to be the same each time
	all := classes()
	// Which classes have a set: machines are spread over sets and classes by chance.
	has := make([][]bool, sets)
	for n := range machines {
		set := n % sets
		if has[set] == nil {
			has[set] = make([]bool, len(all))
		}
		has[set][chance.IntN(len(all))] = true
	}
	work := make(chan int)
	var wait sync.WaitGroup
	var mu sync.Mutex
	sheets, rows := 0, 0
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			mine, found := 0, 0
			for set := range work {
				kind := a.Kind(derived(hosts[set%len(hosts)], rand.New(rand.NewPCG(2, uint64(set))))) //nolint:gosec // as above
				for n, is := range has[set] {
					if is {
						mine++
						found += len(kind.Sheet(all[n]).Findings)
					}
				}
			}
			mu.Lock()
			sheets, rows = sheets+mine, rows+found
			mu.Unlock()
		})
	}
	for set := range sets {
		work <- set
	}
	close(work)
	wait.Wait()
	require.Greater(b, rows, sheets)
	return sheets
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
