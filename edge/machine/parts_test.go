package machine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q13: who has no network asks its courier, and for what that does not know a
// unit in the machine's network.
func TestAMachineWithoutANetworkFetchesSnapshotsByItsCourierAndTheRestByAUnit(t *testing.T) {
	m, b := newMachine(t)
	m.o.Server, m.o.CA, m.o.Lists, m.o.Courier = "https://server:7440", "/etc/ca.pem", t.TempDir(), "http://127.0.0.1:7440"
	frozen := patching.Sources{Snapshot: strings.Repeat("0a", 16)}
	alone := agent.WithSources(t.Context(), agent.Sources{Sources: frozen})
	beside := agent.WithSources(t.Context(), agent.Sources{Sources: frozen, Beside: true})
	s, ok := m.snapshot(alone)
	require.True(t, ok)
	require.Equal(t, m.o.Courier, s.Base)
	require.Empty(t, s.CA)
	s, ok = m.snapshot(beside)
	require.True(t, ok)
	require.Equal(t, m.o.Server, s.Base, "in the machine's network there is no courier's loopback")
	require.Equal(t, m.o.CA, s.CA)

	var ran [][]string
	here := func(_ context.Context, _ time.Duration, program string, args ...string) ([]byte, error) {
		ran = append(ran, append([]string{program}, args...))
		return nil, nil
	}
	m.run, m.units.run = here, here
	for _, c := range []struct {
		ctx  context.Context //nolint:containedctx // of one case
		unit bool
	}{{alone, false}, {beside, true}, {t.Context(), true}} {
		ran = nil
		_, err := m.load(c.ctx, time.Minute, "ls", "-q", "update")
		require.NoError(t, err)
		require.Len(t, ran, 1)
		require.Equal(t, c.unit, ran[0][0] == "systemd-run", ran[0])
		require.Equal(t, []string{"-q", "update"}, ran[0][len(ran[0])-2:])
		require.False(t, slices.Contains(ran[0], "--property=PrivateNetwork=yes"))
	}
	_, err := m.load(t.Context(), time.Minute, "ls", "$HOME")
	require.ErrorContains(t, err, "variable")
	m.o.Courier = ""
	_, err = m.load(t.Context(), time.Minute, "ls", "update")
	require.NoError(t, err)
	require.Equal(t, "ls", ran[len(ran)-1][0], "whoever has the network needs no unit")

	// What went missing since it was fetched is fetched where that is possible.
	m.o.Courier = "http://127.0.0.1:7440"
	before := b.fetches
	_ = m.Apply(t.Context(), bundle.Patches())
	require.Equal(t, before+1, b.fetches)
	_ = m.Apply(alone, bundle.Patches())
	require.Equal(t, before+1, b.fetches, "the transaction asks the courier itself")
}

// Serves Q13.
func TestATransactionOfAnAgentWithoutANetworkHasNoneEither(t *testing.T) {
	for alone, want := range map[bool]int{true: 3, false: 0} {
		s := newSystemd(t)
		u := s.open(t.TempDir(), "b1")
		u.alone = alone
		found := 0
		u.run = func(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
			for _, p := range []string{"PrivateNetwork=yes", "PrivateMounts=no", "JoinsNamespaceOf=patchcycle-agent.service"} {
				if program == "systemd-run" && slices.Contains(args, "--property="+p) {
					found++
				}
			}
			return s.run(ctx, limit, program, args...)
		}
		_, err := u.Run(under(t, "o-1"), time.Minute, "printf", "x")
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
}

// apt's words and its exit code are passed on.
func TestADownloadInAUnitFailsAsTheProgramDid(t *testing.T) {
	u := newSystemd(t).open(t.TempDir(), "b1")
	u.run = func(context.Context, time.Duration, string, ...string) ([]byte, error) {
		e := command.Failed("systemd-run", 100, errors.New("exit status 100"))
		e.Stderr = []byte("E: Failed to fetch http://mirror.example/debian/dists/sid/InRelease\n")
		return []byte("Err:1"), e
	}
	out, err := u.download(t.Context(), time.Minute, "ls", "update")
	var e *command.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "Err:1", string(out))
	require.Equal(t, 100, e.Code)
	require.Equal(t, "ls", e.Program)
	require.Contains(t, string(e.Stderr), "Failed to fetch")
	u.run = func(context.Context, time.Duration, string, ...string) ([]byte, error) {
		return nil, command.ErrNotHere
	}
	_, err = u.download(t.Context(), time.Minute, "ls", "update")
	require.ErrorContains(t, err, "in a unit of its own")
}
