// Package reconcile holds what others say of our machines against what we know: a list of
// assets from a CMDB, and the findings of another scanner. It says what both have, what
// only one of them has, and why where that can be told. Nobody is declared right, except
// that a machine knows best what it says of itself.
package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Key is something by which a machine is known.
type Key string

// The keys, from the strongest: what is above outlives what is below it.
const (
	BySerial  Key = "serial"
	ByCloud   Key = "cloud instance"
	ByMAC     Key = "MAC address"
	ByName    Key = "hostname"
	ByAddress Key = "IP address"
)

// Keys are all of them, the strongest first.
func Keys() []Key { return []Key{BySerial, ByCloud, ByMAC, ByName, ByAddress} }

// placeholders are serials that many machines share, since nobody set one.
var placeholders = []string{
	"to be filled by o.e.m.", "default string", "system serial number", "not specified", "not applicable", "unknown", "none", "n/a", "na", "0", "-", "123456789",
}

// values are what identifies an asset by a key, in a form that can be compared. There are
// none where nothing is known, or nothing that tells machines apart.
func values(a *patching.Asset, k Key) (all []string) {
	switch k {
	case BySerial:
		if s := plainSerial(a.Serial); s != "" {
			all = append(all, s)
		}
	case ByCloud:
		if s := strings.ToLower(strings.TrimSpace(a.Cloud)); s != "" {
			all = append(all, s)
		}
	case ByMAC:
		for _, m := range a.MACs {
			if m = plainMAC(m); m != "" && m != "000000000000" && m != "ffffffffffff" {
				all = append(all, m)
			}
		}
	case ByName:
		if s := strings.ToLower(strings.Trim(strings.TrimSpace(a.Hostname), ".")); s != "" && s != "localhost" {
			all = append(all, s)
		}
	case ByAddress:
		for _, text := range a.Addresses {
			ip, err := netip.ParseAddr(plainAddress(text))
			if err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified() {
				all = append(all, ip.String())
			}
		}
	}
	return all
}

// plainSerial is empty for what stands in the place of a serial.
func plainSerial(text string) string {
	s := strings.ToLower(strings.TrimSpace(text))
	if slices.Contains(placeholders, s) || strings.Trim(s, "0x- ") == "" {
		return ""
	}
	return s
}

// withoutSigns takes out what parts the bytes of a hardware address.
var withoutSigns = strings.NewReplacer(":", "", "-", "", ".", "", " ", "")

// plainMAC is a hardware address as twelve small digits, however it is written; empty: it
// is none.
func plainMAC(text string) string {
	plain := strings.ToLower(withoutSigns.Replace(text))
	if b, err := hex.DecodeString(plain); err != nil || len(b) != 6 {
		return ""
	}
	return plain
}

// agree reports whether two assets share a value of a key. Names agree if they are equal,
// or if one of them lacks the domain that the other has.
func agree(a, b *patching.Asset, k Key) bool {
	for _, x := range values(a, k) {
		for _, y := range values(b, k) {
			if x == y || k == ByName && sameName(x, y) {
				return true
			}
		}
	}
	return false
}

func sameName(x, y string) bool {
	short, _, long := strings.Cut(x, ".")
	other, _, longToo := strings.Cut(y, ".")
	return short == other && long != longToo
}

// contradicts returns the strongest key above k of which both have values and none in
// common; empty: there is none.
func contradicts(a, b *patching.Asset, k Key) Key {
	for _, above := range Keys() {
		if above == k {
			return ""
		}
		if len(values(a, above)) > 0 && len(values(b, above)) > 0 && !agree(a, b, above) {
			return above
		}
	}
	return ""
}

// index finds assets by their keys.
type index struct {
	all []*patching.Asset
	by  map[Key]map[string][]int
}

func newIndex() *index { return &index{by: map[Key]map[string][]int{}} }

// forms are the values under which an asset is found by a key: of a name with its domain
// the name alone too, which [agree] then judges.
func forms(a *patching.Asset, k Key) []string {
	all := values(a, k)
	if k != ByName {
		return all
	}
	for _, v := range all {
		if short, _, long := strings.Cut(v, "."); long {
			all = append(all, short)
		}
	}
	return all
}

func (x *index) add(a *patching.Asset) {
	x.all = append(x.all, a)
	for _, k := range Keys() {
		if x.by[k] == nil {
			x.by[k] = map[string][]int{}
		}
		for _, v := range forms(a, k) {
			x.by[k][v] = append(x.by[k][v], len(x.all)-1)
		}
	}
}

// found is who may be meant.
type found struct {
	key Key
	// at are places in the index; several: nobody can tell which.
	at []int
	// spared are those that a weaker key points to and a stronger one speaks against,
	// each in words.
	spared []string
}

// find looks for an asset by the strongest key that leads to any.
func (x *index) find(a *patching.Asset) (f found) {
	for _, k := range Keys() {
		var at []int
		for _, v := range forms(a, k) {
			for _, i := range x.by[k][v] {
				b := x.all[i]
				switch against := contradicts(a, b, k); {
				case !agree(a, b, k) || slices.Contains(at, i):
				case against != "":
					words := fmt.Sprintf("%s has the same %s, but another %s", nameOf(b), k, against)
					if !slices.Contains(f.spared, words) {
						f.spared = append(f.spared, words)
					}
				default:
					at = append(at, i)
				}
			}
		}
		if len(at) > 0 {
			slices.Sort(at)
			f.key, f.at = k, at
			return f
		}
	}
	return f
}

func nameOf(a *patching.Asset) string {
	if a.ID != "" {
		return string(a.ID)
	}
	return a.Hostname
}

// idOf is the id of an asset that becomes known from a list: the same for the same
// machine, so that the list can be read twice.
func idOf(a *patching.Asset) patching.AssetID {
	for _, k := range Keys() {
		if v := values(a, k); len(v) > 0 {
			slices.Sort(v)
			sum := sha256.Sum256([]byte(string(k) + "\x00" + v[0]))
			return patching.AssetID("listed-" + hex.EncodeToString(sum[:6]))
		}
	}
	return ""
}
