package advisories

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// cisaADP is CISA among those who add to CVE records, in these and in NVD's.
const cisaADP = "134c704f-9b21-4f2e-91b3-4a467353bcc0"

// cvssData is a score as FIRST's JSON schemas of all versions have it. Both NVD and CVE
// records embed them.
type cvssData struct {
	Version string   `json:"version"`
	Vector  string   `json:"vectorString"`
	Score   *float64 `json:"baseScore"`
}

// read takes the score as it is given. Version is that of the field it stands in.
func (c cvssData) read(feed, version, by string) (patching.CVSS, error) {
	switch {
	case c.Version != version:
		return patching.CVSS{}, fmt.Errorf("a CVSS score of version %.20q stands where those of %s do", c.Version, version)
	case c.Score == nil:
		return patching.CVSS{}, fmt.Errorf("a CVSS %s metric has no baseScore", version)
	case *c.Score < 0 || *c.Score > 10:
		return patching.CVSS{}, fmt.Errorf("CVSS %s baseScore %v is not between 0 and 10", version, *c.Score)
	}
	return patching.CVSS{Feed: feed, Version: version, Vector: c.Vector, Score: *c.Score, By: by}, nil
}

// ssvcContent is how CISA writes down its decision points:
// https://github.com/CERTCC/SSVC, schema Decision_Point_Value_Selection 1-0-1 (2.0.3).
type ssvcContent struct {
	At      string              `json:"timestamp"`
	Options []map[string]string `json:"options"`
}

// read knows the points by either spelling, "Technical Impact" of CVE records and
// "technicalImpact" of NVD's, and their values in either case: in CVE records they are
// capitalised until the spring of 2024.
func (c ssvcContent) read(feed string) (*patching.SSVC, error) {
	at, err := when(c.At)
	if err != nil {
		return nil, fmt.Errorf("ssvc timestamp: %w", err)
	}
	s := &patching.SSVC{Feed: feed, At: at}
	for _, option := range c.Options {
		for point, value := range option {
			if err := setPoint(s, point, strings.ToLower(strings.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// setPoint refuses words that we do not know: to pass over one may be to pass over
// "active". Points that we do not know are none of those that we keep.
func setPoint(s *patching.SSVC, point, value string) error {
	switch strings.ToLower(strings.ReplaceAll(point, " ", "")) {
	case "exploitation":
		switch value {
		case "poc": // which SSVC calls "public poc" since Exploitation 1.1.0
			s.Exploitation = "public poc"
			return nil
		case "none", "public poc", "active":
			s.Exploitation = value
			return nil
		}
	case "automatable":
		if value == "yes" || value == "no" {
			s.Automatable = value
			return nil
		}
	case "technicalimpact":
		if value == "partial" || value == "total" {
			s.TechnicalImpact = value
			return nil
		}
	default:
		return nil
	}
	return fmt.Errorf("ssvc: %.40q is no value of %s", value, point)
}
