package shelf

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
)

// Serves Q6: whoever asks how feeds stand does not wait for those who read them.
func TestHowFeedsStandIsToldWhileOneIsReadAndAnotherEditionComes(t *testing.T) {
	s, err := Open(t.TempDir(), advisories.DefaultLimits())
	require.NoError(t, err)
	bring := func(day string) error {
		d, err := s.Draft("kev", false)
		if err != nil {
			return err
		}
		defer d.Close()
		path, err := d.Path("kev.json")
		if err != nil {
			return err
		}
		text := `{"catalogVersion":"2026.11.` + day + `","dateReleased":"2026-11-` + day + `T00:00:00Z","count":1,"vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"2026-11-01","dueDate":"2026-11-22"}]}`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if _, err := d.Add(Document{Name: "kev.json"}); err != nil {
			return err
		}
		_, err = d.Commit(t.Context(), Terms{Now: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)})
		return err
	}
	require.NoError(t, bring("10"))
	old := s.Kept("kev")

	s.reading.RLock() // somebody reads, for minutes
	done := make(chan error, 1)
	go func() { done <- bring("11") }()
	require.Eventually(t, func() bool { return s.Kept("kev").Edition.Digest != old.Edition.Digest }, 10*time.Second, time.Millisecond, "the next edition counts at once")
	require.Len(t, s.Names(), 1)
	require.DirExists(t, s.path("kev", keptDir, editionID(old.Edition)), "and the one that is read stays")
	s.found("kev", old)
	require.False(t, s.Damaged("kev"), "what is wrong with the one before is not wrong with this one")
	s.reading.RUnlock()
	require.NoError(t, <-done)
	require.NoDirExists(t, s.path("kev", keptDir, editionID(old.Edition)))
	_, _, err = s.Read(t.Context(), "kev")
	require.NoError(t, err)
}
