package advisories

import (
	"encoding/json"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// nvd is the National Vulnerability Database, as pages of its API 2.0 and as files of a
// year, which are one page: https://nvd.nist.gov/developers/vulnerabilities.
var nvd = Feed{
	Name: "nvd", Title: "NIST National Vulnerability Database",
	Mine: func(h Head) bool { return h.Has("resultsPerPage", "totalResults", "vulnerabilities") },
	Read: readNVD,
}

// nvdPage is what stands around the records.
type nvdPage struct {
	Format, Version, Timestamp string
	PerPage, Start, Total      int
}

// A year is 200 MB and more, hence one record after the other.
func readNVD(doc Document, into *Content) error {
	var page nvdPage
	n := 0
	err := eachJSON(doc, "vulnerabilities", func(d *json.Decoder) error {
		n++
		var item struct {
			CVE nvdRecord `json:"cve"`
		}
		if err := d.Decode(&item); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if !item.CVE.ID.Valid() {
			return fmt.Errorf("entry %d: id %.40q is no CVE", n, item.CVE.ID)
		}
		risk, err := item.CVE.risk()
		if err != nil {
			return fmt.Errorf("%s: %w", item.CVE.ID, err)
		}
		into.Risks = append(into.Risks, risk)
		return nil
	}, map[string]any{
		"format": &page.Format, "version": &page.Version, "timestamp": &page.Timestamp,
		"resultsPerPage": &page.PerPage, "startIndex": &page.Start, "totalResults": &page.Total,
	})
	if err != nil {
		return err
	}
	return page.check(n, into)
}

// check compares what a page says of itself with what it has, which is resultsPerPage;
// on the last page it may be what is left.
func (p nvdPage) check(has int, into *Content) error {
	if p.Format != "NVD_CVE" || p.Version != "2.0" {
		return fmt.Errorf("it is %.20q in version %.20q: want NVD_CVE 2.0", p.Format, p.Version)
	}
	if want := max(0, min(p.PerPage, p.Total-p.Start)); has != want {
		return fmt.Errorf("it says that it has %d entries (%d from %d of %d), and has %d: it was cut or changed",
			want, p.PerPage, p.Start, p.Total, has)
	}
	made, err := when(p.Timestamp)
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	into.Edition("", made)
	return nil
}

type nvdRecord struct {
	ID      patching.CVE `json:"id"`
	Status  string       `json:"vulnStatus"`
	Metrics struct {
		V2   []nvdScore `json:"cvssMetricV2"`
		V30  []nvdScore `json:"cvssMetricV30"`
		V31  []nvdScore `json:"cvssMetricV31"`
		V40  []nvdScore `json:"cvssMetricV40"`
		SSVC []struct {
			Source string      `json:"source"`
			Data   ssvcContent `json:"ssvcData"`
		} `json:"ssvcV203"`
	} `json:"metrics"`
	Added  string `json:"cisaExploitAdd"`
	Due    string `json:"cisaActionDue"`
	Action string `json:"cisaRequiredAction"`
}

type nvdScore struct {
	Source string   `json:"source"`
	Data   cvssData `json:"cvssData"`
}

// risk is kept of records without a score too: that there is none (yet, or any more) is
// what NVD says.
func (r nvdRecord) risk() (patching.Risk, error) {
	risk := patching.Risk{CVE: r.ID, Rejected: r.Status == "Rejected"}
	for _, of := range []struct {
		version string
		scores  []nvdScore
	}{{"2.0", r.Metrics.V2}, {"3.0", r.Metrics.V30}, {"3.1", r.Metrics.V31}, {"4.0", r.Metrics.V40}} {
		for _, s := range of.scores {
			c, err := s.Data.read("nvd", of.version, s.Source)
			if err != nil {
				return risk, err
			}
			risk.CVSS = append(risk.CVSS, c)
		}
	}
	for _, s := range r.Metrics.SSVC {
		if s.Source != cisaADP {
			continue
		}
		points, err := s.Data.read("nvd")
		if err != nil {
			return risk, err
		}
		if risk.SSVC == nil || points.At.After(risk.SSVC.At) {
			risk.SSVC = points
		}
	}
	if r.Added == "" {
		return risk, nil
	}
	e := &patching.Exploited{Feed: "nvd", Action: r.Action}
	var err error
	if e.Added, err = when(r.Added); err != nil {
		return risk, fmt.Errorf("cisaExploitAdd: %w", err)
	}
	if e.Due, err = when(r.Due); err != nil {
		return risk, fmt.Errorf("cisaActionDue: %w", err)
	}
	risk.Exploited = e
	return risk, nil
}
