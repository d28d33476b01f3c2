package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// Snapshot is where the packages of a piece of work come from, instead of the
// machine's own sources.
type Snapshot struct {
	patching.Sources
	// Beside: the machine's own sources are asked too.
	Beside bool
	// Base is the address of the server that has the snapshot
	// (http://server:7440); CA is a file with the authority that its certificate
	// is trusted by, empty: the machine's.
	Base, CA string
	// Rate bounds what is downloaded a second, in bytes; 0: nothing does.
	Rate int64
	// Dir is where lists of this snapshot are kept. Downloads run as a user of
	// their own, who has to get there.
	Dir string
}

// settings are the arguments in front of all others.
func (a *APT) settings(ctx context.Context) ([]string, error) {
	if a.o.Snapshot == nil {
		return nil, nil
	}
	s, ok := a.o.Snapshot(ctx)
	if !ok {
		return nil, nil
	}
	return AptSettings(a.root, s)
}

// AptSettings writes the list of a snapshot's sources and returns the options by
// which apt works with it, and keeps what it fetches in a folder of its own: the
// machine's own lists are not touched. Root is the machine's.
func AptSettings(root fs.FS, s Snapshot) ([]string, error) {
	if err := aptList(root, s); err != nil {
		return nil, fmt.Errorf("the list of apt's sources: %w", err)
	}
	in := func(name string) string { return filepath.Join(s.Dir, name) }
	settings := []string{
		"-o", "Dir::Etc::SourceParts=" + in("parts"),
		"-o", "Dir::State::Lists=" + in("lists"),
		"-o", "Dir::Cache::pkgcache=" + in("pkgcache.bin"),
		"-o", "Dir::Cache::srcpkgcache=" + in("srcpkgcache.bin"),
	}
	if !s.Beside {
		settings = append(settings, "-o", "Dir::Etc::SourceList=/dev/null")
	}
	if s.CA != "" {
		settings = append(settings, "-o", "Acquire::https::CAInfo="+s.CA)
	}
	if s.Rate > 0 {
		limit := strconv.FormatInt(max(1, s.Rate/1000), 10) // in kB (apt.conf(5))
		settings = append(settings, "-o", "Acquire::http::Dl-Limit="+limit, "-o", "Acquire::https::Dl-Limit="+limit)
	}
	if strings.HasPrefix(s.Base, "http://127.0.0.1:") {
		// Somebody on this machine hands them out, who leads nowhere else; a proxy of the
		// machine's would look for it on itself.
		settings = append(settings, "-o", "Acquire::http::Proxy::127.0.0.1=DIRECT", "-o", "Acquire::http::AllowRedirect=false")
	}
	return settings, nil
}

func aptList(root fs.FS, s Snapshot) error {
	text, err := aptSources(root, s)
	if err != nil {
		return err
	}
	for _, dir := range []string{"", "parts", "lists", "lists/partial"} {
		dir = filepath.Join(s.Dir, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if filepath.Base(dir) == "partial" { // apt gives it to its own user
			continue
		}
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	wanted := map[string]string{} // our names, and what they lead to
	if s.Beside {
		own, err := sourceFiles(root)
		if err != nil {
			return err
		}
		for _, name := range own {
			if path.Dir(name) == aptParts {
				wanted[path.Base(name)] = "/" + name
			}
		}
	}
	if err := relink(filepath.Join(s.Dir, "parts"), wanted); err != nil {
		return err
	}
	file := filepath.Join(s.Dir, snapshotList)
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, text) {
		return nil
	}
	// Looked at again before each use: it need not survive a loss of power.
	return os.WriteFile(file, text, 0o644)
}

const (
	snapshotList = "parts/patchcycle-snapshot.sources"
	// fetchedList is a copy of the list whose indexes were fetched.
	fetchedList = "fetched.sources"
	// beside ends that copy where the machine's own sources were asked too.
	beside = "# beside the machine's own\n"
)

// fetchOnce fetches the lists of a snapshot's sources, and of what is asked beside
// it, unless those of the same sources are there, or more: an order that has
// started goes on without a line.
func (a *APT) fetchOnce(s Snapshot, fetch func() error) error {
	wanted, err := aptSources(a.root, s)
	if err != nil {
		return err
	}
	if s.Beside { // these are other lists too
		wanted = append(wanted, beside...)
	}
	mark := filepath.Join(s.Dir, fetchedList)
	if has, err := os.ReadFile(mark); err == nil && (bytes.Equal(has, wanted) || bytes.Equal(has, append(wanted, beside...))) {
		return nil
	}
	if err := fetch(); err != nil {
		return err
	}
	return durable.Replace(mark, 0o644, func(w io.Writer) error {
		_, err := w.Write(wanted)
		return err
	})
}

// relink makes the links of a folder those that are wanted.
func relink(dir string, wanted map[string]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if to, err := os.Readlink(name); err == nil && to != wanted[e.Name()] {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if err := os.Symlink(wanted[name], filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// aptSources writes the list by which apt takes a snapshot, in the form of
// sources.list(5) that ends in .sources.
//
// The end of an index's validity was judged when it was frozen, and only here is
// apt told not to judge it again. Signatures and hashes it checks as ever, with
// the keys by which the machine itself trusts that suite.
func aptSources(root fs.FS, s Snapshot) ([]byte, error) {
	u, err := url.Parse(s.Base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("server address %q: want http://host:port or https://host:port", s.Base)
	}
	trust, err := keyringsOf(root)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, i := range s.Indexes {
		fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\n",
			u.JoinPath(s.Path(i)), i.Suite, strings.Join(i.Components, " "), strings.Join(i.Architectures, " "))
		// The frozen index has the packages alone: no translations, no contents.
		b.WriteString("Targets: Packages\nLanguages: none\nCheck-Valid-Until: no\n")
		keys, err := trust.of(i.Suite)
		if err != nil {
			return nil, err
		}
		if keys != "" {
			fmt.Fprintf(&b, "Signed-By: %s\n", keys)
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// keyrings are the values of Signed-By that the machine's own sources have, by
// suite: a file, fingerprints, or keys themselves.
type keyrings map[string][]string

// of returns by which keys the machine trusts a suite; empty: by those that it
// trusts for everything. A suite that the machine calls by another name, such as
// "stable", goes by what all its sources have in common.
func (k keyrings) of(suite string) (string, error) {
	known, ok := k[suite]
	if !ok {
		for _, more := range k {
			known = append(known, more...)
		}
		known = slices.Clone(known)
		slices.Sort(known)
		if known = slices.Compact(known); len(known) > 1 {
			return "", nil
		}
	}
	switch len(known) {
	case 0:
		return "", nil
	case 1:
		return known[0], nil
	}
	return "", &Error{
		Reason: patching.ReasonUntrusted, Signature: "apt: keys of " + suite,
		Detail: fmt.Sprintf("The machine's own sources trust the suite %s by different keys: it cannot be told which of them are the archive's.", suite),
	}
}

const aptParts = "etc/apt/sources.list.d"

// sourceFiles returns the files of the machine's own sources, in apt's order.
func sourceFiles(root fs.FS) ([]string, error) {
	var files []string
	for _, pattern := range []string{"etc/apt/sources.list", aptParts + "/*.list", aptParts + "/*.sources"} {
		found, err := fs.Glob(root, pattern)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func keyringsOf(root fs.FS) (keyrings, error) {
	files, err := sourceFiles(root)
	if err != nil {
		return nil, err
	}
	k := keyrings{}
	for _, file := range files {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return nil, err
		}
		if path.Ext(file) == ".sources" {
			k.stanzas(string(text))
		} else {
			k.lines(string(text))
		}
	}
	return k, nil
}

func (k keyrings) add(suites []string, signedBy string) {
	for _, s := range suites {
		if !slices.Contains(k[s], signedBy) {
			k[s] = append(k[s], signedBy)
		}
	}
}

// stanzas reads sources in the form of deb822. Values are kept as they are
// written, lines of keys included.
func (k keyrings) stanzas(text string) {
	fields := map[string]string{}
	last := ""
	end := func() {
		if off := strings.ToLower(fields["enabled"]); off != "no" && off != "false" && off != "0" && slices.Contains(strings.Fields(fields["types"]), "deb") {
			k.add(strings.Fields(fields["suites"]), fields["signed-by"])
		}
		fields, last = map[string]string{}, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			end()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += "\n" + line
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
	}
	end()
}

// lines reads sources of one line each: deb [option=value …] address suite …
func (k keyrings) lines(text string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
			continue
		}
		signedBy := ""
		rest = strings.TrimSpace(rest)
		if options, after, ok := strings.Cut(rest, "]"); ok && rest[0] == '[' {
			for _, o := range strings.Fields(options[1:]) {
				if name, value, _ := strings.Cut(o, "="); strings.EqualFold(name, "signed-by") {
					signedBy = value
				}
			}
			rest = after
		}
		if f := strings.Fields(rest); len(f) > 1 {
			k.add(f[1:2], signedBy)
		}
	}
}
