package visit

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// Machine is one that is visited.
type Machine struct {
	Name string
	// Address is host:port, and User who is asked for there.
	Address, User string
	// Host is the only key by which the machine is known.
	Host ssh.PublicKey
	// Every is how long after a visit the next one begins.
	Every time.Duration
}

// How often a machine may be visited. A start permit is valid for 15 minutes (design 8)
// and comes between visits: at the longest there is time to start by it.
const (
	shortest = time.Minute
	usual    = 5 * time.Minute
	longest  = 10 * time.Minute
)

// maxList bounds the list: one of 1 MiB has thousands of machines.
const maxList = 1 << 20

var userShape = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

type entry struct {
	Name    plainyaml.Word `yaml:"name"`
	Address plainyaml.Word `yaml:"address"`
	User    plainyaml.Word `yaml:"user"`
	HostKey plainyaml.Word `yaml:"host_key"`
	Every   plainyaml.Word `yaml:"every"`
}

// ReadMachines reads the file that lists the machines. Its errors, all at once, name
// the line, the value and the way out.
func ReadMachines(file string) ([]Machine, error) {
	text, err := unpack.ReadFile(file, maxList)
	if err != nil {
		return nil, fmt.Errorf("machines: %w", err)
	}
	var listed struct {
		Machines []entry `yaml:"machines"`
	}
	if err := plainyaml.Decode(bytes.NewReader(text), &listed, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w (docs/relay.md has an example)", file, err)
	}
	if len(listed.Machines) == 0 {
		return nil, fmt.Errorf("%s: no machines: write a list under \"machines:\" (docs/relay.md has an example)", file)
	}
	c := checker{plainyaml.Problems{File: file}}
	machines := make([]Machine, 0, len(listed.Machines))
	names, addresses := map[string]bool{}, map[string]bool{}
	for n, e := range listed.Machines {
		m := c.machine(n, e)
		if names[m.Name] {
			c.Add(e.Name, "name", "another machine has this name: choose another")
		}
		if m.Address != "" && addresses[m.Address] {
			c.Add(e.Address, "address", "another machine has this address: remove one of them")
		}
		names[m.Name], addresses[m.Address] = true, true
		machines = append(machines, m)
	}
	return machines, c.Err()
}

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

func (c *checker) missing(n int, e entry, field, why string) {
	c.Say(e.Name.Line, "machine %d (%.100s) has no %s: %s", n+1, e.Name.Text, field, why)
}

func (c *checker) machine(n int, e entry) Machine {
	m := Machine{Name: e.Name.Text, User: "root", Every: usual}
	if !patching.ValidName(m.Name) {
		c.Add(e.Name, "name", "want lower-case letters, digits, dots and dashes")
	}
	m.Address = c.address(n, e)
	m.Host = c.hostKey(n, e)
	if e.User.Text != "" {
		if m.User = e.User.Text; !userShape.MatchString(m.User) {
			c.Add(e.User, "user", "want the name of an account, such as root")
		}
	}
	if e.Every.Text != "" {
		d, err := time.ParseDuration(e.Every.Text)
		if err != nil || d < shortest || d > longest {
			c.Add(e.Every, "every", "want a time between 1m and 10m: start permits are valid for 15 minutes")
		}
		m.Every = d
	}
	return m
}

func (c *checker) address(n int, e entry) string {
	const want = "want a host, or host:port; an IPv6 address in brackets"
	text := e.Address.Text
	if text == "" {
		c.missing(n, e, "address", want)
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if host, port, err = net.SplitHostPort(text + ":22"); err != nil {
			c.Add(e.Address, "address", want)
			return ""
		}
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 || host == "" {
		c.Add(e.Address, "address", want)
		return ""
	}
	return net.JoinHostPort(host, port)
}

func (c *checker) hostKey(n int, e entry) ssh.PublicKey {
	if e.HostKey.Text == "" {
		c.missing(n, e, "host_key", "give the line of /etc/ssh/ssh_host_ed25519_key.pub there")
		return nil
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(e.HostKey.Text))
	// What ssh-keyscan prints begins with the host's name, which reads like options.
	if err != nil || len(options) > 0 || len(rest) > 0 {
		c.Add(e.HostKey, "host_key", "want the kind of key and the key, as in ssh_host_ed25519_key.pub, without a host's name before them")
		return nil
	}
	return key
}
