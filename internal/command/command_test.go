package command

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAProgramGetsItsArgumentsAsTheyAre(t *testing.T) {
	out, err := Run(t.Context(), time.Minute, "printf", "%s|", "a b", "$(id)", "; id", "--help")
	require.NoError(t, err)
	require.Equal(t, "a b|$(id)|; id|--help|", string(out))
}

func TestAProgramSeesNothingOfOurEnvironment(t *testing.T) {
	t.Setenv("APT_CONFIG", "/tmp/other")
	t.Setenv("LC_ALL", "de_CH.UTF-8")
	t.Setenv("PATH", t.TempDir())
	out, err := Run(t.Context(), time.Minute, "env")
	require.NoError(t, err)
	require.NotContains(t, string(out), "APT_CONFIG")
	require.Contains(t, string(out), "LC_ALL=C.UTF-8\n")
}

func TestAProgramThatFailsSaysWhy(t *testing.T) {
	_, err := Run(t.Context(), time.Minute, "ls", "/no/such/folder")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 2, e.Code)
	require.ErrorContains(t, err, "No such file or directory")
}

func TestAProgramThatHangsIsEnded(t *testing.T) {
	began := time.Now()
	_, err := Run(t.Context(), 100*time.Millisecond, "sleep", "60")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 30*time.Second)
}

func TestAProgramThatTalksWithoutEndIsEnded(t *testing.T) {
	out, err := Run(t.Context(), time.Minute, "yes")
	require.ErrorContains(t, err, "wrote more than")
	require.LessOrEqual(t, len(out), MaxOutput)
}

func TestAProgramIsNotTakenFromThePathOfWhoeverStartedUs(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/not-on-any-machine", []byte("#!/bin/true\n"), 0o755))
	t.Setenv("PATH", dir)
	_, err := Run(t.Context(), time.Minute, "not-on-any-machine")
	require.ErrorIs(t, err, ErrNotHere)
}
