package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/holdfile"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
}

// Serves Q15.
func TestWithoutRulesAMachineOnlyLetsItselfBeLookedAt(t *testing.T) {
	dir := t.TempDir()
	rules, err := RuleFiles(dir).Rules()
	require.NoError(t, err)
	assert.Equal(t, []string{"collect", "simulate"}, withRules(patching.Asset{}, rules, nil).Allowed)
	assert.Contains(t, rules.Note, "there is no "+filepath.Join(dir, "rules.json"))
	write(t, filepath.Join(dir, "hold"), "", 0o644)
	rules, err = RuleFiles(dir).Rules()
	require.NoError(t, err)
	assert.NotNil(t, rules.Hold)
}

func TestRulesThatNameNoVerbsAllowWhatTheAgentCanDo(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.json"), "{}\n", 0o644)
	rules, err := RuleFiles(dir).Rules()
	require.NoError(t, err)
	assert.Equal(t, Rules{}, rules)
	assert.True(t, rules.allows(trust.Apply))
	assert.False(t, rules.allows(trust.Snapshot), "this agent takes no snapshots")
}

func TestAMachinesOwnerLimitsIt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.json"), `{"allowed": ["collect", "simulate"], "held": ["postgresql-15"]}`, 0o644)
	rules, err := RuleFiles(dir).Rules()
	require.NoError(t, err)
	assert.Equal(t, Rules{Allowed: []trust.Verb{trust.Collect, trust.Simulate}, Held: []string{"postgresql-15"}}, rules)
	assert.False(t, rules.allows(trust.Apply))

	write(t, filepath.Join(dir, "rules.json"), `{"allowed": []}`, 0o644)
	rules, err = RuleFiles(dir).Rules()
	require.NoError(t, err)
	assert.False(t, rules.allows(trust.Collect), "an empty list allows nothing")
}

func TestRulesAreAnErrorIfTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"misspelt":               {`{"permitted": []}`, 0o644, "permitted"},
		"of a verb there is not": {`{"allowed": ["instal"]}`, 0o644, `"instal" is not a verb`},
		"no JSON":                {`allowed: collect`, 0o644, "rules.json: it is not JSON, line 1"},
		"null":                   {`null`, 0o644, "it holds no object"},
		"null in a field":        {`{"allowed": null}`, 0o644, `the field "allowed" is not a list of words`},
		"null in a list":         {`{"held": [null]}`, 0o644, `the field "held" is not a list of words`},
		"of another type":        {`{"allowed": "collect"}`, 0o644, `want {"mode": "grants", "allowed": ["VERB", ...], "held": ["PACKAGE", ...]}`},
		"of a mode there is not": {`{"mode": "open"}`, 0o644, `"open" is no mode`},
		"of no mode":             {`{"mode": null}`, 0o644, "null is no mode"},
		"a list":                 {`["collect"]`, 0o644, "it holds no object"},
		"empty":                  {``, 0o644, "it is not JSON"},
		"of a field twice":       {`{"mode": "grants", "held": ["allowed"], "mode": "dispatcher"}`, 0o644, `the field "mode" stands in it twice`},
		"more than one object":   {`{} {"allowed": []}`, 0o644, "it is not JSON"},
		"anybody's to change":    {`{}`, 0o666, "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "rules.json"), c.text, c.mode)
			_, err := RuleFiles(dir).Rules()
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestRulesOfAnotherUserAreNotTheOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.json")
	write(t, path, `{}`, 0o644)
	if err := os.Chown(path, 4711, -1); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("only root gives files away: run the tests as root")
		}
		t.Skipf("run the tests as root, who gives files away: %v", err)
	}
	_, err := RuleFiles(filepath.Dir(path)).Rules()
	require.ErrorContains(t, err, "chown root")
	require.NoError(t, os.Chown(path, 0, -1))
	_, err = RuleFiles(filepath.Dir(path)).Rules()
	require.NoError(t, err)
}

func TestTheFileHoldHoldsWhateverIsInIt(t *testing.T) {
	for text, want := range map[string]Hold{
		"":               {By: "a file on the machine", Reason: "no reason given"},
		"ask\nana\x1b\n": {By: "a file on the machine", Reason: "ask ana\uFFFD"},
		"ask ana\n":      {By: "a file on the machine", Reason: "ask ana"},
		`{"by":"ana","reason":"stocktaking","until":"2026-12-01T00:00:00Z"}`: {By: "ana", Reason: "stocktaking", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		`{"by":"","reason":""}`: {By: "a file on the machine", Reason: `{"by":"","reason":""}`},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "hold"), text, 0o644)
		rules, err := RuleFiles(dir).Rules()
		require.NoError(t, err)
		require.NotNil(t, rules.Hold, text)
		assert.Equal(t, want, *rules.Hold)
	}
}

func TestAHoldIsSetAndLifted(t *testing.T) {
	files := RuleFiles(filepath.Join(t.TempDir(), "patchcycle"))
	require.Error(t, holdfile.Write(string(files), Hold{By: "ana"}), "without a reason")
	want := Hold{By: "ana", Reason: "stocktaking", Until: tonight}
	require.NoError(t, holdfile.Write(string(files), want))
	rules, err := files.Rules()
	require.NoError(t, err)
	assert.Equal(t, want, *rules.Hold)
	for _, was := range []bool{true, false} {
		held, err := holdfile.Lift(string(files))
		require.NoError(t, err)
		require.Equal(t, was, held, "once more does no harm, and says so")
	}
	rules, err = files.Rules()
	require.NoError(t, err)
	assert.Nil(t, rules.Hold)
}

func TestWhatAMachineAllowsIsTold(t *testing.T) {
	told := func(r Rules, err error) []string { return withRules(patching.Asset{}, r, err).Allowed }
	assert.Equal(t, []string{"apply", "clean", "collect", "prefetch", "reboot", "repair", "revert", "simulate"}, told(Rules{}, nil))
	assert.Equal(t, []string{"collect", "simulate"}, told(Rules{}, os.ErrPermission), "nothing that changes it while the rules cannot be read")
}

func TestAShelfKeepsWhatItWasGiven(t *testing.T) {
	for name, s := range map[string]Shelf{"a folder": Folder(filepath.Join(t.TempDir(), "bundles")), "shared memory": &Shared{}} {
		text := []byte("bundle v1\tapt\n")
		d := patching.DigestOf(text)
		_, ok := s.Get(d)
		assert.False(t, ok, name)
		require.NoError(t, s.Put(d, text), name)
		require.NoError(t, s.Put(d, text), name)
		got, ok := s.Get(d)
		assert.True(t, ok, name)
		assert.Equal(t, text, got, name)
	}
	assert.Error(t, Folder(t.TempDir()).Put("sha256:../../etc/passwd", nil))
	_, ok := Folder("/").Get("etc/passwd")
	assert.False(t, ok)
}

func TestADamagedBundleIsFetchedAgain(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.shelf.texts.Store(small().Digest(), []byte("bundle v1\tapt\nrot"))
	_, got, err := b.agent.bundle(t.Context(), small().Digest())
	require.NoError(t, err)
	assert.Equal(t, small(), got)
}
