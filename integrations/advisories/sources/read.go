package sources

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Bounds of the file and of those that it names.
const (
	MaxConfig  = 256 << 10
	maxKeyring = 4 << 20
	maxFeeds   = 200
	maxURLs    = 200
)

type entry struct {
	Name          plainyaml.Word   `yaml:"name"`
	URL           plainyaml.Word   `yaml:"url"`
	URLs          []plainyaml.Word `yaml:"urls"`
	From          plainyaml.Word   `yaml:"from"`
	Changes       plainyaml.Word   `yaml:"changes"`
	Owner         plainyaml.Word   `yaml:"owner"`
	Every         plainyaml.Word   `yaml:"every"`
	StaleAfter    plainyaml.Word   `yaml:"stale_after"`
	Redirects     []plainyaml.Word `yaml:"redirects"`
	Private       plainyaml.Word   `yaml:"private"`
	Plain         plainyaml.Word   `yaml:"plain"`
	KeyHeader     plainyaml.Word   `yaml:"key_header"`
	KeyFile       plainyaml.Word   `yaml:"key_file"`
	CAFile        plainyaml.Word   `yaml:"ca_file"`
	Pause         plainyaml.Word   `yaml:"pause"`
	Suites        []plainyaml.Word `yaml:"suites"`
	Components    []plainyaml.Word `yaml:"components"`
	Architectures []plainyaml.Word `yaml:"architectures"`
	Keyring       plainyaml.Word   `yaml:"keyring"`
}

// Parse reads the text of the file, and the files that it names: paths in it that are
// not absolute are beside it. Its errors, all at once, name the line, the value and the
// way out.
func Parse(file string, text []byte) (Config, error) {
	var listed struct {
		Proxy plainyaml.Word `yaml:"proxy"`
		Feeds []entry        `yaml:"feeds"`
	}
	if len(text) > MaxConfig {
		return Config{}, fmt.Errorf("%s: it has more than %d bytes", file, MaxConfig)
	}
	if err := plainyaml.Decode(bytes.NewReader(text), &listed, yaml.Strict()); err != nil {
		return Config{}, fmt.Errorf("%s: %w (docs/feeds.md has an example)", file, err)
	}
	if len(listed.Feeds) == 0 || len(listed.Feeds) > maxFeeds {
		return Config{}, fmt.Errorf("%s: %d feeds: write a list of 1 to %d under \"feeds:\" (docs/feeds.md has an example)", file, len(listed.Feeds), maxFeeds)
	}
	k := checker{plainyaml.Problems{File: file}}
	config := Config{Proxy: k.proxy(listed.Proxy)}
	for _, e := range listed.Feeds {
		s := k.source(e)
		if slices.ContainsFunc(config.Feeds, func(other Source) bool { return other.Name == s.Name }) {
			k.Add(e.Name, "name", "another feed has this name: choose another")
		}
		config.Feeds = append(config.Feeds, s)
	}
	return config, k.Err()
}

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

// missing is about a field that is not there, and so has no line but its feed's.
func (k *checker) missing(e entry, field, why string) {
	k.Say(e.Name.Line, "feed %q has no %s: %s", e.Name.Text, field, why)
}

func (k *checker) proxy(w plainyaml.Word) *url.URL {
	if w.Text == "" {
		return nil
	}
	u, err := url.Parse(w.Text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		k.Add(w, "proxy", "want http://host:port, without a password")
		return nil
	}
	return u
}

func (k *checker) source(e entry) Source {
	s := Source{Redirects: k.redirects(e), Private: k.yes(e.Private, "private"), Plain: k.yes(e.Plain, "plain")}
	s.FeedSource = patching.FeedSource{
		Name: patching.FeedName(e.Name.Text), URL: e.URL.Text, Owner: e.Owner.Text,
		Every: k.span(e.Every, "every", 24*time.Hour, 5*time.Minute, 31*24*time.Hour),
	}
	if !s.Name.Valid() {
		k.Add(e.Name, "name", patching.FeedNameShape)
	}
	if e.Owner.Text == "" {
		k.missing(e, "owner", "say who is told when it is refused or stale")
	}
	s.StaleAfter = k.span(e.StaleAfter, "stale_after", 3*s.Every, time.Hour, 366*24*time.Hour)
	s.Pause = k.span(e.Pause, "pause", 0, 0, time.Hour)
	k.addressed(e, &s)
	k.trusted(e, &s)
	if len(s.addresses()) == 0 {
		s.Every = 0
		k.idle(e)
	}
	return s
}

// idle: what says how to ask is a mistake where nobody is asked.
func (k *checker) idle(e entry) {
	for _, f := range []struct {
		name string
		is   plainyaml.Word
	}{{"every", e.Every}, {"key_file", e.KeyFile}, {"ca_file", e.CAFile}, {"private", e.Private}, {"plain", e.Plain}, {"pause", e.Pause}} {
		if f.is.Line != 0 {
			k.Add(f.is, f.name, "the feed has no url, and is not asked for: remove it, or write the url")
		}
	}
}

// addressed reads what the feed consists of.
func (k *checker) addressed(e entry, s *Source) {
	words := e.URLs
	if e.URL.Line != 0 {
		words = append([]plainyaml.Word{e.URL}, words...)
	}
	if len(words) > maxURLs {
		k.Add(words[maxURLs], "urls", fmt.Sprintf("want at most %d", maxURLs))
		return
	}
	if len(words) > 0 {
		s.URL = words[0].Text
	}
	switch {
	case len(e.Suites)+len(e.Components)+len(e.Architectures) > 0:
		k.repository(e, s)
		return
	case len(words) == 1 && strings.Contains(words[0].Text, "{start}"):
		k.address(words[0], s, "{start}")
		s.Pages, s.Changes = words[0].Text, e.Changes.Text
		if s.Changes != "" && (!strings.Contains(s.Changes, "{since}") || !strings.Contains(s.Changes, "{until}") || strings.ContainsAny(s.Changes, "?#")) {
			k.Add(e.Changes, "changes", "want what is added to the url, with {since} and {until} in it: lastModStartDate={since}&lastModEndDate={until}")
		}
		if e.From.Line != 0 {
			k.Add(e.From, "from", "only urls with {year}, {month} or {Mon} have it: remove it")
		}
		return
	case e.Changes.Line != 0:
		k.Add(e.Changes, "changes", "only a url with {start} has it: remove it")
	}
	k.documents(e, words, s)
}

func (k *checker) documents(e entry, words []plainyaml.Word, s *Source) {
	dated := false
	for _, w := range words {
		d := Document{URL: w.Text}
		if u := k.address(w, s, "{year}", "{month}", "{Mon}"); u == nil {
			continue
		}
		if d.monthly() && !d.yearly() {
			k.Add(w, "url", "a month without its year is the same document each year: write {year} too")
			continue
		}
		if d.yearly() {
			dated, d.From = true, k.from(e, d.monthly())
		}
		if slices.ContainsFunc(s.Documents, func(other Document) bool { return other.URL == d.URL }) {
			k.Add(w, "url", "it is there twice: remove one")
		}
		s.Documents = append(s.Documents, d)
	}
	if e.From.Line != 0 && !dated {
		k.Add(e.From, "from", "only urls with {year}, {month} or {Mon} have it: remove it")
	}
}

func (k *checker) from(e entry, monthly bool) time.Time {
	layout, want := "2006", "want the first year, such as 2002"
	if monthly {
		layout, want = "2006-01", "want the first month, such as 2024-03"
	}
	at, err := time.Parse(layout, e.From.Text)
	switch {
	case e.From.Text == "":
		k.missing(e, "from", want)
	case err != nil || at.Year() < 1988:
		k.Add(e.From, "from", want)
	}
	return at
}

var placeholder = regexp.MustCompile(`\{[^}]*\}?`)

// address checks one, in which some words in braces may stand for something.
func (k *checker) address(w plainyaml.Word, s *Source, braces ...string) *url.URL {
	for _, b := range placeholder.FindAllString(w.Text, -1) {
		if !slices.Contains(braces, b) {
			k.Add(w, "url", b+" stands for nothing here: docs/feeds.md says what does")
			return nil
		}
	}
	u, err := url.Parse(placeholder.ReplaceAllString(w.Text, "0"))
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		k.Add(w, "url", "want https://, the host and the path")
		return nil
	case placeholder.MatchString(strings.SplitN(strings.TrimPrefix(w.Text, u.Scheme+"://"), "/", 2)[0]):
		k.Add(w, "url", "the host stands for itself: write it out")
		return nil
	case u.User != nil:
		k.Add(plainyaml.Word{Text: u.Redacted(), Line: w.Line}, "url", "a password would be readable here: put a key into a file of its own, see key_file")
	case u.Fragment != "":
		k.Add(w, "url", "remove what follows #")
	case u.Scheme == "http" && !s.Plain:
		k.Add(w, "url", "whoever stands in between could change it: write https, or \"plain: true\" if it is a mirror of your own")
	}
	return u
}

var partShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,31}(/[A-Za-z0-9][A-Za-z0-9.+~_-]{0,31})?$`)

func (k *checker) repository(e entry, s *Source) {
	r := &Repository{}
	for _, part := range []struct {
		field string
		words []plainyaml.Word
		into  *[]string
	}{{"suites", e.Suites, &r.Suites}, {"components", e.Components, &r.Components}, {"architectures", e.Architectures, &r.Architectures}} {
		if len(part.words) == 0 {
			k.missing(e, part.field, "an archive of packages needs suites, components and architectures")
		}
		for _, w := range part.words {
			if !partShape.MatchString(w.Text) || slices.Contains(*part.into, w.Text) {
				k.Add(w, part.field, "want each of the archive's own names once, such as bookworm-security, main, amd64")
			}
			*part.into = append(*part.into, w.Text)
		}
	}
	if e.URL.Line == 0 || len(e.URLs) > 0 {
		k.missing(e, "url", "write the one folder that has dists/ in it")
		return
	}
	if r.Root = k.address(e.URL, s); r.Root == nil {
		return
	}
	r.Root.Path = strings.TrimRight(r.Root.Path, "/")
	s.Repository = r
	if e.Keyring.Text == "" {
		k.missing(e, "keyring", "give the file with the archive's public keys, such as /usr/share/keyrings/debian-archive-keyring.gpg")
	}
}

// trusted reads the files that the entry names.
func (k *checker) trusted(e entry, s *Source) {
	if e.Keyring.Text != "" {
		text, err := unpack.ReadFile(k.Beside(e.Keyring.Text), maxKeyring)
		if err == nil {
			s.Keys, err = apt.ReadKeys(text)
		}
		if err != nil {
			k.Add(e.Keyring, "keyring", fmt.Sprintf("%s: want public keys as gpg --export writes them", err))
		}
	}
	if e.CAFile.Text != "" {
		text, err := unpack.ReadFile(k.Beside(e.CAFile.Text), maxKeyring)
		s.Authorities = x509.NewCertPool()
		if err != nil || !s.Authorities.AppendCertsFromPEM(text) {
			k.Add(e.CAFile, "ca_file", "want a file with the certificates that vouch for the host, in PEM")
		}
	}
	if (e.KeyFile.Text == "") != (e.KeyHeader.Text == "") {
		k.missing(e, "key_file or no key_header", "they go together: the file has the key, the header carries it")
		return
	}
	if e.KeyFile.Text == "" {
		return
	}
	s.KeyFile, s.KeyHeader = k.Beside(e.KeyFile.Text), e.KeyHeader.Text
	if !headerShape.MatchString(s.KeyHeader) || slices.ContainsFunc(ours, func(o string) bool { return strings.EqualFold(o, s.KeyHeader) }) {
		k.Add(e.KeyHeader, "key_header", "want the name of a header that carries keys, such as apiKey")
	}
	if _, err := s.Ask(); err != nil {
		k.Add(e.KeyFile, "key_file", fmt.Sprintf("%s: want a file with the key alone", err))
	}
	if s.Plain {
		k.Add(e.KeyFile, "key_file", "the key would travel in the clear: remove \"plain: true\"")
	}
}

var (
	headerShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)
	// ours are headers that say something else.
	ours = []string{"Host", "Range", "If-Range", "If-None-Match", "If-Modified-Since", "User-Agent", "Content-Length", "Connection", "Transfer-Encoding"}
)

// secret is the key in a file. What is wrong with it is said without it.
func secret(text []byte) (fetch.Secret, error) {
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it holds no key of one word")
	}
	return fetch.Secret(key), nil
}

func (k *checker) redirects(e entry) (hosts []string) {
	for _, w := range e.Redirects {
		u, err := url.Parse("https://" + w.Text)
		if err != nil || u.Host != w.Text || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
			k.Add(w, "redirects", "want the name of a host, such as objects.example.org, with its port if it is not 443")
			continue
		}
		hosts = append(hosts, fetch.HostPort(u))
	}
	return hosts
}

func (k *checker) yes(w plainyaml.Word, field string) bool {
	switch w.Text {
	case "true":
		return true
	case "false", "":
		return false
	}
	k.Add(w, field, "want true or false")
	return false
}

// span reads a length of time.
func (k *checker) span(w plainyaml.Word, field string, otherwise, least, most time.Duration) time.Duration {
	if w.Text == "" {
		return otherwise
	}
	d, err := window.ParseDuration(w.Text)
	if err != nil || d < least || d > most {
		k.Add(w, field, fmt.Sprintf("want a time between %s and %s, such as 6h or 2d", window.FormatDuration(least), window.FormatDuration(most)))
	}
	return d
}
