package uplink_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestAnAckCountsOnlyForItsMessageAndFromTheServersKey(t *testing.T) {
	device, err := trust.NewKey()
	require.NoError(t, err)
	lease, err := trust.NewKey()
	require.NoError(t, err)
	thief, err := trust.NewKey()
	require.NoError(t, err)
	keys := []trust.PublicKey{thief.Public()[:3], lease.Public()}
	message := func(counter uint64, body string) *uplink.Message {
		m := &uplink.Message{Device: "d-1", Counter: counter, Boot: "b", Kind: uplink.KindReceipt, Body: []byte(body)}
		m.Sign("acme", device.Private())
		return m
	}
	m := message(7, "{}")
	good := uplink.Ack{Device: "d-1", Counter: 7, Intake: patching.Taken, Need: []patching.Digest{"sha256:a", "sha256:b"}}
	good.Sign("acme", m, lease)
	require.True(t, good.Of(m, "acme", keys))

	for name, spoil := range map[string]func(*uplink.Ack){
		"another counter":           func(a *uplink.Ack) { a.Counter = 8 },
		"another device":            func(a *uplink.Ack) { a.Device = "d-2" },
		"another verdict":           func(a *uplink.Ack) { a.Intake = patching.Replayed },
		"nothing needed":            func(a *uplink.Ack) { a.Need = nil },
		"needed lists run into one": func(a *uplink.Ack) { a.Need = []patching.Digest{"sha256:asha256:b"} },
		"no signature":              func(a *uplink.Ack) { a.Signature = nil },
		"the thief's signature":     func(a *uplink.Ack) { a.Sign("acme", m, thief) },
		"of another fleet":          func(a *uplink.Ack) { a.Sign("other", m, lease) },
		"of another message":        func(a *uplink.Ack) { a.Sign("acme", message(7, `{"a":1}`), lease) },
	} {
		a := good
		spoil(&a)
		require.False(t, a.Of(m, "acme", keys), name)
	}
	require.False(t, good.Of(message(8, "{}"), "acme", keys))
}
