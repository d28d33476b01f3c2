package backups

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), mode))
	require.NoError(t, os.Chmod(name, mode))
	return name
}

// Serves G12.
func TestAListOfRepositoriesIsReadWithItsDefaults(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "berlin.password"), "secret\n", 0o600)
	write(t, filepath.Join(dir, "berlin.env"), "# the storage\nAWS_ACCESS_KEY_ID=abc\nAWS_SECRET_ACCESS_KEY=def=\n", 0o600)
	file := write(t, filepath.Join(dir, "backups.yaml"), `
repositories:
  - name: berlin
    tool: restic
    repository: s3:https://storage.example/backups
    password_file: berlin.password
    environment_file: berlin.env
    restore: /etc/hostname
    verify_every: 7d
  - {name: tokyo, tool: borg, repository: /srv/borg, read_only: true}
  - {name: others, tool: hook, program: cat, args: [/srv/backups.json]}
`, 0o644)
	got, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, []Repository{
		{
			Name: "berlin", Tool: "restic", Where: "s3:https://storage.example/backups", PasswordFile: filepath.Join(dir, "berlin.password"),
			Environment: []string{"AWS_ACCESS_KEY_ID=abc", "AWS_SECRET_ACCESS_KEY=def="}, Restore: "/etc/hostname", Sample: "5%",
			Every: 6 * time.Hour, VerifyEvery: 7 * 24 * time.Hour,
		},
		{Name: "tokyo", Tool: "borg", Where: "/srv/borg", Sample: "5%", ReadOnly: true, Every: 6 * time.Hour, VerifyEvery: 24 * time.Hour},
		{Name: "others", Tool: "hook", Where: "cat", Args: []string{"/srv/backups.json"}, Every: 6 * time.Hour, VerifyEvery: 24 * time.Hour},
	}, got)
}

func TestWhatIsWrongWithAListIsSaidWithItsLineAndTheWayOut(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "open"), "secret\n", 0o644)
	write(t, filepath.Join(dir, "shell.env"), "LD_PRELOAD=/tmp/evil.so\n", 0o600)
	for text, want := range map[string]string{
		``: `no repositories`,
		`repositories: [{name: A, tool: restic, repository: /r}]`:                                         `backups.yaml:1: name "A": want 1 to 64`,
		`repositories: [{name: a, tool: tar, repository: /r}]`:                                            `tool "tar": the tools are borg, hook, restic`,
		`repositories: [{name: a, tool: restic, repository: --option}]`:                                   `repository "--option": want the repository as restic writes it`,
		`repositories: [{name: a, tool: restic, repository: /r, password_file: open}]`:                    `others can read it: chmod 600`,
		`repositories: [{name: a, tool: restic, repository: /r, password_file: gone}]`:                    `password_file "gone"`,
		`repositories: [{name: a, tool: restic, repository: /r, environment_file: shell.env}]`:            `line 1: want NAME=value`,
		`repositories: [{name: a, tool: restic, repository: /r, sample: some}]`:                           `such as 5% or 1/20`,
		`repositories: [{name: a, tool: borg, repository: /r, sample: 5%}]`:                               `other tools read all`,
		`repositories: [{name: a, tool: restic, repository: /r, restore: ../etc/shadow}]`:                 `restore "../etc/shadow"`,
		`repositories: [{name: a, tool: restic, repository: /r, every: often}]`:                           `every "often": want 1m to 7d`,
		`repositories: [{name: a, tool: hook, program: /tmp/x}]`:                                          `without its folder`,
		`repositories: [{name: a, tool: hook, program: cat, repository: /r}]`:                             `a hook has program and args`,
		`repositories: [{name: a, tool: borg, repository: /r, program: cat}]`:                             `are a hook's`,
		`repositories: [{name: a, tool: borg, repository: /r, read_only: maybe}]`:                         `want true or false`,
		"repositories:\n- {name: a, tool: borg, repository: /r}\n- {name: a, tool: borg, repository: /s}": `backups.yaml:3: name "a": another repository has this name`,
		`repositories: [{name: a, tool: restic, repository: /r, shell: "rm -rf /"}]`:                      `docs/backups.md has an example`,
	} {
		t.Run(strings.TrimPrefix(text, "repositories: "), func(t *testing.T) {
			_, err := Read(write(t, filepath.Join(dir, "backups.yaml"), text, 0o644))
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "evil")
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("repositories: [{name: a, tool: restic, repository: /r}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "backups.yaml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		_, _ = Read(file)
	})
}
