package trust

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// bigRing is a ring of so many machines that two people have signed for.
func bigRing(b *testing.B, machines int) (office, *Ring, []patching.PlanItem, []PublicKey) {
	b.Helper()
	o := newOffice(b)
	d := o.draft()
	items, keys, ids := make([]patching.PlanItem, machines), make([]PublicKey, machines), make([]patching.Digest, machines)
	leaves := make([][]byte, machines)
	for n := range machines {
		var seed [32]byte
		copy(seed[:], fmt.Sprintf("%032d", n))
		keys[n] = KeyFromSeed(seed).Public()
		ids[n] = keys[n].ID()
		items[n] = patching.PlanItem{Device: patching.DeviceID(fmt.Sprintf("d-%06d", n)), Ring: d.Ring, WindowRule: d.WindowRule, Bundle: d.Bundle, Rollback: d.Rollback}
		leaves[n] = items[n].Leaf(ids[n])
	}
	root, err := RingRoot(leaves)
	require.NoError(b, err)
	o.plan.Rings = []patching.PlanRing{{Name: d.Ring, Assets: machines, Root: root}}
	ring, err := NewRing(o.signed(b, o.grants(), o.ana, o.ben), items, ids)
	require.NoError(b, err)
	return o, ring, items, keys
}

// What it costs a machine to verify an order that two people signed, of 100,000 machines.
func BenchmarkVerifyOrderOf100000(b *testing.B) {
	o, ring, items, keys := bigRing(b, 100_000)
	d := o.draft()
	d.Device = items[4711].Device
	var err error
	d.Warrant, err = ring.Warrant(d.Device)
	require.NoError(b, err)
	order, err := d.Order(o.root, 41, keys[4711], o.now)
	require.NoError(b, err)
	envelope := order.Seal(o.world.keys.Dispatcher)
	v := Verifier{Root: o.root, Device: d.Device, DeviceKey: keys[4711].ID()}
	b.ReportMetric(float64(len(envelope)), "bytes")
	for b.Loop() {
		if _, err := v.Order(envelope, o.seen(), o.now); err != nil {
			b.Fatal(err)
		}
	}
}

// What it costs the server to prove and sign an order of 100,000.
func BenchmarkSignOrderOf100000(b *testing.B) {
	o, ring, items, keys := bigRing(b, 100_000)
	n := 0
	for b.Loop() {
		d := o.draft()
		d.Device = items[n%len(items)].Device
		var err error
		if d.Warrant, err = ring.Warrant(d.Device); err != nil {
			b.Fatal(err)
		}
		order, err := d.Order(o.root, uint64(n+1), keys[n%len(items)], o.now)
		if err != nil {
			b.Fatal(err)
		}
		if len(order.Seal(o.world.keys.Dispatcher)) == 0 {
			b.Fatal("nothing was signed")
		}
		n++
	}
}

// What it costs to make the tree of a ring of 100,000 machines.
func BenchmarkGrowRingOf100000(b *testing.B) {
	_, ring, items, _ := bigRing(b, 100_000)
	leaves := make([][]byte, len(items))
	for n, i := range items {
		leaves[n] = i.Leaf(ring.Root())
	}
	for b.Loop() {
		if _, err := NewTree(leaves); err != nil {
			b.Fatal(err)
		}
	}
}
