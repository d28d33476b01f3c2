package trust

import (
	"bytes"
	"crypto/rand"
	_ "crypto/sha256" // the two hashes that SSHSIG knows
	_ "crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Paper is a kind of document that people sign with their OpenSSH keys. It is the
// namespace of the signature (PROTOCOL.sshsig), so that a signature under one kind
// is none under another: ssh-keygen -Y sign -n NAME.
type Paper string

// The kinds of documents that people sign. The format's version stands in the name.
const (
	GrantsPaper      Paper = "patchcycle-grants-v1"
	PreApprovalPaper Paper = "patchcycle-preapproval-v1"
	DelegationPaper  Paper = "patchcycle-delegation-v1"
)

// maxPersonSignature bounds a signature, in bytes: RSA with 16,384 bits makes
// one of 4.5 kB.
const maxPersonSignature = 8 << 10

// PersonSignature is an SSH signature (SSHSIG) without its armor. The key that
// made it stands in it.
type PersonSignature []byte

// ParseSignature reads what ssh-keygen -Y sign writes.
func ParseSignature(armored []byte) (PersonSignature, error) {
	const want = "want the file that ssh-keygen -Y sign writes, beginning with -----BEGIN SSH SIGNATURE-----"
	block, rest := pem.Decode(bytes.TrimSpace(armored))
	switch {
	case block == nil || block.Type != sshsig.PEMType:
		return nil, errors.New("no SSH signature: " + want)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("more than one SSH signature: " + want)
	}
	if _, _, err := PersonSignature(block.Bytes).read(); err != nil {
		return nil, err
	}
	return block.Bytes, nil
}

// Sign signs a document as ssh-keygen -Y sign does.
func Sign(paper Paper, document []byte, key ssh.Signer) (PersonSignature, error) {
	sig, err := sshsig.SignWithRand(bytes.NewReader(document), rand.Reader, key, sshsig.HashSHA512, string(paper))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig.Marshal(), nil
}

// Armored returns the signature as ssh-keygen -Y verify reads it.
func (s PersonSignature) Armored() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: sshsig.PEMType, Bytes: s})
}

// Key returns the key that says it made the signature.
func (s PersonSignature) Key() (PersonKey, error) {
	_, key, err := s.read()
	return key, err
}

func (s PersonSignature) read() (*sshsig.Signature, PersonKey, error) {
	if len(s) > maxPersonSignature {
		return nil, "", fmt.Errorf("a signature of %d bytes, at most %d are read", len(s), maxPersonSignature)
	}
	sig, err := sshsig.ParseSignature(s)
	if err != nil {
		return nil, "", fmt.Errorf("SSH signature: %w", err)
	}
	key := personKey(sig.PublicKey)
	_, err = key.public()
	return sig, key, err
}

// userPresent is the flag of a signature by a piece of hardware that somebody
// touched it: PROTOCOL.u2f in OpenSSH.
const userPresent = 1

// verify returns the key that has signed the document as that kind of paper.
func (s PersonSignature) verify(paper Paper, document []byte) (PersonKey, error) {
	sig, key, err := s.read()
	if err != nil {
		return "", err
	}
	public, err := key.public()
	if err != nil {
		return "", err
	}
	if err := sshsig.Verify(bytes.NewReader(document), sig, public, sig.HashAlgorithm, string(paper)); err != nil {
		return "", fmt.Errorf("SSH signature by %s: %w", key.Fingerprint(), err)
	}
	switch public.Type() {
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		// Verifying covers the flags, and does not judge them. A key that signs
		// untouched (no-touch-required) signs whatever a program on that computer asks.
		if len(sig.Signature.Rest) == 0 || sig.Signature.Rest[0]&userPresent == 0 {
			return "", fmt.Errorf("SSH signature by %s: nobody touched the hardware key", key.Fingerprint())
		}
	}
	return key, nil
}
