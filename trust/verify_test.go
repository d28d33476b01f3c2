package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// world is a fleet of one server and one device.
type world struct {
	keys   Keys
	device Key
	root   Root
	now    time.Time
}

func newWorld() world {
	key := func(b byte) Key { return KeyFromSeed([32]byte{b}) }
	w := world{
		keys:   Keys{Root: key(1), Dispatcher: key(2), Lease: key(3)},
		device: key(4),
		now:    time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC),
	}
	w.root = NewRoot("acme", w.keys)
	return w
}

func (w world) verifier() Verifier {
	return Verifier{Root: w.root, Device: "d-1", DeviceKey: w.device.Public().ID()}
}

// draft is a genuine order to apply in tonight's window, 01:00 to 05:00 UTC.
func (w world) draft() Draft {
	return Draft{
		ID: "o-1", Asset: "a-1", Device: "d-1", Cycle: "cycle/servers/2026-11.1", Ring: "ring2", Verb: Apply, Fence: 7,
		WindowRule: "daily 02:00 for 4h in Europe/Berlin", Start: w.now, End: w.now.Add(4 * time.Hour),
		NotAfter: w.now.Add(5 * time.Hour), Bundle: patching.DigestOf([]byte("bundle")),
		Rollback: patching.DigestOf([]byte("rollback")),
	}
}

func (w world) order(t testing.TB, d Draft, seq uint64) Order {
	t.Helper()
	o, err := d.Order(w.root, seq, w.device.Public(), w.now)
	require.NoError(t, err)
	return o
}

func (w world) genuine(t testing.TB) Order { return w.order(t, w.draft(), 41) }

// seen is the memory of a device that has carried out order 40 under lock 7.
func (w world) seen() Memory {
	return Memory{Epoch: 1, Seq: 40, Fence: 7, Signed: w.now.Add(-time.Hour)}
}

// raw signs any payload as an order.
func raw(payload string, keys ...Key) []byte { return seal(orderType, []byte(payload), keys...) }

// edit changes the text of a genuine order and signs it again: the dispatcher
// itself, or whoever has its key, is at fault.
func (w world) edit(t testing.TB, was, is string) []byte {
	t.Helper()
	text := string(Canonical(w.genuine(t)))
	require.Contains(t, text, was)
	return raw(strings.Replace(text, was, is, 1), w.keys.Dispatcher)
}

// with signs a genuine order after a change of its fields.
func (w world) with(t testing.TB, change func(*Order)) []byte {
	t.Helper()
	o := w.genuine(t)
	change(&o)
	return o.Seal(w.keys.Dispatcher)
}

func TestAGenuineOrderIsAccepted(t *testing.T) {
	w := newWorld()
	want := w.genuine(t)
	got, err := w.verifier().Order(want.Seal(w.keys.Dispatcher), w.seen(), w.now)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// Serves Q15. Each row is a way to be fooled; the envelope is what arrives.
func TestTheVerifierIsNotFooledByAnOrderThatIs(t *testing.T) {
	w := newWorld()
	stranger := KeyFromSeed([32]byte{9})
	sealed := w.genuine(t).Seal(w.keys.Dispatcher)
	payload := string(Canonical(w.genuine(t)))
	hour := w.now.Add(time.Hour).Format(time.RFC3339)

	cases := []struct {
		name     string
		envelope []byte
		seen     Memory    // zero: w.seen()
		now      time.Time // zero: w.now
		want     Why
		// answered: the order is genuine, ours and new, so the server is told.
		answered bool
	}{
		{name: "tampered with inside its signature", want: WhySignature, envelope: tamper(t, sealed)},
		{name: "not signed at all", want: WhySignature, envelope: raw(payload)},
		{name: "signed by a stranger's key", want: WhySignature, envelope: raw(payload, stranger)},
		{name: "signed by a stranger under the dispatcher's key id", want: WhySignature, envelope: borrowID(t, raw(payload, stranger), w.keys.Dispatcher)},
		{name: "signed by the lease key", want: WhySignature, envelope: raw(payload, w.keys.Lease)},
		{name: "signed by the root key", want: WhySignature, envelope: raw(payload, w.keys.Root)},
		{name: "signed by the device's own key", want: WhySignature, envelope: raw(payload, w.device)},
		{name: "an order in a lease's envelope", want: WhyPayloadType, envelope: seal(leaseType, []byte(payload), w.keys.Dispatcher)},
		{name: "an order of an older format's type", want: WhyPayloadType, envelope: seal("application/vnd.patchcycle.order.v0+json", []byte(payload), w.keys.Dispatcher)},
		{name: "another type put on the envelope after it was signed", want: WhyPayloadType, envelope: bytes.Replace(sealed, []byte(orderType), []byte(leaseType), 1)},
		{name: "of an older format", want: WhyFormat, envelope: w.edit(t, `"v":1`, `"v":0`), answered: true},
		{name: "of a newer format", want: WhyFormat, envelope: w.edit(t, `"v":1`, `"v":2`), answered: true},
		{name: "too large to be read", want: WhySize, envelope: bytes.Repeat([]byte(" "), MaxEnvelope+1)},
		{name: "no envelope", want: WhyEnvelope, envelope: []byte(payload)},
		{name: "empty", want: WhyEnvelope, envelope: nil},
		{name: "an envelope with a field too many", want: WhyEnvelope, envelope: bytes.Replace(sealed, []byte(`{"payloadType"`), []byte(`{"alg":"none","payloadType"`), 1)},
		{name: "an envelope with a second payload", want: WhyEnvelope, envelope: bytes.Replace(sealed, []byte(`{"payloadType"`), []byte(`{"payload":"e30=","payloadType"`), 1)},
		{name: "an envelope with bytes after it", want: WhyEnvelope, envelope: append(bytes.Clone(sealed), "{}"...)},
		{name: "an envelope with a line's end after it", want: WhyEnvelope, envelope: append(bytes.Clone(sealed), '\n')},
		{name: "an envelope with more signatures than are checked", want: WhyEnvelope, envelope: raw(payload, w.keys.Dispatcher, stranger, stranger, stranger, stranger, stranger, stranger, stranger, stranger)},
		{name: "with an unknown field", want: WhyForm, envelope: w.edit(t, `{"v":1`, `{"shell":"id","v":1`)},
		{name: "with a duplicate key", want: WhyForm, envelope: w.edit(t, `"verb":"apply"`, `"verb":"collect","verb":"apply"`)},
		{name: "with a duplicate key in another case", want: WhyForm, envelope: w.edit(t, `"verb":"apply"`, `"verb":"apply","VERB":"revert"`)},
		{name: "with bytes after its payload", want: WhyForm, envelope: w.edit(t, payload, payload+`{"v":1}`)},
		{name: "not canonical: white space", want: WhyForm, envelope: w.edit(t, `"v":1`, `"v": 1`)},
		{name: "not canonical: escaped letters", want: WhyForm, envelope: w.edit(t, `"apply"`, `"\u0061pply"`)},
		{name: "not canonical: a number as 4.1e1", want: WhyForm, envelope: w.edit(t, `"seq":41`, `"seq":4.1e1`)},
		{name: "not canonical: fields in another order", want: WhyForm, envelope: w.edit(t, `"v":1,"fleet":"acme"`, `"fleet":"acme","v":1`)},
		{name: "without a field", want: WhyForm, envelope: w.edit(t, `"fence":7,`, ``)},
		{name: "for another fleet", want: WhyFleet, envelope: w.with(t, func(o *Order) { o.Fleet = "other" })},
		{name: "for another device", want: WhyDevice, envelope: w.with(t, func(o *Order) { o.Device = "d-2" })},
		{name: "for an earlier key of this device", want: WhyDevice, envelope: w.with(t, func(o *Order) { o.DeviceKey = stranger.Public().ID() })},
		{name: "replayed", want: WhyReplay, envelope: sealed, seen: Memory{Epoch: 1, Seq: 41}},
		{name: "reordered: older than one that was seen", want: WhyReplay, envelope: sealed, seen: Memory{Epoch: 1, Seq: 45}},
		{name: "of an earlier epoch", want: WhyEpoch, envelope: w.with(t, func(o *Order) { o.Epoch = 0 })},
		{name: "of an epoch that only the dispatcher claims", want: WhyEpoch, envelope: w.with(t, func(o *Order) { o.Epoch = 2 })},
		{name: "of a cycle that lost the machine to another", want: WhyFence, envelope: sealed, seen: Memory{Epoch: 1, Seq: 40, Fence: 8}, answered: true},
		{name: "without a fence although it disturbs", want: WhyForm, envelope: w.with(t, func(o *Order) { o.Fence = 0 }), answered: true},
		{name: "expired", want: WhyExpired, envelope: sealed, now: w.now.Add(5*time.Hour + time.Second), answered: true},
		{name: "valid for a year", want: WhyForm, envelope: w.with(t, func(o *Order) { o.NotAfter = o.NotBefore.AddDate(1, 0, 0) }), answered: true},
		{name: "valid until before it begins", want: WhyForm, envelope: w.with(t, func(o *Order) { o.NotAfter = o.NotBefore.Add(-1) }), answered: true},
		{name: "outside the window that it names", want: WhyWindow, envelope: w.with(t, func(o *Order) { o.Window.Start = o.Window.Start.Add(-time.Hour) }), answered: true},
		{name: "in a window that is longer than its rule", want: WhyWindow, envelope: w.with(t, func(o *Order) { o.Window.End = o.Window.End.Add(30 * time.Minute) }), answered: true},
		{name: "under a window rule that nobody can read", want: WhyWindow, envelope: w.with(t, func(o *Order) { o.Window.Rule = "whenever" }), answered: true},
		{name: "under a window rule without a zone", want: WhyWindow, envelope: w.with(t, func(o *Order) { o.Window.Rule = "daily 02:00 for 4h" }), answered: true},
		{name: "to apply without a window", want: WhyForm, envelope: w.with(t, func(o *Order) { o.Window = nil }), answered: true},
		{name: "to start after it ends", want: WhyForm, envelope: w.with(t, func(o *Order) { o.NotAfter = o.NotBefore.Add(time.Minute) }), answered: true},
		{name: "to run a script", want: WhyVerb, envelope: w.edit(t, `"verb":"apply"`, `"verb":"script"`), answered: true},
		{name: "to apply nothing", want: WhyForm, envelope: w.with(t, func(o *Order) { o.Bundle = "" }), answered: true},
		{name: "to apply something that is no digest", want: WhyForm, envelope: w.with(t, func(o *Order) { o.Bundle = "sha256:../../etc/passwd" }), answered: true},
		{name: "with arguments that its verb does not take", want: WhyForm, envelope: w.with(t, func(o *Order) { o.Args = json.RawMessage(`{"path":"/"}`) }), answered: true},
		{name: "with a grant where none has a meaning", want: WhyForm, envelope: w.with(t, func(o *Order) {
			o.Verb, o.Window, o.Grant = Collect, nil, json.RawMessage(`{}`)
		}), answered: true},
		{name: "issued in no zone's spelling of a time", want: WhyForm, envelope: w.edit(t, `"issued":"2026-11-21T01:00:00Z"`, `"issued":"2026-11-21T02:00:00+01:00"`), answered: true},
		{name: "valid until an hour that is spelled with an offset", want: WhyForm, envelope: w.edit(t, `"not_after":"2026-11-21T06:00:00Z"`, `"not_after":"`+strings.Replace(hour, "Z", "-05:00", 1)+`"`), answered: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			seen, now := c.seen, c.now
			if seen == (Memory{}) {
				seen = w.seen()
			}
			if now.IsZero() {
				now = w.now
			}
			got, err := w.verifier().Order(c.envelope, seen, now)
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
			assert.Equal(t, Order{}, got, "nothing of a refused order gets through")
			var r *Refusal
			require.ErrorAs(t, err, &r)
			assert.Equal(t, c.answered, r.Order != nil, "answered")
		})
	}
}

// tamper changes one letter of the signed payload, inside its base64.
func tamper(t *testing.T, sealed []byte) []byte {
	t.Helper()
	var e envelope
	require.NoError(t, Decode(sealed, &e))
	e.Payload = bytes.Replace(e.Payload, []byte("ring2"), []byte("ring9"), 1)
	return Canonical(e)
}

func borrowID(t *testing.T, sealed []byte, owner Key) []byte {
	t.Helper()
	var e envelope
	require.NoError(t, Decode(sealed, &e))
	e.Signatures[0].KeyID = string(owner.Public().ID())
	return Canonical(e)
}

// A base64 text can be spelled in several ways that decode to the same bytes.
func TestAnEnvelopeIsReadInOneSpellingOnly(t *testing.T) {
	w := newWorld()
	sealed := w.genuine(t).Seal(w.keys.Dispatcher)
	var e struct{ Payload string }
	require.NoError(t, json.Unmarshal(sealed, &e))
	broken := bytes.Replace(sealed, []byte(e.Payload), []byte(e.Payload[:8]+`\n`+e.Payload[8:]), 1)
	plain, err := base64.StdEncoding.DecodeString(e.Payload[:8] + "\n" + e.Payload[8:])
	require.NoError(t, err)
	require.Equal(t, Canonical(w.genuine(t)), plain, "it would decode to the same payload")
	_, err = w.verifier().Order(broken, w.seen(), w.now)
	assert.Equal(t, WhyEnvelope, WhyOf(err))
}

// The cure of "fast-forward": what a thief of the dispatcher's key did to the
// device's memory ends with the next epoch, which needs the root key.
func TestADevicePoisonedWithTheHighestNumberTakesOrdersOfTheNextEpoch(t *testing.T) {
	w := newWorld()
	poison := w.genuine(t)
	poison.Seq, poison.Fence, poison.Issued = ^uint64(0), 1<<62, w.now.AddDate(73, 0, 0)
	m := w.seen()
	m.Admit(poison)
	_, err := w.verifier().Order(w.order(t, w.draft(), 42).Seal(w.keys.Dispatcher), m, w.now)
	assert.Equal(t, WhyReplay, WhyOf(err))
	assert.True(t, m.Behind(w.now))

	w.root = w.root.Bump(2)
	order := w.order(t, w.draft(), 1)
	got, err := w.verifier().Order(order.Seal(w.keys.Dispatcher), m, w.now)
	require.NoError(t, err)
	m.Admit(got)
	assert.Equal(t, Memory{Epoch: 2, Seq: 1, Fence: 7, Signed: w.now}, m)
	assert.False(t, m.Behind(w.now))
}

func TestMemoryOnlyGrowsWithinAnEpoch(t *testing.T) {
	w := newWorld()
	m := w.seen()
	m.Admit(w.order(t, w.draft(), 50))
	older := w.draft()
	older.Fence = 3
	m.Admit(w.order(t, older, 44))
	assert.Equal(t, Memory{Epoch: 1, Seq: 50, Fence: 7, Signed: w.now}, m)
}

func TestAnOrderThatDoesNotDisturbNeedsNeitherFenceNorWindow(t *testing.T) {
	w := newWorld()
	collect := w.order(t, Draft{ID: "o-2", Device: "d-1", Verb: Collect, NotAfter: w.now.Add(time.Hour)}, 41)
	_, err := w.verifier().Order(collect.Seal(w.keys.Dispatcher), w.seen(), w.now)
	require.NoError(t, err)
}

func TestUnderGrantsAnOrderWithoutOneIsRefused(t *testing.T) {
	w := newWorld()
	w.root.Mode = ModeGrants
	_, err := w.verifier().Order(w.genuine(t).Seal(w.keys.Dispatcher), w.seen(), w.now)
	assert.Equal(t, WhyGrant, WhyOf(err))

	hold := w.order(t, Draft{
		ID: "o-3", Device: "d-1", Verb: Agent, NotAfter: w.now.Add(time.Hour),
		Args: AgentArgs{Do: AgentHold, By: "ana", Reason: "something is wrong"},
	}, 42)
	_, err = w.verifier().Order(hold.Seal(w.keys.Dispatcher), w.seen(), w.now)
	assert.NoError(t, err, "taking away never needs a signature of approvers")
}

func TestALeaseStartsNothingThatIs(t *testing.T) {
	w := newWorld()
	order := w.genuine(t)
	lease := NewLease(w.root, order.ID, "d-1", w.now)
	with := func(change func(*Lease)) []byte {
		l := lease
		change(&l)
		return l.Seal(w.keys.Lease)
	}
	got, err := w.verifier().Lease(lease.Seal(w.keys.Lease), order)
	require.NoError(t, err)
	require.Equal(t, lease, got)

	cases := []struct {
		name     string
		envelope []byte
		want     Why
	}{
		{"signed by the dispatcher", lease.Seal(w.keys.Dispatcher), WhySignature},
		{"signed by a stranger", lease.Seal(KeyFromSeed([32]byte{9})), WhySignature},
		{"an order in its place", order.Seal(w.keys.Lease), WhyPayloadType},
		{"of another order", with(func(l *Lease) { l.Order = "o-9" }), WhyOrder},
		{"for another device", with(func(l *Lease) { l.Device = "d-2" }), WhyDevice},
		{"of another fleet", with(func(l *Lease) { l.Fleet = "other" }), WhyFleet},
		{"of an earlier epoch", with(func(l *Lease) { l.Epoch = 0 }), WhyEpoch},
		{"of a later epoch", with(func(l *Lease) { l.Epoch = 2 }), WhyEpoch},
		{"of an older format", with(func(l *Lease) { l.V = 0 }), WhyFormat},
		{"longer than leases are", with(func(l *Lease) { l.NotAfter = l.NotAfter.Add(time.Second) }), WhyForm},
		{"over before it begins", with(func(l *Lease) { l.NotAfter = l.NotBefore }), WhyForm},
		{"with an unknown field", seal(leaseType, bytes.Replace(Canonical(lease), []byte(`{"v"`), []byte(`{"x":1,"v"`), 1), w.keys.Lease), WhyForm},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.verifier().Lease(c.envelope, order)
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
		})
	}
}

func TestALeaseIsUsableWhileClocksAgree(t *testing.T) {
	w := newWorld()
	lease := NewLease(w.root, "o-1", "d-1", w.now)
	for age, want := range map[time.Duration]Why{
		0: "", 9 * time.Minute: "", -9 * time.Minute: "",
		11 * time.Minute:  WhyExpired,
		16 * time.Minute:  WhyExpired,
		-11 * time.Minute: WhyClock,
		24 * time.Hour:    WhyExpired,
	} {
		assert.Equal(t, want, WhyOf(lease.Usable(w.now.Add(age))), "a lease that seems %s old", age)
	}
}

// FuzzOrder looks for a text that verifies and is not the one that was signed,
// and for one that makes the parser fall over.
func FuzzOrder(f *testing.F) {
	w := newWorld()
	genuine := w.genuine(f).Seal(w.keys.Dispatcher)
	payload := string(Canonical(w.genuine(f)))
	f.Add(genuine, true)
	f.Add([]byte(payload), false)
	f.Add([]byte(strings.Replace(payload, `"args":{}`, `"args":{"do":"hold"}`, 1)), false)
	f.Add([]byte(strings.Replace(payload, `"window":{`, `"window":null,"x":{`, 1)), false)
	f.Fuzz(func(t *testing.T, text []byte, sealed bool) {
		if !sealed {
			text = seal(orderType, text, w.keys.Dispatcher)
		}
		o, err := w.verifier().Order(text, w.seen(), w.now)
		if err != nil {
			if WhyOf(err) == "" {
				t.Fatalf("a refusal without a class: %v", err)
			}
			return
		}
		if sealed && !bytes.Equal(text, genuine) {
			t.Fatalf("a forgery was accepted: %s", text)
		}
		if o.Device != "d-1" || o.Fleet != "acme" || o.Seq <= 40 || w.now.After(o.NotAfter) {
			t.Fatalf("accepted although it should not be: %+v", o)
		}
		if again := o.Seal(w.keys.Dispatcher); !bytes.Equal(again, text) {
			t.Fatalf("accepted in another spelling than it is written in:\n%s\n%s", text, again)
		}
	})
}
