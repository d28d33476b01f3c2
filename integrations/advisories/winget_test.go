package advisories

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

const wingetFixture = "testdata/winget/7zip.7zip.installer.yaml"

func TestAManifestOffersEachArchitectureOnce(t *testing.T) {
	f, err := changed(t, wingetFixture, "x64\n", "arm64\n")
	require.NoError(t, err)
	require.Equal(t, []patching.Offer{
		{Feed: "winget", Suite: "winget", Name: "7zip.7zip", Arch: "arm64", Version: "26.02"},
		{Feed: "winget", Suite: "winget", Name: "7zip.7zip", Arch: "x64", Version: "26.02"},
	}, f.Offers)
	f, err = changed(t, wingetFixture, `PackageVersion: "26.02"`, `PackageVersion: 26.10`)
	require.NoError(t, err)
	require.Len(t, f.Offers, 1, "as .exe and as .msi")
	require.Equal(t, "26.10", f.Offers[0].Version, "no number")
}

func TestAManifestOfOneFileNamesItsPublisher(t *testing.T) {
	const text = "PackageIdentifier: A.B\nPackageVersion: 1\nPublisher: A & Sons\nInstallers:\n- Architecture: x86\nManifestType: singleton\nManifestVersion: 1.6.0\n"
	f, err := readAs(t, []byte("\xef\xbb\xbf"+text), DefaultLimits())
	require.NoError(t, err)
	require.Equal(t, "A & Sons", f.Offers[0].Origin)
	f, err = readAs(t, []byte(strings.Replace(text, "singleton", "version", 1)), DefaultLimits())
	require.NoError(t, err)
	require.Empty(t, f.Offers, "others of the same package say nothing of what can be had")
}

func TestAManifestThatIsNotRightIsRefused(t *testing.T) {
	for from, c := range map[string]struct{ to, says string }{
		"ManifestVersion: 1.12.0":      {"", "it was cut off"},
		"ManifestType: installer":      {"ManifestType: merged", `line 39: ManifestType "merged"`},
		"PackageIdentifier: 7zip.7zip": {"PackageIdentifier: 7zip", `line 4: PackageIdentifier "7zip"`},
		`PackageVersion: "26.02"`:      {`PackageVersion: "26/02"`, `line 5: PackageVersion "26/02"`},
		"- Architecture: x64":          {"- Architecture: ppc", `line 13: Architecture "ppc"`},
		"  Architecture: x64\n":        {"", `Architecture ""`},
	} {
		_, err := changed(t, wingetFixture, from, c.to)
		require.ErrorContains(t, err, c.says, from)
	}
}
