package version_test

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching/version"
)

// The published corpora, read where they are: they are no part of this project.
func TestOrderAgreesWithDpkgAndRpmOnWholeCorpora(t *testing.T) {
	for file, order := range map[string]version.Order{
		"debian-versions.txt": version.Debian, "debian-versions-generated.txt": version.Debian, "redhat-versions.txt": version.RPM,
	} {
		t.Run(file, func(t *testing.T) {
			f := inplace.Open(t, "feeds/versions/"+file)
			lines, n := bufio.NewScanner(f), 0
			for lines.Scan() {
				w := strings.Fields(lines.Text())
				if len(w) != 3 || strings.HasPrefix(w[0], "#") {
					continue
				}
				n++
				want := map[string]int{"<": -1, "=": 0, ">": 1}[w[1]]
				got, known := order.Compare(w[0], w[2])
				require.True(t, known, lines.Text())
				require.Equal(t, want, got, lines.Text())
				back, _ := order.Compare(w[2], w[0])
				require.Equal(t, -want, back, lines.Text())
			}
			require.NoError(t, lines.Err())
			require.Greater(t, n, 25)
			t.Logf("%d comparisons", n)
		})
	}
}

func TestWhatIsNewerIsAskedOfWhoPublishesIt(t *testing.T) {
	for _, c := range []struct {
		platform, older, newer string
	}{
		{"debian", "1.0~rc1", "1.0"},
		{"apt", "1:1.0-1", "2:0.1-1"},
		{"apt", "1.0+0.20240101123456789012345678", "1.0+0.20240101123456789012345679"}, // too long for a number
		{"opensuse", "1.0~rc1-1", "1.0-1"},
		{"almalinux", "4.18.0-513.9.1.el8_9", "4.18.0-513.11.1.el8_9"},
		{"dnf", "1.0~rc1-1", "1.0-1"},
		{"sles", "0:1.2-9", "1.2-10"},
		{"windows", "10.0.20348.4648", "10.0.20348.4773"},
		{"windows", "10.0.20348", "10.0.20348.1"},
		{"macos", "14.7", "14.7.1"},
		{"winget", "1.9", "1.10"},
	} {
		order, ok := version.OrderOf(c.platform)
		require.True(t, ok, c.platform)
		require.True(t, order.Older(c.older, c.newer), c)
		require.False(t, order.Older(c.newer, c.older), c)
		require.False(t, order.Older(c.older, c.older), c)
	}
}

func TestWhatCannotBeComparedIsNotKnown(t *testing.T) {
	for _, c := range []struct {
		order version.Order
		a, b  string
	}{
		{version.Build, "10.0.20348.1", "10.0.20349.1"}, // of another product
		{version.Build, "10.0", "10.0.20348.1"},
		{version.Dotted, "1.0-beta", "1.0"},
		{version.Debian, "a:b", "1"},
		{version.RPM, "", "1"},
		{"homebrew", "1", "2"},
	} {
		_, known := c.order.Compare(c.a, c.b)
		require.False(t, known, c)
		require.False(t, c.order.Older(c.a, c.b), c)
	}
}
