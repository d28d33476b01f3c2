// Package holdfile keeps a person's word, on a machine or at a site's relay, that
// nothing starts: a file whose mere presence holds. It works without the server and
// against it.
package holdfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/durable"
)

// name is the file's in its folder.
const name = "hold"

// longest bounds what is shown of a file that says something else, in bytes.
const longest = 200

// Read reads the hold of a folder; nil: there is none. An empty or unreadable file
// holds too: whoever touched it meant to stop.
func Read(dir string) *uplink.Hold {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	h := uplink.Hold{By: "a file on the machine", Reason: "no reason given"}
	if err == nil && len(text) > 0 {
		var said uplink.Hold
		if json.Unmarshal(text, &said) == nil && said.By != "" {
			h = said
		} else {
			h.Reason = strings.ToValidUTF8(string(text[:min(len(text), longest)]), "")
		}
	}
	h.By, h.Reason = oneLine(h.By), oneLine(h.Reason)
	return &h
}

// oneLine takes out breaks and what drives a terminal: a person wrote it, and it
// is printed and sent.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '\uFFFD'
	}, s)), " ")
}

// Write writes the hold of a folder.
func Write(dir string, h uplink.Hold) error {
	if h.By == "" || h.Reason == "" {
		return errors.New("hold: say who and why")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	h.Until = h.Until.UTC().Truncate(time.Second)
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	err = durable.Replace(filepath.Join(dir, name), 0o644, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// Lift removes the hold of a folder, and says whether there was one.
func Lift(dir string) (held bool, err error) {
	err = os.Remove(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
