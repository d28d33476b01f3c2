package visit

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"

func list(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "machines.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestAListOfMachinesIsReadWithWhatIsUsual(t *testing.T) {
	got, err := ReadMachines(list(t, "machines:\n- name: db1\n  address: db1.example\n  host_key: "+hostKey+" root@db1\n- name: db2\n  address: \"[::1]:2222\"\n  user: patch\n  every: 2m\n  host_key: "+hostKey+"\n"))
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, "db1.example:22", got[0].Address)
	assert.Equal(t, "root", got[0].User)
	assert.Equal(t, 5*time.Minute, got[0].Every)
	assert.Equal(t, ssh.KeyAlgoED25519, got[0].Host.Type())
	assert.Equal(t, Machine{Name: "db2", Address: "[::1]:2222", User: "patch", Every: 2 * time.Minute, Host: got[0].Host}, got[1])
}

func TestWhatIsWrongWithAListOfMachinesIsSaidByLineWithTheWayOut(t *testing.T) {
	_, err := ReadMachines(list(t, `machines:
- name: The Database
  address: db1:0
  host_key: db1 `+hostKey+`
  user: "root; id"
  every: 1h
- name: db2
  address: db2
- name: db2
  address: db2:22
  host_key: `+hostKey+`
- name: db4
  host_key: `+hostKey+`
`))
	require.Error(t, err)
	for _, want := range []string{
		`:2: name "The Database": want lower-case`, `:3: address "db1:0": want a host`, `:4: host_key "db1 ssh-ed25519`, `without a host's name before them`,
		`:5: user "root; id"`, `:6: every "1h": want a time between 1m and 10m`, `:7: machine 2 (db2) has no host_key: give the line of /etc/ssh/ssh_host_ed25519_key.pub`,
		`:9: name "db2": another machine`, `:10: address "db2:22": another machine`, `:12: machine 4 (db4) has no address`,
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = ReadMachines(list(t, "machines:\n- name: db1\n  port: 22\n"))
	require.ErrorContains(t, err, "port")
	_, err = ReadMachines(list(t, "machines: []\n"))
	require.ErrorContains(t, err, "write a list under \"machines:\"")
}

func FuzzMachines(f *testing.F) {
	f.Add("machines:\n- name: db1\n  address: db1.example\n  host_key: " + hostKey + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadMachines(list(t, text))
		if err != nil {
			return
		}
		for _, m := range got {
			require.NotNil(t, m.Host)
			_, _, err := net.SplitHostPort(m.Address)
			require.NoError(t, err)
		}
	})
}

func TestAMachineThatFailsIsVisitedSoonerAndNeverMoreRarely(t *testing.T) {
	for failures, want := range []time.Duration{5 * time.Minute, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute} {
		assert.Equal(t, want, rest(failures, 15*time.Second, 5*time.Minute), failures)
	}
	assert.Equal(t, 5*time.Minute, rest(1<<40, 15*time.Second, 5*time.Minute))
}

func TestAKeyThatOthersMayReadIsNotTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ssh_key")
	_, err := ReadKey(file)
	require.ErrorContains(t, err, "ssh-keygen -t ed25519")
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o640))
	_, err = ReadKey(file)
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(file, 0o600))
	_, err = ReadKey(file)
	require.ErrorContains(t, err, "without a passphrase")
}

// impostor speaks SSH as the machine that is in the list does, and then does what do says.
func impostor(t *testing.T, do func(ssh.Channel)) (Machine, ssh.Signer) {
	t.Helper()
	signer := func() ssh.Signer {
		_, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		key, err := ssh.NewSignerFromKey(private)
		require.NoError(t, err)
		return key
	}
	host, key := signer(), signer()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, channels, requests, err := ssh.NewServerConn(c, config)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				for n := range channels {
					ch, asked, err := n.Accept()
					if err != nil {
						return
					}
					go func() {
						for r := range asked {
							_ = r.Reply(true, nil)
						}
					}()
					go do(ch)
				}
			}()
		}
	}()
	return Machine{Name: "db1", Address: l.Addr().String(), User: "root", Host: host.PublicKey(), Every: time.Minute}, key
}

// Serves Q15: a machine in somebody else's hands holds no visit longer than its bound, and
// fills nothing.
func TestAMachineThatWasTakenOverKeepsTheRelayForABoundedTime(t *testing.T) {
	for name, do := range map[string]func(ssh.Channel){
		"it says nothing": func(ssh.Channel) {},
		"it talks without end": func(c ssh.Channel) {
			for {
				if _, err := c.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		},
		"it complains without end": func(c ssh.Channel) {
			for {
				if _, err := io.WriteString(c.Stderr(), strings.Repeat("\x1b[31m", 1000)); err != nil {
					return
				}
			}
		},
		"it ends at once": func(c ssh.Channel) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			m, key := impostor(t, do)
			v, err := New(Options{Machines: []Machine{m}, Key: key, Handler: http.NotFoundHandler(), Longest: time.Second})
			require.NoError(t, err)
			began := time.Now()
			err = v.Visit(t.Context(), m)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "\x1b")
			require.Less(t, time.Since(began), 20*time.Second)
		})
	}
}

func TestMachinesThatFailAreNamedUntilTheyDoNot(t *testing.T) {
	m, key := impostor(t, func(c ssh.Channel) { _ = c.Close() })
	v, err := New(Options{Machines: []Machine{m}, Key: key, Handler: http.NotFoundHandler()})
	require.NoError(t, err)
	first := time.Unix(1000, 0)
	v.note(m, errors.New("no route to host"), first)
	v.note(m, errors.New("refused"), first.Add(time.Hour))
	require.Equal(t, []Trouble{{Machine: "db1", Since: first.UTC(), Why: "refused"}}, v.Troubles())
	v.note(m, nil, first)
	require.Empty(t, v.Troubles())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	v.Run(ctx) // which returns
}
