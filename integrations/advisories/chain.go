package advisories

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/apt"
)

// Release is what signs package lists: an InRelease file, or a Release file, which says
// the same and is not signed by itself.
type Release struct {
	Name string // of the file
	// Suite is its codename: what is "stable" changes.
	Origin, Suite string
	// ValidUntil is zero where the archive sets no end. Neither date is judged here: an
	// old list is true of its time.
	Date, ValidUntil time.Time
	// Signed is set by [Link].
	Signed bool

	parsed    *apt.Release
	inRelease []byte // nil: it is a Release file
}

func (r *Release) edition() string { return r.Suite + " " + apt.Stamp(r.Date) }

// List is a list of packages.
type List struct {
	Name string // of the file
	// SHA256 is that of the plain text.
	SHA256 string
	// First and Offers are where its packages stand in [Content], and how many they are.
	First, Offers int
	// Release is the file that names it, and Signed whether that is signed: both are set
	// by [Link].
	Release string
	Signed  bool
}

// Keyring are the public keys in a file.
type Keyring struct {
	Name string
	Keys int
	keys apt.Keys
}

// Link follows, in what [ReadFolder] returned, from keys over signed releases to package
// lists, and marks the offers of those with suite, origin and Signed. Keys and signatures
// have to be good at that time. With no keys, those of keyrings among the files count: then
// Signed says no more than that whoever filled the folder had these keys.
//
// What somebody changed is refused: a release whose signature is wrong with the lists
// below it, and a list in the place of another that its release names. A list that no
// release names, or one that none of the keys has signed, is not marked as signed.
func Link(files []File, refused []Refusal, keys apt.Keys, at time.Time) ([]File, []Refusal) {
	c := chain{keys: keys, at: at, broken: map[string]error{}}
	for _, r := range refused {
		if path.Base(r.Name) == "InRelease" {
			c.broken[path.Dir(r.Name)] = r.Err
		}
	}
	if len(keys) == 0 {
		for _, f := range files {
			for _, k := range f.Keyrings {
				c.keys = append(c.keys, k.keys...)
			}
		}
	}
	files, wrong := each(files, c.verify)
	refused = append(refused, wrong...)
	// Where several speak of a list, one that is signed counts first.
	slices.SortStableFunc(c.releases, func(a, b Release) int {
		return cmp.Or(cmp.Compare(len(path.Dir(b.Name)), len(path.Dir(a.Name))), btoi(b.Signed)-btoi(a.Signed), cmp.Compare(a.Name, b.Name))
	})
	files, wrong = each(files, c.link)
	return files, append(refused, wrong...)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// each does something to a copy of each file, and parts them from those where it failed.
func each(files []File, do func(*File) error) (kept []File, refused []Refusal) {
	for _, f := range files {
		if err := do(&f); err != nil {
			refused = append(refused, Refusal{f.Name, fmt.Errorf("%s: %w", f.Name, err)})
			continue
		}
		kept = append(kept, f)
	}
	return kept, refused
}

type chain struct {
	keys     apt.Keys
	at       time.Time
	releases []Release        // the longest path first
	broken   map[string]error // why the release in a folder was refused
}

// verify checks the releases of a file.
func (c *chain) verify(f *File) error {
	f.Releases = slices.Clone(f.Releases)
	for i := range f.Releases {
		r := &f.Releases[i]
		if r.inRelease == nil || len(c.keys) == 0 {
			continue
		}
		parsed, err := c.keys.Verify(r.inRelease, c.at)
		switch {
		case errors.Is(err, apt.ErrUnknownKey):
		case err != nil:
			if path.Base(r.Name) == "InRelease" {
				c.broken[path.Dir(r.Name)] = err
			}
			return err
		default:
			r.parsed, r.Signed = parsed, true
		}
	}
	c.releases = append(c.releases, f.Releases...)
	return nil
}

// link finds the release of each list of a file.
func (c *chain) link(f *File) error {
	if len(f.Lists) == 0 {
		return nil
	}
	f.Lists, f.Offers = slices.Clone(f.Lists), slices.Clone(f.Offers)
	for i := range f.Lists {
		l := &f.Lists[i]
		packed := l.SHA256 // of a list in an archive, which lies there as it is
		if l.Name == f.Name {
			packed = f.SHA256
		}
		r, err := c.of(l, packed)
		if err != nil {
			return err
		}
		if r == nil {
			c.lend(f, *l)
			continue
		}
		l.Release, l.Signed = r.Name, r.Signed
		f.Edition(r.edition(), r.Date)
		for n := range l.Offers {
			o := &f.Offers[l.First+n]
			o.Suite, o.Origin, o.Signed = r.Suite, r.Origin, r.Signed
		}
	}
	return nil
}

// lend gives the packages of a list that no release names the suite of the release in the
// nearest folder above: nobody vouches for it, and yet it is no list of another suite.
func (c *chain) lend(f *File, l List) {
	for _, r := range c.releases { // the longest path first
		if _, ok := within(l.Name, path.Dir(r.Name)); !ok || path.Dir(r.Name) == "." {
			continue
		}
		for n := range l.Offers {
			o := &f.Offers[l.First+n]
			o.Suite, o.Origin = r.Suite, r.Origin
		}
		return
	}
}

// of returns the release that names a list: that of the folder above it, or any that has
// its hash; nil if there is none.
func (c *chain) of(l *List, packed string) (*Release, error) {
	for dir := path.Dir(l.Name); ; dir = path.Dir(dir) {
		if err := c.broken[dir]; err != nil {
			return nil, fmt.Errorf("the InRelease file that should name it was refused: %w", err)
		}
		if dir == path.Dir(dir) {
			break
		}
	}
	for i := range c.releases {
		r := &c.releases[i]
		below, ok := within(l.Name, path.Dir(r.Name))
		if !ok {
			continue
		}
		named, ok := r.parsed.File(below)
		if !ok {
			continue
		}
		plain, _ := r.parsed.File(strings.TrimSuffix(below, path.Ext(below)))
		if named.SHA256 != packed && named.SHA256 != l.SHA256 && plain.SHA256 != l.SHA256 {
			return nil, fmt.Errorf("%s names another file in its place (SHA-256 %s): it was changed, or is of another day", r.Name, named.SHA256)
		}
		return r, nil
	}
	for _, signed := range []bool{true, false} {
		for i := range c.releases {
			if r := &c.releases[i]; r.Signed == signed && (r.parsed.Names(packed) || r.parsed.Names(l.SHA256)) {
				return r, nil
			}
		}
	}
	return nil, nil
}

// within returns a name below a folder.
func within(name, dir string) (string, bool) {
	if dir == "." {
		return name, true
	}
	return strings.CutPrefix(name, dir+"/")
}
