// Package tables reads decision tables from files, beside those that come along.
package tables

import (
	"fmt"

	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// maxTable is a thousand times what the largest table has.
const maxTable = 8 << 20

// With returns the tables that come along, replaced by those of the files that have the
// same id, and the files' others behind.
func With(files ...string) ([]urgency.Table, error) {
	all, err := urgency.Shipped()
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := unpack.ReadFile(file, maxTable)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", file, err)
		}
		own, err := urgency.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", file, err)
		}
		all = urgency.Replace(all, own)
	}
	return all, nil
}
