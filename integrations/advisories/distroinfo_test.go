package advisories

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func TestWhoseReleasesTheyAreIsToldByWhateverTellsIt(t *testing.T) {
	const head = "version,codename,series,created,release,eol"
	for name, c := range map[string]struct{ file, text, want string }{
		"its columns":       {"ubuntu.csv", head + ",eol-lts\n12,Bookworm,bookworm\n", "debian"},
		"its first release": {"debian.csv", head + "\n4.10,Warty Warthog,warty\n", "ubuntu"},
		"its name":          {"a/debian.csv.xz", head + "\n12,Bookworm,bookworm\n", "debian"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readNamed(t, c.file, c.text)
			require.NoError(t, err)
			require.Equal(t, c.want, f.Lifecycles[0].Product)
		})
	}
	_, err := readNamed(t, "a.csv", head+"\n12,Bookworm,bookworm\n")
	require.ErrorContains(t, err, "name the file debian.csv or ubuntu.csv")
}

func TestADistributionIsSupportedAsLongAsAnybodyGetsFixesForNothing(t *testing.T) {
	f, err := readNamed(t, "debian.csv", "version,codename,series,created,release,eol,eol-lts,eol-elts\n"+
		"12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30\n14,Forky,forky,2025-08-09\n,Sid,sid,1993-08-16\n")
	require.NoError(t, err)
	require.Equal(t, []patching.Lifecycle{
		{
			Feed: "distroinfo", Product: "debian", Release: "12", Codename: "bookworm", Released: date(2023, 6, 10),
			SecurityEnd: date(2028, 6, 30), ExtendedEnd: date(2033, 6, 30),
		},
		{Feed: "distroinfo", Product: "debian", Release: "14", Codename: "forky"},
	}, f.Lifecycles)
	f, err = readNamed(t, "ubuntu.csv", "version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy\n"+
		"6.06 LTS,Dapper Drake,dapper,2005-10-12,2006-06-01,2009-07-14,2011-06-01\n"+
		"22.04 LTS,Jammy Jellyfish,jammy,2021-10-14,2022-04-21,2027-06-01,2027-06-01,2032-04-21,2034-04-25\n")
	require.NoError(t, err)
	require.Equal(t, []patching.Lifecycle{
		{
			Feed: "distroinfo", Product: "ubuntu", Release: "6.06", Codename: "dapper", Released: date(2006, 6, 1),
			SecurityEnd: date(2011, 6, 1),
		},
		{
			Feed: "distroinfo", Product: "ubuntu", Release: "22.04", Codename: "jammy", Released: date(2022, 4, 21),
			SecurityEnd: date(2027, 6, 1), ExtendedEnd: date(2032, 4, 21),
		},
	}, f.Lifecycles)
}

func TestReleasesThatCannotBeReadAreRefusedByTheirLine(t *testing.T) {
	const head = "version,codename,series,created,release,eol"
	for name, c := range map[string]struct{ text, says string }{
		"a column that we do not know": {head + ",eol-eternal\n", `line 1: we do not know the column "eol-eternal"`},
		"a field too many":             {head + "\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30\n", "line 2: it has 7 fields"},
		"a day that is cut short":      {head + "\n12,Bookworm,bookworm,2021-08-14,2023-06-1\n", "line 2: release: "},
		"a day that never was":         {head + "\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-02-30\n", "line 2: eol: "},
		"no series":                    {head + "\n12,Bookworm\n", "line 2: it has no series"},
		"no releases":                  {head + "\n", "it has no releases"},
		"a last line without an end":   {head + "\n12,Bookworm,bookworm", errUnended.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNamed(t, "debian.csv", c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}
