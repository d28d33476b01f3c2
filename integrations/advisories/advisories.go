// Package advisories reads what the world says is vulnerable, how bad that is, what can
// be had against it and until when it is supported: one file a feed.
//
// A document is recognised by its content and read whole or not at all. Nothing in it
// is believed: it may be broken, huge, or written by somebody who wants us to fall over
// (see [Limits]).
package advisories

import (
	"io"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Feed is a format, as one publisher writes it.
type Feed struct {
	// Name is that of its file here and of its folder in testdata, and what its
	// advisories are marked with.
	Name  string
	Title string // for people
	// Mine reports whether a document is one of the feed's. It looks at the head alone.
	Mine func(Head) bool
	// Read appends what a document says. After an error nothing of it is kept.
	Read func(Document, *Content) error
}

// Document is one that was recognised.
type Document struct {
	Head
	// Reader has the whole of it, unpacked and bounded.
	io.Reader
}

// Content is what documents say.
type Content struct {
	Advisories []patching.Advisory
	Risks      []patching.Risk
	Lifecycles []patching.Lifecycle
	Offers     []patching.Offer
	// Releases, Lists and Keyrings are what [Link] follows from an archive's keys to its
	// package lists.
	Releases []Release `json:",omitempty"`
	Lists    []List    `json:",omitempty"`
	Keyrings []Keyring `json:",omitempty"`
	// Revision is the publisher's name for this edition, and Made when it was made.
	// Of many documents in one file it is the newest. Empty and zero: not known.
	Revision string
	Made     time.Time
}

// Records counts what is in it.
func (c *Content) Records() int {
	return len(c.Advisories) + len(c.Risks) + len(c.Lifecycles) + len(c.Offers) +
		len(c.Releases) + len(c.Lists) + len(c.Keyrings)
}

// Edition notes a document's own revision and time, of which the newest counts.
func (c *Content) Edition(revision string, made time.Time) {
	if !made.Before(c.Made) {
		c.Revision, c.Made = revision, made.UTC()
	}
}

// feeds are all that can be read, in the order in which they are asked whether a
// document is theirs.
var feeds = []Feed{
	kev,
	osv,
	updateinfo,
	msrc,
	packages,
	hand,
	sofa,
	winget,
	epss,
	nvd,
	vulnrichment,
	endoflife,
	distroinfo,
	changelog,
}

// Feeds lists them.
func Feeds() []Feed { return feeds }
