package sim

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// BenchmarkFleet lets a fleet in a process of its own enrol, send inventories,
// take an order each with its start permit, and report. Times are of this
// process, which is the server; the machines take next to no time over
// anything.
func BenchmarkFleet(b *testing.B) {
	for _, c := range []struct {
		machines int
		direct   string
	}{{1000, "all"}, {1000, ""}, {5000, ""}, {20000, ""}} {
		way := "relays"
		if c.direct != "" {
			way = "direct"
		}
		b.Run(fmt.Sprintf("%d/%s", c.machines, way), func(b *testing.B) {
			if testing.Short() && c.machines > 1000 {
				b.Skip("leave -short out to run it")
			}
			for b.Loop() {
				benchmarkFleet(b, c.machines, c.direct)
			}
		})
	}
}

func benchmarkFleet(b *testing.B, machines int, direct string) {
	h := newHouse(b)
	dir := filepath.Join(b.TempDir(), "fleet")
	began, cpu := time.Now(), cpuSeconds(b)
	lap := func(what string) {
		b.ReportMetric(time.Since(began).Seconds(), what+"-s")
		b.ReportMetric(1000*(cpuSeconds(b)-cpu)/float64(machines), what+"-cpu-ms/machine")
		began, cpu = time.Now(), cpuSeconds(b)
	}
	p := h.spawn("-dir", dir, "-machines", fmt.Sprint(machines), "-sites", "8", "-speed", "1e6", "-direct", direct, "-sync", "-1")
	var ready Ready
	p.line(&ready)
	lap("enrol")
	assets := h.inventoried(machines)
	lap("inventory")
	writes := h.store.Writes()
	busy := h.deploy(assets)
	h.eventually(10*time.Minute, "results", func() bool {
		time.Sleep(time.Second)
		open, err := h.store.Deployments(b.Context(), store.DeploymentFilter{Cycle: cycle, Outcomes: []patching.Outcome{""}, Limit: 1})
		require.NoError(b, err)
		return len(open) == 0
	})
	lap("deploy")
	require.Equal(b, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())
	b.ReportMetric(float64(h.store.Writes()-writes)/float64(busy), "rows/order")
	b.ReportMetric(0, "ns/op")
	require.NoError(b, p.stdin.Close())
	require.Zero(b, p.ends())
	used := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	b.ReportMetric(1000*(p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime()).Seconds()/float64(machines), "fleet-cpu-ms/machine")
	b.ReportMetric(float64(used.Maxrss)/1024, "fleet-MB")
	n, details, err := Repeats(dir)
	require.NoError(b, err)
	require.Zero(b, n, "%v", details)
}

func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
