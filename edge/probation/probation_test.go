package probation

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/command"
)

// desk is a machine with dpkg and without systemd: the agent's package is installed
// below a folder of its own.
type desk struct {
	t       *testing.T
	root    string
	keeper  Keeper
	now     time.Time
	systemd []string // what it was asked
	// refuse makes dpkg fail as often.
	refuse int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	if os.Geteuid() != 0 {
		const why = "dpkg installs as root only"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	d := &desk{t: t, root: t.TempDir(), now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	d.keeper = Keeper{
		Home: filepath.Join(d.root, "var", "lib", "patchcycle-agent"), Root: d.root, Run: d.run,
		Now: func() time.Time { return d.now },
	}
	require.NoError(t, os.MkdirAll(filepath.Join(d.root, "var", "lib", "dpkg", "updates"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(d.root, "var", "lib", "dpkg", "status"), nil, 0o644))
	return d
}

// run is the machine's dpkg, on its folder.
func (d *desk) run(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	switch program {
	case "systemctl":
		d.systemd = append(d.systemd, strings.Join(args, " "))
		return nil, nil
	case "dpkg":
		if d.refuse > 0 {
			d.refuse--
			return nil, errors.New("dpkg: error: dpkg frontend lock was locked by another process")
		}
		args = append([]string{"--root=" + d.root, "--force-not-root", "--force-script-chrootless"}, args...)
	case "dpkg-query":
		args = append([]string{"--admindir=" + filepath.Join(d.root, "var", "lib", "dpkg")}, args...)
	}
	return command.Run(ctx, limit, program, args...)
}

// release makes the package of one, with rules as its settings.
func (d *desk) release(version, rules string) string {
	d.t.Helper()
	tree := d.t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		require.NoError(d.t, os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755))
		require.NoError(d.t, os.WriteFile(filepath.Join(tree, name), []byte(text), mode))
	}
	require.NoError(d.t, os.Chmod(tree, 0o755))
	put("DEBIAN/control", "Package: "+Package+"\nVersion: "+version+"\nArchitecture: all\nMaintainer: lab <lab@example.com>\nSection: admin\nDescription: an agent\n of two lines\n", 0o644)
	put("DEBIAN/conffiles", "/etc/patchcycle/rules.json\n", 0o644)
	put("DEBIAN/postinst", "#!/bin/sh\n# "+version+"\n", 0o755)
	put("usr/bin/patchcycle-agent", "program "+version, 0o755)
	put("lib/systemd/system/patchcycle-agent.service", "unit "+version, 0o644)
	put("etc/patchcycle/rules.json", rules, 0o644)
	require.NoError(d.t, os.MkdirAll(filepath.Join(tree, "var", "lib", "patchcycle-agent"), 0o700))
	file := filepath.Join(d.t.TempDir(), "agent.deb")
	out, err := exec.CommandContext(d.t.Context(), "dpkg-deb", "--root-owner-group", "--build", tree, file).CombinedOutput()
	require.NoError(d.t, err, "%s", out)
	return file
}

func (d *desk) install(deb string) {
	d.t.Helper()
	_, err := d.run(d.t.Context(), time.Minute, "dpkg", "--force-confold", "--install", deb)
	require.NoError(d.t, err)
}

func (d *desk) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, name))
	require.NoError(d.t, err)
	return string(text)
}

// upgrade is dpkg's: the release of before is kept first, by its own script.
func (d *desk) upgrade(deb, to string) {
	d.t.Helper()
	d.halve() // as dpkg does before it runs that script
	require.NoError(d.t, d.keeper.Begin(d.t.Context(), filepath.Join(d.root, "usr", "bin", "patchcycle-agent"), to, "o-1", Limit))
	d.install(deb)
}

func (d *desk) record() Record {
	d.t.Helper()
	r, ok, err := d.keeper.Read()
	require.NoError(d.t, err)
	require.True(d.t, ok)
	return r
}

func (d *desk) armed() bool {
	_, err := os.Stat(filepath.Join(d.root, unitFolder, "timers.target.wants", timerOf))
	return err == nil
}

func answers(so bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return so, nil }
}

// Serves Q13: a release that does not report in is backed out, with what people set
// on the machine left alone, also by the release after it.
func TestAReleaseThatDoesNotReportInIsPutBackAsItWas(t *testing.T) {
	d := newDesk(t)
	d.install(d.release("1.0", "all"))
	const rules = "etc/patchcycle/rules.json"
	require.NoError(t, os.WriteFile(filepath.Join(d.root, rules), []byte("look only"), 0o600))
	d.upgrade(d.release("1.1", "all, and more"), "1.1")
	require.Equal(t, Record{From: "1.0", To: "1.1", Order: "o-1", State: Open, Began: d.now}, d.record())
	require.True(t, d.armed())
	require.Equal(t, "program 1.1", d.read("usr/bin/patchcycle-agent"))
	kept, err := os.ReadFile(d.keeper.file(programFile))
	require.NoError(t, err)
	require.Equal(t, "program 1.0", string(kept))
	info, err := os.Stat(d.keeper.file(programFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode(), "whoever knocks is another user")

	d.now = d.now.Add(10 * time.Minute)
	v, err := d.keeper.Judge(t.Context(), answers(true))
	require.NoError(t, err)
	require.Equal(t, Back, v)
	require.Equal(t, "program 1.0", d.read("usr/bin/patchcycle-agent"))
	require.Equal(t, "unit 1.0", d.read("lib/systemd/system/patchcycle-agent.service"))
	require.Contains(t, d.read("var/lib/dpkg/info/patchcycle-agent.postinst"), "# 1.0")
	version, status, err := d.keeper.installed(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1.0 installed", version+" "+status)
	require.Equal(t, "look only", d.read(rules))
	r := d.record()
	require.Equal(t, PutBack, r.State)
	require.Equal(t, "it had not reported in 10m0s after it was installed.", r.Why)
	require.False(t, d.armed(), "nothing judges any more")
	require.NoFileExists(t, d.keeper.file(busyFile))

	d.install(d.release("1.2", "all, and yet more"))
	require.Equal(t, "look only", d.read(rules), "what an administrator set is not the package's")
}

// Serves Q13, Q5.
func TestWhatAJudgeFindsDecidesWhatHeDoes(t *testing.T) {
	for what, c := range map[string]struct {
		before  func(*desk)
		answer  func(context.Context) (bool, error)
		want    Verdict
		state   State
		version string
	}{
		"nobody answers there: the line's fault": {answer: answers(false), want: Waits, state: Open, version: "1.1"},
		"whether anybody answers cannot be said": {
			answer: func(context.Context) (bool, error) { return false, errors.New("no such unit") }, want: Back, state: PutBack, version: "1.0",
		},
		"somebody has dpkg's lock":      {before: func(d *desk) { d.refuse = 1 }, want: Again, state: Open, version: "1.1"},
		"somebody installed a third":    {before: func(d *desk) { d.install(d.release("1.2", "")) }, want: Nothing, state: Void, version: "1.2"},
		"it was not replaced after all": {before: func(d *desk) { d.install(d.release("1.0", "")) }, want: Nothing, state: Void, version: "1.0"},
		"somebody removed it":           {before: func(d *desk) { d.remove() }, want: Nothing, state: Void, version: "1.1"},
		"the power went as it had been put back": {
			before: func(d *desk) { d.install(d.release("1.0", "")); d.busy() }, want: Back, state: PutBack, version: "1.0",
		},
		"the power went before it was put back": {before: func(d *desk) { d.busy() }, want: Back, state: PutBack, version: "1.0"},
		"its script failed and it is broken":    {before: func(d *desk) { d.halve() }, want: Back, state: PutBack, version: "1.0"},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			d.install(d.release("1.0", ""))
			d.upgrade(d.release("1.1", ""), "1.1")
			if c.before != nil {
				c.before(d)
			}
			if c.answer == nil {
				c.answer = answers(true)
			}
			v, err := d.keeper.Judge(t.Context(), c.answer)
			require.Equal(t, c.want, v, "%v", err)
			require.Equal(t, c.want == Again, err != nil)
			require.Equal(t, c.state, d.record().State)
			require.Equal(t, c.state == Open, d.armed())
			require.NoFileExists(t, d.keeper.file(busyFile), "the next release is on probation again")
			version, _, err := d.keeper.installed(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.version, version)
		})
	}
}

// busy leaves what a judge leaves who was cut off.
func (d *desk) busy() {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.keeper.file(busyFile), nil, 0o600))
}

func (d *desk) remove() {
	d.t.Helper()
	_, err := d.run(d.t.Context(), time.Minute, "dpkg", "--remove", Package)
	require.NoError(d.t, err)
}

// halve leaves the package as a script that fails does.
func (d *desk) halve() {
	d.t.Helper()
	file := filepath.Join(d.root, "var", "lib", "dpkg", "status")
	text := strings.Replace(d.read("var/lib/dpkg/status"), "install ok installed", "install ok half-configured", 1)
	require.NoError(d.t, os.WriteFile(file, []byte(text), 0o644))
}

func TestPuttingBackIsGivenUpAtLastAndSaysWhy(t *testing.T) {
	d := newDesk(t)
	d.install(d.release("1.0", ""))
	d.upgrade(d.release("1.1", ""), "1.1")
	d.refuse = triesMost
	for range triesMost - 1 {
		v, err := d.keeper.Judge(t.Context(), answers(true))
		require.ErrorContains(t, err, "locked by another process")
		require.Equal(t, Again, v)
	}
	v, err := d.keeper.Judge(t.Context(), answers(true))
	require.Error(t, err)
	require.Equal(t, GaveUp, v)
	require.Equal(t, Stuck, d.record().State)
	require.Contains(t, d.record().Words(), "could not be put back to 1.0: dpkg: error: dpkg frontend lock")
	require.False(t, d.armed())

	r, err := d.keeper.Back(t.Context()) // by hand, once the lock is free
	require.NoError(t, err)
	require.Equal(t, PutBack, r.State)
	_, err = d.keeper.Back(t.Context())
	require.ErrorContains(t, err, "release 1.0 is installed, the one that is kept")
}

func TestOnlyTheReleaseItselfPassesAsItIsInstalled(t *testing.T) {
	d := newDesk(t)
	d.install(d.release("1.0", ""))
	require.False(t, d.keeper.OnProbation())
	require.NoError(t, d.keeper.Begin(t.Context(), filepath.Join(d.root, "usr", "bin", "patchcycle-agent"), "1.1", "", Limit))
	passed, err := d.keeper.Pass(t.Context())
	require.NoError(t, err)
	require.False(t, passed, "the one of before still runs")
	d.install(d.release("1.1", ""))
	d.halve()
	passed, err = d.keeper.Pass(t.Context())
	require.NoError(t, err)
	require.False(t, passed, "its package is not whole")
	d.install(d.release("1.1", ""))
	passed, err = d.keeper.Pass(t.Context())
	require.NoError(t, err)
	require.True(t, passed)
	require.Equal(t, Passed, d.record().State)
	require.False(t, d.armed())
	require.FileExists(t, d.keeper.file(packageFile), "the one of before stays on disk")
	v, err := d.keeper.Judge(t.Context(), answers(true))
	require.NoError(t, err)
	require.Equal(t, Nothing, v)
}

func TestWhatIsKeptIsTheLastReleaseThatReportedIn(t *testing.T) {
	d := newDesk(t)
	d.install(d.release("1.0", ""))
	d.upgrade(d.release("1.1", ""), "1.1")
	d.now = d.now.Add(time.Minute)
	d.upgrade(d.release("1.2", ""), "1.2") // before the first has
	require.Equal(t, Record{From: "1.0", To: "1.2", Order: "o-1", State: Open, Began: d.now}, d.record())
	kept, err := os.ReadFile(d.keeper.file(programFile))
	require.NoError(t, err)
	require.Equal(t, "program 1.0", string(kept))
	v, err := d.keeper.Judge(t.Context(), answers(true))
	require.NoError(t, err)
	require.Equal(t, Back, v)
	require.Equal(t, "program 1.0", d.read("usr/bin/patchcycle-agent"))

	d.upgrade(d.release("1.3", ""), "1.3")
	d.upgrade(d.release("1.0", ""), "1.0") // somebody goes back by hand
	require.Equal(t, Void, d.record().State)
	require.False(t, d.armed())
}

func TestTheSameReleaseAndOneThatKnowsNoProbationAreOnNone(t *testing.T) {
	d := newDesk(t)
	d.install(d.release("1.0", ""))
	for _, to := range []string{"1.0", "0.1.0"} {
		require.NoError(t, d.keeper.Begin(t.Context(), filepath.Join(d.root, "usr", "bin", "patchcycle-agent"), to, "", Limit))
		_, ok, err := d.keeper.Read()
		require.NoError(t, err)
		require.False(t, ok, to)
		require.False(t, d.armed())
	}
}

// line answers as it is told.
type line struct {
	uplink.Link
	acks    []uplink.Ack
	resp    uplink.PollResponse
	failure error
}

func (l *line) Send(context.Context, uplink.Batch) ([]uplink.Ack, error) { return l.acks, l.failure }

func (l *line) Poll(context.Context, uplink.PollRequest) (uplink.PollResponse, error) {
	return l.resp, l.failure
}

func TestWhoIsOnlyHeardOrOnlyHearsHasNotReportedIn(t *testing.T) {
	calls, enough := 0, false
	l := &line{acks: []uplink.Ack{{}}, failure: errors.New("no line")}
	w := Watch(l, func(context.Context) bool { calls++; return enough })
	send := func() { _, _ = w.Send(t.Context(), uplink.Batch{}) }
	poll := func() { _, _ = w.Poll(t.Context(), uplink.PollRequest{}) }
	send()
	poll()
	l.failure = nil
	send()
	l.resp.Offline = true // a relay answers in the server's place
	poll()
	l.resp = uplink.PollResponse{Refused: []uplink.Refused{{}}}
	poll()
	require.Zero(t, calls)
	l.resp = uplink.PollResponse{}
	poll()
	require.Equal(t, 1, calls)
	enough = true
	send()
	send()
	poll()
	require.Equal(t, 2, calls, "asked until it is enough, and not again")
}
