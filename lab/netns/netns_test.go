//go:build linux

package netns_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/netns"
)

func create(t *testing.T) netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), "network namespaces need root")
		t.Skip("network namespaces need root: sudo -E go test ./lab/netns")
	}
	n, err := netns.Create(t.Context(), filepath.Join(t.TempDir(), "net"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Remove()) })
	return n
}

func TestWhatListensInANamespaceIsHeardThereAndNowhereElse(t *testing.T) {
	n := create(t)
	l, err := n.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "inside")
			c.Close()
		}
	}()

	c, err := n.Dial(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	said, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "inside", string(said))

	_, err = net.Dial("tcp", l.Addr().String())
	require.Error(t, err, "the same address outside is another one")
}

func TestProgramsOfANamespaceSeeItsLoopbackAlone(t *testing.T) {
	outside, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	n := create(t)
	inside, err := n.Command(t.Context(), "readlink", "/proc/self/ns/net").Output()
	require.NoError(t, err)
	require.NotEqual(t, outside, strings.TrimSpace(string(inside)))
	links, err := n.Command(t.Context(), "ip", "-o", "link").Output()
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(links), "\n"), "%s", links)
}

func TestARemovedNamespaceLeavesNoFileAndNoMount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "net")
	if os.Geteuid() != 0 {
		create(t) // skips
	}
	n, err := netns.Create(t.Context(), file)
	require.NoError(t, err)
	require.NoError(t, n.Remove())
	require.NoFileExists(t, file)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), file)
	require.NoError(t, n.Remove(), "twice is harmless")
}
