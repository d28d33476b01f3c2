package advisories

import (
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// Learn puts together what files say, in their order: the same files make the same
// knowledge. What no feed recognises says nothing.
func Learn(files []File) assess.Knowledge {
	var (
		k     assess.Knowledge
		all   []patching.Advisory
		risks []patching.Risk
	)
	for _, f := range files {
		all, risks = append(all, f.Advisories...), append(risks, f.Risks...)
		k.Lifecycles, k.Offers = append(k.Lifecycles, f.Lifecycles...), append(k.Offers, f.Offers...)
		if slices.Contains(f.Feeds, kev.Name) && f.Made.After(k.Catalogue) {
			k.Catalogue = f.Made
		}
	}
	k.Advisories, k.Risks = assess.NewIndex(all), assess.RisksBy(risks)
	return k
}

// Signed reports whether a signature was checked down to all package lists among the
// files, and there are some; see [Link].
func Signed(files []File) bool {
	lists := 0
	for _, f := range files {
		for _, l := range f.Lists {
			if lists++; !l.Signed {
				return false
			}
		}
	}
	return lists > 0
}

// Counted counts what files say, by the feed whose format it is in and by kind. A file
// that is there twice counts twice: see [Distinct].
func Counted(files []File) map[string]map[string]int {
	counts := map[string]map[string]int{}
	for _, f := range files {
		formats := f.Formats
		if len(f.Feeds) == 1 { // what [Latest] left out of it does not count
			formats = map[string]map[string]int{f.Feeds[0]: f.kinds()}
		}
		for format, kinds := range formats {
			for kind, n := range kinds {
				if n > 0 {
					addTo(counts, format, kind, n)
				}
			}
		}
	}
	return counts
}

func addTo(counts map[string]map[string]int, format, kind string, n int) {
	if counts[format] == nil {
		counts[format] = map[string]int{}
	}
	counts[format][kind] += n
}

// kinds counts what people know a feed by.
func (c *Content) kinds() map[string]int {
	return map[string]int{
		"advisories": len(c.Advisories), "risks": len(c.Risks), "lifecycles": len(c.Lifecycles), "offers": len(c.Offers),
	}
}

// Distinct leaves out files that are copies of one before, to the byte.
func Distinct(files []File) []File {
	seen := map[string]bool{}
	var kept []File
	for _, f := range files {
		if !seen[f.SHA256] {
			seen[f.SHA256] = true
			kept = append(kept, f)
		}
	}
	return kept
}

// Latest leaves out, of files in the order in which they were made, what a feed says of a
// flaw in an earlier one: a feed that comes in changes says there what it said then.
func Latest(files []File) []File {
	seen := map[patching.CVE]int{} // the last file that speaks of it
	for n, f := range files {
		for _, r := range f.Risks {
			seen[r.CVE] = n
		}
	}
	files = slices.Clone(files)
	for n := range files {
		var risks []patching.Risk
		for _, r := range files[n].Risks {
			if seen[r.CVE] == n {
				risks = append(risks, r)
			}
		}
		files[n].Risks = risks
	}
	return files
}
