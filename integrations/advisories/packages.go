package advisories

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// packages are the Packages lists of Debian's and Ubuntu's archives, and what signs them:
// InRelease files and keyrings. https://wiki.debian.org/DebianRepository/Format and
// deb822(5) say how they are written.
//
// A list by itself is a bare list: it says neither of which suite it is nor who made it,
// and its path proves nothing. [Link] tells.
var packages = Feed{
	Name: "packages", Title: "Debian package lists",
	Mine: func(h Head) bool { return isList(h) || isRelease(h) || isKeyring(h) },
	Read: readPackages,
}

// Bounds of what is kept in memory as a whole. Debian's largest InRelease has 200 kB, its
// keyring 60 kB, its longest stanza 60 kB.
const (
	maxRelease  = 8 << 20
	maxKeyring  = 4 << 20
	maxListLine = 1 << 20
)

// isList: of the files that begin with a package, dpkg's own status has no Filename, for
// what it lists is there already; an index of sources has none either.
func isList(h Head) bool {
	first, _, _ := bytes.Cut(h.text(), []byte("\n\n"))
	return bytes.HasPrefix(first, []byte("Package:")) && hasFields(first, "Version", "Architecture", "Filename") && !hasFields(first, "Status")
}

func hasFields(text []byte, names ...string) bool {
	for _, n := range names {
		if !bytes.Contains(text, []byte("\n"+n+":")) {
			return false
		}
	}
	return true
}

var (
	signedMessage = []byte("-----BEGIN PGP SIGNED MESSAGE-----")
	publicKeys    = []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")
	aField        = regexp.MustCompile(`^[A-Z][A-Za-z-]*: `)
)

// isRelease: other things are clear-signed too, but have no list of hashes with a date.
func isRelease(h Head) bool {
	text := h.text()
	return (bytes.HasPrefix(text, signedMessage) || aField.Match(text)) && hasFields(text, "Date") &&
		(hasFields(text, "SHA256") || hasFields(text, "MD5Sum")) && !hasFields(text, "Package")
}

// isKeyring: in binary form it begins with a public key packet of version 4 or 6, whose
// length has two bytes or, in the new form, one or two: RFC 9580, sections 4.2 and 5.5.2.
func isKeyring(h Head) bool {
	s := h.Start
	if bytes.HasPrefix(s, publicKeys) {
		return true
	}
	if len(s) < 4 {
		return false
	}
	version := s[3]
	switch {
	case s[0] == 0xc6 && s[1] < 0xc0:
		version = s[2]
	case s[0] != 0x99 && (s[0] != 0xc6 || s[1] > 0xdf):
		return false
	}
	return version == 4 || version == 6
}

func readPackages(doc Document, into *Content) error {
	switch {
	case isList(doc.Head):
		return readList(doc, into)
	case isRelease(doc.Head):
		return readRelease(doc, into)
	}
	text, err := unpack.ReadAtMost(doc, maxKeyring)
	if err != nil {
		return err
	}
	keys, err := apt.ReadKeys(text)
	if err != nil {
		return err
	}
	into.Keyrings = append(into.Keyrings, Keyring{Name: doc.Name, Keys: len(keys), keys: keys})
	return nil
}

func readRelease(doc Document, into *Content) error {
	text, err := unpack.ReadAtMost(doc, maxRelease)
	if err != nil {
		return err
	}
	r := Release{Name: doc.Name}
	if bytes.HasPrefix(text, signedMessage) {
		r.inRelease = text
		r.parsed, err = apt.ReadVerified(text)
	} else {
		r.parsed, err = apt.Parse(string(text))
	}
	if err != nil {
		return err
	}
	r.Origin, r.Suite = r.parsed.Fields["Origin"], r.parsed.Fields["Codename"]
	if r.Suite == "" {
		r.Suite = r.parsed.Fields["Suite"]
	}
	r.Date, r.ValidUntil = r.parsed.Date, r.parsed.ValidUntil
	into.Edition(r.edition(), r.Date)
	into.Releases = append(into.Releases, r)
	return nil
}

func readList(doc Document, into *Content) error {
	sum := sha256.New()
	last := &lastByte{in: doc}
	lines := bufio.NewScanner(io.TeeReader(last, sum))
	lines.Buffer(nil, maxListLine)
	list := List{Name: doc.Name, First: len(into.Offers)}
	stanza := map[string]string{}
	take := func(line int) error {
		if len(stanza) == 0 {
			return nil
		}
		o, err := offer(stanza)
		if err != nil {
			return fmt.Errorf("the stanza that ends in line %d: %w", line, err)
		}
		into.Offers = append(into.Offers, o)
		clear(stanza)
		return nil
	}
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimRight(lines.Bytes(), " \t\r")
		if len(line) == 0 {
			if err := take(n); err != nil {
				return err
			}
			continue
		}
		if line[0] == ' ' || line[0] == '\t' || line[0] == '#' {
			continue // goes on with a field that nobody here reads, or is a comment
		}
		field, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return fmt.Errorf("line %d: %.40q is no field", n, line)
		}
		if err := set(stanza, string(field), string(bytes.TrimSpace(value))); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it has more than %d bytes", maxListLine)
		}
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if n > 0 && last.is != '\n' {
		return fmt.Errorf("line %d: %w", n, errUnended)
	}
	if err := take(n); err != nil {
		return err
	}
	list.Offers = len(into.Offers) - list.First
	list.SHA256 = hex.EncodeToString(sum.Sum(nil))
	into.Lists = append(into.Lists, list)
	return nil
}

// lastByte remembers how a text ends.
type lastByte struct {
	in io.Reader
	is byte
}

func (l *lastByte) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	if n > 0 {
		l.is = p[n-1]
	}
	return n, err
}

// set keeps a field of those that are read. The first is always kept, so that a stanza
// without a name is noticed.
func set(stanza map[string]string, field, value string) error {
	switch field {
	case "Package", "Version", "Architecture", "Source":
	default:
		field, value = "", "something"
	}
	if _, twice := stanza[field]; twice && field != "" {
		return fmt.Errorf("%s is there twice in a stanza", field)
	}
	stanza[field] = value
	return nil
}

func offer(stanza map[string]string) (patching.Offer, error) {
	o := patching.Offer{Feed: "packages", Name: stanza["Package"], Arch: stanza["Architecture"], Version: stanza["Version"]}
	if err := patching.ValidatePackage(o.Name, o.Arch, o.Version); err != nil {
		return o, err
	}
	// "Source: openssh (1:9.2-1)" has the source's version where it is another; the
	// field is left out where the name is the same: Debian Policy, 5.6.1.
	o.Source, _, _ = strings.Cut(stanza["Source"], " ")
	if o.Source == "" {
		o.Source = o.Name
	}
	return o, nil
}
