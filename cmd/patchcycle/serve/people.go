package serve

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// AdminName is the account that the first start makes. It manages accounts and
// policies and reads all; it cannot approve.
const AdminName patching.AccountName = "admin"

// ensureAdmin makes the first account, once, and writes its token to a file
// that only its owner can read.
func ensureAdmin(ctx context.Context, s *store.Store, file string, now time.Time) error {
	_, err := s.Account(ctx, AdminName)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	token := gate.NewToken()
	// The file comes first: an account whose token nobody has would lock all out.
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the administrator's token: %w", err)
	}
	return s.PutAccount(ctx, patching.Account{
		Name: AdminName, Roles: []patching.Role{patching.RoleAdmin}, Scopes: []string{"*"},
		Token: patching.DigestOf([]byte(token)), Created: now,
	})
}

// accounts answers the engine's question who holds a token.
type accounts struct{ store *store.Store }

// ByToken finds an account by the hash of its bearer token. Everybody with an
// account may read; who may send signals is found out again by the workflow,
// which judges role and scope.
func (a accounts) ByToken(ctx context.Context, hash [32]byte) (gate.Account, bool, error) {
	found, err := a.store.AccountByToken(ctx, patching.Digest("sha256:"+hex.EncodeToString(hash[:])))
	if errors.Is(err, store.ErrNotFound) {
		return gate.Account{}, false, nil
	}
	if err != nil {
		return gate.Account{}, false, err
	}
	may := false
	for _, rule := range contract.Verbs() {
		may = may || found.Has(rule.May...)
	}
	return gate.Account{Name: string(found.Name), Read: true, Command: may}, true, nil
}
