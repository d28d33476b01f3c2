package urgency

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed tables/*.csv
var tables embed.FS

// Confirm is the sentence that stands in every table that comes with patchcycle: it
// is our reading of a text that binds somebody else.
const Confirm = "Confirm with your auditor that this is how you are bound."

// Shipped returns the tables that come with patchcycle, by id. An error is a mistake
// of ours.
func Shipped() ([]Table, error) {
	files, err := tables.ReadDir("tables")
	if err != nil {
		return nil, err
	}
	all := make([]Table, 0, len(files))
	for _, f := range files {
		text, err := tables.ReadFile("tables/" + f.Name())
		if err != nil {
			return nil, err
		}
		t, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		all = append(all, t)
	}
	slices.SortFunc(all, byID)
	return all, nil
}

// Replace returns the tables with own in the place of those of the same id, and
// beside them where there is none. Of two own ones with the same id the later counts.
func Replace(tables []Table, own ...Table) []Table {
	all := slices.Clone(tables)
	for _, t := range own {
		all = slices.DeleteFunc(all, func(k Table) bool { return k.ID == t.ID })
		all = append(all, t)
	}
	slices.SortFunc(all, byID)
	return all
}

// Select returns the tables that a policy names, in its order. The error names what
// there is.
func Select(tables []Table, ids ...string) ([]Table, error) {
	chosen := make([]Table, 0, len(ids))
	for _, id := range ids {
		i := slices.IndexFunc(tables, func(t Table) bool { return t.ID == id })
		if i < 0 {
			var names []string
			for _, t := range tables {
				names = append(names, t.ID)
			}
			return nil, fmt.Errorf("there is no regime %q; there are: %s", id, strings.Join(names, ", "))
		}
		chosen = append(chosen, tables[i])
	}
	return chosen, nil
}

func byID(a, b Table) int { return strings.Compare(a.ID, b.ID) }
