package reconcile_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// web is a machine that reports itself.
func web() patching.Asset {
	return patching.Asset{
		ID: "web-1", Device: "d-1", Hostname: "web-1.example.com", Serial: "SN-17", Cloud: "i-0abc", MACs: []string{"52:54:00:12:34:56"},
		Addresses: []string{"10.0.0.17/24", "127.0.0.1/8"}, OS: patching.OS{Name: "Debian GNU/Linux 12"}, Site: "amsterdam", Owner: "ana",
		Exposure: patching.Internal, Criticality: patching.High, Tags: []string{"b", "a"}, Inventoried: noon,
	}
}

func compare(row patching.Asset, known ...patching.Asset) (reconcile.Judged, reconcile.Assets) {
	all := reconcile.CompareAssets([]reconcile.Row{{Line: 2, Asset: row}}, known)
	return all.Rows[0], all
}

// Serves G1.
func TestAMachineIsRecognisedByTheStrongestKeyThatIsKnownOfIt(t *testing.T) {
	for key, row := range map[reconcile.Key]patching.Asset{
		reconcile.BySerial:  {Serial: " sn-17 ", Hostname: "renamed", Addresses: []string{"10.9.9.9"}},
		reconcile.ByCloud:   {Cloud: "I-0ABC", Serial: "To Be Filled By O.E.M.", Hostname: "renamed"},
		reconcile.ByMAC:     {MACs: []string{"52-54-00-12-34-56"}, Hostname: "renamed"},
		reconcile.ByName:    {Hostname: "WEB-1", Addresses: []string{"10.9.9.9"}},
		reconcile.ByAddress: {Addresses: []string{"10.0.0.17"}},
	} {
		j, _ := compare(row, web(), patching.Asset{ID: "other", Hostname: "web-2", Addresses: []string{"127.0.0.1"}})
		require.Equal(t, key, j.Key, "%+v", row)
		require.Equal(t, patching.AssetID("web-1"), j.Match)
	}
}

func TestAWeakKeyNeverSpeaksAgainstAStrongerOne(t *testing.T) {
	for words, row := range map[string]patching.Asset{
		"web-1 has the same hostname, but another serial: taken for another machine.":      {Hostname: "web-1", Serial: "SN-18"},
		"web-1 has the same IP address, but another hostname: taken for another machine.":  {Hostname: "db-1", Addresses: []string{"10.0.0.17"}},
		"web-1 has the same MAC address, but another serial: taken for another machine.":   {MACs: []string{"525400123456"}, Serial: "SN-18"},
		"web-1 has the same hostname, but another MAC address: taken for another machine.": {Hostname: "web-1", MACs: []string{"52:54:00:00:00:01"}},
	} {
		j, all := compare(row, web())
		require.Equal(t, reconcile.OnlyThey, j.Verdict)
		require.Contains(t, j.Why, words)
		require.Len(t, all.OnlyWe, 1)
		require.NotEqual(t, patching.AssetID("web-1"), j.Match)
	}
}

func TestWhatAMachineReportsItselfStaysAndWhatPeopleKnowIsTaken(t *testing.T) {
	row := patching.Asset{
		Serial: "SN-17", Hostname: "web-one", Addresses: []string{"10.0.0.18"}, OS: patching.OS{Name: "Linux"}, Vendor: "Dell",
		Owner: "bea", Criticality: patching.MissionCritical, Exposure: patching.ExposureUnknown, Tags: []string{"a", "b"}, Site: "amsterdam",
	}
	j, all := compare(row, web())
	require.Equal(t, reconcile.Differs, j.Verdict)
	require.Equal(t, []reconcile.Difference{
		{Field: reconcile.Hostname, Theirs: []string{"web-one"}, Ours: []string{"web-1.example.com"}},
		{Field: reconcile.Addresses, Theirs: []string{"10.0.0.18"}, Ours: []string{"10.0.0.17/24", "127.0.0.1/8"}},
		{Field: reconcile.Vendor, Theirs: []string{"Dell"}},
		{Field: reconcile.Owner, Theirs: []string{"bea"}, Ours: []string{"ana"}, Taken: true},
		{Field: reconcile.Criticality, Theirs: []string{"critical"}, Ours: []string{"high"}, Taken: true},
	}, j.Differences, "tags in another order are the same tags, and unknown says nothing")
	require.Len(t, all.Changes, 1)
	want := web()
	want.Owner, want.Criticality = "bea", patching.MissionCritical
	require.Equal(t, want, all.Changes[0])

	silent := web()
	silent.Inventoried = time.Time{}
	_, all = compare(row, silent)
	require.Equal(t, "web-one", all.Changes[0].Hostname, "nobody knows better")
	require.Equal(t, []string{"10.0.0.18"}, all.Changes[0].Addresses)
}

func TestWhatTheListDoesNotSayIsNoDifference(t *testing.T) {
	j, all := compare(patching.Asset{Hostname: "web-1"}, web())
	require.Equal(t, reconcile.Same, j.Verdict)
	require.Empty(t, all.Changes)
	require.Empty(t, all.OnlyWe)
}

func TestAMachineThatNobodyManagesIsKeptWithItsOwner(t *testing.T) {
	j, all := compare(patching.Asset{Hostname: "nas", Owner: "office"}, web())
	require.Equal(t, reconcile.OnlyThey, j.Verdict)
	require.True(t, j.Unmanaged)
	require.Empty(t, j.Why)
	require.Equal(t, patching.Roaming, all.Changes[0].Site)
	require.Equal(t, patching.ExposureUnknown, all.Changes[0].Exposure)
	j, _ = compare(patching.Asset{Hostname: "nas"}, web())
	require.Equal(t, []string{"No owner is named."}, j.Why)
}

func TestWhoeverMayBeMeantIsNamedAndNothingIsChanged(t *testing.T) {
	a, b := web(), web()
	a.ID, a.Hostname, a.Serial, a.Cloud, a.MACs = "a", "web-1.a.example", "", "", nil
	b.ID, b.Hostname, b.Serial, b.Cloud, b.MACs = "b", "web-1.b.example", "", "", nil
	j, all := compare(patching.Asset{Hostname: "web-1", Owner: "bea"}, a, b)
	require.Equal(t, reconcile.Ambiguous, j.Verdict)
	require.Equal(t, []patching.AssetID{"a", "b"}, j.Candidates)
	require.Empty(t, all.Changes)
	require.Empty(t, all.OnlyWe, "one of them is meant")

	b.Device = ""
	j, all = compare(patching.Asset{Hostname: "web-1", Owner: "bea"}, a, b)
	require.Equal(t, patching.AssetID("a"), j.Match, "the other is what an earlier list made of it")
	require.Contains(t, j.Why[0], "b has the same hostname and no agent")
	require.Len(t, all.OnlyWe, 1)
}

func TestARowThatTellsNoMachineApartBecomesNone(t *testing.T) {
	j, all := compare(patching.Asset{Serial: "To be filled by O.E.M.", Addresses: []string{"127.0.0.1"}}, web())
	require.Equal(t, reconcile.Ambiguous, j.Verdict)
	require.Contains(t, j.Why[0], "tells machines apart")
	require.Empty(t, all.Changes)
}

func TestAMachineThatTheListHasTwiceIsADuplicateOfTheFirst(t *testing.T) {
	all := reconcile.CompareAssets([]reconcile.Row{
		{Line: 2, Asset: patching.Asset{Serial: "SN-17"}},
		{Line: 3, Asset: patching.Asset{Serial: "SN-17", Hostname: "web-1"}},
		{Line: 4, Asset: patching.Asset{Hostname: "web-1", Owner: "x"}},
		{Line: 5, Asset: patching.Asset{Hostname: "new"}},
		{Line: 6, Asset: patching.Asset{Hostname: "new.example.com"}},
	}, []patching.Asset{web()})
	var got []string
	for _, r := range all.Rows {
		got = append(got, fmt.Sprint(r.Verdict, " ", r.Earlier))
	}
	require.Equal(t, []string{"same 0", "duplicate 2", "duplicate 2", "only they 0", "duplicate 5"}, got)
	require.Len(t, all.Changes, 1)
}

// Serves Q7.
func TestAListThatWasTakenChangesNothingTheSecondTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := func(name string, all ...string) string { return rapid.SampledFrom(append(all, "")).Draw(t, name) }
		// Machine n, as far as a list or an inventory happens to tell of it.
		machine := func() patching.Asset {
			n := rapid.IntRange(1, 4).Draw(t, "machine")
			a := patching.Asset{
				Serial: few("serial", fmt.Sprint("SN-", n), "N/A"), Cloud: few("cloud", fmt.Sprint("i-", n)),
				Hostname: few("name", fmt.Sprint("host-", n), fmt.Sprintf("host-%d.example.com", n)),
				Owner:    few("owner", "ana", "bea"), Exposure: patching.Exposure(few("exposure", "internet", "unknown")),
			}
			if few("mac", "yes") != "" {
				a.MACs = []string{fmt.Sprintf("52:54:00:00:00:%02d", n)}
			}
			if few("address", "yes") != "" || a.Hostname == "" {
				a.Addresses = []string{fmt.Sprint("10.0.0.", n), "127.0.0.1"}
			}
			return a
		}
		var known []patching.Asset
		for i := range rapid.IntRange(0, 5).Draw(t, "known") {
			a := machine()
			a.ID = patching.AssetID(fmt.Sprint("k", i))
			if rapid.Bool().Draw(t, "enrolled") {
				a.Device, a.Inventoried = patching.DeviceID(a.ID), noon
			}
			known = append(known, a)
		}
		var rows []reconcile.Row
		for i := range rapid.IntRange(1, 6).Draw(t, "rows") {
			rows = append(rows, reconcile.Row{Line: i + 2, Asset: machine()})
		}
		first := reconcile.CompareAssets(rows, slices.Clone(known))
		require.Len(t, first.Rows, len(rows), "each row has a verdict")
		ids := map[patching.AssetID]bool{}
		for _, c := range first.Changes {
			require.NotEmpty(t, c.ID)
			require.False(t, ids[c.ID], "each asset is changed once")
			ids[c.ID] = true
			at := slices.IndexFunc(known, func(k patching.Asset) bool { return k.ID == c.ID })
			if at < 0 {
				known = append(known, c)
				continue
			}
			if !known[at].Inventoried.IsZero() {
				require.Equal(t, known[at].Serial, c.Serial)
				require.Equal(t, known[at].Hostname, c.Hostname)
			}
			known[at] = c
		}
		second := reconcile.CompareAssets(rows, known)
		require.Empty(t, second.Changes)
	})
}

// A row that may be one of several takes none of them away from a row that says which.
func TestAnAmbiguousRowLeavesItsCandidatesToRowsThatSayMore(t *testing.T) {
	a, b := patching.Asset{ID: "a", Device: "d-a", Hostname: "web", Serial: "s1"}, patching.Asset{ID: "b", Device: "d-b", Hostname: "web", Serial: "s2"}
	all := reconcile.CompareAssets([]reconcile.Row{
		{Line: 2, Asset: patching.Asset{Hostname: "web"}}, {Line: 3, Asset: patching.Asset{Serial: "s1", Owner: "ana"}},
	}, []patching.Asset{a, b})
	require.Equal(t, reconcile.Ambiguous, all.Rows[0].Verdict)
	require.Equal(t, patching.AssetID("a"), all.Rows[1].Match)
	require.Len(t, all.Changes, 1, "its owner is taken in")
	require.Empty(t, all.OnlyWe, "both may be meant")
}

func TestRowsWithoutALineAreToldApartAllTheSame(t *testing.T) {
	row := reconcile.Row{Asset: patching.Asset{Serial: "SN-17", Owner: "bea"}}
	other := reconcile.Row{Asset: patching.Asset{Cloud: "i-0abc", Owner: "cid"}}
	all := reconcile.CompareAssets([]reconcile.Row{row, other}, []patching.Asset{web()})
	require.Equal(t, reconcile.Duplicate, all.Rows[1].Verdict)
	require.Len(t, all.Changes, 1)
	require.Empty(t, all.OnlyWe)
}
