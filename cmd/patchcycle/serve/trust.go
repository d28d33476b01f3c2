package serve

import (
	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/trust"
)

// trusting is the folder of keys as the API asks for it.
type trusting struct{ *root.Folder }

// Root returns the trust root in force.
func (t trusting) Root() trust.Root { return t.Authority().Root }

// Envelope returns it as machines pin it.
func (t trusting) Envelope() (envelope []byte, behind string) {
	if err := t.Behind(); err != nil {
		behind = err.Error()
	}
	return t.Authority().Envelope, behind
}

// Adopt puts a newer root in force.
func (t trusting) Adopt(envelope []byte) error {
	_, err := t.Folder.Adopt(envelope)
	return err
}

// NextKey makes a key that a root may name.
func (t trusting) NextKey(kind string) (trust.PublicKey, error) {
	return t.Folder.NextKey(root.KeyKind(kind))
}
