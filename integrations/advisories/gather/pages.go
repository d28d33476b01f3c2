package gather

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
)

// Bounds of what comes in pages. NVD, which has 350,000 records, gives 2,000 a page and
// takes no span of more than 120 days; it asks those who want to keep up to ask for
// changes: https://nvd.nist.gov/developers/start-here.
const (
	maxPages  = 10_000
	maxSpan   = 119 * 24 * time.Hour
	wholeEach = 30 * 24 * time.Hour
	// overlap is asked for twice: clocks differ, and what is being written is not there.
	overlap = time.Hour
)

// pages brings all of them, or what changed since.
func (g *Gatherer) pages(ctx context.Context) error {
	kept := g.Draft.Kept
	since := kept.Through.Add(-overlap)
	if g.Source.Changes == "" || kept.Through.IsZero() || g.Now.Sub(since) > maxSpan || g.Now.Sub(kept.Whole) > wholeEach || g.moved() {
		g.Draft.Whole = g.Now
		if g.Source.Changes != "" {
			g.Draft.Through = g.Now
		}
		return g.each(ctx, "full", time.Time{})
	}
	g.Draft.Whole, g.Draft.Through = kept.Whole, g.Now
	for _, d := range kept.Documents {
		if err := g.Draft.Keep(d); err != nil {
			return err
		}
	}
	// The names are in the order of time, behind that of the whole.
	return g.each(ctx, "later/"+g.Now.UTC().Format("20060102T150405"), since)
}

// moved reports whether the whole was brought from another address.
func (g *Gatherer) moved() bool {
	first, err := g.Source.Page(0, time.Time{}, time.Time{})
	if err != nil {
		return true
	}
	for _, d := range g.Draft.Kept.Documents {
		if d.Address == first.String() {
			return false
		}
	}
	return true
}

// page is what stands around the records of one.
type page struct {
	Start, Per, Total int
}

func (g *Gatherer) each(ctx context.Context, folder string, since time.Time) error {
	start := 0
	for range maxPages {
		at, err := g.Source.Page(start, since, g.Now)
		if err != nil {
			return err
		}
		doc, err := g.document(ctx, fmt.Sprintf("%s/%09d", folder, start), at)
		if err != nil {
			return err
		}
		p, err := g.around(doc)
		switch {
		case err != nil:
			return &shelf.Refused{Why: fmt.Sprintf("%s: %s.", at.Redacted(), err)}
		case p.Start != start:
			return &shelf.Refused{Why: fmt.Sprintf("%s: it was asked for what begins with record %d, and sends record %d.", at.Redacted(), start, p.Start)}
		}
		if p.Total == 0 && !since.IsZero() {
			g.Draft.Drop(doc.Name) // nothing changed
			return nil
		}
		if start += p.Per; start >= p.Total {
			return nil
		}
		if p.Per < 1 {
			return &shelf.Refused{Why: fmt.Sprintf("%s: it has %d records, and a page of none.", at.Redacted(), p.Total)}
		}
		g.progress.Of = g.progress.Documents + (p.Total-start+p.Per-1)/p.Per
	}
	return fmt.Errorf("%s: it has more than %d pages", g.Source.Pages, maxPages)
}

// around reads a page without its records.
func (g *Gatherer) around(doc shelf.Document) (p page, err error) {
	name, err := g.path(doc.Name)
	if err != nil {
		return p, err
	}
	f, err := os.Open(name)
	if err != nil {
		return p, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	fields := map[string]*int{"startIndex": &p.Start, "resultsPerPage": &p.Per, "totalResults": &p.Total}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return p, errors.New("it is no page of records")
	}
	for found := 0; d.More(); {
		key, err := d.Token()
		if err != nil {
			return p, fmt.Errorf("it is no page of records: %w", err)
		}
		into, wanted := fields[fmt.Sprint(key)]
		if !wanted {
			if err := d.Decode(&json.RawMessage{}); err != nil {
				return p, fmt.Errorf("it is no page of records: %w", err)
			}
			continue
		}
		if err := d.Decode(into); err != nil || *into < 0 {
			return p, fmt.Errorf("its %s is no number", key)
		}
		if found++; found == len(fields) {
			return p, nil
		}
	}
	return p, errors.New("it is no page of records: startIndex, resultsPerPage and totalResults are not all there")
}
