// Package packaging_test tries what the scripts beside the packages make.
package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// program runs one of the machine's.
func program(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

func cannot(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func deb(t *testing.T, bin, name, version string) {
	t.Helper()
	tree := t.TempDir()
	require.NoError(t, os.Chmod(tree, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
	control := "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: lab <lab@example.com>\nDescription: a release\n"
	require.NoError(t, os.WriteFile(filepath.Join(tree, "DEBIAN", "control"), []byte(control), 0o644))
	program(t, nil, "dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(bin, name+"_"+version+"_amd64.deb"))
}

// Serves Q13: releases are packages of a signed repository, in which those before stay.
func TestAptTakesReleasesFromTheSignedRepositoryAndTheOneBefore(t *testing.T) {
	for _, needed := range []string{"gpg", "dpkg-deb", "apt-get", "apt-cache"} {
		if _, err := exec.LookPath(needed); err != nil {
			cannot(t, err.Error())
		}
	}
	if os.Geteuid() != 0 {
		cannot(t, "apt as another user wants more folders of its own")
	}
	gnupg, bin, dir := t.TempDir(), t.TempDir(), t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	env := []string{"GNUPGHOME=" + gnupg, "BIN=" + bin}
	program(t, env, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "release@patchcycle.example", "ed25519", "sign", "never")
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", gnupg, "--kill", "all").Run() })
	for _, version := range []string{"0.9.0", "0.10.0~rc1", "0.10.0", "0.11.0"} {
		deb(t, bin, "patchcycle-agent", version)
		deb(t, bin, "patchcycle", version)
		program(t, env, "../tools/repository", dir, "release@patchcycle.example")
		require.NoError(t, os.RemoveAll(bin))
		require.NoError(t, os.MkdirAll(bin, 0o755))
	}

	apt := t.TempDir()
	require.NoError(t, os.Chmod(apt, 0o755))
	for _, folder := range []string{"lists/partial", "cache/archives/partial"} {
		require.NoError(t, os.MkdirAll(filepath.Join(apt, folder), 0o755))
	}
	line := "deb [arch=amd64 signed-by=" + filepath.Join(dir, "patchcycle.gpg") + "] file:" + dir + " stable main\n"
	require.NoError(t, os.WriteFile(filepath.Join(apt, "sources.list"), []byte(line), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(apt, "status"), nil, 0o644))
	options := []string{
		"-o", "Dir::Etc::SourceList=" + filepath.Join(apt, "sources.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(apt, "lists"), "-o", "Dir::State::status=" + filepath.Join(apt, "status"),
		"-o", "Dir::Cache=" + filepath.Join(apt, "cache"), "-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=root",
	}
	program(t, nil, "apt-get", append(options, "update", "-o", "APT::Update::Error-Mode=any")...)
	known := program(t, nil, "apt-cache", append(options, "madison", "patchcycle-agent")...)
	var versions []string
	for l := range strings.Lines(known) {
		versions = append(versions, strings.TrimSpace(strings.Split(l, "|")[1]))
	}
	require.Equal(t, []string{"0.11.0", "0.10.0", "0.10.0~rc1"}, versions, "the newest three, in dpkg's order")
	pool, err := os.ReadDir(filepath.Join(dir, "pool"))
	require.NoError(t, err)
	require.Len(t, pool, 6, "and no others stay, of agent and server")

	index := filepath.Join(dir, "dists", "stable", "InRelease")
	text, err := os.ReadFile(index)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(index, []byte(strings.Replace(string(text), "Origin: patchcycle", "Origin: somebody", 1)), 0o644))
	c := exec.CommandContext(t.Context(), "apt-get", append(options, "update", "-o", "APT::Update::Error-Mode=any")...)
	out, err := c.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "InRelease")
}
