// Package apt checks and reads what signs a package archive: its InRelease file, which
// names the hash of each index. Whoever has that file, the archive's public keys and an
// index knows that the archive published it, wherever it was found.
package apt

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Keys are the public keys that may sign a repository.
type Keys []*openpgp.Entity

// ReadKeys reads public keys, armored or binary, as "gpg --export" writes them.
func ReadKeys(text []byte) (Keys, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	list, err := read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("keyring: there is no key in it")
	}
	return Keys(list), nil
}

// File is bytes as something signed names them.
type File struct {
	SHA256 string `json:"sha256"` // hexadecimal, lower case
	Size   int64  `json:"size"`
}

// Release is what a verified InRelease file says.
type Release struct {
	Fields map[string]string // Origin, Label, Suite, Codename, Version, …
	Date   time.Time
	// ValidUntil is zero where the archive sets no end.
	ValidUntil time.Time
	files      map[string]File
}

// File returns what the release says of an index ("main/binary-amd64/Packages.xz").
func (r *Release) File(name string) (File, bool) {
	f, ok := r.files[name]
	return f, ok
}

// Paths returns where an archive keeps an index, below its root: by its hash, where it
// does so, for the name alone may have moved on by now.
func (r *Release) Paths(suite, name string) []string {
	plain := "dists/" + suite + "/" + name
	file, ok := r.files[name]
	if !ok || r.Fields["Acquire-By-Hash"] != "yes" {
		return []string{plain}
	}
	return []string{path.Dir(plain) + "/by-hash/SHA256/" + file.SHA256, plain}
}

// ByHash returns the name of the file in a folder that has the hash.
func (r *Release) ByHash(dir, hash string) (string, bool) {
	for name, f := range r.files {
		if f.SHA256 == hash && path.Dir(name) == dir {
			return name, true
		}
	}
	return "", false
}

// Names reports whether any file that the release names has the hash.
func (r *Release) Names(hash string) bool {
	for _, f := range r.files {
		if f.SHA256 == hash {
			return true
		}
	}
	return false
}

const clearSigned = "-----BEGIN PGP SIGNED MESSAGE-----"

// Verify checks an InRelease file and reads what was signed, nothing around it.
// Keys and signatures must be good at that time. What the dates in the file say
// is judged by [Release.Judge].
func (k Keys) Verify(inRelease []byte, at time.Time) (*Release, error) {
	r, _, err := k.verify(inRelease, at)
	return r, err
}

// verify also returns the id of the key that signed. The zero time stands for when each
// signature was made.
func (k Keys) verify(inRelease []byte, at time.Time) (r *Release, by uint64, err error) {
	// apt refuses text around the signed one too: somebody could read it.
	block, rest := clearsign.Decode(inRelease)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(inRelease, []byte(clearSigned)) {
		return nil, 0, errors.New("InRelease: not one clear-signed text and nothing else")
	}
	if by, err = k.signed(block, at); err != nil {
		return nil, 0, fmt.Errorf("InRelease: signature: %w", err)
	}
	r, err = parseRelease(string(block.Plaintext))
	return r, by, err
}

// ReadVerified reads an InRelease whose signature was checked before.
func ReadVerified(inRelease []byte) (*Release, error) {
	block, _ := clearsign.Decode(inRelease)
	if block == nil {
		return nil, errors.New("InRelease: not a clear-signed text")
	}
	return parseRelease(string(block.Plaintext))
}

// Signers returns whose keys have signed an InRelease file: the fingerprints of primary
// keys and of the subkeys that they signed with, in capitals, each once. People know the
// first from gpg and the second from apt. Keys must have been good when they signed:
// whether they are today is for apt to judge, which took the file, and no matter of the
// machine's clock. (The file's own date is no time for that: Debian signs minutes later.)
func (k Keys) Signers(inRelease []byte) []string {
	var all []string
	for _, one := range k {
		_, by, err := (Keys{one}).verify(inRelease, time.Time{})
		if err != nil {
			continue
		}
		all = append(all, fmt.Sprintf("%X", one.PrimaryKey.Fingerprint))
		for _, sub := range one.Subkeys {
			if sub.PublicKey.KeyId == by {
				all = append(all, fmt.Sprintf("%X", sub.PublicKey.Fingerprint))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// signed wants one good signature, and returns the id of its key. An archive signs with
// its old and its new key for years, and a machine that lacks one of them has the other.
func (k Keys) signed(block *clearsign.Block, at time.Time) (by uint64, err error) {
	packets := packet.NewReader(block.ArmoredSignature.Body)
	var why error
	unknown := true
	for n := 0; n < maxSignatures; n++ {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			return 0, errors.New("something else stands among the signatures")
		}
		when := at
		if when.IsZero() {
			when = sig.CreationTime
		}
		if err = k.good(block, sig, &packet.Config{Time: func() time.Time { return when }}); err == nil {
			return *sig.IssuerKeyId, nil
		}
		why = errors.Join(why, err)
		unknown = unknown && errors.Is(err, pgperrors.ErrUnknownIssuer)
	}
	switch {
	case why == nil:
		return 0, errors.New("there is none")
	case unknown:
		return 0, fmt.Errorf("%w: %w", ErrUnknownKey, why)
	}
	return 0, why
}

// ErrUnknownKey is what a text ends with that may well be good, but was signed by none of
// the keys that are known.
var ErrUnknownKey = errors.New("none of our keys has signed it")

const maxSignatures = 16

func (k Keys) good(block *clearsign.Block, sig *packet.Signature, config *packet.Config) error {
	switch sig.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return fmt.Errorf("made with the hash %v, which can be forged", sig.Hash)
	}
	var one bytes.Buffer
	if err := sig.Serialize(&one); err != nil {
		return err
	}
	_, err := openpgp.CheckDetachedSignature(openpgp.EntityList(k), bytes.NewReader(block.Bytes), &one, config)
	if err != nil && sig.IssuerKeyId != nil {
		return fmt.Errorf("of key %016X: %w", *sig.IssuerKeyId, err)
	}
	return err
}

// futureSlack is how far a date may lie ahead: apt's Acquire::Max-FutureTime.
const futureSlack = 10 * time.Second

// Judge says whether a release may be accepted for a suite at that time.
func (r *Release) Judge(suite string, at time.Time) error {
	is := []string{r.Fields["Suite"], r.Fields["Codename"]}
	switch {
	case is[0]+is[1] != "" && suite != is[0] && suite != is[1]:
		return fmt.Errorf("it is of suite %q, codename %q, not of %s", is[0], is[1], suite)
	case r.Date.After(at.Add(futureSlack)):
		return fmt.Errorf("its date, %s, has not come: is the clock right?", Stamp(r.Date))
	case !r.ValidUntil.IsZero() && !at.Before(r.ValidUntil):
		return fmt.Errorf("%w: Valid-Until %s has passed", errExpired, Stamp(r.ValidUntil))
	}
	return nil
}

var errExpired = errors.New("it has expired")

// Stamp writes a time for people.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Parse reads a Release file, which nobody has signed as far as it says.
func Parse(text string) (*Release, error) { return parseRelease(text) }

func parseRelease(text string) (*Release, error) {
	r := &Release{Fields: map[string]string{}, files: map[string]File{}}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, " ") {
			if section == "SHA256" {
				if err := r.addFile(line); err != nil {
					return nil, err
				}
			}
			continue
		}
		field, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("InRelease: line %.40q is no field", line)
		}
		if _, twice := r.Fields[field]; twice {
			return nil, fmt.Errorf("InRelease: the field %q is there twice", field)
		}
		section = field
		r.Fields[field] = strings.TrimSpace(value)
	}
	if len(r.files) == 0 {
		return nil, errors.New("InRelease: it names no SHA256 of any index")
	}
	return r, r.dates()
}

func (r *Release) dates() (err error) {
	if r.Date, err = parseDate(r.Fields["Date"]); err != nil {
		return fmt.Errorf("InRelease: Date: %w", err)
	}
	if until := r.Fields["Valid-Until"]; until != "" {
		if r.ValidUntil, err = parseDate(until); err != nil {
			return fmt.Errorf("InRelease: Valid-Until: %w", err)
		}
	}
	return nil
}

// parseDate takes RFC 1123 in UTC, the only zone that apt takes.
func parseDate(s string) (time.Time, error) {
	t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", s)
	if err != nil {
		t, err = time.Parse("Mon, 2 Jan 2006 15:04:05 MST", s)
	}
	if err != nil {
		return time.Time{}, err
	}
	if _, offset := t.Zone(); offset != 0 {
		return time.Time{}, fmt.Errorf("%q is not in UTC", s)
	}
	return t.UTC(), nil
}

func (r *Release) addFile(line string) error {
	f := strings.Fields(line)
	if len(f) != 3 || !IsSHA256(f[0]) || !CleanPath(f[2]) {
		return fmt.Errorf("InRelease: %.80q is not hash, size, name", line)
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil || size < 0 {
		return fmt.Errorf("InRelease: size of %s: %q is none", f[2], f[1])
	}
	file := File{SHA256: f[0], Size: size}
	if other, twice := r.files[f[2]]; twice && other != file {
		return fmt.Errorf("InRelease: %s is named twice, with two hashes", f[2])
	}
	r.files[f[2]] = file
	return nil
}

// IsSHA256 reports whether s is a SHA-256 as indexes write it.
func IsSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// CleanPath reports whether a path that an index names stays below its root.
func CleanPath(p string) bool {
	return p != "" && len(p) <= 1024 && p[0] != '/' && path.Clean(p) == p && p != "." && p != ".." && !strings.HasPrefix(p, "../") &&
		!strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f })
}
