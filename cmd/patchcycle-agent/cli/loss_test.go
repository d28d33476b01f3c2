package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/trust"
)

// used is a machine that is enrolled and has spoken with its server.
func used(t *testing.T) (d *desk, s *shell, url string) {
	t.Helper()
	d, url = newDesk(t)
	s = newShell(t)
	code, _, errs := s.run(t.Context(), "s3cret", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
	return d, s, url
}

func (s *shell) file(name string) string { return filepath.Join(s.dir, "home", name) }

func (s *shell) edit(name string, change func([]byte) []byte) {
	s.t.Helper()
	text, err := os.ReadFile(s.file(name))
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(s.file(name), change(text), 0o600))
}

func (s *shell) remove(names ...string) {
	s.t.Helper()
	for _, name := range names {
		require.NoError(s.t, os.Remove(s.file(name)))
	}
}

func noise([]byte) []byte {
	b := make([]byte, 4096)
	_, _ = rand.Read(b)
	return b
}

func nothing([]byte) []byte { return nil }

// A machine that counts its messages from an earlier number, or signs with
// another key, ends in quarantine.
func TestAMachineThatLostAFileOfItsHomeSendsNothingAndCanEnrolAgain(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		damage func(*shell)
		stays  bool // the same device
	}{
		"the journal is random bytes":      {"journal", func(s *shell) { s.edit("journal", noise) }, false},
		"the journal is empty":             {"journal", func(s *shell) { s.edit("journal", nothing) }, false},
		"the first line is cut":            {"journal", func(s *shell) { s.edit("journal", func(b []byte) []byte { return b[:30] }) }, false},
		"the journal has one line only":    {"journal", func(s *shell) { s.edit("journal", firstLine) }, false},
		"a flushed line is damaged":        {"journal", func(s *shell) { s.edit("journal", func(b []byte) []byte { b[20] ^= 1; return b }) }, false},
		"the journal is gone":              {"journal", func(s *shell) { s.remove("journal") }, false},
		"the journal and its lock are":     {"journal", func(s *shell) { s.remove("journal", "journal.lock") }, false},
		"the key is gone":                  {"device.key", func(s *shell) { s.remove("device.key") }, false},
		"the key is empty":                 {"device.key", func(s *shell) { s.edit("device.key", nothing) }, false},
		"the key is another's":             {"device.key", func(s *shell) { s.remove("device.key"); otherKey(t, s.file("device.key")) }, false},
		"the identity is empty":            {"identity.json", func(s *shell) { s.edit("identity.json", nothing) }, true},
		"the identity is null":             {"identity.json", func(s *shell) { s.edit("identity.json", func([]byte) []byte { return []byte("null") }) }, true},
		"the identity is cut in half":      {"identity.json", func(s *shell) { s.edit("identity.json", func(b []byte) []byte { return b[:len(b)/2] }) }, true},
		"the identity and the key are":     {"identity.json", func(s *shell) { s.edit("identity.json", nothing); s.remove("device.key") }, false},
		"the identity and the journal are": {"identity.json", func(s *shell) { s.edit("identity.json", nothing); s.edit("journal", noise) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, s, url := used(t)
			c.damage(s)
			before := d.requests
			for _, command := range []string{"status", "once", "run"} {
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Second) // of a run that is not refused
				code, out, errs := s.run(ctx, "", command)
				stop()
				assert.Equal(t, ExitFailed, code, command)
				assert.Contains(t, errs, s.file(c.file), command)
				assert.Contains(t, errs, "patchcycle-agent enrol", command)
				assert.Empty(t, out, command)
			}
			assert.Equal(t, before, d.requests, "nothing was sent")

			_, _, errs := s.run(t.Context(), "guess", "enrol", "--server", url)
			assert.Contains(t, errs, "this token lets nobody in")
			code, _, _ := s.run(t.Context(), "", "status")
			assert.Equal(t, ExitFailed, code, "an enrolment that fails changes nothing")

			code, out, errs := s.run(t.Context(), "s3cret", "enrol", "--server", url)
			require.Equal(t, ExitOK, code, errs)
			if c.stays {
				assert.Contains(t, out, "as d-1.")
			} else {
				assert.Contains(t, out, "as d-2.")
				assert.Contains(t, out, "It is a new device with a new key, because ")
			}
			code, _, errs = s.run(t.Context(), "", "once")
			require.Equal(t, ExitOK, code, errs)
			code, _, errs = s.run(t.Context(), "", "status")
			require.Equal(t, ExitOK, code, errs)
			assert.NoFileExists(t, s.file("device.key.new"))
		})
	}
}

func firstLine(text []byte) []byte { return text[:bytes.IndexByte(text, '\n')+1] }

func otherKey(t *testing.T, path string) {
	t.Helper()
	_, err := trust.LoadOrCreateKey(path)
	require.NoError(t, err)
}

func TestAKeyThatIsPutBackIsTheSameMachine(t *testing.T) {
	_, s, _ := used(t)
	require.NoError(t, os.Rename(s.file("device.key"), s.file("kept")))
	code, _, errs := s.run(t.Context(), "", "once")
	require.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "put it back from a backup")
	assert.NoFileExists(t, s.file("device.key"), "only enrol makes keys")
	require.NoError(t, os.Rename(s.file("kept"), s.file("device.key")))
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
}

func TestAMachineThatLostNothingEnrolsAgainAsTheSameDevice(t *testing.T) {
	d, s, url := used(t)
	code, out, errs := s.run(t.Context(), "s3cret", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	assert.Contains(t, out, "This machine was enrolled already: it stays d-1 of acme, at "+url)
	assert.Len(t, d.enrolled, 1)
	code, _, errs = s.run(t.Context(), "", "once")
	require.Equal(t, ExitOK, code, errs)
}

func TestALostHomeSaysWhichOldDeviceToTakeOutOfUse(t *testing.T) {
	_, s, url := used(t)
	s.remove("device.key")
	_, out, _ := s.run(t.Context(), "s3cret", "enrol", "--server", url)
	assert.Contains(t, out, "patchcycle enrol revoke d-1 --reason WORDS")
	assert.FileExists(t, s.file("journal.old"))
}

func TestAnEnrolmentThatNobodyAnswersSaysWhatToCheck(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	code, _, errs := newShell(t).run(t.Context(), "s3cret", "enrol", "--server", srv.URL)
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "nobody answers at "+srv.URL+": check the address and its port")
}

func TestAnEnrolmentThatMeetsAnUnknownCertificateAsksForItsAuthority(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	t.Cleanup(srv.Close)
	code, _, errs := newShell(t).run(t.Context(), "s3cret", "enrol", "--server", srv.URL)
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "--ca FILE")
}

// As on a machine whose clock shows 2099.
func TestAnEnrolmentThatMeetsACertificateOfAnotherTimePointsToTheClock(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(0, 0, -1),
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(nil)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	code, _, errs := newShell(t).run(t.Context(), "s3cret", "enrol", "--server", srv.URL, "--ca", ca)
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "is not valid at the time that this machine shows, ")
	assert.Contains(t, errs, "set its clock right")
}

func TestTheReasonOfAHoldIsOneLine(t *testing.T) {
	_, s, _ := used(t)
	code, out, errs := s.run(t.Context(), "", "hold", "--by", "ana\nbo", "--reason", "one\r\nNothing is held.\x1b[2J\n\tthree")
	require.Equal(t, ExitOK, code, errs)
	const want = "Nothing starts: held by ana bo: one Nothing is held.�[2J three, until it is lifted\n"
	assert.Equal(t, want, out)
	_, out, _ = s.run(t.Context(), "", "status")
	assert.Contains(t, out, "\n"+want)
	code, _, _ = s.run(t.Context(), "", "hold", "--by", "ana", "--reason", "\n \t")
	assert.Equal(t, ExitUsage, code, "which is no reason")
}

func TestASignalEndsACommandThatWaitsForItsInput(t *testing.T) {
	_, url := newDesk(t)
	for _, args := range [][]string{{"enrol", "--server", url}, {"verify"}} {
		s := newShell(t)
		silent, keyboard := io.Pipe()
		t.Cleanup(func() { _ = keyboard.Close() })
		ctx, stop := context.WithCancel(t.Context())
		stop()
		code, out, errs := s.pipe(ctx, silent, args...)
		assert.Equal(t, ExitFailed, code)
		assert.Equal(t, "patchcycle-agent: interrupted\n", errs)
		assert.Empty(t, out)
	}
}
