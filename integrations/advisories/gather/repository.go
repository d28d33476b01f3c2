package gather

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// maxInRelease is far more than Debian's largest, of 200 kB.
const maxInRelease = 8 << 20

// repository brings what an archive has signed, and the lists that it names there.
func (g *Gatherer) repository(ctx context.Context) error {
	r := g.Source.Repository
	g.progress.Of = len(r.Suites) * (1 + len(r.Components)*len(r.Architectures))
	for _, suite := range r.Suites {
		release, err := g.release(ctx, suite)
		if err != nil {
			return err
		}
		for _, component := range r.Components {
			for _, arch := range r.Architectures {
				if err := g.list(ctx, suite, release, component+"/binary-"+arch); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// release brings a suite's InRelease. It is judged before anything that it names is
// asked for.
func (g *Gatherer) release(ctx context.Context, suite string) (*apt.Release, error) {
	name := "dists/" + suite + "/InRelease"
	doc, err := g.document(ctx, name, g.at(name))
	if err != nil {
		return nil, err
	}
	file, err := g.path(doc.Name)
	if err != nil {
		return nil, err
	}
	text, err := unpack.ReadFile(file, maxInRelease)
	if err != nil {
		return nil, err
	}
	release, err := g.Source.Keys.Verify(text, g.Now)
	if err == nil {
		err = release.Judge(suite, g.Now)
	}
	if err != nil {
		return nil, &shelf.Refused{Why: fmt.Sprintf("%s: %s.", g.at(name), err)}
	}
	return release, nil
}

// list brings a list of packages by its hash, in the best packing that there is.
func (g *Gatherer) list(ctx context.Context, suite string, release *apt.Release, folder string) error {
	for _, packed := range []string{".xz", ".gz", ""} {
		index := folder + "/Packages" + packed
		want, ok := release.File(index)
		if !ok {
			continue
		}
		name := "dists/" + suite + "/" + index
		if was, known := g.Draft.Kept.Document(name); known && was.SHA256 == want.SHA256 {
			g.progress.Documents++
			return g.Draft.Keep(was)
		}
		var err error
		for _, place := range release.Paths(suite, index) {
			if err = g.named(ctx, name, g.at(place), want); !errors.Is(err, fetch.ErrGone) {
				break
			}
		}
		return err
	}
	return &shelf.Refused{Why: fmt.Sprintf("%s names no %s/Packages: look at the feed's suites, components and architectures.", g.at("dists/"+suite+"/InRelease"), folder)}
}

func (g *Gatherer) named(ctx context.Context, name string, at *url.URL, want apt.File) error {
	doc, err := g.document(ctx, name, at)
	if err == nil && (doc.SHA256 != want.SHA256 || doc.Bytes != want.Size) {
		err = &shelf.Refused{Why: fmt.Sprintf("%s is not what the InRelease names (SHA-256 %s): the archive may be changing; it is asked again.", at, want.SHA256)}
	}
	return err
}

// at is a place in the archive.
func (g *Gatherer) at(place string) *url.URL {
	u := *g.Source.Repository.Root
	u.Path, u.RawPath = path.Join("/", u.Path, place), ""
	return &u
}
