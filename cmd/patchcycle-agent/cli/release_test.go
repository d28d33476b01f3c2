package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/probation"
)

// Serves Q13, U3.
func TestStatusSaysThatAReleaseHasNotReportedInOrWasPutBack(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	code, out, errs := s.run(t.Context(), "", "release")
	require.Equal(t, ExitOK, code, errs)
	assert.Equal(t, "The agent was not upgraded here yet: no release of before is kept.\n", out)
	code, _, errs = s.run(t.Context(), "", "release", "back")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "no release of before is kept")

	code, _, errs = s.run(t.Context(), "s3cret\n", "enrol", "--server", url, "--fingerprint", string(d.root.Fingerprint()))
	require.Equal(t, ExitOK, code, errs)
	folder := filepath.Join(s.dir, "home", "release")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	record := func(state probation.State) {
		text := `{"from":"1.0","to":"1.1","state":"` + string(state) + `","began":"2026-11-29T12:00:00Z","why":"it had not reported in 10m0s after it was installed."}`
		require.NoError(t, os.WriteFile(filepath.Join(folder, "record.json"), []byte(text), 0o600))
	}
	record(probation.Open)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Release 1.1 has not reported in yet; 1.0 is kept.")
	record(probation.PutBack)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Release 1.1 was put back to 1.0: it had not reported in 10m0s after it was installed.")
	_, out, _ = s.run(t.Context(), "", "release", "--json")
	assert.Contains(t, out, `"state": "put back"`)
	record(probation.Passed)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.NotContains(t, out, "elease")
}

func TestNothingIsKeptWhereNobodyReportsIn(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "", "release", "keep", "1.1")
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "s3cret\n", "enrol", "--server", url, "--fingerprint", string(d.root.Fingerprint()))
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "release", "keep", "1.1") // enrolled, and no agent at work
	require.Equal(t, ExitOK, code, errs)
	assert.NoDirExists(t, filepath.Join(s.dir, "home", "release"))
	code, _, errs = s.run(t.Context(), "", "once", "--probation", "10s")
	assert.Equal(t, ExitUsage, code)
	assert.Contains(t, errs, "--probation 10s: write a duration from one minute")
}

func TestAKnockTellsALineThatIsDownFromAServerThatAnswers(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + gone.Addr().String()
	require.NoError(t, gone.Close())
	code, _, errs := s.run(t.Context(), "", "release", "knock", "--server", url)
	assert.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "release", "knock", "--server", url, "--relay", nobody)
	assert.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "release", "knock", "--server", nobody)
	assert.Equal(t, probation.LineDown, code)
	assert.Contains(t, errs, "nobody answers")
}
