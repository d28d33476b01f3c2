package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// still is a machine on which nothing happens.
type still struct{ cleaned *int }

const noPackages, noCandidates = "packages v1\tapt\n", "candidates v1\tapt\n"

func (still) Boot() string { return "boot-1" }

func (still) Inventory(context.Context) (patching.Asset, error) {
	return patching.Asset{Hostname: "db1", Manager: "apt", Packages: patching.DigestOf([]byte(noPackages)), Candidates: patching.DigestOf([]byte(noCandidates))}, nil
}

func (still) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	if d == patching.DigestOf([]byte(noPackages)) {
		return []byte(noPackages), nil
	}
	return []byte(noCandidates), nil
}

func (still) Look(_ context.Context, p []patching.Patch) ([]agent.Standing, error) {
	return make([]agent.Standing, len(p)), nil
}

func (still) Health(context.Context) (agent.Health, error)     { return agent.Health{}, nil }
func (still) Preflight(context.Context, patching.Bundle) error { return nil }
func (still) Fetch(context.Context, patching.Bundle) error     { return nil }
func (still) Apply(context.Context, []patching.Patch) error    { return nil }
func (still) Repair(context.Context) error                     { return nil }
func (still) Reboot(context.Context) error                     { return nil }
func (s still) Clean(context.Context, []string) (int64, error) { *s.cleaned++; return 1, nil }

func (still) Signers(context.Context) (map[string][]string, error) { return nil, nil }

func (still) Simulate(context.Context, []patching.Patch) ([]patching.Change, error) {
	return nil, nil
}

// desk is a server of one fleet that gives one order.
type desk struct {
	mu       sync.Mutex
	keys     trust.Keys
	root     trust.Root
	envelope []byte
	receipts []uplink.Receipt
	facts    int
	requests int      // but for enrolments
	enrolled [][]byte // keys
	token    string
	ahead    time.Duration // of its clock
}

func newDesk(t *testing.T) (*desk, string) {
	t.Helper()
	keys, err := trust.LoadOrCreateKeys(t.TempDir())
	require.NoError(t, err)
	d := &desk{keys: keys, root: trust.NewRoot("acme", keys)}
	mux := http.NewServeMux()
	mux.HandleFunc(uplink.EnrolPath, d.enrol)
	mux.HandleFunc(uplink.MessagesPath, d.messages)
	mux.HandleFunc(uplink.PollPath, d.poll)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return d, srv.URL
}

func (d *desk) enrol(w http.ResponseWriter, r *http.Request) {
	var ask uplink.EnrolRequest
	if err := uplink.ReadRequest(w, r, &ask); err != nil {
		uplink.WriteError(w, err)
		return
	}
	if ask.Token != "s3cret" || ask.Verify() != nil {
		uplink.WriteError(w, &uplink.Error{Status: http.StatusForbidden, Words: "this token lets nobody in"})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := slices.IndexFunc(d.enrolled, func(k []byte) bool { return bytes.Equal(k, ask.Key) })
	if n < 0 {
		n, d.enrolled = len(d.enrolled), append(d.enrolled, ask.Key)
	}
	device := patching.DeviceID(fmt.Sprintf("d-%d", n+1))
	order, err := trust.Draft{ID: "o-1", Device: device, Cycle: "cycle/servers/2026-11.1", Verb: trust.Clean, NotAfter: time.Now().Add(time.Hour)}.
		Order(d.root, 1, ask.Key, time.Now())
	if err != nil {
		uplink.WriteError(w, err)
		return
	}
	d.token, d.envelope = ask.Token, order.Seal(d.keys.Dispatcher)
	uplink.WriteJSON(w, r, uplink.EnrolResponse{Device: device, State: patching.DevicePending, Root: d.root.Seal(d.keys.Root)})
}

func (d *desk) messages(w http.ResponseWriter, r *http.Request) {
	var b uplink.Batch
	if err := uplink.ReadRequest(w, r, &b); err != nil {
		uplink.WriteError(w, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	var out uplink.Acks
	for _, m := range b.Messages {
		switch m.Kind {
		case uplink.KindReceipt:
			body, err := uplink.Decode[uplink.Receipts](m.Body)
			if err != nil {
				uplink.WriteError(w, err)
				return
			}
			d.receipts = append(d.receipts, body.Receipts...)
		case uplink.KindInventory:
			d.facts++
		case uplink.KindContent, uplink.KindLeaseRequest, uplink.KindHello:
		}
		ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
		ack.Sign("acme", &m, d.keys.Lease)
		out.Acks = append(out.Acks, ack)
	}
	uplink.WriteJSON(w, r, out)
}

func (d *desk) poll(w http.ResponseWriter, r *http.Request) {
	var ask uplink.PollRequest
	if err := uplink.ReadRequest(w, r, &ask); err != nil {
		uplink.WriteError(w, err)
		return
	}
	d.mu.Lock()
	d.requests++
	out := uplink.PollResponse{At: time.Now().Add(d.ahead)}
	for _, one := range ask.Devices { // none, where somebody only knocks
		if one.AfterSeq < 1 {
			out.Orders = append(out.Orders, uplink.SignedOrder{Device: one.Hello.Device, Envelope: d.envelope})
		}
	}
	d.mu.Unlock()
	if out.Empty() && ask.WaitSeconds > 0 {
		<-r.Context().Done()
	}
	uplink.WriteJSON(w, r, out)
}

// shell runs command lines for a machine.
type shell struct {
	t       *testing.T
	dir     string
	env     map[string]string
	cleaned int
	// opened are the places with which the machine was opened.
	opened    []Place
	hindrance string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir(), env: map[string]string{}}
	s.rules("{}")
	return s
}

func (s *shell) rules(text string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "rules")
	require.NoError(s.t, os.MkdirAll(dir, 0o700))
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, "rules.json"), []byte(text), 0o600))
}

func (s *shell) open(p Place, _ *zap.Logger) (agent.Machine, error) {
	s.opened = append(s.opened, p)
	return still{&s.cleaned}, nil
}

func (s *shell) run(ctx context.Context, in string, args ...string) (code int, out, errs string) {
	s.t.Helper()
	return s.pipe(ctx, strings.NewReader(in), args...)
}

func (s *shell) pipe(ctx context.Context, in io.Reader, args ...string) (code int, out, errs string) {
	s.t.Helper()
	var o, e bytes.Buffer
	code = Run(ctx, Options{
		Build: build.Info{Version: "v0", Commit: "abc"}, Machine: s.open, Hindrance: func() string { return s.hindrance },
		Log: func(io.Writer) *zap.Logger { return zap.NewNop() }, Env: func(k string) string { return s.env[k] },
	}, append(args, "--home", filepath.Join(s.dir, "home"), "--rules", filepath.Join(s.dir, "rules")), in, &o, &e)
	return code, o.String(), e.String()
}

func TestTheAgentSaysWhichBuildItIs(t *testing.T) {
	code, out, errs := newShell(t).run(t.Context(), "", "--version")
	require.Equal(t, ExitOK, code, errs)
	assert.Contains(t, out, "patchcycle-agent v0\n")
	assert.Contains(t, out, "abc\n")
}

func TestTheMachineSaysWhatBecomesOfItsSettingsFiles(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	for _, flags := range [][]string{nil, {"--new-settings"}} {
		code, _, errs = s.run(t.Context(), "", append([]string{"once"}, flags...)...)
		require.Equal(t, ExitOK, code, errs)
		require.Equal(t, flags != nil, s.opened[len(s.opened)-1].NewSettings, flags)
	}
}

// The one at work hands packages out at the address that the other would take.
func TestAnAgentThatIsStartedBesideOneAtWorkSaysSo(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	at, err := agent.Home(filepath.Join(s.dir, "home")).Ledger()
	require.NoError(t, err)
	defer at.Close()
	if door, err := net.Listen("tcp", courier.ParcelAddress); err == nil { // else somebody else has it
		defer door.Close()
	}
	code, _, errs = s.run(t.Context(), "", "once", "--stdio")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "another agent uses it")
}

func TestAMachineIsEnrolledAskedOnceAndTellsItsStatus(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "", "status")
	assert.Equal(t, ExitNotEnrolled, code)
	assert.Contains(t, errs, "run patchcycle-agent enrol")

	code, out, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url, "--fingerprint", string(d.root.Fingerprint()))
	require.Equal(t, ExitOK, code, errs)
	assert.Equal(t, "Enrolled in acme as d-1. It waits for somebody to accept it.\nFingerprint of the server's trust root: "+string(d.root.Fingerprint())+"\n", out)

	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
	assert.Equal(t, 1, s.cleaned)
	home := filepath.Join(s.dir, "home")
	assert.Equal(t, []Place{{}, {Dir: filepath.Join(home, "transactions"), Lists: filepath.Join(home, "snapshots"), Home: home, Server: url, Notice: time.Minute, Fresh: 6 * time.Hour}}, s.opened, "to enrol, and then to act")
	assert.Equal(t, patching.StageFinished, d.receipts[len(d.receipts)-1].Stage)
	assert.Equal(t, 1, d.facts)

	code, out, _ = s.run(t.Context(), "", "status", "--json")
	require.Equal(t, ExitOK, code)
	var status agent.Status
	require.NoError(t, json.Unmarshal([]byte(out), &status))
	assert.EqualValues(t, "d-1", status.Device)
	assert.Empty(t, status.Orders)
	assert.False(t, status.Inventoried.IsZero())

	code, out, _ = s.run(t.Context(), "", "status")
	require.Equal(t, ExitOK, code)
	assert.NotContains(t, out, "clock")
	d.mu.Lock()
	d.ahead = 72 * time.Hour
	d.mu.Unlock()
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Nothing that has a window starts: this machine's clock is off (about 3 days behind); set it right.\n")

	code, out, _ = s.run(t.Context(), string(d.envelope), "verify")
	assert.Equal(t, ExitOK, code)
	assert.Contains(t, out, "Genuine: clean o-1 of cycle/servers/2026-11.1, number 1")
	code, _, errs = s.run(t.Context(), strings.Replace(string(d.envelope), `"sig":"`, `"sig":"A`, 1), "verify")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "not believed")
}

func TestARunningAgentStopsWhenItIsTold(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	s.env["PATCHCYCLE_TOKEN"] = "s3cret"
	code, _, errs := s.run(t.Context(), "", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := s.run(ctx, "", "run")
		done <- code
	}()
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.receipts) > 0 && d.receipts[len(d.receipts)-1].Stage.Terminal()
	}, 20*time.Second, 10*time.Millisecond)

	code, _, errs = s.run(t.Context(), "", "once")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "another agent uses it")
	stop()
	assert.Equal(t, ExitOK, <-done)
}

func TestAnEnrolmentThatIsRefusedSaysWhy(t *testing.T) {
	_, url := newDesk(t)
	for _, c := range []struct {
		name, in string
		args     []string
		code     int
		want     string
	}{
		{"no server", "s3cret", []string{"enrol"}, ExitUsage, "--server"},
		{"a server in the clear", "s3cret", []string{"enrol", "--server", "http://patch.example"}, ExitUsage, "https://"},
		{"no token", "", []string{"enrol", "--server", url}, ExitUsage, "patchcycle enrol token"},
		{"a wrong token", "guess", []string{"enrol", "--server", url}, ExitFailed, "this token lets nobody in"},
		{"another trust root", "s3cret", []string{"enrol", "--server", url, "--fingerprint", "sha256:" + strings.Repeat("0", 64)}, ExitFailed, "fingerprint"},
		{"a fingerprint that is cut off", "s3cret", []string{"enrol", "--server", url, "--fingerprint", "sha256:00"}, ExitUsage, "64 digits"},
		{"a fingerprint that a script left empty", "s3cret", []string{"enrol", "--server", url, "--fingerprint", ""}, ExitUsage, "64 digits"},
		{"a token in a file without end", "s3cret", []string{"enrol", "--server", url, "--token-file", "/dev/zero"}, ExitFailed, "/dev/zero: it has more than"},
		{"authorities without end", "s3cret", []string{"enrol", "--server", url, "--ca", "/dev/zero"}, ExitUsage, "/dev/zero: it has more than"},
		{"authorities that are none", "s3cret", []string{"enrol", "--server", url, "--ca", "/etc/passwd"}, ExitUsage, "/etc/passwd holds no PEM certificate"},
		{"a flag that there is not", "", []string{"enrol", "--sever", url}, ExitUsage, "--sever"},
		{"a command that there is not", "", []string{"enroll"}, ExitUsage, "enroll"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShell(t)
			code, out, errs := s.run(t.Context(), c.in, c.args...)
			assert.Equal(t, c.code, code, errs)
			assert.Contains(t, errs, c.want)
			assert.Empty(t, out)
			assert.NoFileExists(t, filepath.Join(s.dir, "home", "identity.json"))
		})
	}
}

func TestAHoldIsSetSeenAndLifted(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "s3cret", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)

	code, _, _ = s.run(t.Context(), "", "hold", "--by", "ana")
	assert.Equal(t, ExitUsage, code)
	code, out, errs := s.run(t.Context(), "", "hold", "--by", "ana", "--reason", "stocktaking")
	require.Equal(t, ExitOK, code, errs)
	assert.Equal(t, "Nothing starts: held by ana: stocktaking, until it is lifted\n", out)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Nothing starts: held by ana: stocktaking")
	for _, want := range []string{"Lifted.\n", "Nobody held it here: there was nothing to lift.\n"} {
		code, out, _ = s.run(t.Context(), "", "hold", "--lift")
		assert.Equal(t, ExitOK, code)
		assert.Equal(t, want, out)
	}
	_, out, _ = s.run(t.Context(), "", "status")
	assert.NotContains(t, out, "Nothing starts")

	s.rules("{")
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "the machine's rules cannot be read")
}

// Serves Q15.
func TestAMachineThatCannotBeActedOnIsOnlyLookedAtWhateverItsRulesSay(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	s.hindrance = "systemd does not run it."
	s.rules(`{"allowed": ["apply", "clean", "simulate"]}`)
	code, _, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
	assert.Zero(t, s.cleaned)
	assert.Equal(t, []Place{{}, {}}, s.opened)
	assert.Equal(t, patching.ReasonRefused, d.receipts[len(d.receipts)-1].Reason)

	_, out, _ := s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Allowed here: simulate\nWhy no more: This machine is only looked at (collect, simulate). systemd does not run it.\n")
	_, out, _ = s.run(t.Context(), "", "--help")
	assert.Contains(t, out, "This machine is only looked at (collect, simulate). systemd does not run it.")
}

func TestAMachineWithoutRulesSaysWhyItIsOnlyLookedAt(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "rules", "rules.json")))
	code, _, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
	assert.Zero(t, s.cleaned)
	_, out, _ := s.run(t.Context(), "", "status")
	assert.Contains(t, out, "Allowed here: collect, simulate\nWhy no more: there is no ")
}
