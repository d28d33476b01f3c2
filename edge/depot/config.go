package depot

import (
	"bytes"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// Repository is a signed archive that is mirrored.
type Repository struct {
	Name string
	// URL is the archive's root, without a slash at its end.
	URL                               *url.URL
	Suites, Components, Architectures []string
	// Keys are those that may sign it.
	Keys apt.Keys
	// Refresh is how old its answer may be before it is asked again; 0: as
	// [Options.Refresh] says.
	Refresh time.Duration
}

// Bounds of the file that lists repositories.
const (
	maxConfigBytes  = 64 << 10
	maxKeyringBytes = 4 << 20
)

// Names become parts of paths, and of the file names under which apt keeps an
// index: those end at 255 letters, hence the short bounds.
var (
	nameShape  = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?$`)
	suiteShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,31}(/[A-Za-z0-9][A-Za-z0-9.+~_-]{0,31})?$`)
	partShape  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
)

type repositoryEntry struct {
	Name          plainyaml.Word   `yaml:"name"`
	URL           plainyaml.Word   `yaml:"url"`
	Suites        []plainyaml.Word `yaml:"suites"`
	Components    []plainyaml.Word `yaml:"components"`
	Architectures []plainyaml.Word `yaml:"architectures"`
	Keyring       plainyaml.Word   `yaml:"keyring"`
	Refresh       plainyaml.Word   `yaml:"refresh"`
}

// ReadRepositories reads the file that lists the repositories, with their
// keyrings. Its errors, all at once, name the line, the value and the way out.
func ReadRepositories(file string) ([]Repository, error) {
	text, err := unpack.ReadFile(file, maxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	var listed struct {
		Repositories []repositoryEntry `yaml:"repositories"`
	}
	if err := plainyaml.Decode(bytes.NewReader(text), &listed, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w (docs/repositories.md has an example)", file, err)
	}
	if len(listed.Repositories) == 0 {
		return nil, fmt.Errorf("%s: no repositories: write a list under \"repositories:\" (docs/repositories.md has an example)", file)
	}
	c := checker{plainyaml.Problems{File: file}}
	repositories := make([]Repository, 0, len(listed.Repositories))
	for n, e := range listed.Repositories {
		r := c.repository(n, e)
		if slices.ContainsFunc(repositories, func(other Repository) bool { return other.Name == r.Name }) {
			c.Add(e.Name, "name", "another repository has this name: choose another")
		}
		repositories = append(repositories, r)
	}
	return repositories, c.Err()
}

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

func (c *checker) missing(n int, e repositoryEntry, field, why string) {
	c.Say(e.Name.Line, "repository %d (%s) has no %s: %s", n+1, e.Name.Text, field, why)
}

func (c *checker) repository(n int, e repositoryEntry) Repository {
	r := Repository{Name: e.Name.Text}
	if !nameShape.MatchString(r.Name) {
		c.Add(e.Name, "name", "want 1 to 32 lower-case letters, digits, dots and dashes")
	}
	r.URL = c.url(n, e)
	r.Suites = c.words(n, e, "suites", e.Suites, suiteShape, "want the archive's own name, such as bookworm-security; flat archives (./) are not mirrored")
	r.Components = c.words(n, e, "components", e.Components, partShape, "want a name such as main")
	r.Architectures = c.words(n, e, "architectures", e.Architectures, partShape, "want what \"dpkg --print-architecture\" prints, such as amd64")
	r.Keys = c.keys(n, e)
	r.Refresh = c.refresh(e)
	return r
}

// How often an archive may be asked: one that is asked all the time is a burden to
// others, one that is not asked for a day misses what is urgent.
const (
	shortestRefresh = 10 * time.Second
	longestRefresh  = 24 * time.Hour
)

func (c *checker) refresh(e repositoryEntry) time.Duration {
	if e.Refresh.Text == "" {
		return 0
	}
	d, err := time.ParseDuration(e.Refresh.Text)
	if err != nil || d < shortestRefresh || d > longestRefresh {
		c.Add(e.Refresh, "refresh", "want a time between 10s and 24h, such as 5m")
	}
	return d
}

func (c *checker) url(n int, e repositoryEntry) *url.URL {
	const want = "write http://, https:// or file:///, the host, and the folder that has dists/ in it"
	if e.URL.Text == "" {
		c.missing(n, e, "url", want)
		return nil
	}
	u, err := url.Parse(strings.TrimRight(e.URL.Text, "/"))
	switch {
	case err != nil:
		c.Add(e.URL, "url", want)
		return nil
	case u.User != nil:
		c.Add(e.URL, "url", "a password would be readable here: archives that want one are not mirrored yet")
	case u.RawQuery != "" || u.Fragment != "":
		c.Add(e.URL, "url", "remove what follows the folder (? or #)")
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
	default:
		c.Add(e.URL, "url", want)
	}
	return u
}

func (c *checker) words(n int, e repositoryEntry, field string, given []plainyaml.Word, shape *regexp.Regexp, want string) []string {
	if len(given) == 0 {
		c.missing(n, e, field, want)
	}
	var texts []string
	for _, w := range given {
		switch {
		case !shape.MatchString(w.Text):
			c.Add(w, field, want)
		case slices.Contains(texts, w.Text):
			c.Add(w, field, "it is there twice: remove one")
		}
		texts = append(texts, w.Text)
	}
	return texts
}

func (c *checker) keys(n int, e repositoryEntry) apt.Keys {
	if e.Keyring.Text == "" {
		c.missing(n, e, "keyring", "give the file with the archive's public keys, such as /usr/share/keyrings/debian-archive-keyring.gpg")
		return nil
	}
	path := e.Keyring.Text
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.File), path)
	}
	text, err := unpack.ReadFile(path, maxKeyringBytes)
	if err != nil {
		c.Add(e.Keyring, "keyring", fmt.Sprintf("%s: copy the archive's public keys there", err))
		return nil
	}
	keys, err := apt.ReadKeys(text)
	if err != nil {
		c.Add(e.Keyring, "keyring", fmt.Sprintf("%s: want public keys as gpg --export writes them, armored or not", err))
	}
	return keys
}
