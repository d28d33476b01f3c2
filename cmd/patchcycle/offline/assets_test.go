package offline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/offline"
	"github.com/patchcycle/patchcycle/console/api"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// office is a server that knows one machine with an agent, and a desk to ask it from.
type office struct {
	t     *testing.T
	store *store.Store
	env   map[string]string
	sweep func(context.Context, cli.SweepOptions) (cli.Swept, error)
}

func newOffice(t *testing.T) *office {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	srv := httptest.NewServer(api.New(api.Options{Store: s, Version: "v0.0.0-test", Now: func() time.Time { return noon }}))
	t.Cleanup(srv.Close)
	require.NoError(t, s.PutAccount(t.Context(), patching.Account{
		Name: "ana", Roles: []patching.Role{patching.RoleOperator}, Scopes: []string{"*"}, Created: noon, Token: patching.DigestOf([]byte("token")),
	}))
	require.NoError(t, s.PutEnrolToken(t.Context(), store.EnrolToken{Hash: "sha256:t", Site: "amsterdam", Uses: 1, Expires: noon.Add(time.Hour), AutoAccept: true}))
	_, err = s.Enrol(t.Context(), "sha256:t", noon, patching.Device{ID: "d-1", Asset: "web-1", Key: []byte("key")},
		patching.Asset{ID: "web-1", Hostname: "web-1.example.com", Addresses: []string{"10.0.0.17/24"}, MACs: []string{"52:54:00:12:34:56"}, Inventoried: noon})
	require.NoError(t, err)
	return &office{t: t, store: s, sweep: offline.Sweep, env: map[string]string{"PATCHCYCLE_SERVER": srv.URL, "PATCHCYCLE_TOKEN": "token", "HOME": t.TempDir()}}
}

func (o *office) run(in string, args ...string) (code int, out, errs string) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(o.t.Context(), cli.Options{
		ReadAssets: offline.ReadAssets, Sweep: o.sweep, Networks: offline.Networks, Now: func() time.Time { return noon },
		Env: func(k string) string { return o.env[k] }, Terminal: func(io.Writer) int { return 0 },
	}, append([]string{"asset"}, args...), strings.NewReader(in), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func (o *office) file(name, text string) string {
	o.t.Helper()
	file := filepath.Join(o.t.TempDir(), name)
	require.NoError(o.t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func (o *office) owner() string {
	o.t.Helper()
	a, err := o.store.Asset(o.t.Context(), "web-1")
	require.NoError(o.t, err)
	return a.Owner
}

const export = "Name;IP Address;Assigned to;Notes\nweb-1;10.0.0.17;shop;x\nnas;10.0.0.40;office;\n"

// Serves G1, Q7.
func TestAListOfAssetsIsShownAskedAboutAndTakenInOnce(t *testing.T) {
	o := newOffice(t)
	list := o.file("cmdb.csv", export)
	code, out, errs := o.run("", "import", list, "--dry-run")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, errs, "Read: Name as hostname, IP Address as address, Assigned to as owner.")
	require.Contains(t, errs, "Not read: Notes.")
	require.Contains(t, out, "owner: shop (here: nothing)")
	require.Contains(t, out, "Nobody manages: 1.")
	require.Contains(t, out, "Nothing was changed; 2 machines would.")
	require.Empty(t, o.owner())

	code, _, errs = o.run("no\n", "import", list)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errs, "not agreed to: nothing was changed")
	require.Empty(t, o.owner())

	code, out, errs = o.run("yes\n", "import", list)
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, out, "Taken in: 2 machines.")
	require.Equal(t, "shop", o.owner())

	code, out, errs = o.run("", "import", list) // nobody has to be asked
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, out, "Nothing would change.")
	_, out, _ = o.run("", "show", "nas")
	require.Contains(t, out, "cmdb.csv (ana, 2026-11-20")
}

func TestAListWithBadRowsChangesNothingUnlessItIsSaid(t *testing.T) {
	o := newOffice(t)
	list := o.file("cmdb.csv", export+"bad name;10.0.0.41;;\n")
	code, out, errs := o.run("", "import", list, "--yes")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, `line 4, column 1 (Name): "bad name"`)
	require.Contains(t, errs, "1 row cannot be used: nothing was changed")
	require.Contains(t, out, "owner: shop", "the rest is shown all the same")
	require.Empty(t, o.owner())
	code, _, errs = o.run("", "import", list, "--yes", "--skip-bad")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Equal(t, "shop", o.owner())
}

func TestAListOnStandardInputIsReadByPrograms(t *testing.T) {
	o := newOffice(t)
	code, _, errs := o.run(export, "import", "-")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "say --dry-run or --yes")
	code, out, errs := o.run(strings.ReplaceAll(export, "Assigned to", "Boss"), "import", "-", "--yes", "--json", "--map", "Boss=owner", "--source", "nightly")
	require.Equal(t, cli.ExitOK, code, errs)
	var doc cli.AssetImport
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.True(t, doc.Applied)
	require.Equal(t, "nightly", doc.Source)
	require.Empty(t, doc.Bad)
	require.Len(t, doc.Columns, 4)
	for _, c := range []struct{ text, says string }{
		{"Name;Boss\n", "has no row that can be used"},
		{"", "neither comma"},
		{"a;b\nc;d\n", `--map "a=hostname"`},
	} {
		code, _, errs := o.run(c.text, "import", "-", "--dry-run")
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, errs, c.says)
	}
}

const networks = "networks:\n- name: office\n  ranges: [10.0.0.0/24]\n  ports: [22]\n"

// Serves G1.
func TestASweepTellsWhoManagesWhatItFound(t *testing.T) {
	o := newOffice(t)
	o.sweep = func(_ context.Context, so cli.SweepOptions) (cli.Swept, error) {
		so.Planned(253, 506, 50)
		so.Progress(506, 506)
		return cli.Swept{Networks: so.Names, Addresses: 253, Probes: 506, Rate: 50, Machines: []cli.SweptMachine{
			{Address: "10.0.0.17", MAC: "52:54:00:12:34:56", How: []string{"answered a ping"}},
			{Address: "10.0.0.18", MAC: "52:54:00:12:34:56", How: []string{"answered a ping"}},
			{Address: "10.0.0.40", MAC: "52:54:00:00:00:40", How: []string{"took a connection"}, Open: []uint16{22}},
		}}, nil
	}
	code, out, errs := o.run("", "sweep", "office", "--json", "--fail-on-unmanaged")
	require.Equal(t, cli.ExitFailed, code, errs)
	require.Contains(t, errs, "253 addresses of office: 506 probes, 50 a second at most, in about 10s.")
	var found cli.Swept
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.True(t, found.Matched)
	require.Equal(t, 1, found.Unmanaged)
	require.Equal(t, []bool{true, true, false}, []bool{*found.Machines[0].Managed, *found.Machines[1].Managed, *found.Machines[2].Managed})
	require.Equal(t, patching.AssetID("web-1"), found.Machines[1].Asset, "a second address of the same machine")

	// Somebody else has the address of a machine that is known.
	o.sweep = func(_ context.Context, so cli.SweepOptions) (cli.Swept, error) {
		return cli.Swept{Networks: so.Names, Machines: []cli.SweptMachine{{Address: "10.0.0.17", MAC: "52:54:00:00:00:99"}}}, nil
	}
	_, out, _ = o.run("", "sweep", "office")
	require.Contains(t, out, "nobody manages it")
	_, out, _ = o.run("", "sweep", "office", "--offline")
	require.NotContains(t, out, "manages")

	o.env["PATCHCYCLE_TOKEN"] = "wrong"
	code, out, _ = o.run("", "sweep", "office", "--json")
	require.Equal(t, cli.ExitNotAllowed, code)
	require.Contains(t, out, `"managed": null`, "what was seen is not lost, and nobody says that it is unmanaged")
}

func TestASweepThatIsNotListedSendsNothing(t *testing.T) {
	o := newOffice(t)
	file := o.file("networks.yaml", networks)
	code, _, errs := o.run("", "sweep", "office", "--networks", file, "--dry-run")
	require.Equal(t, cli.ExitOK, code, errs)
	require.Contains(t, errs, "probes, 50 a second at most")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"sweep", "10.0.0.0/24", "--networks", file}, `network "10.0.0.0/24" is not listed: there are office`},
		{[]string{"sweep", "--networks", file}, "NETWORK"},
		{[]string{"sweep", "office", "--networks", file + "x"}, "no such file"},
		{[]string{"sweep", "office", "--offline", "--fail-on-unmanaged"}, "leave out --offline"},
	} {
		code, _, errs := o.run("", c.args...)
		require.Equal(t, cli.ExitUsage, code, c.args)
		require.Contains(t, errs, c.says)
	}
}
