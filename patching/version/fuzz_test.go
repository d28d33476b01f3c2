package version_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/version"
)

// Whatever stands in a version, two of them have one order, the same from both sides, and
// what is known to be compared with itself is the same.
func FuzzCompare(f *testing.F) {
	for _, v := range []string{"1:2.36-9+deb12u9", "1.0~rc1", "10.0.20348.4893", "1.0^git1-1.el9", "0:1.05-10.module_el8.5.0+2812", "a", ".", "-1", "1-", ":1"} {
		f.Add(v, "1.0", "2")
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		// Nobody has such versions, and a comparison of megabytes tells nothing more.
		if len(a)+len(b)+len(c) > 1<<10 || strings.ContainsAny(a+b+c, "\n\t") {
			return
		}
		for _, o := range []version.Order{version.Debian, version.RPM, version.Dotted, version.Build} {
			x, known := o.Compare(a, b)
			y, back := o.Compare(b, a)
			require.Equal(t, known, back, "%s: %q %q", o, a, b)
			require.Equal(t, x, -y, "%s: %q %q", o, a, b)
			if same, known := o.Compare(a, a); known {
				require.Zero(t, same, "%s: %q", o, a)
			}
			require.False(t, o.Older(a, b) && o.Older(b, c) && o.Older(c, a), "%s goes round: %q %q %q", o, a, b, c)
		}
	})
}
