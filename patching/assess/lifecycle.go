package assess

import (
	"reflect"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// soon is how long before its end a release is named.
const soon = 180 * 24 * time.Hour

// products are endoflife.date's names of systems, by the ID of os-release(5).
var products = map[string]string{
	"debian": "debian", "ubuntu": "ubuntu", "almalinux": "almalinux", "rocky": "rocky-linux", "rhel": "rhel", "centos": "centos",
	"ol": "oracle-linux", "fedora": "fedora", "sles": "sles", "opensuse-leap": "opensuse", "amzn": "amazon-linux", "macos": "macos",
}

// EndsOf are the releases of a system that are past their end, or near it.
func EndsOf(all []patching.Lifecycle, p patching.Platform, asOf time.Time) (ends []EndOfLife) {
	product := products[p.ID]
	for _, l := range all {
		if product == "" || l.Product != product || !slices.Contains(releases(p.Release), l.Release) || !l.SecurityEnded && (l.SecurityEnd.IsZero() || l.SecurityEnd.After(asOf.Add(soon))) {
			continue
		}
		e := EndOfLife{
			Product: l.Product, Release: l.Release, Ends: known(l.SecurityEnd), Extended: known(l.ExtendedEnd),
			Ended: l.SecurityEnded || l.SecurityEnd.Before(asOf), Feed: l.Feed,
		}
		// The same feed may be there twice, as a whole and a product a file.
		if !slices.ContainsFunc(ends, func(o EndOfLife) bool { return reflect.DeepEqual(o, e) }) {
			ends = append(ends, e)
		}
	}
	return ends
}
