package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the whole document, every machine in it.
func (d *Document) JSON(w io.Writer) error {
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	if _, err := w.Write(escaped(append(text, '\n'))); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}
