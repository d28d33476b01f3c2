package notify

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Bounds of the file.
const (
	maxConfigBytes = 256 << 10
	maxRecipients  = 200
	maxWebhooks    = 50
)

type file struct {
	SilentAfter plainyaml.Word   `yaml:"silent_after"`
	Mail        *mailEntry       `yaml:"mail"`
	Webhooks    []webhookEntry   `yaml:"webhooks"`
	Recipients  []recipientEntry `yaml:"recipients"`
}

type mailEntry struct {
	Server       plainyaml.Word `yaml:"server"`
	From         plainyaml.Word `yaml:"from"`
	TLS          plainyaml.Word `yaml:"tls"`
	CAFile       plainyaml.Word `yaml:"ca_file"`
	User         plainyaml.Word `yaml:"user"`
	PasswordFile plainyaml.Word `yaml:"password_file"`
}

type webhookEntry struct {
	Name       plainyaml.Word `yaml:"name"`
	URL        plainyaml.Word `yaml:"url"`
	CAFile     plainyaml.Word `yaml:"ca_file"`
	SecretFile plainyaml.Word `yaml:"secret_file"`
}

type recipientEntry struct {
	Name       plainyaml.Word   `yaml:"name"`
	Mail       plainyaml.Word   `yaml:"mail"`
	Webhook    plainyaml.Word   `yaml:"webhook"`
	Account    plainyaml.Word   `yaml:"account"`
	Roles      []plainyaml.Word `yaml:"roles"`
	Sites      []plainyaml.Word `yaml:"sites"`
	Policies   []plainyaml.Word `yaml:"policies"`
	Owners     []plainyaml.Word `yaml:"owners"`
	Kinds      []plainyaml.Word `yaml:"kinds"`
	Every      plainyaml.Word   `yaml:"every"`
	AlertEvery plainyaml.Word   `yaml:"alert_every"`
	Quiet      plainyaml.Word   `yaml:"quiet"`
	Zone       plainyaml.Word   `yaml:"zone"`
	Lines      plainyaml.Word   `yaml:"lines"`
}

// Read reads the file that says who is told what, with the secrets that it names. Its
// errors, all at once, name the line, the value and the way out.
func Read(name string) (Config, error) {
	text, err := unpack.ReadFile(name, maxConfigBytes)
	if err != nil {
		return Config{}, err
	}
	var f file
	if err := plainyaml.Decode(bytes.NewReader(text), &f, yaml.Strict()); err != nil {
		return Config{}, fmt.Errorf("%s: %w (docs/notify.md has an example)", name, err)
	}
	c := checker{plainyaml.Problems{File: name}}
	config := Config{SilentAfter: c.duration("silent_after", f.SilentAfter, DefaultSilentAfter, time.Hour, 90*24*time.Hour)}
	server := c.mail(f.Mail)
	hooks := c.webhooks(f.Webhooks)
	if len(f.Recipients) == 0 {
		c.Say(1, "no recipients: write a list under \"recipients:\" (docs/notify.md has an example), or remove the file")
	}
	if len(f.Recipients) > maxRecipients {
		c.Say(1, "%d recipients: write at most %d, and let mailing lists do the rest", len(f.Recipients), maxRecipients)
		f.Recipients = f.Recipients[:maxRecipients]
	}
	for n, e := range f.Recipients {
		r := c.recipient(n, e, server, hooks)
		if _, twice := config.Find(r.Name); twice {
			c.Add(e.Name, "name", "another recipient has this name: choose another")
		}
		config.Recipients = append(config.Recipients, r)
	}
	return config, c.Err()
}

// DefaultSilentAfter is from when on an agent that says nothing is worth a notice.
const DefaultSilentAfter = 24 * time.Hour

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

var nameShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)

const wantName = "want 1 to 64 lower-case letters, digits, dots and dashes"

func (c *checker) recipient(n int, e recipientEntry, server *MailServer, hooks map[string]Webhook) Recipient {
	if !nameShape.MatchString(e.Name.Text) {
		c.Say(max(1, e.Name.Line), "recipient %d: name %q: %s", n+1, e.Name.Text, wantName)
	}
	r := Recipient{Account: patching.AccountName(e.Account.Text), Channel: c.channel(e, server, hooks)}
	r.Recipient = notice.Recipient{
		Name:       e.Name.Text,
		Roles:      words[patching.Role](c, "roles", e.Roles, patching.Role.Valid, "the roles are "+list(patching.Roles())),
		Sites:      words[patching.SiteName](c, "sites", e.Sites, validName, "want a site's name, as machines report it"),
		Policies:   words[patching.PolicyName](c, "policies", e.Policies, validName, "want a policy's name, as \"patchcycle policy list\" shows it"),
		Owners:     words[string](c, "owners", e.Owners, func(s string) bool { return s != "" }, "want an owner, as \"patchcycle asset list\" shows it"),
		Kinds:      words[notice.Kind](c, "kinds", e.Kinds, notice.Kind.Valid, "the kinds are "+list(notice.Kinds())),
		Every:      c.duration("every", e.Every, notice.DefaultEvery, time.Minute, 7*24*time.Hour),
		AlertEvery: c.duration("alert_every", e.AlertEvery, notice.DefaultAlertEvery, time.Minute, 24*time.Hour),
		Quiet:      c.quiet(e),
		Lines:      c.lines(e.Lines),
	}
	switch {
	case e.Account.Text == "" && len(e.Roles) == 0 && len(e.Owners) == 0:
		c.Say(max(1, e.Name.Line), "recipient %s would be told nothing: give roles, owners, or an account whose roles count", e.Name.Text)
	case e.Account.Text != "" && !patching.ValidName(e.Account.Text):
		c.Add(e.Account, "account", "want an account's name, as \"patchcycle user list\" shows it")
	case e.Account.Text != "" && len(e.Roles)+len(e.Sites)+len(e.Policies) > 0:
		c.Add(e.Account, "account", "the account's own roles and scope count: remove roles, sites and policies, or the account")
	}
	return r
}

func validName[S ~string](s S) bool { return patching.ValidName(string(s)) }

func words[S ~string](c *checker, field string, given []plainyaml.Word, valid func(S) bool, want string) []S {
	var out []S
	for _, w := range given {
		switch {
		case !valid(S(w.Text)):
			c.Add(w, field, want)
		case slices.Contains(out, S(w.Text)):
			c.Add(w, field, "it is there twice: remove one")
		}
		out = append(out, S(w.Text))
	}
	return out
}

func list[S ~string](all []S) string {
	words := ""
	for i, s := range all {
		if i > 0 {
			words += ", "
		}
		words += string(s)
	}
	return words
}

func (c *checker) duration(field string, w plainyaml.Word, or, least, most time.Duration) time.Duration {
	if w.Text == "" {
		return or
	}
	d, err := window.ParseDuration(w.Text)
	if err != nil || d < least || d > most {
		c.Add(w, field, fmt.Sprintf("want a time between %s and %s, such as %s",
			window.FormatDuration(least), window.FormatDuration(most), window.FormatDuration(or)))
	}
	return d
}

var quietShape = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d) ?- ?([01]\d|2[0-3]):([0-5]\d)$`)

func (c *checker) quiet(e recipientEntry) notice.Quiet {
	if e.Quiet.Text == "" {
		if e.Zone.Text != "" {
			c.Add(e.Zone, "zone", "it says where the quiet hours are, and there are none: add quiet, or remove it")
		}
		return notice.Quiet{}
	}
	at := quietShape.FindStringSubmatch(e.Quiet.Text)
	if at == nil {
		c.Add(e.Quiet, "quiet", "want two times of day in quotes, such as \"20:00-07:00\"")
		return notice.Quiet{}
	}
	zone, err := window.Zone(e.Zone.Text)
	if err != nil {
		c.Say(max(e.Quiet.Line, e.Zone.Line), "zone of the quiet hours: %s", err)
	}
	minute := func(hour, minute string) int {
		h, _ := strconv.Atoi(hour) // both match the shape
		m, _ := strconv.Atoi(minute)
		return 60*h + m
	}
	return notice.Quiet{From: minute(at[1], at[2]), Until: minute(at[3], at[4]), Zone: zone}
}

// maxLines keeps a message to what somebody reads.
const maxLines = 500

func (c *checker) lines(w plainyaml.Word) int {
	if w.Text == "" {
		return notice.DefaultLines
	}
	n, err := strconv.Atoi(w.Text)
	if err != nil || n < 1 || n > maxLines {
		c.Add(w, "lines", fmt.Sprintf("want a number between 1 and %d", maxLines))
	}
	return n
}
