package trust

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// The table is what machines accept: a change of it is a change of the product.
func TestTheTableOfVerbsIsClosed(t *testing.T) {
	grant, lease := Spec{NeedsGrant: true}, Spec{NeedsLease: true}
	both := Spec{NeedsGrant: true, NeedsLease: true}
	bundle := func(s Spec) Spec { s.NeedsBundle = true; return s }
	rollback := func(s Spec) Spec { s.NeedsRollback = true; return s }
	want := map[Verb]Spec{
		"collect": {}, "simulate": bundle(Spec{}), "prefetch": bundle(Spec{}),
		"apply": bundle(both), "revert": rollback(both), "reboot": both, "repair": lease,
		"clean": {}, "snapshot": both, "service": both, "probe": {}, "evidence": {}, "notify": {}, "agent": grant,
	}
	got := map[Verb]Spec{}
	for _, v := range Verbs() {
		got[v], _ = v.Spec()
	}
	assert.Equal(t, want, got)
	_, ok := Verb("shell").Spec()
	assert.False(t, ok)
}

func TestEveryVerbTakesItsArgumentsAndNoOthers(t *testing.T) {
	until := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	takes := map[Verb][]Args{
		Repair:   {RepairArgs{RepairConfigure}},
		Snapshot: {SnapshotArgs{SnapshotTake, "before-2026-11"}, SnapshotArgs{SnapshotRestore, "before-2026-11"}},
		Service:  {NamedArgs{"getty@tty1.service"}},
		Probe:    {NamedArgs{"http"}},
		Evidence: {NamedArgs{"volatile"}},
		Notify:   {NotifyArgs{"Restart at 22:00.\nSave your work."}},
		Agent:    {AgentArgs{AgentHold, "ana", "odd numbers", until}, AgentArgs{Do: AgentUpdate, By: "ana", Reason: "1.2"}},
	}
	for _, v := range Verbs() {
		own := takes[v]
		if own == nil {
			own = []Args{NoArgs{}}
		}
		for _, a := range own {
			got, err := ParseArgs(v, Canonical(a))
			require.NoError(t, err, "%s %+v", v, a)
			assert.Equal(t, a, got)
		}
		_, err := ParseArgs(v, []byte(`{"command":"id"}`))
		assert.Error(t, err, "%s with a command", v)
		_, err = ParseArgs(v, []byte(`null`))
		assert.Error(t, err, "%s with null", v)
		if takes[v] != nil {
			_, err = ParseArgs(v, []byte(`{}`))
			assert.Error(t, err, "%s without arguments", v)
		}
	}
}

func TestArgumentsThatCouldBeMoreThanTheySayAreRefused(t *testing.T) {
	for name, a := range map[string]Args{
		"a service that is an option":         NamedArgs{"-H"},
		"a service that is a path":            NamedArgs{"../evil.service"},
		"a service with an argument":          NamedArgs{"a b"},
		"a service with a line's end":         NamedArgs{"a\n"},
		"a snapshot without a name":           SnapshotArgs{SnapshotTake, ""},
		"a snapshot verb of its own":          SnapshotArgs{"delete", "x"},
		"a repair of its own":                 RepairArgs{"script"},
		"a notice that drives a terminal":     NotifyArgs{"\x1b[2J"},
		"a notice that turns the writing":     NotifyArgs{"\u202egnihtemos"},
		"a notice without end":                NotifyArgs{string(make([]byte, 1001))},
		"a hold that nobody answers for":      AgentArgs{Do: AgentHold, Reason: "x"},
		"an agent's update by another's hand": AgentArgs{Do: "install", By: "x", Reason: "x"},
	} {
		assert.Error(t, a.validate(), name)
	}
}

func TestADraftBecomesAnOrderWithTheDispatchersParticulars(t *testing.T) {
	w := newWorld()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	d := w.draft()
	d.Start, d.End = d.Start.In(berlin), d.End.In(berlin)
	o, err := d.Order(w.root, 41, w.device.Public(), w.now.Add(1234567))
	require.NoError(t, err)
	assert.Equal(t, Order{
		V: 1, Fleet: "acme", Epoch: 1, Seq: 41, ID: "o-1", Device: "d-1", DeviceKey: w.device.Public().ID(),
		Cycle: "cycle/servers/2026-11.1", Ring: "ring2", Verb: Apply, Fence: 7,
		Window:    &Window{"daily 02:00 for 4h in Europe/Berlin", w.now, w.now.Add(4 * time.Hour)},
		NotBefore: w.now.Add(time.Millisecond), NotAfter: w.now.Add(5 * time.Hour),
		Bundle: d.Bundle, Rollback: d.Rollback, Args: []byte("{}"), Grant: []byte("null"), Issued: w.now.Add(time.Millisecond),
	}, o)
}

func TestADraftThatAMachineWouldRefuseIsNotSigned(t *testing.T) {
	w := newWorld()
	for name, change := range map[string]func(*Draft){
		"no device":             func(d *Draft) { d.Device = "" },
		"no id":                 func(d *Draft) { d.ID = "" },
		"a verb of its own":     func(d *Draft) { d.Verb = "script" },
		"no lock":               func(d *Draft) { d.Fence = 0 },
		"no bundle":             func(d *Draft) { d.Bundle = "" },
		"nothing to revert to":  func(d *Draft) { d.Verb, d.Rollback = Revert, "" },
		"over before it begins": func(d *Draft) { d.NotAfter = w.now },
		"a window for an order that does not disturb": func(d *Draft) { d.Verb = Collect },
	} {
		d := w.draft()
		change(&d)
		_, err := d.Order(w.root, 41, w.device.Public(), w.now)
		assert.Error(t, err, name)
	}
}

// The envelope is DSSE's: its test vector (protocol.md of secure-systems-lab/dsse).
func TestThePreAuthenticationEncodingIsThatOfDSSE(t *testing.T) {
	assert.Equal(t, "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
		string(preAuth("http://example.com/HelloWorld", []byte("hello world"))))
}

func TestDigestsOfKeysAreStable(t *testing.T) {
	assert.Equal(t, patching.DigestOf(make([]byte, 32)), PublicKey(make([]byte, 32)).ID())
}

func BenchmarkVerifyOrder(b *testing.B) {
	w := newWorld()
	text, v, m := w.genuine(b).Seal(w.keys.Dispatcher), w.verifier(), w.seen()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Order(text, m, w.now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealOrder(b *testing.B) {
	w := newWorld()
	o := w.genuine(b)
	b.ReportAllocs()
	for b.Loop() {
		o.Seal(w.keys.Dispatcher)
	}
}

// docs/protocol.md is for people who write another agent, or audit this one.
func TestThePageOfTheProtocolHasTheTableOfVerbs(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| [^|]+ \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| (yes|refuses) \\|$")
	got := map[Verb]Spec{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		got[Verb(m[1])] = Spec{
			NeedsGrant: strings.HasPrefix(m[2], "yes"), NeedsLease: m[3] == "yes",
			NeedsBundle: m[4] == "bundle", NeedsRollback: m[4] == "rollback",
		}
	}
	assert.Equal(t, specs, got)
}
