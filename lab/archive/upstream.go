package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Upstream is where Debian's archive can be had from here: URLs without a slash
// at their end.
type Upstream struct {
	Debian   string `json:"debian"`
	Security string `json:"security"`
}

// source is one entry of apt's lists.
type source struct {
	uris, suites, components []string
}

// Find reads apt's own lists below root, which is the root of the file system.
// What it finds is for this machine only and must not be written down: another
// one has another mirror.
func Find(root fs.FS) (Upstream, error) {
	var all []source
	names, err := fs.Glob(root, "etc/apt/sources.list.d/*")
	if err != nil {
		return Upstream{}, err
	}
	for _, name := range append([]string{"etc/apt/sources.list"}, names...) {
		text, err := fs.ReadFile(root, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return Upstream{}, fmt.Errorf("apt's sources: %w", err)
		}
		switch path.Ext(name) {
		case ".list":
			all = append(all, parseLines(string(text))...)
		case ".sources":
			all = append(all, parseStanzas(string(text))...)
		}
	}
	return choose(all)
}

func choose(all []source) (Upstream, error) {
	var u Upstream
	for _, s := range all {
		if !slices.Contains(s.components, "main") {
			continue
		}
		for _, uri := range s.uris {
			uri = strings.TrimSuffix(uri, "/")
			if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
				continue
			}
			switch {
			case u.Security == "" && strings.HasSuffix(uri, "/debian-security"):
				u.Security = uri
			case u.Debian == "" && strings.HasSuffix(uri, "/debian"):
				u.Debian = uri
			}
		}
	}
	if u.Debian == "" || u.Security == "" {
		return u, errors.New("apt's sources on this machine name no Debian mirror with its security archive: " +
			"the lab takes its machines from there; on Debian, look at /etc/apt/sources.list and sources.list.d")
	}
	return u, nil
}

// parseLines reads the one-line form:
//
//	deb [signed-by=/usr/share/keyrings/x.gpg] http://mirror/debian bookworm main
func parseLines(text string) []source {
	var all []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			if _, rest, ok = strings.Cut(rest, "]"); !ok {
				continue
			}
		}
		if f := strings.Fields(rest); len(f) > 2 {
			all = append(all, source{uris: f[:1], suites: f[1:2], components: f[2:]})
		}
	}
	return all
}

// parseStanzas reads the form of deb822 (apt's sources.list(5)), where a line
// that begins with a space goes on with the field before.
func parseStanzas(text string) []source {
	var all []source
	for stanza := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		fields := map[string][]string{}
		field := ""
		for line := range strings.Lines(stanza) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			value := line
			if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
				name, rest, ok := strings.Cut(line, ":")
				if !ok {
					continue
				}
				field, value = strings.ToLower(name), rest
			}
			fields[field] = append(fields[field], strings.Fields(value)...)
		}
		if slices.Contains(fields["types"], "deb") && !slices.Contains(fields["enabled"], "no") {
			all = append(all, source{uris: fields["uris"], suites: fields["suites"], components: fields["components"]})
		}
	}
	return all
}
