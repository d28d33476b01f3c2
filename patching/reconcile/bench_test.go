package reconcile_test

import (
	"fmt"
	"testing"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// BenchmarkCompareAssets holds a list of a large fleet against the fleet itself.
func BenchmarkCompareAssets(b *testing.B) {
	const machines = 100_000
	rows, known := make([]reconcile.Row, machines), make([]patching.Asset, machines)
	for i := range known {
		a := patching.Asset{
			Hostname: fmt.Sprintf("host-%06d.example.com", i), Serial: fmt.Sprintf("SN-%06d", i), Owner: "it",
			Addresses: []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}, MACs: []string{fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)},
		}
		rows[i] = reconcile.Row{Line: i + 2, Asset: a}
		a.ID = patching.AssetID(fmt.Sprintf("m-%06d", i))
		known[i] = a
	}
	for b.Loop() {
		if n := reconcile.CompareAssets(rows, known).Count(reconcile.Same); n != machines {
			b.Fatal(n)
		}
	}
}
