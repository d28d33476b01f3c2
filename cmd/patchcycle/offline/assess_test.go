package offline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/offline"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// The feeds are the recorded ones, the rest is made up: an advisory by hand about a flaw
// that CISA lists.
const (
	byHand = `advisories:
  - id: ACME-1
    title: A hole in nginx
    kind: security
    severity: critical
    cves: [CVE-2024-21413]
    published: 2024-02-13
    platform: almalinux 9
    package: nginx
    fixed: 1:1.24.0-1.el9
  - id: ACME-2
    title: A hole without a patch
    kind: security
    cves: [CVE-2099-0001]
    published: 2024-03-01
    platform: almalinux 9
    package: bash
`
	machine = `{
  "asset": {"exposure": "internet", "criticality": "high"},
  "os": {"id": "almalinux", "version": "9.0"}, "arch": "x86_64",
  "packages": [
    {"name": "nginx", "version": "1:1.22.1-3.el9", "arch": "x86_64"},
    {"name": "bash", "version": "5.1.8-4.el9", "arch": "x86_64"},
    {"name": "glibc", "version": "2.34-60.el9", "arch": "x86_64"}
  ]
}`
)

type desk struct{ feeds, inventory string }

func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{filepath.Join(t.TempDir(), "feeds"), filepath.Join(t.TempDir(), "machine.json")}
	require.NoError(t, os.MkdirAll(filepath.Join(d.feeds, "ours"), 0o700))
	kev, err := os.ReadFile("../../../integrations/advisories/testdata/kev/known_exploited_vulnerabilities.json")
	require.NoError(t, err)
	d.add(t, "kev.json", string(kev))
	d.add(t, "ours/acme.yaml", byHand)
	require.NoError(t, os.WriteFile(d.inventory, []byte(machine), 0o600))
	return d
}

func (d desk) add(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(d.feeds, name), []byte(text), 0o600))
}

func (d desk) run(t *testing.T, in io.Reader, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), cli.Options{
		Assess: offline.Assess, Now: func() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) },
		Env: func(string) string { return "" }, Terminal: func(io.Writer) int { return 0 },
	}, append([]string{"assess"}, args...), in, &o, &e)
	return code, o.String(), e.String()
}

func (d desk) assess(t *testing.T, args ...string) cli.Assessment {
	t.Helper()
	code, out, errs := d.run(t, nil, append([]string{"--inventory", d.inventory, "--feeds", d.feeds, "--json"}, args...)...)
	require.Equal(t, cli.ExitOK, code, errs)
	var a cli.Assessment
	require.NoError(t, json.Unmarshal([]byte(out), &a))
	return a
}

// Serves G1, G2, G4.
func TestAMachineIsAssessedFromFilesAlone(t *testing.T) {
	a := newDesk(t).assess(t)
	require.Len(t, a.Findings, 2)
	bash, nginx := a.Findings[0], a.Findings[1]
	require.Equal(t, "nginx", nginx.Package)
	require.Equal(t, "1:1.24.0-1.el9", *nginx.Fixed)
	require.Nil(t, nginx.Candidate, "nothing here says what can be had")
	require.Equal(t, []patching.AdvisoryID{"ACME-1"}, nginx.Advisories)
	require.Equal(t, []patching.CVE{"CVE-2024-21413"}, nginx.CVEs)
	require.True(t, *nginx.KEV)
	require.Nil(t, nginx.EPSS, "unknown is no nought")
	require.Equal(t, urgency.Immediate, *nginx.Lane)
	require.NotEmpty(t, nginx.Deadlines)
	for _, d := range nginx.Deadlines {
		if d.Regime == "cisa-bod-26-04" {
			require.Equal(t, urgency.Published, d.Clock.Event, "a clock that runs is not set back")
			require.NotEmpty(t, d.Evidence)
			require.Contains(t, strings.Join(d.Unknown, " "), "utomatable")
		}
	}
	require.Equal(t, "bash", bash.Package)
	require.Nil(t, bash.Fixed)
	require.Equal(t, []patching.AdvisoryID{"ACME-2"}, bash.Unfixed)
	require.False(t, *bash.KEV, "the catalogue was read, and does not have it")
	require.Len(t, a.Feeds, 2)
	require.Equal(t, "candidates", a.BlindSpots[0].What)
}

func TestWhatWasPublishedLaterWasNotKnown(t *testing.T) {
	a := newDesk(t).assess(t, "--as-of", "2024-02-20")
	require.Len(t, a.Findings, 1)
	require.Equal(t, "nginx", a.Findings[0].Package)
}

func TestARegimeCanBeChosenAndReplaced(t *testing.T) {
	d := newDesk(t)
	for _, f := range d.assess(t, "--regime", "pci-dss").Findings {
		for _, one := range f.Deadlines {
			require.Equal(t, "pci-dss", one.Regime)
		}
	}
	code, _, errs := d.run(t, nil, "--inventory", d.inventory, "--feeds", d.feeds, "--regime", "none")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "pci-dss")
}

// Serves Q7.
func TestAnAssessmentEndsWithTheCodeThatWasAskedFor(t *testing.T) {
	d := newDesk(t)
	all := []string{"--inventory", d.inventory, "--feeds", d.feeds}
	code, out, _ := d.run(t, nil, all...)
	require.Equal(t, cli.ExitOK, code, "whatever is found")
	require.Contains(t, out, "nginx")
	require.Contains(t, out, "immediate")
	code, _, errs := d.run(t, nil, append(all, "--fail-on", "immediate")...)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errs, "2 of 2 findings")
	code, _, errs = d.run(t, nil, append(all, "--fail-on", "now")...)
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "immediate")
	code, _, errs = d.run(t, strings.NewReader("hello"), "--inventory", "-", "--feeds", d.feeds)
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "it is no inventory that we can read")
	code, _, errs = d.run(t, nil, "--inventory", d.inventory, "--feeds", filepath.Join(d.feeds, "none"))
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "no such file")
	code, _, _ = d.run(t, nil, append(all, "--as-of", "yesterday")...)
	require.Equal(t, cli.ExitUsage, code)
}

// Serves Q7.
func TestAFeedThatIsRefusedIsNamedAndTheOthersCount(t *testing.T) {
	d := newDesk(t)
	d.add(t, "cut.json", `{"catalogVersion": "1", "count": 9, "vulnerabilities": []}`)
	code, out, errs := d.run(t, nil, "--inventory", d.inventory, "--feeds", d.feeds, "--json")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "cut.json")
	require.Contains(t, errs, "it says that it has 9 entries")
	var a cli.Assessment
	require.NoError(t, json.Unmarshal([]byte(out), &a))
	require.Len(t, a.Findings, 2)
	require.NotEmpty(t, a.Feeds[len(a.Feeds)-1].Refused)
}

func TestASystemThatTheInventoryDoesNotNameIsGiven(t *testing.T) {
	d := newDesk(t)
	list := "nginx-1.22.1-3.el9.x86_64\n"
	code, out, errs := d.run(t, strings.NewReader(list), "--inventory", "-", "--feeds", d.feeds, "--json")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, out, "does not tell which it is")
	code, out, errs = d.run(t, strings.NewReader(list), "--inventory", "-", "--feeds", d.feeds, "--json", "--os", "almalinux:9.4")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, out, "ACME-1")
}

// Serves Q7.
func TestAGateDoesNotOpenForAMachineOfWhichNothingCanBeKnown(t *testing.T) {
	d := newDesk(t)
	list := "nginx-1.22.1-3.el9.x86_64\n"
	for _, os := range [][]string{nil, {"--os", "haiku:1"}, {"--os", "ubuntu:24.04"}} {
		code, _, errs := d.run(t, strings.NewReader(list), append([]string{"--inventory", "-", "--feeds", d.feeds, "--fail-on", "immediate"}, os...)...)
		require.Equal(t, cli.ExitFailed, code, errs)
		require.Contains(t, errs, "no advisory can be matched")
		require.Contains(t, errs, "nothing could be")
	}
	code, _, errs := d.run(t, strings.NewReader(`{"os": {"id": "debian", "version": "12"}}`), "--inventory", "-", "--feeds", d.feeds)
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "lists no package")
}

func TestWhatWasNotReadIsNamed(t *testing.T) {
	d := newDesk(t)
	d.add(t, "notes.txt", "hello")
	require.NoError(t, os.Symlink("kev.json", filepath.Join(d.feeds, "latest")))
	require.Equal(t, []string{"latest", "notes.txt"}, d.assess(t).Unread)
}

func TestIndexesOfAnotherSystemOfferNothing(t *testing.T) {
	d := newDesk(t)
	d.add(t, "Packages", "Package: bash\nVersion: 99\nArchitecture: amd64\nFilename: pool/bash.deb\n\n")
	for _, f := range d.assess(t).Findings {
		require.Nil(t, f.Candidate)
	}
	code, out, errs := d.run(t, strings.NewReader("bash:amd64\t5.2-1\n"), "--inventory", "-", "--feeds", d.feeds, "--os", "debian:12", "--json")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, out, `"candidate": "99"`)
	require.Contains(t, out, "source packages", "the list names none")
}

func TestWhatBecameKnownLaterIsNotKnownBefore(t *testing.T) {
	d := newDesk(t)
	d.add(t, "epss.csv", "#model_version:v2025.03.14,score_date:2026-01-01T00:00:00Z\ncve,epss,percentile\nCVE-2024-21413,0.9,0.99\n")
	require.NotNil(t, d.assess(t).Findings[1].EPSS)
	before := d.assess(t, "--as-of", "2024-04-01").Findings[1]
	require.Nil(t, before.EPSS)
	require.False(t, *before.KEV)
}

func TestPackagesOfModulesOfWhichNoFeedKnowsTheStreamAreABlindSpot(t *testing.T) {
	d := newDesk(t)
	d.add(t, "osv.json", `{"id": "ALSA-2024:1", "modified": "2024-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "AlmaLinux:8", "name": "nodejs"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1:18.20.0-1.module_el8.9.0+1"}]}]}]}`)
	require.NoError(t, os.WriteFile(d.inventory, []byte(`{"os": {"id": "almalinux", "version": "8.9"}, "packages": [{"name": "nodejs", "version": "1:18.9.1-1.module_el8.7.0+1", "arch": "x86_64", "module": "nodejs:18"}]}`), 0o600))
	a := d.assess(t)
	require.Len(t, a.Aside, 1)
	require.Contains(t, a.BlindSpots[0].What, "nodejs")
}

// Serves G1: only what the given indexes really tell.
func TestAPackageOfAnotherPublishersIndexIsABlindSpot(t *testing.T) {
	d := newDesk(t)
	d.inventory = filepath.Join(t.TempDir(), "status")
	stanza := func(name, v string) string {
		return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + v + "\n\n"
	}
	require.NoError(t, os.WriteFile(d.inventory, []byte(stanza("base-files", "12.4+deb12u5")+stanza("docker-ce", "5:24.0.7-1")+stanza("tool", "1")), 0o600))
	index := "Package: docker-ce\nArchitecture: amd64\nVersion: 5:24.0.7-1\nFilename: docker-ce.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n\n"
	d.add(t, "Packages", index)
	spots := func() (all []string) {
		for _, b := range d.assess(t).BlindSpots {
			if len(b.Packages) > 0 {
				all = append(all, b.Words())
			}
		}
		return all
	}
	require.Empty(t, spots(), "a list alone does not say whose it is, and what no list has may be anybody's")
	d.add(t, "Release", fmt.Sprintf("Origin: Docker\nLabel: Docker CE\nSuite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: stable\nDate: Thu, 19 Nov 2026 10:00:00 UTC\nSHA256:\n %x %d Packages\n",
		sha256.Sum256([]byte(index)), len(index)))
	require.Equal(t, []string{"packages from Docker: docker-ce"}, spots())
	_, _, said := d.run(t, nil, "--inventory", d.inventory, "--feeds", d.feeds)
	require.Contains(t, said, "Blind spot: packages from Docker: docker-ce. No feed publishes advisories for them.")
}
