package patching

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// ParsePackageSet reads what [PackageSet.Canonical] wrote. It refuses anything
// that would not be written again byte for byte, so that content and address
// stay one to one.
func ParsePackageSet(text []byte) (PackageSet, error) {
	lines, head, err := canonicalLines(text, "packages v1")
	if err != nil {
		return PackageSet{}, err
	}
	set := PackageSet{Manager: head[1]}
	for n, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) != 4 && len(f) != 6 {
			return PackageSet{}, fmt.Errorf("package set, line %d: %d fields, want 4 or 6", n+2, len(f))
		}
		if err := ValidatePackage(f[0], f[1], f[2]); err != nil {
			return PackageSet{}, fmt.Errorf("package set, line %d: %w", n+2, err)
		}
		p := Package{Name: f[0], Arch: f[1], Version: f[2], Source: f[3]}
		if len(f) == 6 {
			p.SourceVersion, p.Module = f[4], f[5]
		}
		set.Packages = append(set.Packages, p)
	}
	return set, same("package set", set.Canonical(), text)
}

// ParseCandidateSet reads what [CandidateSet.Canonical] wrote.
func ParseCandidateSet(text []byte) (CandidateSet, error) {
	lines, head, err := canonicalLines(text, "candidates v1")
	if err != nil {
		return CandidateSet{}, err
	}
	set := CandidateSet{Manager: head[1]}
	for n, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) == 2 && f[0] == "kept back" {
			set.KeptBack = append(set.KeptBack, f[1])
			continue
		}
		if len(f) == 3 && f[0] == "foreign" {
			if err := validateForeign(f[1], f[2], len(set.Foreign)); err != nil {
				return CandidateSet{}, fmt.Errorf("candidate set, line %d: %w", n+2, err)
			}
			set.Foreign = append(set.Foreign, Foreign{f[1], f[2]})
			continue
		}
		if len(f) != 10 {
			return CandidateSet{}, fmt.Errorf("candidate set, line %d: %d fields, want 10", n+2, len(f))
		}
		if err := ValidatePackage(f[0], f[1], f[3]); err != nil {
			return CandidateSet{}, fmt.Errorf("candidate set, line %d: %w", n+2, err)
		}
		size, err := strconv.ParseInt(f[7], 10, 64)
		if err != nil {
			return CandidateSet{}, fmt.Errorf("candidate set, line %d: size: %w", n+2, err)
		}
		set.Candidates = append(set.Candidates, Candidate{
			Name: f[0], Arch: f[1], From: f[2], To: f[3], Origin: f[4], Codename: f[5],
			Security: f[6] == "true", Size: size, SHA256: f[8], NeedsReboot: f[9] == "true",
		})
	}
	return set, same("candidate set", set.Canonical(), text)
}

func validateForeign(name, origin string, before int) error {
	switch {
	case !packageName.MatchString(name):
		return fmt.Errorf("foreign package %.40q: want a letter or digit, then letters, digits and +._:~-", name)
	case len(origin) > 200 || strings.ContainsFunc(origin, unicode.IsControl):
		return fmt.Errorf("foreign package %s: its origin %.40q is longer than 200 bytes, or has control characters", name, origin)
	case before == MaxForeign:
		return fmt.Errorf("more than %d foreign packages", MaxForeign)
	}
	return nil
}

// ParseBundle reads what [Bundle.Canonical] wrote.
func ParseBundle(text []byte) (Bundle, error) {
	lines, head, err := canonicalLines(text, "bundle v1")
	if err != nil {
		return Bundle{}, err
	}
	b := Bundle{Manager: head[1]}
	for n, l := range lines {
		f := strings.Split(l, "\t")
		switch {
		case n == 0 && len(f) == 3 && f[0] == "sources":
			b.Sources, b.Beside = Digest(f[1]), f[2] == "true"
			if !b.Sources.Valid() {
				return Bundle{}, fmt.Errorf("bundle, line %d: %.40q is no digest", n+2, f[1])
			}
		case len(f) == 2 && f[0] == "step":
			b.Steps = append(b.Steps, Step{Restart: f[1] == "true"})
		case len(f) == 12 && len(b.Steps) > 0:
			p, err := parsePatch(f)
			if err != nil {
				return Bundle{}, fmt.Errorf("bundle, line %d: %w", n+2, err)
			}
			last := &b.Steps[len(b.Steps)-1]
			last.Patches = append(last.Patches, p)
		default:
			return Bundle{}, fmt.Errorf("bundle, line %d: neither a step nor a patch of one", n+2)
		}
	}
	return b, same("bundle", b.Canonical(), text)
}

func parsePatch(f []string) (Patch, error) {
	version := f[4]
	if version == "" {
		version = f[3]
	}
	if err := ValidatePackage(f[1], f[2], version); err != nil {
		return Patch{}, err
	}
	size, err := strconv.ParseInt(f[8], 10, 64)
	if err != nil {
		return Patch{}, fmt.Errorf("size: %w", err)
	}
	return Patch{
		Action: Action(f[0]), Name: f[1], Arch: f[2], From: f[3], To: f[4], Origin: f[5], Codename: f[6],
		Security: f[7] == "true", Size: size, SHA256: f[9], NeedsReboot: f[10] == "true", Reversible: Reversibility(f[11]),
	}, nil
}

// canonicalLines checks the heading and returns the lines under it and the
// heading's fields.
func canonicalLines(text []byte, heading string) (lines, head []string, err error) {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, nil, fmt.Errorf("%s: the last line does not end", heading)
	}
	lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	head = strings.Split(lines[0], "\t")
	if len(head) != 2 || head[0] != heading {
		return nil, nil, fmt.Errorf("begins with %.40q, want %q", lines[0], heading)
	}
	return lines[1:], head, nil
}

func same(what string, again, text []byte) error {
	if !bytes.Equal(again, text) {
		return fmt.Errorf("%s: not in canonical form", what)
	}
	return nil
}
