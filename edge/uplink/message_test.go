package uplink

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

var device = trust.KeyFromSeed([32]byte{4})

func genuine() Message {
	m := Message{Device: "d-1", Counter: 7, Boot: "b-1", Kind: KindLeaseRequest, Body: Encode(LeaseRequest{Order: "o-1"})}
	m.Sign("acme", device.Private())
	return m
}

func TestAMessageIsItsDevicesOwn(t *testing.T) {
	m := genuine()
	require.NoError(t, m.Verify("acme", ed25519.PublicKey(device.Public())))
	assert.ErrorIs(t, m.Verify("other", ed25519.PublicKey(device.Public())), ErrSignature, "in another fleet")
	assert.ErrorIs(t, m.Verify("acme", ed25519.PublicKey(trust.KeyFromSeed([32]byte{5}).Public())), ErrSignature, "by another key")
}

// Serves Q15. A relay passes messages on; it cannot change one.
func TestAChangedMessageIsNotTaken(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"another device":                   func(m *Message) { m.Device = "d-2" },
		"another counter":                  func(m *Message) { m.Counter++ },
		"another boot":                     func(m *Message) { m.Boot = "b-2" },
		"another kind":                     func(m *Message) { m.Kind = KindReceipt },
		"another body":                     func(m *Message) { m.Body = Encode(LeaseRequest{Order: "o-2"}) },
		"no signature":                     func(m *Message) { m.Signature = nil },
		"a byte moved from boot to device": func(m *Message) { m.Device, m.Boot = "d-1b", "-1" },
	} {
		m := genuine()
		change(&m)
		assert.ErrorIs(t, m.Verify("acme", ed25519.PublicKey(device.Public())), ErrSignature, name)
	}
}

func TestAMessageOutOfBoundsIsRefusedBeforeItsSignatureIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"no device":       func(m *Message) { m.Device = "" },
		"a long device":   func(m *Message) { m.Device = patching.DeviceID(strings.Repeat("d", 129)) },
		"counter zero":    func(m *Message) { m.Counter = 0 },
		"no boot":         func(m *Message) { m.Boot = "" },
		"a long boot":     func(m *Message) { m.Boot = strings.Repeat("b", 65) },
		"an unknown kind": func(m *Message) { m.Kind = "shell" },
		"a huge body":     func(m *Message) { m.Body = make([]byte, MaxMessage+1) },
	} {
		m := genuine()
		change(&m)
		m.Sign("acme", device.Private()) // by its own device
		assert.Error(t, m.Verify("acme", ed25519.PublicKey(device.Public())), name)
	}
	m := genuine()
	assert.Error(t, m.Verify("acme", nil), "a device without a key")
}

func TestTwoMessagesThatDifferAreSignedDifferently(t *testing.T) {
	draw := func(t *rapid.T) Message {
		text := rapid.StringMatching(`[a-z0-9 ]{1,6}`)
		return Message{
			Device: patching.DeviceID(text.Draw(t, "device")), Counter: rapid.Uint64Range(1, 1000).Draw(t, "counter"),
			Boot: text.Draw(t, "boot"), Kind: Kind(text.Draw(t, "kind")), Body: []byte(text.Draw(t, "body")),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		same := a.Device == b.Device && a.Counter == b.Counter && a.Boot == b.Boot && a.Kind == b.Kind && bytes.Equal(a.Body, b.Body)
		assert.Equal(t, same, a.Digest("acme") == b.Digest("acme"))
		assert.NotEqual(t, a.Digest("acme"), a.Digest("acme2"))
	})
}

func TestAMessageSurvivesAnyRelaysJSON(t *testing.T) {
	m := genuine()
	m.Body = []byte(`{"odd":  "spacing and <angle> brackets"}`)
	m.Sign("acme", device.Private())
	text, err := json.MarshalIndent(Batch{Relay: "berlin", Messages: []Message{m}}, "  ", "\t")
	require.NoError(t, err)
	var b Batch
	require.NoError(t, json.Unmarshal(text, &b))
	assert.NoError(t, b.Messages[0].Verify("acme", ed25519.PublicKey(device.Public())))
}

func TestWhoEnrolsAKeyHoldsIt(t *testing.T) {
	r := NewEnrolRequest("token", device.Private(), Facts{Hostname: "db1"})
	require.NoError(t, r.Verify())
	for name, change := range map[string]func(*EnrolRequest){
		"another key":   func(r *EnrolRequest) { r.Key = trust.KeyFromSeed([32]byte{5}).Public() },
		"another token": func(r *EnrolRequest) { r.Token = "other" },
		"no proof":      func(r *EnrolRequest) { r.Proof = nil },
		"no key":        func(r *EnrolRequest) { r.Key = nil },
		"no hostname":   func(r *EnrolRequest) { r.Facts.Hostname = "" },
	} {
		r := NewEnrolRequest("token", device.Private(), Facts{Hostname: "db1"})
		change(&r)
		assert.Error(t, r.Verify(), name)
	}
	assert.Equal(t, patching.DigestOf([]byte("token")), TokenHash("token"))
}

func TestAnAssetsFactsComeThroughTheWire(t *testing.T) {
	a := patching.Asset{
		Hostname: "db1", Addresses: []string{"10.0.0.1"}, MACs: []string{"02:00:00:00:00:01"}, Serial: "S1", Cloud: "i-1",
		Vendor: "ACME", Model: "X", OS: patching.OS{Family: "debian", Name: "Debian", Release: "12", Revision: "12.15", Kernel: "6.1", Arch: "amd64"},
		Zone: "Europe/Berlin", Manager: "apt", Packages: patching.DigestOf([]byte("p")), Candidates: patching.DigestOf([]byte("c")),
		Allowed: []string{"collect"}, OtherManagers: []string{"unattended-upgrades"}, RebootPending: true, CarriesPatchcycle: true,
	}
	got, err := Decode[Inventory](Encode(Inventory{Facts: FactsOf(a)}))
	require.NoError(t, err)
	assert.Equal(t, a, got.Facts.Asset())

	a.Site, a.Owner = "berlin", "ana"
	assert.Equal(t, FactsOf(got.Facts.Asset()), FactsOf(a), "what the server keeps is not a machine's to say")
}

func TestAReceiptComesThroughTheWire(t *testing.T) {
	want := patching.Receipt{
		Order: "o-1", Device: "d-1", Counter: 7, Boot: "b-1", At: time.Date(2026, 11, 21, 1, 2, 3, 4, time.UTC),
		Stage: patching.StageFinished, Outcome: patching.Failed, Reason: patching.ReasonInstallFailed,
		Detail: "dpkg: <error>", Signature: "openssl: postinst", Repairs: 1, Freed: 5,
		Changes: []patching.Change{{Name: "openssl", Arch: "amd64", From: "3.0.13-1", To: "3.0.15-1"}},
	}
	body := Encode(Receipts{Receipts: []Receipt{{
		Order: "o-1", At: want.At, Stage: want.Stage, Outcome: want.Outcome, Reason: want.Reason, Detail: want.Detail,
		Signature: want.Signature, Repairs: 1, Freed: 5, Changes: []Change{{"openssl", "amd64", "3.0.13-1", "3.0.15-1"}},
	}}})
	got, err := Decode[Receipts](body)
	require.NoError(t, err)
	m := Message{Device: "d-1", Counter: 7, Boot: "b-1"}
	assert.Equal(t, want, got.Receipts[0].Receipt(&m))
}

func TestABodyIsRefusedThatIs(t *testing.T) {
	receipt := func(change func(*Receipt)) []byte {
		r := Receipt{Order: "o-1", At: time.Unix(0, 0).UTC(), Stage: patching.StageFinished}
		change(&r)
		return Encode(Receipts{Receipts: []Receipt{r}})
	}
	facts := func(change func(*Facts)) []byte {
		f := Facts{Hostname: "db1"}
		change(&f)
		return Encode(Inventory{Facts: f})
	}
	long := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		kind Kind
		body []byte
	}{
		"a receipt of nothing":                     {KindReceipt, receipt(func(r *Receipt) { r.Order = "" })},
		"a receipt of an unknown stage":            {KindReceipt, receipt(func(r *Receipt) { r.Stage = "almost" })},
		"a receipt of an unknown outcome":          {KindReceipt, receipt(func(r *Receipt) { r.Outcome = "fine" })},
		"a receipt of an unknown reason":           {KindReceipt, receipt(func(r *Receipt) { r.Reason = "because" })},
		"a receipt with a novel":                   {KindReceipt, receipt(func(r *Receipt) { r.Detail = long })},
		"a receipt of negative repairs":            {KindReceipt, receipt(func(r *Receipt) { r.Repairs = -1 })},
		"a receipt of a package that is an option": {KindReceipt, receipt(func(r *Receipt) { r.Changes = []Change{{Name: "-oX", Arch: "amd64", To: "1"}} })},
		"no receipts":                              {KindReceipt, Encode(Receipts{})},
		"more receipts than a message takes":       {KindReceipt, Encode(Receipts{Receipts: make([]Receipt, MaxReceipts+1)})},
		"a receipt with an unknown field":          {KindReceipt, []byte(`{"receipts":[{"order":"o","at":"2026-01-01T00:00:00Z","stage":"started","run":"id"}]}`)},
		"a receipt with a duplicate key":           {KindReceipt, []byte(`{"receipts":[{"order":"o","order":"o","at":"2026-01-01T00:00:00Z","stage":"started"}]}`)},
		"a receipt with bytes after it":            {KindReceipt, append(receipt(func(*Receipt) {}), '{', '}')},
		"facts without a hostname":                 {KindInventory, facts(func(f *Facts) { f.Hostname = "" })},
		"facts with a novel for a hostname":        {KindInventory, facts(func(f *Facts) { f.Hostname = long })},
		"facts with a novel for an address":        {KindInventory, facts(func(f *Facts) { f.Addresses = []string{long} })},
		"facts with too many addresses":            {KindInventory, facts(func(f *Facts) { f.MACs = make([]string, maxList+1) })},
		"facts with a digest that is none":         {KindInventory, facts(func(f *Facts) { f.Packages = "sha256:../x" })},
		"content of a kind devices have not":       {KindContent, Encode(Content{Kind: "policy"})},
		"a lease request for nothing":              {KindLeaseRequest, Encode(LeaseRequest{})},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, decodeAny(c.kind, c.body))
		})
	}
	assert.NoError(t, decodeAny(KindReceipt, receipt(func(*Receipt) {})))
	assert.NoError(t, decodeAny(KindInventory, facts(func(*Facts) {})))
}

func decodeAny(k Kind, body []byte) (err error) {
	switch k {
	case KindReceipt:
		_, err = Decode[Receipts](body)
	case KindInventory:
		_, err = Decode[Inventory](body)
	case KindContent:
		_, err = Decode[Content](body)
	case KindLeaseRequest:
		_, err = Decode[LeaseRequest](body)
	case KindHello:
		_, err = Decode[Hello](body)
	}
	return err
}

func FuzzBodies(f *testing.F) {
	f.Add(0, Encode(Receipts{Receipts: []Receipt{{Order: "o", Stage: patching.StageStarted}}}))
	f.Add(1, Encode(Inventory{Facts: Facts{Hostname: "h", Addresses: []string{"::1"}}}))
	f.Add(2, Encode(Content{Kind: ContentPackages, Text: "packages v1\tapt\n"}))
	f.Add(3, Encode(LeaseRequest{Order: "o"}))
	f.Add(4, Encode(Hello{}))
	kinds := []Kind{KindReceipt, KindInventory, KindContent, KindLeaseRequest, KindHello}
	f.Fuzz(func(t *testing.T, n int, body []byte) {
		if n < 0 {
			n = -(n + 1)
		}
		kind := kinds[n%len(kinds)]
		if decodeAny(kind, body) != nil {
			return
		}
		if kind == KindReceipt {
			r, _ := Decode[Receipts](body)
			if !bytes.Equal(Encode(r), body) {
				t.Fatalf("accepted in another spelling: %q", body)
			}
		}
	})
}
