package backups

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/command"
)

// repository makes a repository with the tool's own program, with one backup of a folder
// that has a file hostname.
func repository(t *testing.T, tool string) (r Repository, hostname string) {
	t.Helper()
	if _, err := command.Find(tool); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "install %s", tool)
		t.Skipf("no %s: apt install restic borgbackup", tool)
	}
	dir := t.TempDir()
	hostname = filepath.Join(dir, "etc", "hostname")
	require.NoError(t, os.MkdirAll(filepath.Dir(hostname), 0o755))
	require.NoError(t, os.WriteFile(hostname, []byte("web-1\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etc", "data"), []byte(strings.Repeat("a till and its sales\n", 20_000)), 0o600))
	password := filepath.Join(dir, "it's a password")
	require.NoError(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	r = Repository{Name: "berlin", Tool: tool, Where: filepath.Join(dir, "repository"), PasswordFile: password, Cache: filepath.Join(dir, "cache"), Sample: "100%"}
	ctx := t.Context()
	switch tool {
	case "restic":
		for _, args := range [][]string{{"init"}, {"backup", "--host", "web-1", filepath.Join(dir, "etc")}} {
			_, err := command.Run(ctx, time.Minute, tool, r.restic(args...)...)
			require.NoError(t, err)
		}
	case "borg":
		for _, args := range [][]string{
			{"init", "--encryption", "repokey-blake2", r.Where}, {"create", r.Where + "::monday", filepath.Join(dir, "etc")},
		} {
			_, err := r.borg(ctx, time.Minute, args...)
			require.NoError(t, err)
		}
	}
	return r, hostname
}

// damage changes some bytes in the middle of the largest file of data.
func damage(t *testing.T, dir string) {
	t.Helper()
	largest, size := "", int64(0)
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	}))
	require.Positive(t, size)
	require.NoError(t, os.Chmod(largest, 0o600))
	f, err := os.OpenFile(largest, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("damaged"), size/2)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// Serves G12: the real programs, on repositories of their own.
func TestAGoodRepositoryPassesItsCheckAndADamagedOneDoesNot(t *testing.T) {
	for _, name := range []string{"restic", "borg"} {
		t.Run(name, func(t *testing.T) {
			r, hostname := repository(t, name)
			tool := Tools()[name]
			all, err := tool.List(t.Context(), r)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.WithinDuration(t, time.Now(), all[0].At, 2*time.Minute)
			want := "web-1"
			if name == "borg" { // calls the machine as it calls itself
				want, err = os.Hostname()
				require.NoError(t, err)
			}
			require.Equal(t, want, all[0].Host)

			require.NoError(t, tool.Check(t.Context(), r))
			text, err := tool.Restore(t.Context(), r, all[0], hostname)
			require.NoError(t, err)
			require.Equal(t, "web-1\n", string(text))
			text, err = tool.Restore(t.Context(), r, all[0], "/etc/not-there")
			require.True(t, err != nil || len(text) == 0, "what is not there is not restored")

			damage(t, r.Where)
			again, err := tool.List(t.Context(), r)
			require.NoError(t, err, "the list is still good: only reading the data shows it")
			require.Equal(t, all, again)
			err = tool.Check(t.Context(), r)
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrBusy)
		})
	}
}

// A backup that runs is no damage.
func TestALockedRepositoryIsBusyAndNotDamaged(t *testing.T) {
	for _, name := range []string{"restic", "borg"} {
		t.Run(name, func(t *testing.T) {
			r, _ := repository(t, name)
			var hold *exec.Cmd
			switch name {
			case "restic":
				hold = exec.Command("/usr/bin/restic", r.restic("backup", "--host", "web-1", "--stdin")...)
			case "borg":
				hold = exec.Command("/usr/bin/borg", "with-lock", r.Where, "/usr/bin/sleep", "600")
				hold.Env = append(os.Environ(), "BORG_BASE_DIR="+r.Cache)
			}
			in, err := hold.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, hold.Start())
			t.Cleanup(func() { _ = in.Close(); _ = hold.Process.Kill(); _ = hold.Wait() })
			locked := func() bool {
				found, _ := filepath.Glob(filepath.Join(r.Where, "lock*", "*"))
				return len(found) > 0
			}
			require.Eventually(t, locked, 20*time.Second, 50*time.Millisecond)
			err = Tools()[name].Check(t.Context(), r)
			require.ErrorIs(t, err, ErrBusy)
			_, err = Tools()[name].List(t.Context(), r)
			require.Equal(t, name == "restic", err == nil, "restic lists without a lock: %v", err)
		})
	}
}

// A wrong password, or a repository that is not there, is said as the tool says it.
func TestWhatCannotBeAskedSaysWhy(t *testing.T) {
	for _, name := range []string{"restic", "borg"} {
		t.Run(name, func(t *testing.T) {
			r, _ := repository(t, name)
			wrong := filepath.Join(t.TempDir(), "wrong")
			require.NoError(t, os.WriteFile(wrong, []byte("another\n"), 0o600))
			asked := r
			asked.PasswordFile = wrong
			_, err := Tools()[name].List(t.Context(), asked)
			require.ErrorContains(t, err, "pass")
			require.NotContains(t, err.Error(), "another")
			asked = r
			asked.Where += "-gone"
			_, err = Tools()[name].List(t.Context(), asked)
			require.Error(t, err)
		})
	}
}

// Serves G12: whatever knows of backups can say so.
func TestAHookIsAProgramThatPrintsWhatItKnows(t *testing.T) {
	file, err := filepath.Abs("testdata/hook/backups.json")
	require.NoError(t, err)
	all, err := hook{}.List(t.Context(), Repository{Where: "cat", Args: []string{file}})
	require.NoError(t, err)
	require.Len(t, all, 3)
	_, err = hook{}.List(t.Context(), Repository{Where: "false"})
	require.Error(t, err)
}

// A check that is ended, because the server stops, leaves no lock behind: the next
// backup would wait for it.
func TestACheckThatIsEndedLeavesNoLock(t *testing.T) {
	r, _ := repository(t, "restic")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Tools()["restic"].Check(ctx, r) }()
	locks := func() int {
		found, err := filepath.Glob(filepath.Join(r.Where, "locks", "*"))
		require.NoError(t, err)
		return len(found)
	}
	for range 400 {
		if locks() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-done
	require.Zero(t, locks())
}
