// Package gather brings all documents that a feed consists of: one, a list, one for each
// month, the pages of an interface, or the chain of a package archive. What is as it was
// is not brought again.
package gather

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
	"github.com/patchcycle/patchcycle/patching"
)

// maxBytes is what may come of one feed: several times all of NVD.
const maxBytes = 16 << 30

// Gatherer brings the documents of a source into a draft.
type Gatherer struct {
	Source  sources.Source
	Visitor *fetch.Visitor
	Draft   *shelf.Draft
	Now     time.Time
	// Tell hears how far it is.
	Tell func(patching.FeedProgress)

	progress patching.FeedProgress
}

// Gather brings them all. It returns how many bytes crossed the network, also where it
// failed. A draft in which a document is missing must not be committed.
func (g *Gatherer) Gather(ctx context.Context) (bytes int64, err error) {
	switch {
	case g.Source.Repository != nil:
		err = g.repository(ctx)
	case g.Source.Pages != "":
		err = g.pages(ctx)
	default:
		err = g.documents(ctx)
	}
	return g.progress.Bytes, err
}

func (g *Gatherer) documents(ctx context.Context) error {
	var all []sources.Address
	for _, d := range g.Source.Documents {
		some, err := d.Expand(g.Now)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	g.progress.Of = len(all)
	for _, a := range all {
		_, err := g.document(ctx, nameOf(a.URL), a.URL)
		switch {
		case a.New && errors.Is(err, fetch.ErrGone):
			g.progress.Of--
		case err != nil:
			return err
		}
	}
	return nil
}

// nameOf is where a document of that address lies. Where two addresses come to the same, the
// shelf refuses the second.
func nameOf(u *url.URL) string {
	name := fetch.HostPort(u) + "/" + strings.Trim(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		name += "?" + url.QueryEscape(u.RawQuery)
	}
	parts := strings.Split(name, "/")
	for i, p := range parts {
		// Neither ".." nor anything that means something to a file system.
		parts[i] = strings.NewReplacer(":", "_", "?", "@", "\\", "_").Replace(p)
		if p == "" || p == "." || p == ".." {
			parts[i] = "_"
		}
	}
	return strings.Join(parts, "/")
}

// document brings one, unless it is as it was.
func (g *Gatherer) document(ctx context.Context, name string, at *url.URL) (shelf.Document, error) {
	g.progress.At = at.Redacted()
	g.tell()
	was, known := g.Draft.Kept.Document(name)
	if was.Address != at.String() {
		known, was = false, shelf.Document{}
	}
	path, err := g.Draft.Path(name)
	if err != nil {
		return was, err
	}
	got, err := g.Visitor.Get(ctx, at, was.Validators, path)
	g.progress.Bytes += got.Bytes
	if err != nil {
		return was, err
	}
	if g.progress.Bytes > maxBytes {
		return was, fmt.Errorf("%s: more than %d bytes came of the feed: make several of it, or is it without an end?", at.Redacted(), int64(maxBytes))
	}
	doc := shelf.Document{Name: name, Address: at.String(), Validators: got.Validators}
	if got.Unchanged && known {
		doc, err = was, g.Draft.Keep(was)
	} else {
		doc, err = g.Draft.Add(doc)
	}
	g.progress.Documents++
	g.tell()
	return doc, err
}

func (g *Gatherer) tell() {
	if g.Tell != nil {
		g.Tell(g.progress)
	}
}

// path is where a document of the draft lies.
func (g *Gatherer) path(name string) (string, error) {
	path, err := g.Draft.Path(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return filepath.Clean(path), nil
}
