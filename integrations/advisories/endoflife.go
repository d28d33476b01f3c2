package advisories

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// endoflife are the support periods of endoflife.date: its API v1 (products/full and
// products/NAME, https://endoflife.date/docs/api/v1/), and the pages that this is made
// from, a product each (https://github.com/endoflife-date/endoflife.date, products/*.md,
// with product-schema.json).
var endoflife = Feed{
	Name: "endoflife", Title: "endoflife.date",
	Mine: func(h Head) bool {
		return h.Has("schema_version", "generated_at", "result") || isProductPage(h)
	},
	Read: func(doc Document, into *Content) error {
		if isProductPage(doc.Head) {
			return readProductPage(doc, into)
		}
		return readProducts(doc, into)
	},
}

func readProducts(doc Document, into *Content) error {
	var answer struct {
		Schema    string   `json:"schema_version"`
		Generated string   `json:"generated_at"`
		Total     *int     `json:"total"`
		Products  products `json:"result"`
	}
	if err := decodeJSON(doc, &answer); err != nil {
		return err
	}
	if !strings.HasPrefix(answer.Schema, "1.") {
		return fmt.Errorf("its schema_version is %.20q: want 1", answer.Schema)
	}
	if n := len(answer.Products); answer.Total != nil && *answer.Total != n {
		return fmt.Errorf("it says that it has %d products, and has %d: it was cut or changed", *answer.Total, n)
	}
	made, err := when(answer.Generated)
	if err != nil {
		return fmt.Errorf("generated_at: %w", err)
	}
	into.Edition("", made)
	for n, p := range answer.Products {
		if p.Name == "" || p.Releases == nil {
			return fmt.Errorf("product %d, %.40q: it has no name or no releases: take products/full, not the list of products", n+1, p.Name)
		}
		for _, r := range p.Releases {
			l, err := r.lifecycle(p.Name)
			if err != nil {
				return fmt.Errorf("%s %.40q: %w", p.Name, r.Name, err)
			}
			into.Lifecycles = append(into.Lifecycles, l)
		}
	}
	return nil
}

type product struct {
	Name     string    `json:"name"`
	Releases []release `json:"releases"`
}

// products are a list of all, or one by itself.
type products []product

func (p *products) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		*p = make(products, 1)
		return json.Unmarshal(text, &(*p)[0])
	}
	return json.Unmarshal(text, (*[]product)(p))
}

// release is a cycle. A period is known by its last day, or only by whether it is over
// (isEol without eolFrom): some publishers end support without announcing a day.
type release struct {
	Name     string `json:"name"`
	Codename string `json:"codename"`
	Date     string `json:"releaseDate"`
	Ended    bool   `json:"isEol"`
	End      string `json:"eolFrom"`
	// Both are null where the publisher has no extended support.
	ExtendedEnded bool   `json:"isEoes"`
	ExtendedEnd   string `json:"eoesFrom"`
	Latest        struct {
		Name string `json:"name"`
	} `json:"latest"`
}

func (r release) lifecycle(product string) (patching.Lifecycle, error) {
	l := patching.Lifecycle{
		Feed: "endoflife", Product: product, Release: r.Name, Codename: r.Codename, Latest: r.Latest.Name,
	}
	if r.Name == "" {
		return l, errors.New("a release has no name")
	}
	for _, date := range []struct {
		of, text string
		to       *time.Time
	}{
		{"of release", r.Date, &l.Released},
		{"of its end", r.End, &l.SecurityEnd},
		{"of the end of extended support", r.ExtendedEnd, &l.ExtendedEnd},
	} {
		t, err := when(date.text)
		if err != nil {
			return l, fmt.Errorf("the date %s: %w", date.of, err)
		}
		*date.to = t
	}
	l.SecurityEnded = r.Ended && l.SecurityEnd.IsZero()
	l.ExtendedEnded = r.ExtendedEnded && l.ExtendedEnd.IsZero()
	return l, nil
}

func isProductPage(h Head) bool {
	return h.Line() == "---" && bytes.Contains(h.Start, []byte("\npermalink: /")) && bytes.Contains(h.Start, []byte("\nreleases:"))
}

// readProductPage reads what stands above a page's text, which ends with a line of
// dashes. That is YAML, of which all pages use the same few lines: decoders of the whole
// language take minutes over some hundred kilobytes of brackets, and make 4.2 of 4.20.
func readProductPage(doc Document, into *Content) error {
	var p pageReader
	if err := eachLine(doc, p.line); err != nil {
		return err
	}
	switch {
	case !p.closed:
		return errors.New("what stands above the text has no end: it was cut off")
	case p.product == "" || len(p.releases) == 0:
		return errors.New("it has no permalink or no releases")
	}
	for _, r := range p.releases {
		l, err := r.lifecycle(p.product)
		if err != nil {
			return fmt.Errorf("%s %.40q: %w", p.product, r.Name, err)
		}
		into.Lifecycles = append(into.Lifecycles, l)
	}
	return nil
}

type pageReader struct {
	product        string
	opened, closed bool
	inReleases     bool
	item, field    int // how far releases and their fields are indented
	releases       []release
}

func (p *pageReader) line(_ int, text []byte) error {
	line := string(text)
	if line == "---" && !p.closed {
		p.closed, p.opened = p.opened, true
		return nil
	}
	bare := strings.TrimLeft(line, " ")
	indent := len(line) - len(bare)
	begins := strings.HasPrefix(bare, "- ")
	switch {
	case p.closed || bare[0] == '#':
		return nil
	case indent == 0 && !begins:
		return p.top(bare)
	case !p.inReleases:
		return nil
	case begins && (len(p.releases) == 0 || indent == p.item):
		bare = strings.TrimLeft(bare[2:], " ")
		p.item, p.field = indent, len(line)-len(bare)
		p.releases = append(p.releases, release{})
	case indent > p.field && len(p.releases) > 0:
		return nil // groups within a release: none of them is read
	case indent != p.field:
		return fmt.Errorf("%.40q is neither a release nor a field of one", line)
	}
	return p.set(&p.releases[len(p.releases)-1], bare)
}

// top reads an outermost field. The permalink is the product's name in the API.
func (p *pageReader) top(text string) error {
	key, value, _ := strings.Cut(text, ":")
	p.inReleases = key == "releases"
	if key != "permalink" {
		return nil
	}
	link, err := yamlScalar(value)
	p.product = strings.TrimPrefix(link, "/")
	if err == nil && p.product == "" {
		err = errors.New("the permalink is empty")
	}
	return err
}

func (p *pageReader) set(r *release, text string) error {
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("%.40q is no field", text)
	}
	to := map[string]*string{
		"releaseCycle": &r.Name, "codename": &r.Codename, "releaseDate": &r.Date, "latest": &r.Latest.Name,
		"eol": &r.End, "eoes": &r.ExtendedEnd,
	}[key]
	if to == nil {
		return nil
	}
	if *to != "" {
		return fmt.Errorf("%s is there twice", key)
	}
	var err error
	if *to, err = yamlScalar(value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	switch key {
	case "eol":
		r.Ended, r.End = endOrDate(r.End)
	case "eoes":
		r.ExtendedEnded, r.ExtendedEnd = endOrDate(r.ExtendedEnd)
	}
	return nil
}

// endOrDate takes what product-schema.json calls a boolOrDate apart.
func endOrDate(text string) (ended bool, date string) {
	if text == "true" || text == "false" {
		return text == "true", ""
	}
	return false, text
}

// yamlScalar reads a value that stands behind its key, as it is written: versions are no
// numbers. What it cannot read it refuses.
func yamlScalar(text string) (string, error) {
	text = strings.TrimSpace(text)
	rest := ""
	switch {
	case text == "" || text[0] == '#' || text == "null" || text == "~":
		return "", nil
	case text[0] == '"' || text[0] == '\'':
		var closed bool
		if text, rest, closed = strings.Cut(text[1:], text[:1]); !closed || strings.Contains(text, `\`) {
			return "", fmt.Errorf("%.40q: want quotes without escapes", text)
		}
	case strings.ContainsRune("&*!|>{[%@`", rune(text[0])):
		return "", fmt.Errorf("%.40q: want a plain value", text)
	default:
		text, _, _ = strings.Cut(text, " #")
		text = strings.TrimSpace(text)
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
		return "", fmt.Errorf("%.40q follows the value", rest)
	}
	return text, nil
}
