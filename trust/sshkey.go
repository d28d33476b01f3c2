package trust

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PersonKey is the OpenSSH public key of a person: "ssh-ed25519 AAAA…", as a line
// of authorized_keys spells it, without options and comment. The private half
// lives with the person, in a file, an agent or a piece of hardware, and never on
// the server.
type PersonKey string

// maxPersonKey bounds a key's text, in bytes: RSA with 16,384 bits has 2.8 kB.
const maxPersonKey = 4096

// minRSA is the shortest RSA key that is taken, in bits: NIST SP 800-57 part 1
// gives 3,072 for what has to hold beyond 2030.
const minRSA = 3072

// ParsePersonKey reads a line of an OpenSSH public key file. Its comment is
// dropped.
func ParsePersonKey(line string) (PersonKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return "", fmt.Errorf("%.40q… is no OpenSSH public key: give the line of a .pub file", line)
	case len(options) > 0:
		return "", errors.New("an approver's key has no options: give the line of the .pub file")
	case len(strings.TrimSpace(string(rest))) > 0:
		return "", errors.New("more than one line: give one key")
	}
	k := personKey(key)
	_, err = k.public()
	return k, err
}

func personKey(k ssh.PublicKey) PersonKey {
	return PersonKey(strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(k)), "\n"))
}

// Fingerprint is the key's as ssh-keygen -l prints it; empty for what is no key.
func (k PersonKey) Fingerprint() string {
	public, err := k.public()
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(public)
}

// public reads the key, and takes no other spelling than the one that
// [ParsePersonKey] writes: a second one would count a key twice.
func (k PersonKey) public() (ssh.PublicKey, error) {
	if len(k) > maxPersonKey {
		return nil, fmt.Errorf("a public key of %d bytes, at most %d are read", len(k), maxPersonKey)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
	if err != nil || personKey(public) != k {
		return nil, fmt.Errorf("%.40q is no OpenSSH public key without comment", string(k))
	}
	switch public.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return public, nil
	case ssh.KeyAlgoRSA:
		return public, longEnough(public)
	}
	return nil, fmt.Errorf("approvers do not sign with keys of the kind %s: make one with ssh-keygen -t ed25519, or ed25519-sk for hardware", public.Type())
}

func longEnough(public ssh.PublicKey) error {
	holder, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return errors.New("an RSA key whose length cannot be read")
	}
	key, ok := holder.CryptoPublicKey().(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSA {
		return fmt.Errorf("an RSA key of less than %d bits: make one with ssh-keygen -t ed25519", minRSA)
	}
	return nil
}
