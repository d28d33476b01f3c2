package assess

import (
	"cmp"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// WayBack says how the installation of a candidate can be undone.
type WayBack func(patching.Candidate) patching.Reversibility

// ByPackages is the way back through the package manager: an upgrade can be
// undone where the old version can still be had, and an installation by
// removing the package again. A new kernel comes beside the old one; a machine
// refuses to remove the one that it runs.
func ByPackages(kept func(name, arch, version string) bool) WayBack {
	return func(c patching.Candidate) patching.Reversibility {
		switch {
		case c.From == "" && patching.IsKernel(c.Name):
			return patching.UnlessRunning
		case c.From == "":
			return patching.ByUninstall
		case kept(c.Name, c.Arch, c.From):
			return patching.ByDowngrade
		default:
			return patching.Irreversible
		}
	}
}

// Bundle resolves what is deployed into steps: first all that is ordinary, then
// each risky pattern of the policy alone, in the policy's order (G15). A nil
// way back promises nothing.
func Bundle(a Assessment, p policy.Patches, back WayBack) patching.Bundle {
	groups := make([][]patching.Patch, 1+len(p.Alone))
	for _, c := range a.Deploy() {
		g := 1 + slices.IndexFunc(p.Alone, func(pattern string) bool { return matches(pattern, c.Name) })
		groups[g] = append(groups[g], patchOf(c, back))
	}
	b := patching.Bundle{Manager: a.Manager}
	for _, patches := range groups {
		if len(patches) > 0 {
			b.Steps = append(b.Steps, patching.Step{Patches: patches, Restart: restart(patches, p.Reboot)})
		}
	}
	return b
}

// From points a bundle to the snapshot that its plan is made from; has says what
// the snapshot has. Where some of it is not there, the machine's own sources are
// asked too.
func From(b patching.Bundle, sources patching.Digest, has func(name, arch, version string) bool) patching.Bundle {
	b.Sources = sources
	b.Beside = slices.ContainsFunc(b.Patches(), func(p patching.Patch) bool { return p.To != "" && !has(p.Name, p.Arch, p.To) })
	return b
}

func patchOf(c patching.Candidate, back WayBack) patching.Patch {
	p := patching.Patch{
		Action: patching.Upgrade, Name: c.Name, Arch: c.Arch, From: c.From, To: c.To, Origin: c.Origin, Codename: c.Codename,
		Security: c.Security, Size: c.Size, SHA256: c.SHA256, NeedsReboot: c.NeedsReboot, Reversible: patching.Irreversible,
	}
	if c.From == "" {
		p.Action = patching.Install
	}
	if back != nil {
		p.Reversible = back(c)
	}
	return p
}

func restart(patches []patching.Patch, reboot string) bool {
	switch reboot {
	case "always":
		return true
	case "never":
		return false
	default:
		return slices.ContainsFunc(patches, func(p patching.Patch) bool { return p.NeedsReboot })
	}
}

// Without returns what remains of a bundle when packages are taken out of it:
// what failed on the test ring, or what people withdrew. A step without
// patches disappears.
func Without(b patching.Bundle, packages ...string) patching.Bundle {
	left := b
	left.Steps = nil
	for _, s := range b.Steps {
		s.Patches = slices.DeleteFunc(slices.Clone(s.Patches), func(p patching.Patch) bool { return slices.Contains(packages, p.Name) })
		if len(s.Patches) > 0 {
			left.Steps = append(left.Steps, s)
		}
	}
	return left
}

// SameSource returns the other packages of a machine that are built from the same
// source as the named ones.
func SameSource(set patching.PackageSet, names ...string) []string {
	source := func(p patching.Package) string { return cmp.Or(p.Source, p.Name) }
	sources := map[string]bool{}
	for _, p := range set.Packages {
		if slices.Contains(names, p.Name) {
			sources[source(p)] = true
		}
	}
	var out []string
	for _, p := range set.Packages {
		if sources[source(p)] && !slices.Contains(names, p.Name) && !slices.Contains(out, p.Name) {
			out = append(out, p.Name)
		}
	}
	return out
}

// Within reports whether a bundle contains only patches of another, in the same
// order: what was approved for the whole then covers the part.
func Within(part, whole patching.Bundle) bool {
	if part.Manager != whole.Manager || part.Sources != whole.Sources || part.Beside != whole.Beside {
		return false
	}
	rest := whole.Patches()
	for _, p := range part.Patches() {
		i := slices.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}
