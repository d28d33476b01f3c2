package advisories

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// epss are FIRST's daily scores, as CSV: https://www.first.org/epss/data_stats. What
// stands above the scores has changed since they began in April 2021: percentiles came
// in September 2021, and in February 2022 a first line with the model and the date,
// whose time has been written +0000 and Z.
var epss = Feed{
	Name: "epss", Title: "FIRST Exploit Prediction Scoring System",
	Mine: func(h Head) bool {
		line := h.Line()
		if strings.HasPrefix(line, "#") {
			return strings.Contains(line, "model_version:") && strings.Contains(line, "score_date:")
		}
		columns := strings.Split(line, ",")
		return slices.Contains(columns, "cve") && slices.Contains(columns, "epss")
	},
	Read: readEPSS,
}

func readEPSS(doc Document, into *Content) error {
	r := epssReader{into: into, date: epssFileDate(doc.Base()), seen: map[patching.CVE]struct{}{}}
	if err := eachLine(doc, r.line); err != nil {
		return err
	}
	if len(r.seen) == 0 {
		return errors.New("it has no scores: it was cut off")
	}
	// The model is not the name of this edition: it stays the same for months.
	into.Edition("", r.date)
	return nil
}

var epssName = regexp.MustCompile(`epss_scores-([0-9]{4}-[0-9]{2}-[0-9]{2})`)

// epssFileDate is the date of scores that do not give it themselves: zero if it is not
// in their file's name either.
func epssFileDate(name string) time.Time {
	if found := epssName.FindStringSubmatch(name); found != nil {
		if t, err := when(found[1]); err == nil {
			return t
		}
	}
	return time.Time{}
}

type epssReader struct {
	into  *Content
	model string
	date  time.Time
	// Where the columns stand; percentile is -1 where there is none. Count is 0 before
	// the header.
	cve, epss, percentile, count int

	seen map[patching.CVE]struct{}
	// A file has 300,000 rows, whose scores are had by the block and not one by one.
	scores      []patching.EPSS
	percentiles []float64
}

func (r *epssReader) line(_ int, text []byte) error {
	switch {
	case r.count > 0:
		return r.row(text)
	case text[0] == '#':
		return r.origin(string(text[1:]))
	}
	return r.header(string(text))
}

// origin reads model_version:v2026.06.15,score_date:2026-09-29T12:00:22Z.
func (r *epssReader) origin(text string) error {
	var date string
	for field := range strings.SplitSeq(text, ",") {
		switch key, value, _ := strings.Cut(field, ":"); strings.TrimSpace(key) {
		case "model_version":
			r.model = strings.TrimSpace(value)
		case "score_date":
			date = strings.TrimSpace(value)
		}
	}
	if r.model == "" || date == "" {
		return fmt.Errorf("%.80q: want model_version and score_date", text)
	}
	at, err := when(date)
	if err != nil {
		return fmt.Errorf("score_date: %w", err)
	}
	r.date = at
	return nil
}

func (r *epssReader) header(text string) error {
	names := strings.Split(text, ",")
	r.cve, r.epss, r.percentile = slices.Index(names, "cve"), slices.Index(names, "epss"), slices.Index(names, "percentile")
	known := 2
	if r.percentile >= 0 {
		known = 3
	}
	// A column that we do not know may change what the others mean.
	if r.cve < 0 || r.epss < 0 || len(names) != known {
		return fmt.Errorf("the columns are %.80q: want cve, epss and perhaps percentile", text)
	}
	r.count = known
	return nil
}

func (r *epssReader) row(text []byte) error {
	var fields [3][]byte
	if n := bytes.Count(text, []byte{','}) + 1; n != r.count {
		return fmt.Errorf("it has %d fields: want %d", n, r.count)
	}
	for i := range r.count {
		fields[i], text, _ = bytes.Cut(text, []byte{','})
	}
	id := patching.CVE(fields[r.cve])
	if !id.Valid() {
		return fmt.Errorf("%.40q is no CVE", id)
	}
	if _, twice := r.seen[id]; twice {
		return fmt.Errorf("%s is there twice", id)
	}
	r.seen[id] = struct{}{}
	score, err := probability(fields[r.epss])
	if err != nil {
		return fmt.Errorf("%s: epss: %w", id, err)
	}
	e := patching.EPSS{Feed: "epss", Score: score, Model: r.model, Date: r.date}
	if r.percentile >= 0 {
		p, err := probability(fields[r.percentile])
		if err != nil {
			return fmt.Errorf("%s: percentile: %w", id, err)
		}
		e.Percentile = inBlock(&r.percentiles, p)
	}
	r.into.Risks = append(r.into.Risks, patching.Risk{CVE: id, EPSS: inBlock(&r.scores, e)})
	return nil
}

// probability reads a number from 0 to 1. Not a number is neither.
func probability(text []byte) (float64, error) {
	p, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("%.40q is not between 0 and 1", text)
	}
	return p, nil
}

// inBlock returns a pointer to v, in a block with others.
func inBlock[T any](block *[]T, v T) *T {
	if len(*block) == cap(*block) {
		*block = make([]T, 0, 1024)
	}
	*block = append(*block, v)
	return &(*block)[len(*block)-1]
}
