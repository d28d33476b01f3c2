package inventories

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// hotFixes is a list of Windows' updates: wmic qfe as table, list and CSV, and Get-HotFix
// as table, Format-List and Export-Csv. The names of properties are the same in every
// language. None of them says which Windows it is.
var hotFixes = format{
	name: "a list of hotfixes (wmic qfe, Get-HotFix)",
	mine: func(text []byte) bool {
		head := text[:min(len(text), 64<<10)]
		return hotFixHead.Match(head)
	},
	read: readHotFixes,
}

var (
	// HotFixID as a heading, or as a property's name.
	hotFixHead     = regexp.MustCompile(`(?m)^[^\n:=]*\bHotFixID\b"?(?:$|[,;:=\s])`)
	hotFixProperty = regexp.MustCompile(`^\s*(HotFixID|CSName|PSComputerName|Source)\s*[:=]\s*(.*?)\s*$`)
)

func readHotFixes(text []byte) (h Host, err error) {
	h.OS.ID = "windows"
	h.Exposure, h.Criticality = patching.ExposureUnknown, patching.CriticalityUnknown
	start := hotFixLine(text)
	switch {
	case hotFixProperty.MatchString(start):
		err = h.readHotFixProperties(text)
	case strings.ContainsAny(start, ",;"):
		err = h.readHotFixCSV(text)
	default:
		err = h.readHotFixTable(text)
	}
	if err == nil && len(h.KBs) == 0 {
		err = errors.New("it names no update")
	}
	return h, err
}

// hotFixLine is the first that has the property's name.
func hotFixLine(text []byte) string {
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("HotFixID")) {
			return strings.TrimRight(string(line), " \r\n")
		}
	}
	return ""
}

// took takes in an update and the machine that has it. A list of several machines is
// refused: what is installed on one says nothing of another.
func (h *Host) took(id, machine string) error {
	id, machine = strings.TrimSpace(id), strings.TrimSpace(machine)
	m := kbShape.FindStringSubmatch(id)
	if m == nil {
		return fmt.Errorf("%.40q is no update: want KB and digits", id)
	}
	if machine != "" && h.Hostname != "" && !strings.EqualFold(machine, h.Hostname) {
		return fmt.Errorf("it is of %.60q, and those before are of %.60q: give one file for each machine", machine, h.Hostname)
	}
	h.Hostname = cmp.Or(h.Hostname, machine)
	if kb := "KB" + m[1]; !slices.Contains(h.KBs, kb) {
		h.KBs = append(h.KBs, kb)
	}
	return nil
}

func (h *Host) readHotFixProperties(text []byte) error {
	machine := "" // stands before the id with wmic's list and behind nothing: CSName comes first
	return eachLine(text, func(line string) error {
		m := hotFixProperty.FindStringSubmatch(line)
		switch {
		case len(m) == 0 || m[2] == "":
			return nil
		case m[1] == "HotFixID":
			return h.took(m[2], machine)
		}
		machine = m[2]
		return nil
	})
}

func (h *Host) readHotFixCSV(text []byte) error {
	text = bytes.ReplaceAll(text, []byte("\r\r\n"), []byte("\r\n")) // wmic, into a file
	in := csv.NewReader(bytes.NewReader(text))
	in.FieldsPerRecord, in.LazyQuotes, in.TrimLeadingSpace = -1, true, true
	in.Comma = ','
	if head := hotFixLine(text); strings.Count(head, ";") > strings.Count(head, ",") {
		in.Comma = ';'
	}
	id, machine := -1, -1
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := in.FieldPos(0)
		if id < 0 { // lines before the heading are empty, or PowerShell's #TYPE
			id = slices.Index(row, "HotFixID")
			for _, name := range []string{"CSName", "PSComputerName", "Node", "Source"} {
				if machine < 0 {
					machine = slices.Index(row, name)
				}
			}
			continue
		}
		if id >= len(row) {
			return fmt.Errorf("line %d: %d fields, and HotFixID is number %d", line, len(row), id+1)
		}
		name := ""
		if machine >= 0 && machine < len(row) {
			name = row[machine]
		}
		if err := h.took(row[id], name); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// readHotFixTable reads columns that begin where their headings do.
func (h *Host) readHotFixTable(text []byte) error {
	id, machine := -1, -1
	return eachLine(text, func(line string) error {
		runes := []rune(line)
		if id < 0 {
			if id = columnAt(line, "HotFixID"); id >= 0 {
				machine = max(columnAt(line, "CSName"), columnAt(line, "Source"))
			}
			return nil
		}
		if strings.Trim(line, "- ") == "" {
			return nil // the rule below the headings
		}
		return h.took(cell(runes, id), cell(runes, machine))
	})
}

// columnAt is where a heading begins, in letters; -1: there is none.
func columnAt(line, name string) int {
	i := strings.Index(line, name)
	if i < 0 {
		return -1
	}
	return len([]rune(line[:i]))
}

// cell is the word that begins there.
func cell(line []rune, at int) string {
	if at < 0 || at >= len(line) {
		return ""
	}
	word, _, _ := strings.Cut(string(line[at:]), " ")
	return word
}

// SetWindows says which Windows it is: by a build (10.0.20348 or the whole
// 10.0.20348.4648), or by the product's name as Microsoft's feeds have it.
func (h *Host) SetWindows(release string) {
	h.OS = patching.Platform{ID: "windows", Release: release}
	if windowsBuild.MatchString(release) {
		h.Build, h.OS.Release = release, productOf(release, "", h.Arch)
	}
}

var windowsBuild = regexp.MustCompile(`^[0-9]+\.[0-9]\.[0-9]{4,5}(?:\.[0-9]+)?$`)
