package sources

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

func (d Document) monthly() bool {
	return strings.Contains(d.URL, "{month}") || strings.Contains(d.URL, "{Mon}")
}

func (d Document) yearly() bool { return strings.Contains(d.URL, "{year}") }

// Address is that of one document.
type Address struct {
	*url.URL
	// New: it is the newest of its kind, and may not have been published yet.
	New bool
}

// Expand lists the addresses of the document at that time, one for each month or year.
func (d Document) Expand(now time.Time) ([]Address, error) {
	step := func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }
	last := time.Date(now.UTC().Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case d.monthly():
		step = func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }
		last = time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	case !d.yearly():
		u, err := url.Parse(d.URL)
		return []Address{{URL: u}}, err
	}
	var all []Address
	for t := d.From; !t.After(last); t = step(t) {
		u, err := url.Parse(strings.NewReplacer("{year}", t.Format("2006"), "{month}", t.Format("01"), "{Mon}", t.Format("Jan")).Replace(d.URL))
		if err != nil {
			return nil, err
		}
		all = append(all, Address{URL: u, New: t.Equal(last)})
	}
	return all, nil
}

// Page is the address of the page that begins with a record, counted from 0. With times,
// it is one of what changed between them.
func (s Source) Page(start int, since, until time.Time) (*url.URL, error) {
	text := s.Pages
	if !since.IsZero() {
		join := "?"
		if strings.Contains(text, "?") {
			join = "&"
		}
		stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
		text += join + strings.NewReplacer("{since}", stamp(since), "{until}", stamp(until)).Replace(s.Changes)
	}
	return url.Parse(strings.ReplaceAll(text, "{start}", fmt.Sprint(start)))
}

// addresses are one of each host that is asked.
func (s Source) addresses() (all []*url.URL) {
	texts := []string{s.Pages}
	for _, d := range s.Documents {
		texts = append(texts, d.URL)
	}
	for _, text := range texts {
		if u, err := url.Parse(placeholder.ReplaceAllString(text, "0")); err == nil && u.Host != "" {
			all = append(all, u)
		}
	}
	if s.Repository != nil {
		all = append(all, s.Repository.Root)
	}
	return all
}
