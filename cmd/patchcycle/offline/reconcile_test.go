package offline_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/offline"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

func (d desk) reconcile(t *testing.T, in string, args ...string) (code int, out cli.Reconciliation, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), cli.Options{
		Reconcile: offline.Reconcile, Now: func() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) },
		Env: func(string) string { return "" }, Terminal: func(io.Writer) int { return 0 },
	}, append([]string{"asset", "reconcile", "--feeds", d.feeds, "--json"}, args...), strings.NewReader(in), &o, &e)
	if o.Len() > 0 {
		require.NoError(t, json.Unmarshal(o.Bytes(), &out))
	}
	return code, out, e.String()
}

func (d desk) findings(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "findings")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const scan = "Host,Package,Installed,CVE,Fixed in\n" +
	"web-1,nginx,1:1.22.1-3.el9,CVE-2024-21413,\n" +
	"web-1,glibc,2.34-60.el9,CVE-2020-0001,2.34-70.el9\n" +
	"web-2,glibc,2.34-60.el9,CVE-2020-0002,\n"

// Serves G1, L9.
func TestAScannersFindingsAreHeldAgainstOursFromFilesAlone(t *testing.T) {
	d := newDesk(t)
	code, r, errs := d.reconcile(t, "", "--inventory", d.inventory, "--findings", d.findings(t, scan), "--asset", "WEB-1")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Equal(t, [3]int{1, 1, 1}, [3]int{r.Both, r.OnlyThey, r.OnlyWe})
	require.Equal(t, 2, r.Claims)
	require.Nil(t, r.Made, "a table has no date")
	why := map[string]reconcile.Reason{}
	for _, f := range r.Findings {
		why[f.Package+" "+string(f.ReportedBy)] = f.Reason
	}
	require.Equal(t, map[string]reconcile.Reason{
		"nginx both": "", "glibc only they": reconcile.NoAdvisory, "bash only we": reconcile.WithoutFix,
	}, why)
}

func TestReconcileEndsWithTheCodeThatIsAskedFor(t *testing.T) {
	d := newDesk(t)
	one := d.findings(t, strings.ReplaceAll(scan, "web-2", "web-1"))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--findings", one}, cli.ExitOK, ""},
		{[]string{"--findings", one, "--fail-on", "only-they"}, cli.ExitFailed, "only they report 2, only we 1"},
		{[]string{"--findings", one, "--fail-on", "any"}, cli.ExitFailed, "the two differ"},
		{[]string{"--findings", d.findings(t, "package,cve\nnginx,CVE-2024-21413\n"), "--fail-on", "only-they"}, cli.ExitOK, ""},
		{[]string{"--findings", d.findings(t, scan)}, cli.ExitUsage, "about 2 machines: web-1, web-2"},
		{[]string{"--findings", d.findings(t, scan), "--asset", "web-9"}, cli.ExitNotFound, "no finding is about web-9"},
		{[]string{"--findings", d.findings(t, "package,cve\nnginx,\nnginx,CVE-2024-21413\n")}, cli.ExitUsage, "1 row of the findings cannot be used, the first: line 2"},
		{[]string{"--findings", d.findings(t, "package,cve\nnginx,\nnginx,CVE-2024-21413\n"), "--skip-bad"}, cli.ExitOK, ""},
		{[]string{"--findings", d.findings(t, "thing,cve\nnginx,CVE-2024-21413\n")}, cli.ExitUsage, `such as --map "thing=package"`},
		{[]string{"--findings", d.findings(t, "thing,cve\nnginx,CVE-2024-21413\n"), "--map", "thing=package"}, cli.ExitOK, ""},
		{[]string{"--findings", one, "--map", "thing"}, cli.ExitUsage, "write HEADING=FIELD"},
		{[]string{"--findings", filepath.Join(t.TempDir(), "none")}, cli.ExitUsage, "no such file"},
		{nil, cli.ExitUsage, "--findings FILE"},
	} {
		code, _, errs := d.reconcile(t, "", append([]string{"--inventory", d.inventory}, c.args...)...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errs)
		require.Contains(t, errs, c.says, c.args)
	}
	code, r, errs := d.reconcile(t, scan, "--inventory", d.inventory, "--findings", "-", "--asset", "web-2")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Equal(t, 1, r.OnlyThey)
	code, _, errs = d.reconcile(t, scan, "--inventory", "-", "--findings", "-")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "cannot both be standard input")
}

// Serves G1.
func TestABillOfMaterialsIsAssessedAndSaysWhatItLeavesOut(t *testing.T) {
	d := newDesk(t)
	bill := `{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
  {"type": "library", "name": "nginx", "purl": "pkg:rpm/almalinux/nginx@1.22.1-3.el9?arch=x86_64&epoch=1&distro=almalinux-9.0"},
  {"type": "library", "name": "left-pad", "purl": "pkg:npm/left-pad@1"}]}`
	a := d.assess(t, "--inventory", d.findings(t, bill))
	require.Len(t, a.Findings, 1)
	require.Equal(t, "1:1.24.0-1.el9", *a.Findings[0].Fixed)
	require.Equal(t, "components of npm", a.BlindSpots[len(a.BlindSpots)-1].What)
}

func TestAListOfHotfixesNeedsToBeToldWhichWindowsItIsOf(t *testing.T) {
	d := newDesk(t)
	list := d.findings(t, "HotFixID   \nKB5007289  \n")
	a := d.assess(t, "--inventory", list)
	require.True(t, a.Blind)
	require.Contains(t, a.BlindSpots[len(a.BlindSpots)-1].Why, "--os windows:10.0.20348")
	a = d.assess(t, "--inventory", list, "--os", "windows:10.0.20348")
	require.Equal(t, "windows Windows Server 2022", a.BlindSpots[0].What, "it is known which, and no feed here is about it")
}

func TestRowsThatNameNoMachineAreNotTakenForThoseOfAnotherOne(t *testing.T) {
	d := newDesk(t)
	list := "bash\t5.1.8-4.el9\n"
	mixed := "Host,Package,Installed,CVE\n,glibc,2.34-60.el9,CVE-2020-0001\nweb-1,bash,5.1.8-4.el9,CVE-2020-0002\n"
	code, _, errs := d.reconcile(t, list, "--inventory", "-", "--os", "almalinux:9", "--findings", d.findings(t, mixed))
	require.Equal(t, cli.ExitUsage, code, errs)
	require.Contains(t, errs, "--asset HOST")
}
