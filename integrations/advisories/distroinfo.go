package advisories

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// distroinfo are the tables debian.csv and ubuntu.csv of Debian's package
// distro-info-data, which both distributions keep:
// https://salsa.debian.org/debian/distro-info-data. Ends were added over the years, as
// columns at the end; what is not decided yet is left out at a row's end.
var distroinfo = Feed{
	Name: "distroinfo", Title: "Debian and Ubuntu releases (distro-info-data)",
	Mine: func(h Head) bool { return strings.HasPrefix(h.Line(), "version,codename,series,created,release,eol") },
	Read: readDistroInfo,
}

// distroEnds are the columns that end a period, by what they mean, in both tables.
var distroEnds = map[string]struct {
	distribution string // the only one that has it
	extended     bool
}{
	"eol": {},
	// Whoever has Debian gets the fixes of LTS, from the same archive, for the common
	// architectures; ELTS is Freexian's, for who pays.
	"eol-lts":  {distribution: "debian"},
	"eol-elts": {distribution: "debian", extended: true},
	// Servers were supported for longer than desktops until 12.04.
	"eol-server": {distribution: "ubuntu"},
	"eol-esm":    {distribution: "ubuntu", extended: true},
}

// distroIgnored are columns that we know and do not keep. Legacy support costs extra
// even for who has Ubuntu Pro: its end would promise too much.
var distroIgnored = []string{"created", "eol-legacy"}

func readDistroInfo(doc Document, into *Content) error {
	t := distroTable{name: doc.Base()}
	if err := eachLine(doc, t.line); err != nil {
		return err
	}
	if len(t.rows) == 0 {
		return errors.New("it has no releases: it was cut off")
	}
	distribution, err := t.distribution()
	if err != nil {
		return err
	}
	for _, l := range t.rows {
		l.Product = distribution
		into.Lifecycles = append(into.Lifecycles, l)
	}
	return nil
}

type distroTable struct {
	name    string
	columns []string
	rows    []patching.Lifecycle
}

func (t *distroTable) line(_ int, text []byte) error {
	fields := strings.Split(string(text), ",")
	if t.columns == nil {
		return t.header(fields)
	}
	if len(fields) > len(t.columns) {
		return fmt.Errorf("it has %d fields: want at most %d", len(fields), len(t.columns))
	}
	l := patching.Lifecycle{Feed: "distroinfo"}
	for i, value := range fields {
		if err := setDistro(&l, t.columns[i], strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	if l.Codename == "" {
		return errors.New("it has no series")
	}
	// Sid and experimental are no releases: they have no version and never end.
	if l.Release != "" {
		t.rows = append(t.rows, l)
	}
	return nil
}

func (t *distroTable) header(columns []string) error {
	for _, c := range columns {
		_, end := distroEnds[c]
		if !end && !slices.Contains(distroIgnored, c) && !slices.Contains([]string{"version", "codename", "series", "release"}, c) {
			return fmt.Errorf("we do not know the column %.40q", c)
		}
	}
	t.columns = columns
	return nil
}

func setDistro(l *patching.Lifecycle, column, value string) error {
	switch column {
	case "version":
		l.Release = strings.TrimSuffix(value, " LTS")
		return nil
	case "series": // what machines call it: VERSION_CODENAME in os-release(5)
		l.Codename = value
		return nil
	case "codename":
		return nil
	}
	at, err := when(value)
	if err != nil {
		return fmt.Errorf("%s: %w", column, err)
	}
	if column == "release" {
		l.Released = at
	}
	if end, ok := distroEnds[column]; ok {
		to := &l.SecurityEnd
		if end.extended {
			to = &l.ExtendedEnd
		}
		*to = later(*to, at)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// distribution is whose table it is, which nothing in it says: the columns tell, or the
// first release, or else the file's name.
func (t *distroTable) distribution() (string, error) {
	for _, c := range t.columns {
		if d := distroEnds[c].distribution; d != "" {
			return d, nil
		}
	}
	switch t.rows[0].Codename {
	case "buzz":
		return "debian", nil
	case "warty":
		return "ubuntu", nil
	}
	for _, d := range []string{"debian", "ubuntu"} {
		if strings.HasPrefix(t.name, d) {
			return d, nil
		}
	}
	return "", errors.New("it is not said whether these are Debian's or Ubuntu's releases: name the file debian.csv or ubuntu.csv")
}
