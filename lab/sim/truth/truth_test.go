package truth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
)

func profile() truth.Profile {
	return truth.Profile{
		Machines: 400, Seed: 7, Sites: truth.DefaultSites(4),
		Bad:  []truth.Bad{{Package: "openssl", How: truth.PostinstFails, Rate: 0.25}},
		Dead: 3, Flaky: 4, ClockOff: 2, DiskFull: 2, Slow: 1, ObserveOnly: 5,
	}
}

func TestTheSameProfileDrawsTheSameFleet(t *testing.T) {
	a, err := truth.Draw(profile())
	require.NoError(t, err)
	b, err := truth.Draw(profile())
	require.NoError(t, err)
	require.Equal(t, a, b)

	other := profile()
	other.Seed = 8
	c, err := truth.Draw(other)
	require.NoError(t, err)
	require.NotEqual(t, a, c)
}

func TestAMachineStaysWhatItIsWhenTheFleetGrows(t *testing.T) {
	small, err := truth.Draw(profile())
	require.NoError(t, err)
	grown := profile()
	grown.Machines = 1000
	grown.Bad = append(grown.Bad, truth.Bad{Package: "perl", How: truth.ServiceDies, Rate: 1})
	large, err := truth.Draw(grown)
	require.NoError(t, err)
	for i := range small {
		require.Equal(t, small[i].Facts, large[i].Facts)
		require.Equal(t, small[i].Role, large[i].Role)
		require.Equal(t, small[i].Breaks["openssl"], large[i].Breaks["openssl"])
	}
}

func TestTroubleIsGivenToExactlyAsManyMachinesAsAskedFor(t *testing.T) {
	machines, err := truth.Draw(profile())
	require.NoError(t, err)
	count := map[string]int{}
	for _, m := range machines {
		wrong := 0
		for what, is := range map[string]bool{
			"dead": m.Trouble.Dead, "flaky": m.Trouble.Flaky, "clock": m.Trouble.Clock != 0,
			"disk": m.Trouble.DiskFull, "slow": m.Trouble.Drag > 1, "observe": m.Trouble.ObserveOnly,
		} {
			if is {
				count[what]++
				wrong++
			}
		}
		require.LessOrEqual(t, wrong, 1, "machine %d has several troubles", m.Index)
		if len(m.Breaks) > 0 {
			count["broken"]++
		}
	}
	require.Equal(t, map[string]int{"dead": 3, "flaky": 4, "clock": 2, "disk": 2, "slow": 1, "observe": 5, "broken": count["broken"]}, count)
	require.InDelta(t, 100, count["broken"], 30, "a quarter of 400")
}

func TestAFleetHasThirtyImagesAndFourZones(t *testing.T) {
	p := profile()
	p.Machines = 200
	machines, err := truth.Draw(p)
	require.NoError(t, err)
	images, zones := map[any]bool{}, map[string]bool{}
	for _, m := range machines {
		images[[2]any{m.Role, m.Variant}] = true
		zones[m.Facts.Zone] = true
	}
	require.Len(t, zones, 4)
	require.GreaterOrEqual(t, len(images), 20)
	require.LessOrEqual(t, len(images), 52)
}

func TestAWrongProfileIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*truth.Profile){
		"machines":         func(p *truth.Profile) { p.Machines = 0 },
		"sites":            func(p *truth.Profile) { p.Sites = nil },
		"dead, flaky":      func(p *truth.Profile) { p.Dead = 400 },
		"zone":             func(p *truth.Profile) { p.Sites[0].Zone = "Mars/Olympus" },
		"rate":             func(p *truth.Profile) { p.Bad[0].Rate = 2 },
		"how \"explodes\"": func(p *truth.Profile) { p.Bad[0].How = "explodes" },
	} {
		p := profile()
		p.Sites = truth.DefaultSites(4)
		spoil(&p)
		_, err := truth.Draw(p)
		require.ErrorContains(t, err, want)
	}
}
