package advisories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// vulnrichment are records of the CVE list in version 5, one a document, with or without
// what CISA adds to them (its ADP container): https://github.com/cisagov/vulnrichment,
// https://github.com/CVEProject/cvelistV5, schema at
// https://github.com/CVEProject/cve-schema. Both have the same shape, and nothing in a
// record says which of the two it is from.
var vulnrichment = Feed{
	Name: "vulnrichment", Title: "CVE records (cvelistV5, CISA Vulnrichment)",
	Mine: func(h Head) bool {
		// CISA's copies have the containers before the metadata, often more than a head.
		return h.Has("dataType", "cveMetadata") || h.Has("containers") &&
			(bytes.Contains(h.Start, []byte(`"cna"`)) || bytes.Contains(h.Start, []byte(`"adp"`)))
	},
	Read: readCVE,
}

func readCVE(doc Document, into *Content) error {
	var record cveRecord
	if err := decodeJSON(doc, &record); err != nil {
		return err
	}
	if record.Type != "CVE_RECORD" || !strings.HasPrefix(record.Version, "5.") {
		return fmt.Errorf("it is %.20q in version %.20q: want CVE_RECORD 5", record.Type, record.Version)
	}
	id := record.About.ID
	if !id.Valid() {
		return fmt.Errorf("cveId %.40q is none", id)
	}
	risk, err := record.risk()
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	made, err := record.made()
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	into.Risks = append(into.Risks, risk)
	into.Edition("", made)
	return nil
}

type cveRecord struct {
	Type    string `json:"dataType"`
	Version string `json:"dataVersion"`
	About   struct {
		ID      patching.CVE `json:"cveId"`
		State   string       `json:"state"`
		Updated string       `json:"dateUpdated"`
	} `json:"cveMetadata"`
	Containers struct {
		CNA *cveContainer  `json:"cna"`
		ADP []cveContainer `json:"adp"`
	} `json:"containers"`
}

// cveContainer is what one party says of a flaw.
type cveContainer struct {
	By struct {
		Org     string `json:"orgId"`
		Name    string `json:"shortName"`
		Updated string `json:"dateUpdated"`
	} `json:"providerMetadata"`
	Metrics []cveMetric `json:"metrics"`
}

type cveMetric struct {
	V2    *cvssData `json:"cvssV2_0"`
	V30   *cvssData `json:"cvssV3_0"`
	V31   *cvssData `json:"cvssV3_1"`
	V40   *cvssData `json:"cvssV4_0"`
	Other *struct {
		Type string `json:"type"`
		// Content has the shape of its type, which whoever writes a record makes up.
		Content json.RawMessage `json:"content"`
	} `json:"other"`
}

func (r cveRecord) risk() (patching.Risk, error) {
	risk := patching.Risk{CVE: r.About.ID}
	switch r.About.State {
	case "PUBLISHED":
	case "REJECTED":
		risk.Rejected = true
	default:
		return risk, fmt.Errorf("its state is %.20q: want PUBLISHED or REJECTED", r.About.State)
	}
	// The schema asks for it: a record without it was mangled, and would say nothing.
	if r.Containers.CNA == nil {
		return risk, fmt.Errorf("it has no container of its CNA")
	}
	for _, c := range r.all() {
		if err := c.addTo(&risk); err != nil {
			return risk, fmt.Errorf("as %.40s says: %w", c.name(), err)
		}
	}
	return risk, nil
}

// all are the containers; that of the CNA, who assigned the CVE, comes first.
func (r cveRecord) all() []cveContainer {
	return append([]cveContainer{*r.Containers.CNA}, r.Containers.ADP...)
}

// made is when any of it changed last: CISA adds without touching the record's own date.
func (r cveRecord) made() (latest time.Time, err error) {
	dates := []string{r.About.Updated}
	for _, c := range r.all() {
		dates = append(dates, c.By.Updated)
	}
	for _, d := range dates {
		t, err := when(d)
		if err != nil {
			return latest, fmt.Errorf("dateUpdated: %w", err)
		}
		if t.After(latest) {
			latest = t
		}
	}
	return latest, nil
}

// name is who it is by; the short name may be missing.
func (c cveContainer) name() string {
	if c.By.Name != "" {
		return c.By.Name
	}
	return c.By.Org
}

func (c cveContainer) addTo(risk *patching.Risk) error {
	for _, m := range c.Metrics {
		for _, of := range []struct {
			version string
			data    *cvssData
		}{{"2.0", m.V2}, {"3.0", m.V30}, {"3.1", m.V31}, {"4.0", m.V40}} {
			if of.data == nil {
				continue
			}
			s, err := of.data.read("vulnrichment", of.version, c.name())
			if err != nil {
				return err
			}
			risk.CVSS = append(risk.CVSS, s)
		}
		// Anyone may write metrics of these names: CISA's alone are meant.
		if m.Other == nil || c.By.Org != cisaADP {
			continue
		}
		if err := addCISA(risk, m.Other.Type, m.Other.Content); err != nil {
			return err
		}
	}
	return nil
}

func addCISA(risk *patching.Risk, kind string, content json.RawMessage) error {
	switch kind {
	case "ssvc":
		var c ssvcContent
		if err := json.Unmarshal(content, &c); err != nil {
			return fmt.Errorf("ssvc: %w", err)
		}
		points, err := c.read("vulnrichment")
		if err != nil {
			return err
		}
		if risk.SSVC == nil || points.At.After(risk.SSVC.At) {
			risk.SSVC = points
		}
	case "kev":
		var c struct {
			Added string `json:"dateAdded"`
		}
		if err := json.Unmarshal(content, &c); err != nil {
			return fmt.Errorf("kev: %w", err)
		}
		added, err := when(c.Added)
		if err != nil {
			return fmt.Errorf("kev dateAdded: %w", err)
		}
		risk.Exploited = &patching.Exploited{Feed: "vulnrichment", Added: added}
	}
	return nil
}
