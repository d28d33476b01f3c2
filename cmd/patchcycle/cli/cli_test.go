package cli

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		assert.NotEmpty(t, c.Short, c.CommandPath())
		assert.False(t, strings.HasSuffix(c.Short, "."), c.CommandPath())
		assert.True(t, c.Runnable(), c.CommandPath())
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(New(Options{}))
}

// Whoever runs a command without any flag is told of one of those that are marked.
func TestFlagsThatACommandCannotDoWithoutAreMarkedInItsHelp(t *testing.T) {
	h := newHouse(t)
	h.o.EngineRebuild = func(context.Context, EngineOptions) (string, error) { return "", nil }
	h.o.EngineAbandon = func(context.Context, EngineOptions, string) (string, error) { return "", nil }
	h.cycle()
	marked := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		var names []string
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if strings.HasSuffix(f.Usage, " (required)") {
				names = append(names, "--"+f.Name)
			}
		})
		if len(c.Commands()) > 0 || c.Hidden || slices.Contains([]string{"server", "demo", "watch"}, c.Name()) { // these go on and on
			return
		}
		args := strings.Fields(c.CommandPath())[1:]
		for _, word := range strings.Fields(c.Use)[1:] {
			switch {
			case word == "FILE":
				args = append(args, h.policy())
			case !strings.HasPrefix(word, "["):
				args = append(args, "demo")
			}
		}
		r := h.run(args...)
		asked := slices.ContainsFunc(names, func(name string) bool { return strings.Contains(r.errs, name) })
		if len(names) > 0 {
			assert.Equal(t, ExitUsage, r.code, "%v: %s", args, r.errs)
			assert.True(t, asked, "%v: %s", args, r.errs)
			assert.Contains(t, h.ok(append(args, "--help")...), "(required)")
			marked[c.CommandPath()] = true
		} else if r.code == ExitUsage {
			assert.NotRegexp(t, "--[a-z]+ [A-Z]", r.errs, "%v needs a flag that is not marked", args)
		}
	}
	walk(New(h.o))
	for _, path := range []string{"cycle pause", "cycle approve", "cycle amend", "schedule resume", "user revoke", "user add", "enrol token", "enrol revoke", "engine abandon", "engine rebuild", "emergency start"} {
		assert.True(t, marked["patchcycle "+path], path)
	}
}

// The help of each verb comes from the table that the API and the cycle go by.
//
// Serves U1.
func TestTheHelpOfEveryVerbSaysWhatHappensToMachines(t *testing.T) {
	h := newHouse(t)
	var all strings.Builder
	for _, v := range contract.Verbs() {
		help := h.ok("cycle", string(v.Verb), "--help")
		for _, words := range []string{v.NotStarted, v.AtWork, v.Done, v.Undo} {
			assert.Contains(t, help, words)
		}
		all.WriteString("$ patchcycle cycle " + string(v.Verb) + " --help\n" + help + "\n")
	}
	golden(t, "testdata/verbs.golden", all.String())
}

func TestTheReferenceOfTheCommandLineIsUpToDate(t *testing.T) {
	h := newHouse(t)
	golden(t, "../../../docs/cli.md", h.ok("docs", "cli"))
}

func TestExitCodesTellWhatWentWrong(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	for name, c := range map[string]struct {
		args []string
		want int
		says string
	}{
		"done":                    {[]string{"cycle", "show"}, ExitOK, ""},
		"help":                    {[]string{"cycle"}, ExitOK, ""},
		"no such command":         {[]string{"cicle"}, ExitUsage, "Did you mean: patchcycle cycle?"},
		"no such command in one":  {[]string{"cycle", "aprove"}, ExitUsage, "approve"},
		"no such flag":            {[]string{"cycle", "list", "--opne"}, ExitUsage, "opne"},
		"too few arguments":       {[]string{"policy", "show"}, ExitUsage, "something is missing"},
		"too many arguments":      {[]string{"cycle", "show", "a/b/c", "d"}, ExitUsage, "too much"},
		"a verb without a reason": {[]string{"cycle", "pause"}, ExitUsage, "--reason"},
		"a verb without a plan":   {[]string{"cycle", "approve"}, ExitUsage, "--plan"},
		"no id of a cycle":        {[]string{"cycle", "show", "november"}, ExitUsage, "cycle/servers/2026-11.1"},
		"a path for a cycle":      {[]string{"cycle", "show", "../../etc"}, ExitUsage, "\"../../etc\" is no cycle's id: one looks like cycle/servers/2026-11.1 or emergency/servers/openssl\n  See: patchcycle cycle list\n"},
		"no such cycle":           {[]string{"cycle", "show", "cycle/demo/2026-11.9"}, ExitNotFound, "There is no cycle cycle/demo/2026-11.9.\n  See which there are: patchcycle cycle list\n"},
		"no such policy":          {[]string{"cycle", "start", "nothing"}, ExitNotFound, "There is no policy nothing.\n  See which there are: patchcycle policy list\n"},
		"no such file":            {[]string{"policy", "lint", "nowhere.yaml"}, ExitNotFound, "nowhere.yaml"},
		"another plan":            {[]string{"cycle", "approve", "--plan", "000000000000"}, ExitFailed, plan.Hash().Short()},
		"nobody there":            {[]string{"cycle", "show", "--server", "http://127.0.0.1:1"}, ExitAway, "the server does not answer at http://127.0.0.1:1: nobody listens there\n  Start it with \"patchcycle server\""},
		"a token in the clear":    {[]string{"cycle", "show", "--server", "http://patch.example"}, ExitUsage, "in the clear"},
		"a wrong token":           {[]string{"cycle", "show", "--token", "guess"}, ExitNotAllowed, "user add"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.run(c.args...)
			assert.Equal(t, c.want, r.code, r.errs)
			assert.Contains(t, r.errs, c.says)
			if c.want != ExitOK {
				assert.Empty(t, r.out, "an error writes nothing to stdout")
				assert.Contains(t, r.errs, "patchcycle: ")
			}
		})
	}
	t.Run("a role that may not", func(t *testing.T) {
		h.as("aud", patching.RoleAuditor)
		r := h.run("cycle", "pause", "--reason", "r")
		assert.Equal(t, ExitNotAllowed, r.code)
		assert.Contains(t, r.errs, "aud has the role auditor")
	})
}

func TestWhatIsNotThereIsNamedWithTheCommandThatListsSuchThings(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	const gone = "cycle/demo/2026-11.9"
	for _, c := range []struct {
		args            []string
		what, thingsAre string
	}{
		{[]string{"policy", "show", "nope"}, "policy nope", "policy list"},
		{[]string{"schedule", "next", "nope"}, "policy nope", "policy list"},
		{[]string{"asset", "show", "nope"}, "machine nope", "asset list"},
		{[]string{"asset", "set", "nope", "--owner", "o"}, "machine nope", "asset list"},
		{[]string{"task", "show", "nope"}, "task nope", "task list --all"},
		{[]string{"task", "done", "nope"}, "task nope", "task list --all"},
		{[]string{"cycle", "watch", gone}, "cycle " + gone, "cycle list"},
		{[]string{"cycle", "plan", gone}, "cycle " + gone, "cycle list"},
		{[]string{"cycle", "machines", gone}, "cycle " + gone, "cycle list"},
		{[]string{"cycle", "machines", gone, "--machine", "web-1"}, "cycle " + gone, "cycle list"},
		{[]string{"cycle", "machines", string(cycleID), "--machine", "nope"}, "machine nope in " + string(cycleID), "cycle machines " + string(cycleID)},
		{[]string{"report", "show", gone, "--html"}, "cycle " + gone, "cycle list"},
		{[]string{"enrol", "accept", "nope"}, "device nope", "enrol list"},
		{[]string{"user", "revoke", "nope", "--reason", "r"}, "account nope", "user list"},
	} {
		r := h.run(c.args...)
		assert.Equal(t, ExitNotFound, r.code, "%v", c.args)
		assert.Equal(t, "patchcycle: There is no "+c.what+".\n  See which there are: patchcycle "+c.thingsAre+"\n", r.errs, "%v", c.args)
	}
}

func TestTheEngineThatIsAwayHasItsOwnExitCodeAndAKeyToRepeatBy(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.engine.err = io.ErrUnexpectedEOF
	h.o.Patience = time.Second
	r := h.run("cycle", "pause", "--reason", "r", "--once", "k-1")
	assert.Equal(t, ExitAway, r.code)
	assert.Contains(t, r.errs, "--once k-1")
	require.Greater(t, len(h.engine.acts), 1, "it is repeated while the engine is away")
	for _, a := range h.engine.acts {
		assert.Equal(t, h.engine.acts[0].Request, a.Request)
	}
}

func TestTheAdministratorsTokenIsReadFromTheDataDirectoryOfThisMachinesServerOnly(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	delete(h.env, "PATCHCYCLE_SERVER")
	delete(h.env, "PATCHCYCLE_TOKEN")
	h.env["PATCHCYCLE_DATA_DIR"] = dir

	r := h.run("cycle", "list")
	assert.Equal(t, ExitAway, r.code, r.errs)
	assert.Contains(t, r.errs, "no server has run in "+dir)

	// A server that answers on the socket, and another one elsewhere.
	l, err := net.Listen("unix", Socket(dir))
	require.NoError(t, err)
	defer l.Close()
	go proxy(l, strings.TrimPrefix(h.url, "http://"))
	r = h.run("cycle", "list")
	assert.Equal(t, ExitNotAllowed, r.code)

	require.NoError(t, os.WriteFile(AdminToken(dir), []byte("token of root\n"), 0o600))
	r = h.run("cycle", "list")
	assert.Equal(t, ExitOK, r.code, r.errs)
	r = h.run("cycle", "list", "--server", h.url)
	assert.Equal(t, ExitNotAllowed, r.code, "the administrator's token went to another server")

	require.NoError(t, os.Chmod(AdminToken(dir), 0o644))
	r = h.run("cycle", "list")
	assert.Contains(t, r.errs, "chmod 600")

	h.env["PATCHCYCLE_TOKEN"] = "of somebody else"
	assert.Equal(t, ExitNotAllowed, h.run("cycle", "list").code, "one's own token goes first")
	assert.Equal(t, ExitOK, h.run("cycle", "list", "--token", "token of root").code)
}

// Without them the command would ask another server, or none.
func TestACommandThatPeopleAreToldToTypeRepeatsWhereTheirServerIs(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	assert.Contains(t, h.ok("cycle", "plan"), "To approve it: patchcycle cycle approve "+string(cycleID)+" --plan ", "what the environment says stays said")
	delete(h.env, "PATCHCYCLE_SERVER")
	ask := func(args ...string) result { return h.run(append(args, "--server", h.url)...) }
	assert.Contains(t, ask("cycle", "plan").out, "To approve it: patchcycle --server "+h.url+" cycle approve "+string(cycleID)+" --plan ")
	assert.Contains(t, ask("cycle", "approve", "--plan", "000000000000").errs, "Look at it again: patchcycle --server "+h.url+" cycle plan")
	assert.Contains(t, ask("cycle", "start", "nothing").errs, "See which there are: patchcycle --server "+h.url+" policy list", "what the server says, too")
	assert.Contains(t, ask("asset", "list", "--site", "nope").errs, "See all: patchcycle --server "+h.url+" asset list")
	assert.Contains(t, ask("policy", "show").errs, "See: patchcycle policy show --help", "help needs no server")

	dir := filepath.Join(t.TempDir(), "it's a demo")
	require.NoError(t, os.Mkdir(dir, 0o700))
	r := h.run("cycle", "list", "--data-dir", dir)
	assert.Equal(t, ExitAway, r.code)
	assert.Contains(t, h.run("doctor", "--data-dir", dir).out, "server: Start it with \"patchcycle --data-dir '")
	assert.Contains(t, r.errs, "patchcycle --data-dir '"+strings.ReplaceAll(dir, "'", `'\''`)+"' server", "as a shell takes it")
}

// proxy hands connections on until the listener is closed.
func proxy(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			in.Close()
			continue
		}
		go func() { _, _ = io.Copy(out, in); out.Close() }()
		go func() { _, _ = io.Copy(in, out); in.Close() }()
	}
}

func TestWhatMachinesNameThemselvesDoesNotReachTheTerminalAsCommands(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{ID: "a", Hostname: "evil\x1b]0;owned\x07\x1b[2J", Site: "s"}))
	for _, width := range []int{0, 120} {
		h.o.Terminal = func(io.Writer) int { return width }
		out := h.ok("asset", "list") + h.ok("asset", "show", "a")
		assert.NotContains(t, out, "\x1b]0;owned")
		assert.NotContains(t, out, "\x07")
		assert.Contains(t, out, "evil")
	}
}

func TestPeopleAtATerminalGetFramedTablesAndOthersPlainOnes(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{ID: "web-1", Hostname: "web-1.example", Site: "amsterdam"}))
	plain := h.ok("asset", "list")
	assert.Contains(t, plain, "web-1    web-1.example  amsterdam")
	h.o.Terminal = func(io.Writer) int { return 100 }
	framed := h.ok("asset", "list")
	assert.Contains(t, framed, "╭")
	for _, line := range strings.Split(framed, "\n") {
		assert.LessOrEqual(t, len([]rune(line)), 100)
	}
	assert.NotEmpty(t, h.ok("cycle", "--help"))
}

func TestTheShellIsToldWhatMayComeNext(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	assert.Contains(t, h.ok("__complete", "cycle", "show", ""), string(cycleID))
	assert.Contains(t, h.ok("__complete", "policy", "show", ""), "demo")
	assert.Contains(t, h.ok("__complete", "cycle", "ap"), "approve")
	h.env["PATCHCYCLE_SERVER"] = "http://127.0.0.1:1"
	assert.Equal(t, ExitOK, h.run("__complete", "cycle", "show", "").code)
	assert.Contains(t, h.ok("completion", "bash"), "patchcycle")
}

// Serves L6.
func TestThisMachineIsChangedOnlyByWhoSaysSoTwice(t *testing.T) {
	h := newHouse(t)
	started, hindrance := 0, ""
	h.o.Hindrance = func() string { return hindrance }
	h.o.Demo = func(_ context.Context, o DemoOptions) error {
		started++
		assert.True(t, o.IncludeThisMachine)
		return nil
	}
	name, err := os.Hostname()
	require.NoError(t, err)
	for what, c := range map[string]struct {
		in   string
		said string
	}{
		"nobody answers":   {"", "not confirmed"},
		"another name":     {name + "x\nyes\n", "not confirmed"},
		"once":             {name + "\n", "not confirmed"},
		"not quite":        {name + "\ny\n", "not confirmed"},
		"yes all the time": {"yes\nyes\n", "not confirmed"},
	} {
		t.Run(what, func(t *testing.T) {
			r := h.feed(c.in, "demo", "--include-this-machine")
			assert.Equal(t, ExitFailed, r.code)
			assert.Contains(t, r.errs, c.said)
		})
	}
	require.Zero(t, started)
	r := h.feed(name+"\nyes\n", "demo", "--include-this-machine")
	require.Zero(t, r.code, r.errs)
	require.Equal(t, 1, started)

	hindrance = "systemd does not run it."
	r = h.feed(name+"\nyes\n", "demo", "--include-this-machine")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "systemd does not run it")
	require.Equal(t, 1, started)
}

func TestCommandsThatRunSomethingHandTheirFlagsOver(t *testing.T) {
	h := newHouse(t)
	var served ServeOptions
	var demo DemoOptions
	var rebuilt EngineOptions
	h.o.Serve = func(_ context.Context, o ServeOptions) error { served = o; return nil }
	h.o.Demo = func(_ context.Context, o DemoOptions) error { demo = o; return nil }
	h.o.EngineStatus = func(context.Context, EngineOptions) (EngineStatus, error) {
		return EngineStatus{Running: true, Kind: "embedded on SQLite", Words: "It runs."}, nil
	}
	h.o.EngineRebuild = func(_ context.Context, o EngineOptions) (string, error) { rebuilt = o; return "Made anew.", nil }
	var abandoned string
	h.o.EngineAbandon = func(_ context.Context, o EngineOptions, cycle string) (string, error) {
		abandoned = cycle + ": " + o.Reason
		return "Closed.", nil
	}
	var sim []string
	h.o.Sim = func(_ context.Context, args []string, _, _ io.Writer) error { sim = args; return nil }
	h.o.DemoFlags = func(c *cobra.Command) { c.Flags().Bool("hidden-pace", false, "") }

	h.env["PATCHCYCLE_DATABASE_URL"] = "postgres://x"
	h.ok("server", "--data-dir", "/tmp/pc", "--uplink", "127.0.0.1:9", "--log-level", "debug")
	assert.Equal(t, "/tmp/pc", served.DataDir)
	assert.Equal(t, "127.0.0.1:9", served.Uplink)
	assert.Equal(t, "postgres://x", served.DatabaseURL)
	assert.Equal(t, ExitUsage, h.run("server", "--log-level", "loud").code)

	h.ok("demo", "--auto-approve", "--json", "--machines", "20", "--seed", "7", "--hidden-pace")
	assert.True(t, demo.AutoApprove && demo.JSON)
	assert.Equal(t, 20, demo.Machines)
	assert.Equal(t, uint64(7), demo.Seed)
	assert.Empty(t, demo.DataDir, "the demo does not run in a server's data directory")
	h.ok("demo", "--data-dir", "kept", "--new")
	assert.Equal(t, "kept", demo.DataDir)
	assert.Equal(t, ExitUsage, h.run("demo", "--new").code)
	assert.Equal(t, ExitUsage, h.run("demo", "--machines", "-1").code)

	assert.Contains(t, h.ok("engine", "status"), "It runs.")
	assert.Equal(t, ExitUsage, h.run("engine", "rebuild", "--reason", "lost").code)
	assert.Contains(t, h.ok("engine", "rebuild", "--reason", "lost", "--yes"), "Made anew.")
	assert.Equal(t, "lost", rebuilt.Reason)
	assert.Equal(t, ExitUsage, h.run("engine", "abandon", "cycle/web/2026-11.1", "--yes").code)
	assert.Equal(t, ExitUsage, h.run("engine", "abandon", "cycle/web/2026-11.1", "--reason", "lost").code)
	assert.Equal(t, ExitUsage, h.run("engine", "abandon", "november", "--reason", "lost", "--yes").code)
	assert.JSONEq(t, `{"words": "Closed."}`, h.ok("engine", "abandon", "cycle/web/2026-11.1", "--reason", "lost", "--yes", "--json"))
	assert.Equal(t, "cycle/web/2026-11.1: lost", abandoned)
	assert.Equal(t, "http://127.0.0.1:7441/login?once=1\n", h.ok("engine", "ui"))

	h.ok("sim", "--any", "thing")
	assert.Equal(t, []string{"--any", "thing"}, sim)

	h.o.Serve, h.o.Demo, h.o.Sim, h.o.EngineStatus, h.o.EngineRebuild, h.o.EngineAbandon = nil, nil, nil, nil, nil, nil
	for _, args := range [][]string{{"server"}, {"demo"}, {"sim"}, {"engine", "status"}, {"engine", "rebuild", "--reason", "r", "--yes"}, {"engine", "abandon", "c", "--reason", "r", "--yes"}} {
		assert.Equal(t, ExitFailed, h.run(args...).code, args)
	}
}

func TestAbandoningACycleThatIsNotOnRecordEndsWithTheCodeForWhatIsNotThere(t *testing.T) {
	h := newHouse(t)
	h.o.EngineAbandon = func(context.Context, EngineOptions, string) (string, error) { return "", ErrNoCycle }
	r := h.run("engine", "abandon", "cycle/nope/2026-11.3", "--reason", "lost", "--yes")
	assert.Equal(t, ExitNotFound, r.code)
	assert.Equal(t, "patchcycle: there is no cycle cycle/nope/2026-11.3 on record\n  While the server runs, it lists them: patchcycle cycle list\n", r.errs)
}

func TestMainsFunctionsChooseTheirExitCodeAndMaySayEverythingThemselves(t *testing.T) {
	h := newHouse(t)
	h.o.Demo = func(context.Context, DemoOptions) error { return &Failure{Code: 7, Words: "x", Quiet: true} }
	r := h.run("demo")
	assert.Equal(t, 7, r.code)
	assert.Empty(t, r.errs)
	h.o.Demo = func(context.Context, DemoOptions) error { return Fail(ExitFailed, "Do that.", "it broke") }
	r = h.run("demo")
	assert.Equal(t, "patchcycle: it broke\n  Do that.\n", r.errs)
}

func TestTheProgramSaysWhichBuildItIs(t *testing.T) {
	h := newHouse(t)
	for _, args := range [][]string{{"version"}, {"--version"}} {
		out := h.ok(args...)
		assert.Contains(t, out, "patchcycle v0.0.0-test\n", "%s", args)
		assert.Contains(t, out, "go1.0", "%s", args)
		assert.Contains(t, out, "Temporal server  9.9.9\n", "%s", args)
	}
	assert.Equal(t, h.o.Build, decode[build.Info](h, "version"))
	assert.Equal(t, filepath.Join("d", "admin.token"), AdminToken("d"))
}
