// Package notify sends messages to people: by mail, and by webhooks to programs that
// pass them on. Who is told what is decided in patching/notice; here stand the file
// that says who there is, and the ways to them.
package notify

import (
	"context"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// Channel is a way to one address.
type Channel interface {
	// Send sends a message, or says why it could not. After an error it may have
	// arrived all the same: it is sent again under the same id.
	Send(ctx context.Context, d notice.Digest) error
	// Words name the address, without its secrets.
	Words() string
}

// Recipient is an address and what it is told.
type Recipient struct {
	notice.Recipient
	// Account is whose roles and scope count; empty: those of the file do.
	Account patching.AccountName
	Channel Channel
}

// Config is who is told what.
type Config struct {
	Recipients []Recipient
	// SilentAfter is from when on an agent that says nothing is worth a notice.
	SilentAfter time.Duration
}

// Find returns a recipient by its name.
func (c Config) Find(name string) (Recipient, bool) {
	for _, r := range c.Recipients {
		if r.Name == name {
			return r, true
		}
	}
	return Recipient{}, false
}

// within bounds one message on its way.
const within = time.Minute
