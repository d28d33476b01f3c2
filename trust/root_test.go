package trust

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func TestATrustRootIsPinnedByItsFingerprint(t *testing.T) {
	w := newWorld()
	text := w.root.Seal(w.keys.Root)
	pinned, err := Pin(text, w.root.Fingerprint())
	require.NoError(t, err)
	assert.Equal(t, w.root, pinned.Root)
	assert.Equal(t, text, pinned.Envelope)

	_, err = Pin(text, patching.DigestOf([]byte("another")))
	assert.Equal(t, WhySignature, WhyOf(err), "the fingerprint that a person brought decides")
	_, err = Pin(text, "")
	assert.NoError(t, err, "without one, whoever answers at enrolment is believed")
}

func TestATrustRootIsNotPinnedIfItIs(t *testing.T) {
	w := newWorld()
	with := func(change func(*Root)) []byte {
		r := w.root
		change(&r)
		return r.Seal(w.keys.Root)
	}
	for _, c := range []struct {
		name string
		text []byte
		want Why
	}{
		{"not signed by a root key of its own", w.root.Seal(w.keys.Dispatcher), WhySignature},
		{"an order's kind of document", seal(orderType, Canonical(w.root), w.keys.Root), WhyPayloadType},
		{"of another format", with(func(r *Root) { r.V = 2 }), WhyFormat},
		{"of no fleet", with(func(r *Root) { r.Fleet = "" }), WhyForm},
		{"of a mode that nobody knows", with(func(r *Root) { r.Mode = "open" }), WhyMode},
		{"without dispatcher keys", with(func(r *Root) { r.DispatcherKeys = nil }), WhyForm},
		{"with one key twice", with(func(r *Root) { r.LeaseKeys = append(r.LeaseKeys, r.LeaseKeys[0]) }), WhyForm},
		{"with a key that is none", with(func(r *Root) { r.LeaseKeys = []PublicKey{[]byte("short")} }), WhyForm},
		{"with a quorum of nobody", with(func(r *Root) { r.Quorum.Emergency = 0 }), WhyForm},
		{"too large", bytes.Repeat([]byte("x"), MaxEnvelope+1), WhySize},
		{"with an unknown field", seal(rootType, bytes.Replace(Canonical(w.root), []byte(`{"v"`), []byte(`{"x":1,"v"`), 1), w.keys.Root), WhyForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Pin(c.text, "")
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
		})
	}
}

func TestANewerTrustRootReplacesThePinnedOne(t *testing.T) {
	w := newWorld()
	pinned, err := Pin(w.root.Seal(w.keys.Root), "")
	require.NoError(t, err)

	same, err := pinned.Accept(pinned.Envelope)
	require.NoError(t, err)
	assert.Equal(t, pinned, same)

	next := w.root.Bump(2)
	got, err := pinned.Accept(next.Seal(w.keys.Root))
	require.NoError(t, err)
	assert.Equal(t, next, got.Root)

	_, err = got.Accept(pinned.Envelope)
	assert.Equal(t, WhyVersion, WhyOf(err), "there is no way back")
}

func TestRootKeysChangeByTheOldAndTheNewTogether(t *testing.T) {
	w := newWorld()
	pinned, err := Pin(w.root.Seal(w.keys.Root), "")
	require.NoError(t, err)
	fresh := KeyFromSeed([32]byte{77})
	next := w.root.Bump(1)
	next.RootKeys = []PublicKey{fresh.Public()}

	_, err = pinned.Accept(next.Seal(fresh))
	assert.Equal(t, WhySignature, WhyOf(err), "the new key alone: anyone could")
	_, err = pinned.Accept(next.Seal(w.keys.Root))
	assert.Equal(t, WhySignature, WhyOf(err), "the old key alone: nobody shows that the new one exists")
	got, err := pinned.Accept(next.Seal(w.keys.Root, fresh))
	require.NoError(t, err)

	_, err = got.Accept(got.Bump(1).Seal(w.keys.Root))
	assert.Equal(t, WhySignature, WhyOf(err), "the old key is worth nothing any more")
}

func TestATrustRootIsNotReplacedByOneThatIs(t *testing.T) {
	w := newWorld()
	w.root = newOffice(t).root
	w.root.Epoch, w.root.Version = 3, 5
	pinned, err := Pin(w.root.Seal(w.keys.Root), "")
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		change func(*Root)
		want   Why
	}{
		{"of another fleet", func(r *Root) { r.Fleet = "other" }, WhyFleet},
		{"of the same version and another content", func(r *Root) { r.Version = 5; r.Quorum.Monthly = 1 }, WhyVersion},
		{"of an older version", func(r *Root) { r.Version = 4 }, WhyVersion},
		{"of an earlier epoch", func(r *Root) { r.Epoch = 2 }, WhyEpoch},
		{"of a lower mode", func(r *Root) { r.Mode = ModeDispatcher }, WhyMode},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := w.root
			next.Version++
			c.change(&next)
			got, err := pinned.Accept(next.Seal(w.keys.Root))
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
			assert.Equal(t, pinned, got, "the pinned one stays")
		})
	}
}
