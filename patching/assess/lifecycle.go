package assess

import (
	"reflect"
	"slices"
	"strings"
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
		if product != "" && l.Product == product && slices.Contains(releases(p.Release), l.Release) && ending(l, asOf) {
			ends = appendEnd(ends, l, asOf)
		}
	}
	return ends
}

// endsOfWindows are those of the releases that have a machine's build. Several do: how long
// one is supported is a matter of its edition, which a build does not tell. So an end counts
// only where it is that of all editions; otherwise some are named in open.
func endsOfWindows(all []patching.Lifecycle, m Machine, asOf time.Time) (ends []EndOfLife, open []string) {
	product := "windows"
	if strings.Contains(m.Release, "Server") {
		product = "windows-server"
	}
	goesOn := false
	for _, l := range all {
		if l.Product != product || l.Latest == "" || !slices.ContainsFunc(m.Packages.Packages, func(p patching.Package) bool {
			return p.Name == "windows" && strings.HasPrefix(p.Version+".", l.Latest+".")
		}) {
			continue
		}
		if ending(l, asOf) {
			ends = appendEnd(ends, l, asOf)
		} else {
			goesOn = true
		}
	}
	if !goesOn {
		return ends, nil
	}
	for _, e := range ends {
		open = append(open, e.Release)
	}
	return nil, open
}

// ending reports whether fixes for everyone have ended, or will soon.
func ending(l patching.Lifecycle, asOf time.Time) bool {
	return l.SecurityEnded || !l.SecurityEnd.IsZero() && !l.SecurityEnd.After(asOf.Add(soon))
}

// appendEnd adds one that was not told before: the same feed may be there twice, as a whole
// and a product a file.
func appendEnd(ends []EndOfLife, l patching.Lifecycle, asOf time.Time) []EndOfLife {
	e := EndOfLife{
		Product: l.Product, Release: l.Release, Ends: known(l.SecurityEnd), Extended: known(l.ExtendedEnd),
		Ended: l.SecurityEnded || l.SecurityEnd.Before(asOf), Feed: l.Feed,
	}
	if slices.ContainsFunc(ends, func(o EndOfLife) bool { return reflect.DeepEqual(o, e) }) {
		return ends
	}
	return append(ends, e)
}
