//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/usage"
)

// rivals are what people would use instead. They log in as root with a key.
type rivals struct {
	dir        string
	authorized []byte // the line that lets them in
}

// atOnce is on how many machines a rival works at a time.
const atOnce = 20

func newRivals(ctx context.Context, dir string) (*rivals, error) {
	if out, err := exec.CommandContext(ctx, "ansible", "--version").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ansible is what we are measured against: apt-get install ansible-core openssh-client (%w: %s)", err, bytes.TrimSpace(out))
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	r := &rivals{dir: filepath.Join(dir, "rivals"), authorized: ssh.MarshalAuthorizedKey(line)}
	return r, errors.Join(os.Mkdir(r.dir, 0o700), os.WriteFile(r.key(), pem.EncodeToMemory(key), 0o600))
}

func (r *rivals) key() string   { return filepath.Join(r.dir, "key") }
func (r *rivals) known() string { return filepath.Join(r.dir, "known_hosts") }

// know reads the key by which machines are known: all of a lab have the same.
func (r *rivals) know(h *nspawn.Host) error {
	line, err := h.ReadFile("etc/ssh/ssh_host_ed25519_key.pub")
	if err != nil {
		return err
	}
	return os.WriteFile(r.known(), append([]byte("* "), line...), 0o600)
}

// rival brings machines the newest version, and returns the CPU seconds of all its
// processes.
type rival func(context.Context, *nspawn.Lab, []*nspawn.Host) (float64, error)

func (r *rivals) all() iter.Seq2[string, rival] {
	return func(yield func(string, rival) bool) {
		_ = yield("ssh, by Go's own client", r.ssh) && yield("ansible", r.ansible)
	}
}

// ssh is a program of its own, so that its CPU can be told from ours: see [bySSH].
func (r *rivals) ssh(ctx context.Context, lab *nspawn.Lab, hosts []*nspawn.Host) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	args := []string{self, sshCommand, "-key", r.key(), "-known", r.known()}
	for _, h := range hosts {
		args = append(args, h.Address)
	}
	return spent(lab.Command(ctx, args...))
}

// ansible's apt module, as one would call it from a shell. Its connections are kept
// for later calls by processes that outlive it; they count too.
func (r *rivals) ansible(ctx context.Context, lab *nspawn.Lab, hosts []*nspawn.Host) (float64, error) {
	var inventory strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&inventory, "%s ansible_host=%s\n", h.Name, h.Address)
	}
	file, paths := filepath.Join(r.dir, "inventory"), filepath.Join(r.dir, "cp")
	if err := os.WriteFile(file, []byte(inventory.String()), 0o600); err != nil {
		return 0, err
	}
	c := lab.Command(ctx, "ansible", "all", "-i", file, "-u", "root", "--private-key", r.key(), "-f", strconv.Itoa(atOnce),
		"-m", "apt", "-a", "name="+plainName+" state=latest")
	c.Env = append(os.Environ(),
		"HOME="+r.dir, "ANSIBLE_LOCAL_TEMP="+filepath.Join(r.dir, "tmp"), "ANSIBLE_SSH_CONTROL_PATH_DIR="+paths,
		"ANSIBLE_SSH_COMMON_ARGS=-o UserKnownHostsFile="+r.known(), "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3",
		"LC_ALL=C.UTF-8")
	cpu, err := spent(c)
	kept, end := keepers(paths)
	return cpu + kept, errors.Join(err, end)
}

// keepers ends the processes that keep connections below a folder, and returns
// what they used.
func keepers(folder string) (cpu float64, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(line), "ssh: "+folder) {
			continue // it has ended, or is not one of them
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return cpu, err
		}
		cpu += usage.CPU(pid)
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return cpu, err
		}
	}
	return cpu, nil
}

// spent runs a program and returns what it and all that it waited for used.
func spent(c *exec.Cmd) (float64, error) {
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %.2000s", filepath.Base(c.Path), err, said.String())
	}
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), nil
}

// sshCommand makes this program the least that can bring an update to machines:
// one command over ssh, and nothing remembered.
const sshCommand = "ssh"

// bySSH is what it does then: "ssh -key FILE -known FILE ADDRESS…".
func bySSH(ctx context.Context, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet(sshCommand, flag.ContinueOnError)
	f.SetOutput(stderr)
	key := f.String("key", "", "the private key")
	known := f.String("known", "", "a known_hosts file with one line, for all machines")
	if err := f.Parse(args); err != nil {
		return err
	}
	secret, err := os.ReadFile(*key)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(secret)
	if err != nil {
		return fmt.Errorf("%s: %w", *key, err)
	}
	text, err := os.ReadFile(*known)
	if err != nil {
		return err
	}
	_, _, host, _, _, err := ssh.ParseKnownHosts(text)
	if err != nil {
		return fmt.Errorf("%s: %w", *known, err)
	}
	config := &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(host),
		HostKeyAlgorithms: []string{host.Type()}, Timeout: time.Minute,
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for _, address := range f.Args() {
		all.Go(func() error {
			if err := overSSH(ctx, address+":22", config); err != nil {
				return fmt.Errorf("%s: %w", address, err)
			}
			return nil
		})
	}
	return all.Wait()
}

func overSSH(ctx context.Context, address string, config *ssh.ClientConfig) error {
	c, err := ssh.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // what was asked for is done, or has failed
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	out, err := s.CombinedOutput("DEBIAN_FRONTEND=noninteractive apt-get -q -y install " + plainName)
	if err != nil {
		return fmt.Errorf("%w: %.500s", err, out)
	}
	return nil
}
