package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/lab/faults"
)

func run(ctx context.Context, now time.Time, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Run(ctx, Options{
		Build: build.Info{Version: "v0", Commit: "abc"}, Log: func(io.Writer) *zap.Logger { return zap.NewNop() },
		Now: func() time.Time { return now }, Hostname: func() (string, error) { return "Gate1.berlin.example", nil },
		Env: func(string) string { return "" }, In: strings.NewReader("s3cret\n"),
	}, args, &o, &e)
	return code, o.String(), e.String()
}

func TestWhatIsWrongOnTheCommandLineIsSaidWithTheWayOut(t *testing.T) {
	for words, args := range map[string][]string{
		"name the server: --server https://host:port": {"run"},
		"--cert and --key go together":                {"run", "--server", "https://patch.example", "--cert", "x"},
		"machines would speak to it in the clear":     {"run", "--server", "https://patch.example", "--listen", "0.0.0.0:7440"},
		"want host:port, or unix:/path":               {"run", "--server", "https://patch.example", "--listen", "somewhere"},
		"want https://host:port; http only on this":   {"run", "--server", "http://patch.example"},
		"give one with --name":                        {"run", "--server", "https://patch.example", "--name", "The Relay"},
		"write 20GB, 500MB or 64kB":                   {"run", "--server", "https://patch.example", "--cache", "plenty"},
		"a kernel alone has 70 MB":                    {"run", "--server", "https://patch.example", "--cache", "1MB"},
		"\"now\" is not understood":                   {"status", "now"},
	} {
		code, _, errs := run(t.Context(), time.Now(), append(args, "--dir", t.TempDir())...)
		assert.Equal(t, ExitUsage, code, args)
		assert.Contains(t, errs, words)
	}
	code, _, errs := run(t.Context(), time.Now(), "status", "--dir", t.TempDir())
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "no relay has run in")
	code, out, _ := run(t.Context(), time.Now(), "version")
	assert.Equal(t, ExitOK, code)
	assert.Contains(t, out, "patchcycle-relay v0\n")
	code, out, _ = run(t.Context(), time.Now(), "completion", "bash")
	assert.Equal(t, ExitOK, code)
	assert.Contains(t, out, "patchcycle-relay")
}

func TestAHoldWhereNoRelayRunsIsNoHold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mistyped")
	for _, args := range [][]string{{"--by", "ana", "--reason", "stocktaking"}, {"--lift"}} {
		code, _, errs := run(t.Context(), time.Now(), append([]string{"hold", "--dir", dir}, args...)...)
		assert.Equal(t, ExitFailed, code)
		assert.Contains(t, errs, "no relay has run in "+dir)
	}
	assert.NoDirExists(t, dir)
}

func TestASizeIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]int64{"20GB": 20e9, "1.5 MB": 15e5, "64kb": 64e3, "12": 12, "0": 0} {
		var s size
		require.NoError(t, s.Set(text))
		require.EqualValues(t, want, s)
	}
	for _, text := range []string{"", "GB", "-1GB", "NaN", "inf", "1e30TB"} {
		require.Error(t, new(size).Set(text), text)
	}
	s := size(20e9)
	require.Equal(t, "20GB", s.String())
}

// far is a server that answers polls at once.
type far struct{ uplink.Link }

func (far) Poll(context.Context, uplink.PollRequest) (uplink.PollResponse, error) {
	return uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: "d-1", Envelope: []byte("x")}}}, nil
}

// Serves L6, Q5.
func TestARelayRunsTellsItsStatusAndStops(t *testing.T) {
	server := httptest.NewServer(uplink.Serve(far{}, uplink.ServeOptions{MaxPolls: 9, MaxRequests: 9}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	socket := filepath.Join(dir, "door")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		code, _, errs := run(ctx, time.Now(), "run", "--server", server.URL, "--listen", "unix:"+socket, "--dir", dir)
		if errs != "" {
			t.Error(errs)
		}
		ended <- code
	}()
	link, err := uplink.NewClient(uplink.ClientOptions{URL: "unix:" + socket, Tries: 10})
	require.NoError(t, err)
	defer link.Close()
	resp, err := link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{{Hello: uplink.Message{Device: "d-1"}}}, WaitSeconds: 20})
	require.NoError(t, err)
	require.Equal(t, []uplink.SignedOrder{{Device: "d-1", Envelope: []byte("x")}}, resp.Orders)

	var s relay.Status
	require.Eventually(t, func() bool {
		code, out, _ := run(t.Context(), time.Now(), "status", "--json", "--dir", dir)
		return code == ExitOK && json.Unmarshal([]byte(out), &s) == nil
	}, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, "gate1", s.Name)
	_, out, _ := run(t.Context(), time.Now(), "status", "--dir", dir)
	require.Contains(t, out, "gate1: the line to the server works\n")
	require.Contains(t, out, "0 receipts wait for the line: 0 bytes of 256 MB\n")

	code, _, errs := run(t.Context(), time.Now(), "run", "--server", server.URL, "--listen", "127.0.0.1:0", "--dir", dir)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "another relay uses it")

	stop()
	require.Equal(t, ExitOK, <-ended)
	code, _, errs = run(t.Context(), time.Now().Add(time.Hour), "status", "--dir", dir)
	require.Equal(t, ExitFailed, code, "a monitoring that asks for the exit code sees it")
	require.Contains(t, errs, "the relay does not run")
}

func TestARelayNamesTheMachinesThatItCannotVisit(t *testing.T) {
	server := httptest.NewServer(uplink.Serve(far{}, uplink.ServeOptions{MaxPolls: 9, MaxRequests: 9}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	list := filepath.Join(dir, "machines.yaml")
	args := []string{"run", "--server", server.URL, "--listen", "127.0.0.1:0", "--dir", dir, "--machines", list}
	write := func(file, text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(list, "machines:\n- name: db1\n  address: 127.0.0.1:0\n  host_key: x\n")
	code, _, errs := run(t.Context(), time.Now(), args...)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, errs, list+":3: address")

	// Nobody listens at port 1.
	write(list, "machines:\n- name: db1\n  address: 127.0.0.1:1\n  host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\n")
	code, _, errs = run(t.Context(), time.Now(), args...)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "ssh-keygen -t ed25519")

	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	write(filepath.Join(dir, "ssh_key"), string(pem.EncodeToMemory(block)))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		code, _, _ := run(ctx, time.Now(), args...)
		ended <- code
	}()
	require.Eventually(t, func() bool {
		_, out, _ := run(t.Context(), time.Now(), "status", "--dir", dir)
		return strings.Contains(out, "1 machine is visited over SSH\nNot since ") && strings.Contains(out, "visit db1 at 127.0.0.1:1: dial tcp")
	}, 20*time.Second, 50*time.Millisecond)
	stop()
	require.Equal(t, ExitOK, <-ended)
}

func TestABootstrapThatCannotBeginSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	always := []string{"bootstrap", "db1.example", "--server", "https://patch.example", "--dir", dir}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{ExitUsage, "name one machine", []string{"bootstrap"}},
		{ExitUsage, "name the server or a relay", []string{"bootstrap", "db1"}},
		{ExitUsage, "give one with --name", append(always, "--name", "The DB")},
		{ExitFailed, "ssh-keygen -t ed25519 makes one", always},
	} {
		code, _, errs := run(t.Context(), time.Now(), c.args...)
		require.Equal(t, c.code, code, errs)
		require.Contains(t, errs, c.want)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ssh_key.pub"), []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\n"), 0o600))
	code, _, errs := run(t.Context(), time.Now(), always...)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, errs, "name your key with --identity FILE")
	code, _, errs = run(t.Context(), time.Now(), append(always, "--identity", filepath.Join(dir, "none"))...)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "--identity: SSH key: ")

	file := filepath.Join(dir, "other.deb")
	code, _, errs = run(t.Context(), time.Now(), append(always, "--package", file)...)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "--package: open "+file)
	require.NoError(t, os.WriteFile(file, []byte("<html>no such page</html>"), 0o600))
	code, _, errs = run(t.Context(), time.Now(), append(always, "--package", file)...)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "--package "+file+": package file: it is none")
	other, err := faults.Package(faults.Slow, faults.Good).Build()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, other, 0o600))
	code, _, errs = run(t.Context(), time.Now(), append(always, "--package", file)...)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, errs, "it is lab-slow 1.0, want patchcycle-agent")
}
