package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

func enrolToken(f fixture, uses int, accept bool) patching.Digest {
	f.Helper()
	hash := f.digest("token")
	require.NoError(f, f.PutEnrolToken(f.ctx, store.EnrolToken{Hash: hash, Site: "bern", Uses: uses, Expires: at(60), By: "ana", AutoAccept: accept}))
	return hash
}

func enrolWith(f fixture, hash patching.Digest, i int) (patching.Device, error) {
	return f.Enrol(f.ctx, hash, noon, patching.Device{ID: f.device(i), Key: []byte(f.device(i)), Site: "elsewhere"},
		patching.Asset{ID: f.asset(i), Hostname: "host"})
}

func enrolment(t *testing.T, s *store.Store) {
	t.Run("a token makes devices of its site, as many as it has uses", func(t *testing.T) {
		f := with(t, s, "uses")
		hash := enrolToken(f, 2, true)
		for i := 1; i <= 2; i++ {
			d, err := enrolWith(f, hash, i)
			require.NoError(t, err)
			same(t, patching.Device{ID: f.device(i), Asset: f.asset(i), Key: []byte(f.device(i)), State: patching.DeviceAccepted, Site: "bern", Enrolled: noon}, d)
			a, err := f.Asset(f.ctx, f.asset(i))
			require.NoError(t, err)
			same(t, patching.Asset{ID: f.asset(i), Device: f.device(i), Hostname: "host", Site: "bern"}, a)
		}
		_, err := enrolWith(f, hash, 3)
		require.ErrorIs(t, err, store.ErrTokenSpent)
		_, err = f.Device(f.ctx, f.device(3))
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("an unknown token and an expired one let nobody in", func(t *testing.T) {
		f := with(t, s, "expired")
		_, err := enrolWith(f, f.digest("no token"), 1)
		require.ErrorIs(t, err, store.ErrNotFound)
		hash := enrolToken(f, 1, true)
		_, err = f.Enrol(f.ctx, hash, at(60), patching.Device{ID: "late", Key: []byte("late"), Asset: "late"}, patching.Asset{})
		require.ErrorIs(t, err, store.ErrTokenExpired)
	})
	t.Run("the same key again gets its device back and takes no use", func(t *testing.T) {
		f := with(t, s, "again")
		hash := enrolToken(f, 2, false)
		first, err := enrolWith(f, hash, 1)
		require.NoError(t, err)
		other := patching.Device{ID: "another-id", Key: []byte(f.device(1))}
		again, err := f.Enrol(f.ctx, hash, at(1), other, patching.Asset{ID: "another-asset"})
		require.NoError(t, err)
		same(t, first, again)
		_, err = f.Asset(f.ctx, "another-asset")
		require.ErrorIs(t, err, store.ErrNotFound)
		tokens, err := f.EnrolTokens(f.ctx)
		require.NoError(t, err)
		for _, k := range tokens {
			if k.Hash == hash {
				same(t, store.EnrolToken{Hash: hash, Site: "bern", Uses: 1, Expires: at(60), By: "ana"}, k)
			}
		}
	})
	t.Run("a token kept twice does not get its uses back", func(t *testing.T) {
		f := with(t, s, "kept-twice")
		hash := enrolToken(f, 1, true)
		_, err := enrolWith(f, hash, 1)
		require.NoError(t, err)
		enrolToken(f, 1, true)
		_, err = enrolWith(f, hash, 2)
		require.ErrorIs(t, err, store.ErrTokenSpent)
	})
}

func enrolmentAtOnce(t *testing.T, s *store.Store) {
	t.Run("twenty machines at once with a token of five: five get in", func(t *testing.T) {
		f := with(t, s, "race")
		hash := enrolToken(f, 5, true)
		var in atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := enrolWith(f, hash, i+1); err == nil {
					in.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 5, in.Load())
		all, err := f.Devices(f.ctx, patching.DeviceAccepted)
		require.NoError(t, err)
		mine := 0
		for _, d := range all {
			if d.Site == "bern" && len(d.Asset) == len(f.asset(1)) && d.Asset[:4] == "race" {
				mine++
			}
		}
		require.Equal(t, 5, mine)
	})
	t.Run("one machine that tries ten times at once is one device", func(t *testing.T) {
		f := with(t, s, "retries")
		hash := enrolToken(f, 10, true)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if d, err := enrolWith(f, hash, 1); err != nil || d.ID != f.device(1) {
					t.Errorf("%v %v", d, err)
				}
			})
		}
		wg.Wait()
		d, err := enrolWith(f, hash, 2)
		require.NoError(t, err)
		require.Equal(t, f.device(2), d.ID)
		tokens, err := f.EnrolTokens(f.ctx)
		require.NoError(t, err)
		for _, k := range tokens {
			if k.Hash == hash {
				require.Equal(t, 8, k.Uses)
			}
		}
	})
	t.Run("an id that another key has is refused and the token keeps its use", func(t *testing.T) {
		f := with(t, s, "stolen-id")
		hash := enrolToken(f, 2, true)
		_, err := enrolWith(f, hash, 1)
		require.NoError(t, err)
		_, err = f.Enrol(f.ctx, hash, noon, patching.Device{ID: f.device(1), Key: []byte("another key")}, patching.Asset{ID: f.asset(1)})
		require.Error(t, err)
		_, err = enrolWith(f, hash, 2)
		require.NoError(t, err)
	})
	t.Run("a device without key, id or asset is refused", func(t *testing.T) {
		f := with(t, s, "nothing")
		_, err := f.Enrol(f.ctx, f.digest("token"), noon, patching.Device{ID: "x"}, patching.Asset{ID: "x"})
		require.Error(t, err)
	})
}

// replaced: a fresh device takes over the machine of an old one, and its own record goes.
// Serves G1.
func replaced(t *testing.T, s *store.Store) {
	f := with(t, s, "replaced")
	hash := enrolToken(f, 3, true)
	for i := 1; i <= 3; i++ {
		_, err := enrolWith(f, hash, i)
		require.NoError(t, err)
	}
	owned := patching.Asset{ID: f.asset(1), Hostname: "host", Site: "bern", Owner: "ana"}
	require.NoError(t, f.PutAsset(f.ctx, owned))
	stands := func() {
		t.Helper()
		a, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		owned.Device = f.device(2)
		same(t, owned, a)
	}
	for range 2 {
		require.NoError(t, f.ReplaceDevice(f.ctx, f.device(1), f.device(2)))
		stands()
	}
	_, err := f.Asset(f.ctx, f.asset(2))
	require.ErrorIs(t, err, store.ErrNotFound)
	old, err := f.Device(f.ctx, f.device(1))
	require.NoError(t, err)
	require.Equal(t, patching.DeviceRevoked, old.State)
	fresh, err := f.Device(f.ctx, f.device(2))
	require.NoError(t, err)
	require.Equal(t, []any{patching.DeviceAccepted, f.asset(1)}, []any{fresh.State, fresh.Asset})

	require.ErrorIs(t, f.ReplaceDevice(f.ctx, f.device(2), f.device(1)), store.ErrFinal, "revoked is final")
	require.ErrorIs(t, f.ReplaceDevice(f.ctx, "nobody", f.device(2)), store.ErrNotFound)
	require.ErrorIs(t, f.ReplaceDevice(f.ctx, f.device(2), "nobody"), store.ErrNotFound)
	require.ErrorContains(t, f.ReplaceDevice(f.ctx, f.device(2), f.device(2)), "itself")
	f.open()
	require.NoError(t, f.PutPlan(f.ctx, f.plan(1), []patching.PlanItem{f.item(3)}))
	err = f.ReplaceDevice(f.ctx, f.device(2), f.device(3))
	require.ErrorIs(t, err, store.ErrFinal, "what happened to it in a cycle stays on its record")
	require.ErrorContains(t, err, "was in a cycle")
	stands()
}

func devices(t *testing.T, s *store.Store) {
	t.Run("a pending device is not its asset's; an accepted one is; a revoked one no more", func(t *testing.T) {
		f := with(t, s, "states")
		hash := f.digest("token")
		require.NoError(t, f.PutEnrolToken(f.ctx, store.EnrolToken{Hash: hash, Site: "bern", Uses: 2, Expires: at(60)}))
		_, err := f.Enrol(f.ctx, hash, noon, patching.Device{ID: f.device(1), Key: []byte("k1")}, patching.Asset{ID: f.asset(1)})
		require.NoError(t, err)
		belongs := func(want patching.DeviceID) {
			t.Helper()
			a, err := f.Asset(f.ctx, f.asset(1))
			require.NoError(t, err)
			require.Equal(t, want, a.Device)
		}
		belongs("")
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(1), patching.DeviceAccepted))
		belongs(f.device(1))
		// The machine is installed anew: it enrols again and gets another device.
		_, err = f.Enrol(f.ctx, hash, at(5), patching.Device{ID: f.device(2), Key: []byte("k2")}, patching.Asset{ID: f.asset(1)})
		require.NoError(t, err)
		belongs(f.device(1))
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(2), patching.DeviceAccepted))
		belongs(f.device(2))
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(2), patching.DeviceRevoked))
		belongs("")
	})
	t.Run("states go forward only, and revoked is final", func(t *testing.T) {
		f := with(t, s, "forward")
		f.enrol(1)
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(1), patching.DeviceAccepted))
		require.ErrorIs(t, f.SetDeviceState(f.ctx, f.device(1), patching.DevicePending), store.ErrFinal)
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(1), patching.DeviceRevoked))
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(1), patching.DeviceRevoked))
		for _, back := range []patching.DeviceState{patching.DeviceAccepted, patching.DeviceQuarantined} {
			require.ErrorIs(t, f.SetDeviceState(f.ctx, f.device(1), back), store.ErrFinal)
		}
		require.Error(t, f.SetDeviceState(f.ctx, f.device(1), "resurrected"))
		require.ErrorIs(t, f.SetDeviceState(f.ctx, "nobody", patching.DeviceRevoked), store.ErrNotFound)
	})
	t.Run("a device is found by id, by key and by state", func(t *testing.T) {
		f := with(t, s, "found")
		f.enrol(2)
		d, err := f.DeviceByKey(f.ctx, []byte(f.device(2)))
		require.NoError(t, err)
		require.Equal(t, f.device(2), d.ID)
		_, err = f.DeviceByKey(f.ctx, nil)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = f.Device(f.ctx, "nobody")
		require.ErrorIs(t, err, store.ErrNotFound)
		revoked, err := f.Devices(f.ctx, patching.DeviceRevoked)
		require.NoError(t, err)
		for _, d := range revoked {
			require.Equal(t, patching.DeviceRevoked, d.State)
		}
		all, err := f.Devices(f.ctx)
		require.NoError(t, err)
		require.Greater(t, len(all), len(revoked))
	})
}

// fullAsset has every field that somebody can set.
func fullAsset(id patching.AssetID) patching.Asset {
	return patching.Asset{
		ID: id, Hostname: "db1", Site: "bern", Addresses: []string{"10.0.0.1", "fe80::1"}, MACs: []string{"02:00:00:00:00:01"}, Serial: "S/N 1",
		Cloud: "i-1", Vendor: "Acme", Model: "X1", OS: patching.OS{Family: "debian", Name: "Debian", Release: "12", Revision: "12.15", Kernel: "6.1.0-40", Arch: "amd64"},
		Zone: "Europe/Zurich", BusinessUnit: "payments", Owner: "ana", Tags: []string{"db", "a b"}, Exposure: patching.Internal, Criticality: patching.High,
		DataClass: "secret", Services: []string{"payments"}, Manager: "apt", Agent: "0.3.0", Packages: "sha256:01", Candidates: "sha256:02", Allowed: []string{"collect", "apply"},
		OtherManagers: []string{"unattended-upgrades"}, Broken: []string{"nginx"}, RebootPending: true, CarriesPatchcycle: true, Inventoried: noon,
	}
}

func assets(t *testing.T, s *store.Store) {
	ctx := context.Background()
	t.Run("every field comes back; who speaks for it and when it was seen is not to be put", func(t *testing.T) {
		a := fullAsset("full")
		put := a
		put.Device, put.Relay, put.Seen, put.ClockOff = "no-such-device", "r9", noon, time.Hour
		require.NoError(t, s.PutAsset(ctx, put))
		got, err := s.Asset(ctx, "full")
		require.NoError(t, err)
		same(t, a, got)
		_, err = s.Asset(ctx, "nobody")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("what the machine says of itself is not overwritten once it has spoken, what the server keeps is", func(t *testing.T) {
		a := fullAsset("spoken")
		require.NoError(t, s.PutAsset(ctx, a))
		put := patching.Asset{ID: "spoken", Hostname: "from the CSV", Site: "zug", Owner: "bob", Criticality: patching.Low}
		require.NoError(t, s.PutAsset(ctx, put))
		got, err := s.Asset(ctx, "spoken")
		require.NoError(t, err)
		want := a
		want.Site, want.Owner, want.Criticality = "zug", "bob", patching.Low
		want.BusinessUnit, want.Tags, want.Exposure, want.DataClass, want.Services, want.CarriesPatchcycle = "", nil, "", "", nil, false
		same(t, want, got)
	})
	t.Run("a machine that never spoke is what the CSV says, also the second time", func(t *testing.T) {
		require.NoError(t, s.PutAsset(ctx, patching.Asset{ID: "silent", Hostname: "old", Serial: "1"}))
		require.NoError(t, s.PutAsset(ctx, patching.Asset{ID: "silent", Hostname: "new"}))
		got, err := s.Asset(ctx, "silent")
		require.NoError(t, err)
		same(t, patching.Asset{ID: "silent", Hostname: "new"}, got)
	})
	t.Run("many are put at once, the later of two with one id counts, one without an id spoils all", func(t *testing.T) {
		before, err := s.CountAssets(ctx)
		require.NoError(t, err)
		many := make([]patching.Asset, 1200)
		for i := range many {
			many[i] = patching.Asset{ID: patching.AssetID(fmt.Sprintf("many-%04d", i)), Owner: "o"}
		}
		many[1199].ID, many[1199].Owner = many[0].ID, "later"
		require.NoError(t, s.PutAssets(ctx, many))
		n, err := s.CountAssets(ctx)
		require.NoError(t, err)
		require.Equal(t, before+1199, n)
		got, err := s.Asset(ctx, "many-0000")
		require.NoError(t, err)
		require.Equal(t, "later", got.Owner)
		require.Error(t, s.PutAssets(ctx, []patching.Asset{{ID: "spoilt"}, {}}))
		_, err = s.Asset(ctx, "spoilt")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

// putSites puts 400 assets into each of three sites.
func putSites(t *testing.T, s *store.Store) {
	t.Helper()
	many := make([]patching.Asset, 1200)
	for i := range many {
		many[i] = patching.Asset{ID: patching.AssetID(fmt.Sprintf("many-%04d", i)), Site: patching.SiteName(fmt.Sprintf("site-%d", i%3))}
	}
	require.NoError(t, s.PutAssets(context.Background(), many))
}

func assetLists(t *testing.T, s *store.Store) {
	ctx := context.Background()
	putSites(t, s)
	t.Run("pages of a site, in the order of ids, name every asset once", func(t *testing.T) {
		var seen []patching.AssetID
		var after patching.AssetID
		for {
			page, err := s.Assets(ctx, store.AssetFilter{Site: "site-1", Limit: 150, After: after})
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				require.Greater(t, a.ID, after)
				after = a.ID
				seen = append(seen, a.ID)
			}
		}
		require.Len(t, seen, 400)
	})
	t.Run("words are found in any case, and wildcards in them mean themselves", func(t *testing.T) {
		require.NoError(t, s.PutAsset(ctx, patching.Asset{ID: "w1", Hostname: "WEB_1.example", Owner: "100% Ana"}))
		require.NoError(t, s.PutAsset(ctx, patching.Asset{ID: "w2", Hostname: "webx1.example", Addresses: []string{"192.0.2.77"}}))
		for words, want := range map[string][]patching.AssetID{"web_1": {"w1"}, "WEB": {"w1", "w2"}, "100%": {"w1"}, "192.0.2.77": {"w2"}, `\`: nil} {
			got, err := s.Assets(ctx, store.AssetFilter{Text: words})
			require.NoError(t, err)
			var ids []patching.AssetID
			for _, a := range got {
				ids = append(ids, a.ID)
			}
			require.Equal(t, want, ids, words)
		}
	})
	t.Run("assets are found by a list of ids", func(t *testing.T) {
		got, err := s.Assets(ctx, store.AssetFilter{IDs: []patching.AssetID{"w2", "nobody", "w1"}})
		require.NoError(t, err)
		require.Len(t, got, 2)
	})
}

func presence(t *testing.T, s *store.Store) {
	f := with(t, s, "presence")
	listen := func(part string, minutes ...int) {
		t.Helper()
		for _, m := range minutes {
			require.NoError(t, s.Listened(f.ctx, part, at(m), 5*time.Minute))
		}
	}
	since := func(part string, from, to int) time.Duration {
		t.Helper()
		d, err := s.ListenedSince(f.ctx, part, at(from), at(to))
		require.NoError(t, err)
		return d
	}
	t.Run("time between two notes counts if the gap is small, and does not if it is not", func(t *testing.T) {
		listen("server", 0, 4, 8, 20, 24)
		require.Equal(t, 12*time.Minute, since("server", 0, 60))
		require.Equal(t, 7*time.Minute, since("server", 4, 23))
		require.Zero(t, since("server", 8, 20))
		require.Zero(t, since("server", 30, 60))
		require.Zero(t, since("server", 60, 0))
	})
	t.Run("notes that come late or twice take nothing away", func(t *testing.T) {
		listen("relay/late", 0, 4, 2, 4)
		require.Equal(t, 4*time.Minute, since("relay/late", 0, 60))
	})
	t.Run("a part that nobody noted never listened", func(t *testing.T) {
		require.Zero(t, since("relay/none", 0, 60))
	})
	t.Run("parts are listed with the time they were last heard", func(t *testing.T) {
		parts, err := s.Parts(f.ctx)
		require.NoError(t, err)
		same(t, map[string]time.Time{"server": at(24), "relay/late": at(4)}, parts)
	})
}
