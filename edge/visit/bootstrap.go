package visit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Bootstrap prepares a machine for visits with an administrator's own credentials, which
// are used for this one session and kept nowhere.
type Bootstrap struct {
	// Address is host:port, User the administrator's account there, which the relay will
	// ask for too.
	Address, User string
	// Auth are the administrator's credentials.
	Auth []ssh.AuthMethod
	// Fingerprint is the host key's as a person compared it, as ssh-keygen -l prints it;
	// empty: nothing is done, and the error is an [*UnknownHost].
	Fingerprint string
	// Relay is the relay's public key, for visits.
	Relay ssh.PublicKey
	// Token enrols the machine.
	Token string
	// Uplink answers the enrolment.
	Uplink http.Handler
	// Package is the agent's Debian package, which is installed there first; nil: it is
	// there already.
	Package []byte
	// Program is the agent there, AuthorizedKeys the file that lists who may log in, from
	// the account's home [/usr/bin/patchcycle-agent, .ssh/authorized_keys].
	Program, AuthorizedKeys string
}

// UnknownHost is a machine whose host key nobody has compared yet, or another than was
// compared.
type UnknownHost struct{ Fingerprint, Want string }

// Error says the way out.
func (u *UnknownHost) Error() string {
	if u.Want != "" {
		return fmt.Sprintf("the machine shows the host key %s, and not %s: somebody may be in between; nothing was sent", u.Fingerprint, u.Want)
	}
	return fmt.Sprintf("the machine shows the host key %s: compare it with what \"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\" says on its console, and give it with --fingerprint %s", u.Fingerprint, u.Fingerprint)
}

// Do installs the machine's agent if it is to, enrols it, whose key is made there, and
// binds the relay's key to it. It returns the machine as the list of visits names it, and what the agent said.
func (b Bootstrap) Do(ctx context.Context) (m Machine, said string, err error) {
	if b.Program == "" {
		b.Program = "/usr/bin/patchcycle-agent"
	}
	if b.AuthorizedKeys == "" {
		b.AuthorizedKeys = ".ssh/authorized_keys"
	}
	m = Machine{Address: b.Address, User: b.User, Every: usual}
	client, err := login(ctx, b.Address, &ssh.ClientConfig{
		User: b.User, Auth: b.Auth, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			m.Host = key
			if got := ssh.FingerprintSHA256(key); got != b.Fingerprint {
				return &UnknownHost{got, b.Fingerprint}
			}
			return nil
		},
	})
	if err != nil {
		return m, "", err
	}
	defer func() { _ = client.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	if b.Package != nil {
		if err := b.install(client); err != nil {
			return m, "", err
		}
	}
	program := quote(b.Program)
	if err := b.requireProgram(client, program); err != nil {
		return m, "", err
	}
	// What stays would hold the journal that visits need.
	const units = "patchcycle-agent.service patchcycle-courier.socket patchcycle-courier.service"
	if _, err := run(client, "test ! -d /run/systemd/system || systemctl disable --now "+units, ""); err != nil {
		return m, "", fmt.Errorf("keep the agent from staying: %w", err)
	}
	if said, err = b.enrol(client, program); err != nil {
		return m, said, fmt.Errorf("enrol: %w", err)
	}
	return m, said, b.bind(client)
}

// enrol runs the agent's own enrolment. For its time, a port of the machine's loopback
// leads to us: the machine may reach nobody else.
func (b Bootstrap) enrol(client *ssh.Client, program string) (said string, err error) {
	door, err := client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a port there that leads here: %w (its sshd needs AllowTcpForwarding for your account)", err)
	}
	web := &http.Server{Handler: b.Uplink, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	web.SetKeepAlivesEnabled(false) // connections within SSH have no deadlines, which a server needs to use one again
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(door) // until it is closed
	}()
	said, err = run(client, program+" enrol --server http://"+door.Addr().String(), b.Token)
	_ = web.Close()
	<-served
	return said, err
}

// bind lets the relay's key start the agent and nothing else, once however often it is
// asked for. A line of that key with more rights would be one too many: it is refused.
func (b Bootstrap) bind(client *ssh.Client) error {
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(b.Relay)))
	line := fmt.Sprintf("restrict,command=%q %s patchcycle-relay", b.Program+" once --stdio", key)
	file, word := quote(b.AuthorizedKeys), quote(strings.Fields(key)[1])
	has, err := run(client, fmt.Sprintf("if test -f %s; then grep -F -e %s %s || test $? -eq 1; fi", file, word, file), "")
	if err != nil {
		return fmt.Errorf("read %s: %w", b.AuthorizedKeys, err)
	}
	if has = strings.TrimSpace(has); has == line {
		return nil
	}
	if has != "" {
		return fmt.Errorf("the relay's key is in %s there with other rights: remove that line, and try again: %.300s", b.AuthorizedKeys, has)
	}
	dir := quote(b.AuthorizedKeys[:strings.LastIndexByte(b.AuthorizedKeys, '/')+1] + ".")
	// A last line without its end would swallow ours.
	if _, err := run(client, fmt.Sprintf(`umask 077; mkdir -p %s && { test ! -s %s || test -z "$(tail -c1 %s)" || echo >> %s; } && cat >> %s`, dir, file, file, file, file), line+"\n"); err != nil {
		return fmt.Errorf("write %s: %w", b.AuthorizedKeys, err)
	}
	return nil
}

// run runs a command there with an input, and returns its output.
func run(client *ssh.Client, command, in string) (string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }() // it says EOF of one that ended
	var out bytes.Buffer
	last := &tail{}
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader(in), &out, last
	err = session.Run(command)
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return out.String(), &ended{exit.ExitStatus(), last.String()}
	}
	return out.String(), err
}

// ended is a command there that failed, with its last word.
type ended struct {
	code int
	said string
}

// Error says both.
func (e *ended) Error() string { return fmt.Sprintf("code %d: %s", e.code, e.said) }

// quote makes one word of a shell's.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Entry is the machine as an entry of the list of visits.
func (m Machine) Entry() string {
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(m.Host)))
	return fmt.Sprintf("- name: %s\n  address: %q\n  user: %s\n  host_key: %s\n", m.Name, m.Address, m.User, key)
}
