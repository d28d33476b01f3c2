package root_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/trust"
)

// takeRootKeyHome moves the root key away from the server, as a ceremony does.
func takeRootKeyHome(t *testing.T, dir string) trust.Key {
	t.Helper()
	key, err := trust.LoadKey(filepath.Join(dir, "root.key"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "root.key")))
	return key
}

// Serves Q13, Q15.
func TestWithoutTheRootKeyTheServerWorksAndCannotBeginAnEpoch(t *testing.T) {
	dir := t.TempDir()
	_, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	home := takeRootKeyHome(t, dir)
	f, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	h := newHouse(t, func(o *root.Options) { o.Authority = f })
	c := h.enrol()
	h.issue(c.draft("o1"))
	require.Len(t, c.obey(c.poll(0).Orders), 1)

	f, err = root.OpenFolder(dir, fleet, 2)
	require.NoError(t, err, "it starts, for machines have to be heard")
	require.EqualValues(t, 1, f.Authority().Root.Epoch)
	late := newHouse(t, func(o *root.Options) { o.Authority = f })
	d := late.enrol()
	require.ErrorContains(t, late.server.Dispatcher().Issue(d.context(), []trust.Draft{d.draft("o2")}), "holders of the root keys")

	next := f.Authority().Root.Bump(2)
	_, err = f.Adopt(next.Seal(home))
	require.NoError(t, err)
	late.issue(d.draft("o2"))
}

func TestTheServersKeysAreReplacedThroughTheTrustRoot(t *testing.T) {
	dir := t.TempDir()
	f, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	home, before := takeRootKeyHome(t, dir), f.Authority()
	public, err := f.NextKey(root.DispatcherKey)
	require.NoError(t, err)
	again, err := f.NextKey(root.DispatcherKey)
	require.NoError(t, err)
	require.Equal(t, public, again)
	_, err = f.NextKey("root")
	require.Error(t, err)

	next := before.Root.Bump(1)
	next.DispatcherKeys = []trust.PublicKey{public}
	got, err := f.Adopt(next.Seal(home))
	require.NoError(t, err)
	require.Equal(t, public, got.Keys.Dispatcher.Public())
	reopened, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	require.Equal(t, got.Envelope, reopened.Authority().Envelope)
	require.Equal(t, public, reopened.Authority().Keys.Dispatcher.Public())

	h := newHouse(t, func(o *root.Options) { o.Authority = reopened })
	c := h.enrol()
	h.issue(c.draft("o1"))
	orders := c.obey(c.poll(0).Orders)
	require.Len(t, orders, 1)
}

// Serves Q13: the power may go at any instruction of a change of keys.
func TestAServerThatIsKilledWhileItsKeysAreReplacedStartsAgain(t *testing.T) {
	begin := func(t *testing.T) (dir string, f *root.Folder, public trust.PublicKey, envelope []byte) {
		t.Helper()
		dir = t.TempDir()
		f, err := root.OpenFolder(dir, fleet, 1)
		require.NoError(t, err)
		home := takeRootKeyHome(t, dir)
		public, err = f.NextKey(root.LeaseKey)
		require.NoError(t, err)
		next := f.Authority().Root.Bump(1)
		next.LeaseKeys = []trust.PublicKey{public}
		return dir, f, public, next.Seal(home)
	}
	t.Run("before the root is in force", func(t *testing.T) {
		dir, f, public, envelope := begin(t)
		roots := filepath.Join(dir, "roots")
		require.NoError(t, os.RemoveAll(roots))
		require.NoError(t, os.WriteFile(roots, nil, 0o600)) // what is in it cannot be written
		_, err := f.Adopt(envelope)
		require.Error(t, err)
		again, err := root.OpenFolder(dir, fleet, 1)
		require.NoError(t, err)
		require.Equal(t, f.Authority().Envelope, again.Authority().Envelope)
		require.Equal(t, f.Authority().Keys.Lease, again.Authority().Keys.Lease)
		require.NoError(t, os.Remove(roots))
		got, err := again.Adopt(envelope)
		require.NoError(t, err)
		require.Equal(t, public, got.Keys.Lease.Public())
	})
	t.Run("between the root and its key", func(t *testing.T) {
		dir, _, public, envelope := begin(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "root.json"), envelope, 0o600))
		again, err := root.OpenFolder(dir, fleet, 1)
		require.NoError(t, err)
		require.Equal(t, public, again.Authority().Keys.Lease.Public())
		require.NoFileExists(t, filepath.Join(dir, "lease.next.key"))
	})
}

func TestATrustRootIsNotPutInForceThat(t *testing.T) {
	for name, change := range map[string]func(*trust.Root){
		"names keys that the server does not have": func(r *trust.Root) { r.LeaseKeys = r.DispatcherKeys },
		"begins an epoch that the record does not": func(r *trust.Root) { r.Epoch = 2 },
		"is of another fleet":                      func(r *trust.Root) { r.Fleet = "other" },
		"is no newer":                              func(r *trust.Root) { r.Version = 1; r.Quorum.Monthly = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			f, err := root.OpenFolder(t.TempDir(), fleet, 1)
			require.NoError(t, err)
			before := f.Authority()
			next := before.Root.Bump(1)
			change(&next)
			_, err = f.Adopt(next.Seal(before.Keys.Root))
			require.Error(t, err)
			require.Equal(t, before, f.Authority())
		})
	}
	f, err := root.OpenFolder(t.TempDir(), fleet, 1)
	require.NoError(t, err)
	stranger, err := trust.NewKey()
	require.NoError(t, err)
	_, err = f.Adopt(f.Authority().Root.Bump(1).Seal(stranger))
	require.Error(t, err)
}

// A machine that was away while the root key changed twice takes both roots in turn.
func TestAMachineThatWasAwayTakesOneRootAfterTheOther(t *testing.T) {
	dir := t.TempDir()
	f, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	h := newHouse(t, func(o *root.Options) { o.Authority = f })
	c := h.enrol()
	signer := f.Authority().Keys.Root
	for range 2 {
		fresh, err := trust.NewKey()
		require.NoError(t, err)
		next := f.Authority().Root.Bump(1)
		next.RootKeys = []trust.PublicKey{fresh.Public()}
		_, err = f.Adopt(next.Seal(signer, fresh))
		require.NoError(t, err)
		signer = fresh
	}
	r := c.poll(0)
	require.Len(t, r.Roots, 1)
	pinned := c.root
	for _, text := range append(r.Roots, r.Root) {
		pinned, err = pinned.Accept(text)
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, pinned.Version)
}
