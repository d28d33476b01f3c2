package reconcile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Field is something that a list says of a machine.
type Field string

// The fields. Those up to OS a machine reports itself; the others only people know.
const (
	Hostname     Field = "hostname"
	Serial       Field = "serial"
	Cloud        Field = "cloud"
	MACs         Field = "mac"
	Addresses    Field = "address"
	Vendor       Field = "vendor"
	Model        Field = "model"
	OS           Field = "os"
	Site         Field = "site"
	Owner        Field = "owner"
	BusinessUnit Field = "business_unit"
	Exposure     Field = "exposure"
	Criticality  Field = "criticality"
	DataClass    Field = "data_class"
	Tags         Field = "tags"
	Services     Field = "services"
)

// field is how one of them is read, set and compared.
type field struct {
	name Field
	// reported: a machine says it itself, and from its first inventory on knows better.
	reported bool
	get      func(*patching.Asset) []string
	set      func(*patching.Asset, []string)
	// plain is a value in the form that is compared.
	plain func(string) string
}

// fields are all of them, in the order in which they are shown.
var fields = []field{
	one(Hostname, true, func(a *patching.Asset) *string { return &a.Hostname }, strings.ToLower),
	one(Serial, true, func(a *patching.Asset) *string { return &a.Serial }, plainSerial),
	one(Cloud, true, func(a *patching.Asset) *string { return &a.Cloud }, strings.ToLower),
	many(MACs, true, func(a *patching.Asset) *[]string { return &a.MACs }, plainMAC),
	many(Addresses, true, func(a *patching.Asset) *[]string { return &a.Addresses }, plainAddress),
	one(Vendor, true, func(a *patching.Asset) *string { return &a.Vendor }, strings.ToLower),
	one(Model, true, func(a *patching.Asset) *string { return &a.Model }, strings.ToLower),
	one(OS, true, func(a *patching.Asset) *string { return &a.OS.Name }, strings.ToLower),
	one(Site, false, func(a *patching.Asset) *patching.SiteName { return &a.Site }, as),
	one(Owner, false, func(a *patching.Asset) *string { return &a.Owner }, as),
	one(BusinessUnit, false, func(a *patching.Asset) *string { return &a.BusinessUnit }, as),
	one(Exposure, false, func(a *patching.Asset) *patching.Exposure { return &a.Exposure }, notUnknown),
	one(Criticality, false, func(a *patching.Asset) *patching.Criticality { return &a.Criticality }, notUnknown),
	one(DataClass, false, func(a *patching.Asset) *string { return &a.DataClass }, as),
	many(Tags, false, func(a *patching.Asset) *[]string { return &a.Tags }, as),
	many(Services, false, func(a *patching.Asset) *[]string { return &a.Services }, as),
}

// Fields names them.
func Fields() (all []Field) {
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

func one[S ~string](name Field, reported bool, at func(*patching.Asset) *S, plain func(string) string) field {
	return field{
		name, reported,
		func(a *patching.Asset) []string {
			if v := string(*at(a)); plain(v) != "" {
				return []string{v}
			}
			return nil
		},
		func(a *patching.Asset, v []string) { *at(a) = S(v[0]) }, plain,
	}
}

func many(name Field, reported bool, at func(*patching.Asset) *[]string, plain func(string) string) field {
	return field{
		name, reported,
		func(a *patching.Asset) []string { return *at(a) },
		func(a *patching.Asset, v []string) { *at(a) = slices.Clone(v) }, plain,
	}
}

func as(s string) string { return s }

// notUnknown: a list that says "unknown" says nothing, and changes nothing.
func notUnknown(s string) string {
	if s == string(patching.ExposureUnknown) {
		return ""
	}
	return s
}

// plainAddress is an address without the length of its network, which machines report
// and lists leave out.
func plainAddress(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "/")
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.Unmap().WithZone("").String()
}

// within reports whether ours has all that theirs says.
func (f field) within(theirs, ours []string) bool {
	for _, t := range theirs {
		if !slices.ContainsFunc(ours, func(o string) bool {
			return f.plain(t) == f.plain(o) || f.name == Hostname && sameName(f.plain(t), f.plain(o))
		}) {
			return false
		}
	}
	return true
}
