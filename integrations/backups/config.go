package backups

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Repository is a place with backups that the server may ask.
type Repository struct {
	Name string
	// Tool is one of [Tools].
	Tool string
	// Where is the repository as its tool writes it, a hook's own program.
	Where string
	Args  []string // a hook's
	// PasswordFile has the repository's password; it stays there.
	PasswordFile string
	// Environment is "NAME=value" for a storage in a cloud, from a file.
	Environment []string
	// Cache is a folder for the tool's own use.
	Cache string
	// Every is how often it is asked which backups there are, VerifyEvery how often
	// they are verified.
	Every, VerifyEvery time.Duration
	// Sample is how much of the data restic reads each time: "5%", "1/20".
	Sample string
	// Restore is a file that is taken out of each machine's newest backup; empty:
	// nothing is restored.
	Restore string
	// ReadOnly says that the server may not write there, and so takes no lock.
	ReadOnly bool
}

// Bounds of the file.
const (
	maxConfigBytes  = 256 << 10
	maxRepositories = 100
	maxEnvironment  = 16 << 10
)

type file struct {
	Repositories []entry `yaml:"repositories"`
}

type entry struct {
	Name            plainyaml.Word   `yaml:"name"`
	Tool            plainyaml.Word   `yaml:"tool"`
	Repository      plainyaml.Word   `yaml:"repository"`
	Program         plainyaml.Word   `yaml:"program"`
	Args            []plainyaml.Word `yaml:"args"`
	PasswordFile    plainyaml.Word   `yaml:"password_file"`
	EnvironmentFile plainyaml.Word   `yaml:"environment_file"`
	Every           plainyaml.Word   `yaml:"every"`
	VerifyEvery     plainyaml.Word   `yaml:"verify_every"`
	Sample          plainyaml.Word   `yaml:"sample"`
	Restore         plainyaml.Word   `yaml:"restore"`
	ReadOnly        plainyaml.Word   `yaml:"read_only"`
}

// Read reads the list of repositories. Its errors, all at once, name the line, the
// value and the way out; secrets are not repeated.
func Read(name string) ([]Repository, error) {
	text, err := unpack.ReadFile(name, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	var f file
	if err := plainyaml.Decode(bytes.NewReader(text), &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w (docs/backups.md has an example)", name, err)
	}
	c := checker{plainyaml.Problems{File: name}}
	if len(f.Repositories) == 0 {
		c.Say(1, "no repositories: write a list under \"repositories:\" (docs/backups.md has an example), or remove the file")
	}
	if len(f.Repositories) > maxRepositories {
		c.Say(1, "%d repositories: write at most %d", len(f.Repositories), maxRepositories)
		f.Repositories = f.Repositories[:maxRepositories]
	}
	var out []Repository
	for _, e := range f.Repositories {
		r := c.repository(e)
		if slices.ContainsFunc(out, func(o Repository) bool { return o.Name == r.Name }) {
			c.Add(e.Name, "name", "another repository has this name: choose another")
		}
		out = append(out, r)
	}
	return out, c.Err()
}

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)
	sampleShape = regexp.MustCompile(`^([1-9][0-9]?|100)(\.[0-9]+)?%$|^[1-9][0-9]*/[1-9][0-9]*$`)
	// A file may set what a storage in a cloud wants to know, and nothing that would
	// change what the tool does, or which programs it starts.
	environmentLine = regexp.MustCompile(`^(AWS|B2|AZURE|GOOGLE|OS|ST)_[A-Z0-9_]+=.*$`)
)

func (c *checker) repository(e entry) Repository {
	r := Repository{
		Name: e.Name.Text, Tool: e.Tool.Text, Where: e.Repository.Text, Sample: e.Sample.Text, Restore: e.Restore.Text,
		Every:       c.duration("every", e.Every, 6*time.Hour, time.Minute, 7*24*time.Hour),
		VerifyEvery: c.duration("verify_every", e.VerifyEvery, 24*time.Hour, 10*time.Minute, 90*24*time.Hour),
	}
	if !nameShape.MatchString(r.Name) {
		c.Add(e.Name, "name", "want 1 to 64 lower-case letters, digits, dots and dashes")
	}
	if Tools()[r.Tool] == nil {
		c.Add(e.Tool, "tool", "the tools are "+strings.Join(slices.Sorted(maps.Keys(Tools())), ", "))
	}
	switch e.ReadOnly.Text {
	case "", "false":
	case "true":
		r.ReadOnly = true
	default:
		c.Add(e.ReadOnly, "read_only", "want true or false")
	}
	if r.Tool == "hook" {
		c.hook(e, &r)
	} else {
		c.place(e, &r)
	}
	if e.PasswordFile.Text != "" {
		r.PasswordFile = c.Beside(e.PasswordFile.Text)
		c.secret("password_file", e.PasswordFile)
	}
	for n, line := range strings.Split(string(c.secret("environment_file", e.EnvironmentFile)), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !environmentLine.MatchString(line) {
			c.Add(e.EnvironmentFile, "environment_file", fmt.Sprintf("line %d: want NAME=value, of names that begin with AWS_, B2_, AZURE_, GOOGLE_, OS_ or ST_", n+1))
			continue
		}
		r.Environment = append(r.Environment, line)
	}
	return r
}

func (c *checker) place(e entry, r *Repository) {
	switch {
	case r.Where == "" || strings.HasPrefix(r.Where, "-"):
		c.Add(e.Repository, "repository", "want the repository as "+r.Tool+" writes it, such as /srv/backups")
	case strings.ContainsFunc(r.Where, func(r rune) bool { return r < ' ' }):
		c.Add(e.Repository, "repository", "want one line")
	}
	if e.Program.Line > 0 || len(e.Args) > 0 {
		c.Say(max(e.Program.Line, e.Name.Line), "program and args are a hook's: remove them, or write tool: hook")
	}
	if r.Sample == "" {
		r.Sample = "5%"
	} else if r.Tool != "restic" || !sampleShape.MatchString(r.Sample) {
		c.Add(e.Sample, "sample", "want how much of its data restic reads at a time, such as 5% or 1/20; other tools read all")
	}
	if r.Restore != "" && (!filepath.IsAbs(r.Restore) || filepath.Clean(r.Restore) != r.Restore) {
		c.Add(e.Restore, "restore", "want the path of a file that every backup has, such as /etc/hostname")
	}
}

func (c *checker) hook(e entry, r *Repository) {
	r.Where = e.Program.Text
	if e.Repository.Line > 0 || e.Restore.Line > 0 || e.Sample.Line > 0 {
		c.Say(e.Name.Line, "hook %s: repository, restore and sample are other tools': a hook has program and args", r.Name)
	}
	// Programs are found in the system's own folders only: who can write there is root.
	if r.Where == "" || strings.ContainsAny(r.Where, "/ ") || strings.HasPrefix(r.Where, "-") {
		c.Add(e.Program, "program", "want the name of a program in /usr/bin or /usr/sbin, without its folder")
	}
	for _, a := range e.Args {
		r.Args = append(r.Args, a.Text)
	}
}

func (c *checker) duration(field string, w plainyaml.Word, otherwise, least, most time.Duration) time.Duration {
	if w.Text == "" {
		return otherwise
	}
	d, err := window.ParseDuration(w.Text)
	if err != nil || d < least || d > most {
		c.Add(w, field, fmt.Sprintf("want %s to %s, such as %s", window.FormatDuration(least), window.FormatDuration(most), window.FormatDuration(otherwise)))
		return otherwise
	}
	return d
}

// secret reads a file that nobody else may read.
func (c *checker) secret(field string, w plainyaml.Word) []byte {
	if w.Text == "" {
		return nil
	}
	path := c.Beside(w.Text)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.Add(w, field, err.Error()+": write it there")
		return nil
	case !info.Mode().IsRegular():
		c.Add(w, field, path+" is no file")
		return nil
	case info.Mode().Perm()&0o077 != 0:
		c.Add(w, field, "others can read it: chmod 600 "+path)
		return nil
	}
	text, err := unpack.ReadFile(path, maxEnvironment)
	if err != nil {
		c.Add(w, field, err.Error())
	}
	return text
}
