package report

import (
	"bytes"
	_ "embed" // the page and its style
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

//go:embed page.gohtml
var pageText string

//go:embed sections.gohtml
var sectionsText string

//go:embed style.css
var styleText string

// What stands between the sections of their file is no part of the page.
var pageTemplate = template.Must(template.Must(template.New("sections").Funcs(funcs).Parse(sectionsText)).New("page").Parse(pageText))

// HTML writes the page: one file, without scripts and without anything from
// elsewhere. Its tables are bounded and say what they leave out.
func (d *Document) HTML(w io.Writer) error {
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, d.view()); err != nil {
		return fmt.Errorf("write the report as a page: %w", err)
	}
	if _, err := w.Write(visible(page.Bytes())); err != nil {
		return fmt.Errorf("write the report as a page: %w", err)
	}
	return nil
}

var funcs = template.FuncMap{
	"moment": moment, "second": second, "lasting": lasting, "size": phrase.Size, "number": number, "plural": plural,
	"percent": percent, "cut": cut, "short": patching.Digest.Short, "list": list,
	"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"day":       func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04") },
	"chance":    chanceWords,
	"of":        countWords,
	"look":      lookOf,
	"meaning":   func(o patching.Outcome) string { return meanings[o] },
	"verdict":   func(v patching.ApprovalVerdict) string { return orElse(verdicts[v], string(v)) },
	"way":       func(via string) string { return orElse(ways[via], via) },
	"gateverb":  func(v patching.GateVerb) string { return orElse(gateVerbs[v], string(v)) },
	"action":    func(a patching.Action) string { return orElse(actions[a], string(a)) },
	"outcome":   patching.Outcome.Words,
	"patches":   patchesWords,
	"unit":      unit,
	"mini":      func(all []OutcomeCount) []segment { return bar(all, 1000) },
	"share":     share,
	"attempt":   attempt,
	"counts":    countsWords,
	"hardware":  hardware,
	"rest":      func(m Patch) int { return m.Machines - m.Verified - m.Failed },
	"roles":     rolesWords,
	"cves":      cveWords,
	"score":     scoreWords,
	"untouched": func(c Change) bool { return c.From == "" },
}

// longest is how much of a text the page shows, in characters: a machine may
// send 4,096 bytes of detail, and there may be thousands of machines.
const longest = 300

func cut(s string) string {
	n := 0
	for i := range s {
		if n++; n > longest {
			return s[:i] + "… (cut; the JSON has all of it)"
		}
	}
	return s
}

// meanings explain the outcomes to somebody who reads their first report.
var meanings = map[patching.Outcome]string{
	patching.Patched:         "The machine has the new versions.",
	patching.AlreadyUpToDate: "Nothing was missing that the policy would install.",
	patching.NotApplicable:   "patchcycle cannot patch this machine.",
	patching.Deferred:        "Left for later; below is who decided it, why and until when.",
	patching.Excluded:        "Left out; below is who decided it, why and until when.",
	patching.Failed:          "The patch could not be installed, or did not work.",
	patching.RolledBack:      "Returned to the versions that it had before.",
	patching.NeedsHands:      "A person has to mend it; there is a task.",
	patching.Unreachable:     "It did not answer. That says nothing about the patch.",
	"":                       "It has not ended yet.",
	"unknown":                "Not in the vocabulary; look at the machine.",
}

// lookOf returns the name by which the style knows an outcome.
func lookOf(o patching.Outcome) string {
	switch {
	case o == "":
		return "open"
	case o.Valid():
		return string(o)
	default:
		return "unknown"
	}
}

func patchesWords(n int) string {
	if n == 1 {
		return "1 patch"
	}
	return number(n) + " patches"
}

func countWords(c Count) string {
	if c.Of == 0 {
		return number(c.Failed)
	}
	return fmt.Sprintf("%s of %s", number(c.Failed), number(c.Of))
}

func countsWords(all []OutcomeCount) string {
	var parts []string
	for _, c := range all {
		parts = append(parts, number(c.Count)+" "+c.Words)
	}
	return orElse(strings.Join(parts, ", "), "none")
}

// chanceWords rounds down, so that 100 % means certainty.
func chanceWords(p float64) string {
	if p > 0 && p < 1 {
		return "< 1 %"
	}
	return fmt.Sprintf("%.0f %%", float64(int(p)))
}

func hardware(m Machine) string {
	var words []string
	for _, w := range []string{m.Vendor, m.Model, m.Serial} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

func rolesWords(roles []patching.Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}
