package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/patchcycle/patchcycle/patching"
)

// Key is an ed25519 key pair of the server's or of a device.
type Key struct{ private ed25519.PrivateKey }

// PublicKey is the public half of a [Key], 32 raw bytes.
type PublicKey []byte

// NewKey makes a key pair.
func NewKey() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return Key{private}, nil
}

// KeyFromSeed returns the key pair of a 32-byte seed. The simulated fleet
// draws its machines' keys from its own seed.
func KeyFromSeed(seed [ed25519.SeedSize]byte) Key {
	return Key{ed25519.NewKeyFromSeed(seed[:])}
}

// Zero reports whether there is no key.
func (k Key) Zero() bool { return k.private == nil }

// Private returns the key for packages that sign other things with it.
func (k Key) Private() ed25519.PrivateKey { return k.private }

// Public returns the public half.
func (k Key) Public() PublicKey { return PublicKey(k.private.Public().(ed25519.PublicKey)) }

// ID addresses the key; orders name their device's key by it.
func (p PublicKey) ID() patching.Digest { return patching.DigestOf(p) }

// Keys are what the server's dispatcher signs with. The root key belongs
// offline; as long as it lies here, its thief can replace the others.
type Keys struct{ Root, Dispatcher, Lease Key }

// LoadOrCreateKeys reads root.key, dispatcher.key and lease.key from a folder,
// and makes those that are missing.
func LoadOrCreateKeys(dir string) (Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("folder for keys: %w", err)
	}
	return keysBy(dir, LoadOrCreateKey)
}

// LoadKeys reads the keys and makes none: machines are bound to those that were
// there. One that is gone is [fs.ErrNotExist], but the root key belongs elsewhere:
// without it Root is the zero key.
func LoadKeys(dir string) (Keys, error) {
	return keysBy(dir, func(path string) (Key, error) {
		k, err := LoadKey(path)
		if errors.Is(err, fs.ErrNotExist) && filepath.Base(path) == rootKeyName {
			return Key{}, nil
		}
		return k, err
	})
}

const rootKeyName = "root.key"

func keysBy(dir string, load func(string) (Key, error)) (keys Keys, err error) {
	for _, k := range []struct {
		name string
		key  *Key
	}{{"root", &keys.Root}, {"dispatcher", &keys.Dispatcher}, {"lease", &keys.Lease}} {
		if *k.key, err = load(filepath.Join(dir, k.name+".key")); err != nil {
			return Keys{}, err
		}
	}
	return keys, nil
}

// LoadOrCreateKey reads a key file, or makes one that only its owner can read
// (mode 0600). A file that others can read is refused: the key in it is no
// secret any more.
func LoadOrCreateKey(path string) (Key, error) {
	k, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = NewKey(); err != nil {
		return Key{}, err
	}
	if err := writeKey(path, k); errors.Is(err, fs.ErrExist) {
		return LoadKey(path) // another process was faster
	} else if err != nil {
		return Key{}, fmt.Errorf("keep the new key: %w", err)
	}
	return k, nil
}

// LoadKey reads a key file that nobody else can read.
func LoadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 { // Windows has no such bits
		return Key{}, fmt.Errorf("key %s can be read by others (mode %04o): replace it, or chmod 600 it if you are sure that nobody did", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return Key{}, fmt.Errorf("key %s holds no PEM block PRIVATE KEY", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("key %s is a %T, want ed25519", path, parsed)
	}
	return Key{private}, nil
}

// writeKey makes the file appear whole or not at all, and never in place of
// another: a hard link does not overwrite.
func writeKey(path string, k Key) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
