package golden

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// program is one that tools/bench-assess built.
func program(b *testing.B, variable string) string {
	b.Helper()
	file := os.Getenv(variable)
	if file == "" {
		b.Skipf("%s names no program (CI=%q): run tools/bench-assess", variable, os.Getenv("CI"))
	}
	return file
}

// cost is what a process took.
type cost struct {
	wall, cpu time.Duration
	peakMiB   float64
	out       []byte
}

// run runs a program to its end. Whoever finds something may end with 1. Its peak of memory
// is asked for while it runs: what wait tells of it counts the memory of whoever started it.
func run(b *testing.B, env []string, file string, args ...string) cost {
	b.Helper()
	var out, said bytes.Buffer
	c := exec.CommandContext(b.Context(), file, args...)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), env...), &out, &said
	start := time.Now()
	require.NoError(b, c.Start())
	ended, peak := make(chan struct{}), make(chan float64)
	go func() {
		last := 0.0
		for {
			if now, ok := peakMiB(c.Process.Pid); ok {
				last = now
			}
			select {
			case <-ended:
				peak <- last
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	err := c.Wait()
	wall := time.Since(start)
	close(ended)
	if c.ProcessState.ExitCode() != 0 && c.ProcessState.ExitCode() != 1 {
		require.NoError(b, err, said.String())
	}
	return cost{wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), <-peak, out.Bytes()}
}

// BenchmarkHostBesideOSVScanner has "patchcycle assess" and osv-scanner look at the same
// machine by the same records of AlmaLinux, one after the other, each as a process of its
// own that reads them from the archive.
func BenchmarkHostBesideOSVScanner(b *testing.B) {
	ours, theirs := program(b, "PATCHCYCLE_PROGRAM"), program(b, "PATCHCYCLE_OSV_SCANNER")
	archive := inplace.Path(b, "feeds/osv/AlmaLinux-8-10/all.zip")
	dir := b.TempDir()
	// Where osv-scanner looks for an ecosystem's records.
	records := filepath.Join(dir, "osv-scanner", "AlmaLinux")
	require.NoError(b, os.MkdirAll(records, 0o700))
	require.NoError(b, os.Symlink(archive, filepath.Join(records, "all.zip")))
	for name, release := range map[string]string{"alma_8": "8", "alma_10": "10"} {
		b.Run(name, func(b *testing.B) {
			input, err := io.ReadAll(inplace.Open(b, "feeds/golden/osv-scanner/"+name+".input.osv-scanner.json.gz"))
			require.NoError(b, err)
			scanned, inventory := filepath.Join(dir, name+".json"), filepath.Join(dir, name+".ours.json")
			require.NoError(b, os.WriteFile(scanned, input, 0o600))
			var of scannerInput
			require.NoError(b, json.Unmarshal(input, &of))
			doc, err := json.Marshal(of.document("almalinux", release))
			require.NoError(b, err)
			require.NoError(b, os.WriteFile(inventory, doc, 0o600))
			var us, them cost
			for b.Loop() {
				u := run(b, nil, ours, "assess", "--inventory", inventory, "--feeds", filepath.Dir(archive), "--as-of", "2026-11-20", "--json")
				t := run(b, []string{"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY=" + dir}, theirs, "scan", "source", "--offline", "--format", "json", "-L", "osv-scanner:"+scanned)
				us = cost{us.wall + u.wall, us.cpu + u.cpu, max(us.peakMiB, u.peakMiB), u.out}
				them = cost{them.wall + t.wall, them.cpu + t.cpu, max(them.peakMiB, t.peakMiB), t.out}
			}
			var sheet assess.Sheet
			require.NoError(b, json.Unmarshal(us.out, &sheet))
			require.NotEmpty(b, sheet.Findings)
			require.True(b, json.Valid(them.out))
			each := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
			b.ReportMetric(each(us.wall), "patchcycle-ms")
			b.ReportMetric(each(them.wall), "osv-scanner-ms")
			b.ReportMetric(each(us.cpu), "patchcycle-cpu-ms")
			b.ReportMetric(each(them.cpu), "osv-scanner-cpu-ms")
			b.ReportMetric(us.peakMiB, "patchcycle-MiB")
			b.ReportMetric(them.peakMiB, "osv-scanner-MiB")
			b.ReportMetric(them.cpu.Seconds()/us.cpu.Seconds(), "cpu-ratio")
			b.ReportMetric(them.peakMiB/us.peakMiB, "memory-ratio")
		})
	}
}

// scannerInput is a list of packages as osv-scanner takes it.
type scannerInput struct {
	Results []struct {
		Packages []struct {
			Package struct{ Name, Version string }
		}
	}
}

func (s scannerInput) document(id, release string) (doc inventories.Document) {
	doc.OS.ID, doc.OS.Version = id, release
	for _, r := range s.Results {
		for _, p := range r.Packages {
			doc.Packages = append(doc.Packages, inventories.DocumentPackage{Name: p.Package.Name, Version: p.Package.Version})
		}
	}
	return doc
}
