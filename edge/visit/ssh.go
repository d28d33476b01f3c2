package visit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/edge/stream"
)

// ReadKey reads the relay's private key.
func ReadKey(file string) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("SSH key: %w (make one: ssh-keygen -t ed25519 -N \"\" -f %s)", err, file)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("SSH key: others may read %s: chmod 600 it", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("SSH key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("SSH key: %s: %w (want an OpenSSH key without a passphrase)", file, err)
	}
	return key, nil
}

// handshake bounds what comes before a session.
const handshake = 20 * time.Second

// connect logs in at the machine, and nowhere else.
func connect(ctx context.Context, m Machine, key ssh.Signer) (*ssh.Client, error) {
	return login(ctx, m.Address, &ssh.ClientConfig{
		User: m.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: pinned(m.Host), HostKeyAlgorithms: algorithms(m.Host),
	})
}

func login(ctx context.Context, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	line, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = line.Close() })
	defer stop()
	_ = line.SetDeadline(time.Now().Add(handshake))
	conn, channels, requests, err := ssh.NewClientConn(line, address, config)
	if err != nil {
		_ = line.Close()
		return nil, err
	}
	_ = line.SetDeadline(time.Time{})
	return ssh.NewClient(conn, channels, requests), nil
}

func pinned(want ssh.PublicKey) ssh.HostKeyCallback {
	fixed := ssh.FixedHostKey(want)
	return func(host string, at net.Addr, got ssh.PublicKey) error {
		if err := fixed(host, at, got); err != nil {
			return fmt.Errorf("another machine answers, or its host key was changed: it shows %s, the list says %s; if you know why, put the new key into the list",
				ssh.FingerprintSHA256(got), ssh.FingerprintSHA256(want))
		}
		return nil
	}
}

// algorithms are those by which a key of that kind is shown: without them the machine
// might show one of its others.
func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// unbound is what we ask the machine to run. The forced command of our key runs in its
// place; where there is none, this says so, and ends: nobody gets used to a key that
// opens a shell.
const unbound = `echo "patchcycle: this key is not bound to a command here" >&2; exit 78`

const exitUnbound = 78

// After the agent has ended its line, it gets so long to end.
const ending = 5 * time.Second

// serve serves the agent that the machine starts, until it ends.
func (v *Visitor) serve(ctx context.Context, m Machine, client *ssh.Client) error {
	defer func() { _ = client.Close() }() // an agent that ended has said what there was
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	said := &tail{}
	session.Stderr = said
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.Start(unbound); err != nil {
		return err
	}
	served := stream.Serve(ctx, &line{Reader: out, WriteCloser: in, client: client}, v.o.Handler, v.o.Log)
	return outcome(ctx, m, session.Wait(), served, said.String())
}

// outcome says in words how a visit ended.
func outcome(ctx context.Context, m Machine, ended, served error, said string) error {
	var exit *ssh.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(ended, &exit) && exit.ExitStatus() == exitUnbound:
		return fmt.Errorf("the relay's key is not bound to the agent there: put restrict,command=\"/usr/bin/patchcycle-agent once --stdio\" before it in %s's authorized_keys", m.User)
	case errors.As(ended, &exit):
		return fmt.Errorf("its agent ended with code %d: %s", exit.ExitStatus(), said)
	case ended != nil:
		return fmt.Errorf("the line was lost: %w", ended)
	}
	return served
}

// line is the session's input and output.
type line struct {
	io.Reader
	io.WriteCloser
	client *ssh.Client
	once   sync.Once
}

// Close ends the agent's input. A machine that then does not end, or does not read what
// we write, is left.
func (l *line) Close() error {
	l.once.Do(func() { time.AfterFunc(ending, func() { _ = l.client.Close() }) })
	return l.WriteCloser.Close()
}

// tail keeps the end of what an agent says, which is its last word.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 500

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-tailBytes):]...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(p), nil
}

// String is one line of it that drives no terminal.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, lines[len(lines)-1])
}
