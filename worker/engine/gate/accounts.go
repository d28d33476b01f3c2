package gate

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// An Account is a person's or a program's, as far as the engine cares.
type Account struct {
	// Name is stamped into history as the principal of a signal, with the type
	// "account". An account without a name is treated as unknown.
	Name string
	// Read lets the account see every workflow and its history.
	Read bool
	// Command lets the account send the signals that are commands.
	Command bool
}

// Accounts finds the account of a bearer token by its [Hash]; ok is false if
// the token is unknown or was revoked. It is asked often and from several
// goroutines.
type Accounts interface {
	ByToken(ctx context.Context, hash [sha256.Size]byte) (a Account, ok bool, err error)
}

const (
	// remembered is how long a revoked token may still work.
	remembered = time.Second
	// rememberedMost bounds what strangers who guess tokens can make us keep.
	rememberedMost = 4096
)

// memory spares the accounts' database the dozens of calls that a page of the
// UI makes at once. It remembers refusals as well, errors never.
type memory struct {
	accounts Accounts
	now      func() time.Time

	mu    sync.Mutex
	known map[[sha256.Size]byte]recollection
}

type recollection struct {
	account Account
	ok      bool
	until   time.Time
}

func (m *memory) byToken(ctx context.Context, token string) (Account, bool, error) {
	if m.accounts == nil {
		return Account{}, false, nil
	}
	hash, now := Hash(token), m.now()
	m.mu.Lock()
	r, ok := m.known[hash]
	m.mu.Unlock()
	if ok && now.Before(r.until) {
		return r.account, r.ok, nil
	}
	a, ok, err := m.accounts.ByToken(ctx, hash)
	if err != nil {
		return Account{}, false, err
	}
	ok = ok && a.Name != ""
	m.keep(hash, recollection{a, ok, now.Add(remembered)})
	return a, ok, nil
}

func (m *memory) keep(hash [sha256.Size]byte, r recollection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= rememberedMost {
		m.known = map[[sha256.Size]byte]recollection{}
	}
	m.known[hash] = r
}
