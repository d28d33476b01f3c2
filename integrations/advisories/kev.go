package advisories

import (
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// kev is CISA's catalogue of flaws that are known to be exploited, as JSON:
// https://www.cisa.gov/known-exploited-vulnerabilities-catalog, with its schema.
var kev = Feed{
	Name: "kev", Title: "CISA Known Exploited Vulnerabilities",
	Mine: func(h Head) bool { return h.Has("catalogVersion", "vulnerabilities") },
	Read: readKEV,
}

func readKEV(doc Document, into *Content) error {
	var catalogue struct {
		Version         string `json:"catalogVersion"`
		Released        string `json:"dateReleased"`
		Count           int    `json:"count"`
		Vulnerabilities []struct {
			CVE        patching.CVE `json:"cveID"`
			Added      string       `json:"dateAdded"`
			Due        string       `json:"dueDate"`
			Ransomware string       `json:"knownRansomwareCampaignUse"`
			Action     string       `json:"requiredAction"`
		} `json:"vulnerabilities"`
	}
	if err := decodeJSON(doc, &catalogue); err != nil {
		return err
	}
	if n := len(catalogue.Vulnerabilities); n != catalogue.Count {
		return fmt.Errorf("it says that it has %d entries, and has %d: it was cut or changed", catalogue.Count, n)
	}
	released, err := when(catalogue.Released)
	if err != nil {
		return fmt.Errorf("dateReleased: %w", err)
	}
	into.Edition(catalogue.Version, released)
	for n, v := range catalogue.Vulnerabilities {
		if !v.CVE.Valid() {
			return fmt.Errorf("entry %d: cveID %.40q is not one", n+1, v.CVE)
		}
		e := patching.Exploited{Feed: "kev", Ransomware: v.Ransomware == "Known", Action: v.Action}
		if e.Added, err = when(v.Added); err != nil {
			return fmt.Errorf("%s: dateAdded: %w", v.CVE, err)
		}
		if e.Due, err = when(v.Due); err != nil {
			return fmt.Errorf("%s: dueDate: %w", v.CVE, err)
		}
		into.Risks = append(into.Risks, patching.Risk{CVE: v.CVE, Exploited: &e})
	}
	return nil
}
