package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// End ends the deployments of a slice that are still in one of the given
// states, and with them, if asked to, their orders: a machine that has not
// started must not start after its deployment has ended. One that has its start
// permit, and is not among those, may.
func (w *Waves) End(ctx context.Context, in contract.EndSliceIn) (int, error) {
	stop := beat(ctx)
	defer stop()
	end := store.EndSpec{
		Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave, Assets: in.Assets, States: in.States,
		Outcome: in.Outcome, Reason: in.Reason, Detail: in.Detail, At: w.Now(), Withdraw: in.Withdraw,
	}
	switch {
	case in.Silent:
		return w.endSilent(ctx, in, end)
	case in.ByPath:
		return w.endByPath(ctx, in, end)
	}
	n, err := w.Store.EndDeployments(ctx, end)
	if err != nil {
		return 0, fmt.Errorf("end deployments: %w", err)
	}
	return n, nil
}

// endSilent ends the machines that kept silent for too long, counting only time
// in which the server and the machine's relay listened: behind a dead path
// silence says nothing about a machine, and nothing about a patch. Nor does that of a
// machine which may not start because somebody holds all of them.
func (w *Waves) endSilent(ctx context.Context, in contract.EndSliceIn, end store.EndSpec) (int, error) {
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave, States: in.States})
	if err != nil {
		return 0, fmt.Errorf("machines without an answer: %w", err)
	}
	assets, err := assetsOf(ctx, w.Store, rows)
	if err != nil {
		return 0, err
	}
	listening := listening{store: w.Store, now: w.Now(), known: map[listenKey]time.Duration{}}
	holds, err := w.Store.Holds(ctx, manyHolds)
	if err != nil {
		return 0, err
	}
	var mute []patching.Deployment
	for _, d := range rows {
		silent, err := silent(ctx, d, assets[d.Asset], &listening)
		if err != nil {
			return 0, err
		}
		if d.State == patching.DeploymentReleased {
			silent -= patching.HeldBetween(holds, lastHeard(d, assets[d.Asset]), listening.now)
		}
		if silent >= in.Silence {
			mute = append(mute, d)
		}
	}
	return endMute(ctx, w.Store, mute, assets, end)
}

// manyHolds is how many words about holds are looked back at: more were not said while a
// machine was waited for.
const manyHolds = 1000

// endByPath ends machines as asked, but for those to whom the path was down: what
// they have done meanwhile they could not say.
func (w *Waves) endByPath(ctx context.Context, in contract.EndSliceIn, end store.EndSpec) (int, error) {
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave, States: in.States})
	if err != nil {
		return 0, fmt.Errorf("machines without an end: %w", err)
	}
	assets, err := assetsOf(ctx, w.Store, rows)
	if err != nil {
		return 0, err
	}
	listening := listening{store: w.Store, now: w.Now(), known: map[listenKey]time.Duration{}}
	lost := end
	lost.Assets, lost.Outcome, lost.Reason, lost.Detail = nil, patching.Unreachable, patching.ReasonPathDown, ""
	end.Assets = nil
	for _, d := range rows {
		listened, err := silent(ctx, d, assets[d.Asset], &listening)
		if err != nil {
			return 0, err
		}
		if pathWasDown(listening.now.Sub(lastHeard(d, assets[d.Asset])), listened, in.Silence) {
			lost.Assets = append(lost.Assets, d.Asset)
		} else {
			end.Assets = append(end.Assets, d.Asset)
		}
	}
	total := 0
	for _, one := range []store.EndSpec{lost, end} {
		if len(one.Assets) == 0 {
			continue
		}
		n, err := w.Store.EndDeployments(ctx, one)
		if err != nil {
			return total, fmt.Errorf("end deployments: %w", err)
		}
		total += n
	}
	return total, nil
}

// pathWasDown says whether a machine that was last heard so long ago owes its silence
// to the path, which listened for a part of it only. Who listens is noted every 20 s at
// most, so that less than that is no outage; a policy that allows hardly more is a test's.
func pathWasDown(silent, listened, allowed time.Duration) bool {
	return silent-listened >= min(deaf, allowed/2)
}

// ender is the part of a store that ends deployments.
type ender interface {
	EndDeployments(ctx context.Context, e store.EndSpec) (int, error)
}

// endMute ends machines that have a start permit and say nothing. One whose
// clock is off has a reason not to start, and not to say so before its window
// is over by that clock.
func endMute(ctx context.Context, s ender, mute []patching.Deployment, assets map[patching.AssetID]patching.Asset, end store.EndSpec) (int, error) {
	clocks := map[string][]patching.AssetID{} // by how far they are off
	for _, d := range mute {
		words := ""
		if off := assets[d.Asset].ClockOff; off != 0 && d.State == patching.DeploymentReleased {
			words = "it is " + phrase.ClockOff(off)
		}
		clocks[words] = append(clocks[words], d.Asset)
	}
	total := 0
	for _, words := range slices.Sorted(maps.Keys(clocks)) {
		one := end
		one.Assets = clocks[words]
		if words != "" {
			one.Outcome, one.Reason, one.Detail = patching.Deferred, patching.ReasonClockOff, words
		}
		n, err := s.EndDeployments(ctx, one)
		if err != nil {
			return total, fmt.Errorf("end silent machines: %w", err)
		}
		total += n
	}
	return total, nil
}

// silent returns for how long, while the path listened, the machine has said
// nothing since it got its start permit.
func silent(ctx context.Context, d patching.Deployment, asset patching.Asset, l *listening) (time.Duration, error) {
	since := lastHeard(d, asset)
	silent, err := l.since(ctx, "server", since)
	if err != nil || asset.Relay == "" {
		return silent, err
	}
	relay, err := l.since(ctx, "relay/"+asset.Relay, since)
	return min(silent, relay), err
}

// lastHeard is since when a machine that has its start permit says nothing.
func lastHeard(d patching.Deployment, asset patching.Asset) time.Time {
	if asset.Seen.After(d.Released) {
		return asset.Seen
	}
	return d.Released
}

// listening remembers answers within one look: many machines share a relay and
// a start time to the second.
type listening struct {
	store WaveStore
	now   time.Time
	known map[listenKey]time.Duration
}

type listenKey struct {
	part  string
	since int64
}

func (l *listening) since(ctx context.Context, part string, t time.Time) (time.Duration, error) {
	key := listenKey{part, t.Unix()}
	if d, ok := l.known[key]; ok {
		return d, nil
	}
	d, err := l.store.ListenedSince(ctx, part, t, l.now)
	if err != nil {
		return 0, fmt.Errorf("for how long %s listened: %w", part, err)
	}
	l.known[key] = d
	return d, nil
}
