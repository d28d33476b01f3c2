//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/certificate"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// ground is a lab with a server in its network and machines that are enrolled.
type ground struct {
	options
	dir    string // the server's
	lab    *nspawn.Lab
	repo   *faults.Repository
	hosts  []*nspawn.Host
	server *exec.Cmd
	// relaying is the relay between machines and server, if there is one.
	relaying *exec.Cmd
	// labOnly: machines know of the lab's own packages, and of nothing of Debian's.
	labOnly bool
	// bare: machines have no agent at first, and never one that stays. They reach nobody.
	bare   bool
	logged map[string]int // how long dpkg's log was, by machine
	// enrolled counts machines.
	enrolled int
	people   *trial.People
	// others are the tokens of people whom some cycles have beside those.
	others map[patching.AccountName]string
	out    io.Writer // what was found, for people
	say    func(format string, args ...any)
	log    io.Writer
}

// up makes the lab, with packages that all machines have. Everything is installed
// before [ground.close] makes the server take the place of the archive: from then on
// machines reach updates through it alone.
func (g *ground) up(ctx context.Context, hosts []nspawn.HostOptions, base ...string) error {
	if err := g.found(ctx, base...); err != nil {
		return err
	}
	return g.boot(ctx, hosts)
}

// found makes the lab, and what all of its machines will have.
func (g *ground) found(ctx context.Context, base ...string) (err error) {
	logs := io.Discard
	if g.verbose {
		logs = g.log
	}
	g.lab, err = nspawn.Up(ctx, nspawn.Options{
		Name: filepath.Base(g.dir), Packages: "/apt", Log: logs,
		Repositories: func(folder string) (r []nspawn.Repository, err error) {
			if g.repo, err = faults.Open(folder); err == nil {
				err = g.repo.PublishAll(faults.Good)
			}
			if err != nil {
				return nil, err
			}
			key, err := g.repo.Key()
			return []nspawn.Repository{{Name: "lab", Suite: faults.Suite, Key: key, Handler: g.repo.Handler()}}, err
		},
	})
	if err != nil {
		return err
	}
	if err := g.certify(); err != nil {
		return err
	}
	if !g.bare {
		deb, err := os.ReadFile(g.agent)
		if err != nil {
			return err
		}
		if err := g.lab.Install("root/patchcycle-agent.deb", deb, 0o644); err != nil {
			return err
		}
		base = append([]string{"/root/patchcycle-agent.deb"}, base...)
	}
	if err := g.lab.Apt(ctx, append([]string{"install", "-q", "-y"}, base...)...); err != nil {
		return err
	}
	if g.labOnly {
		if err := g.lab.Install("etc/apt/sources.list.d/debian.sources", nil, 0o644); err != nil {
			return err
		}
		return g.lab.Apt(ctx, update...)
	}
	return nil
}

// update fetches apt's lists, or fails.
var update = []string{"update", "-q", "-o", "APT::Update::Error-Mode=any"}

// boot makes the machines, from which on the lab's common part is closed.
func (g *ground) boot(ctx context.Context, hosts []nspawn.HostOptions) error {
	for _, o := range hosts {
		h, err := g.lab.Create(ctx, o)
		if err != nil {
			return err
		}
		g.hosts = append(g.hosts, h)
	}
	return errors.Join(nspawn.Boot(ctx, g.hosts...), g.listRepositories())
}

// close lets the server take the place of the archive.
func (g *ground) close() error { return errors.Join(g.beginWitness(), g.lab.CloseDoor()) }

// last is the machine on which the second cycle goes wrong.
func (g *ground) last() *nspawn.Host { return g.hosts[len(g.hosts)-1] }

func (g *ground) down(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if g.server != nil {
		g.kill()
	}
	if g.relaying != nil {
		end(g.relaying)
	}
	if g.lab != nil {
		err = g.lab.Down(ctx)
	}
	return err
}

// certify makes an authority that every machine trusts, and the server's
// certificate.
func (g *ground) certify() error {
	// A year old, as many are: a clock that fell back some months still takes it.
	own, err := certificate.For(net.ParseIP(nspawn.Gateway), time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, 7))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(g.certFile(), own.Certificate, 0o600),
		os.WriteFile(g.keyFile(), own.Key, 0o600),
		g.lab.Install("usr/local/share/ca-certificates/patchcycle-lab.crt", own.Certificate, 0o644),
	)
}

func (g *ground) certFile() string { return filepath.Join(g.dir, "uplink.pem") }
func (g *ground) keyFile() string  { return filepath.Join(g.dir, "uplink.key") }

// repositories is what the server mirrors for its machines.
const (
	ofDebian = `  - name: debian
    url: %[1]s/debian
    suites: [%[2]s, %[2]s-updates]
    components: [main]
    architectures: [amd64]
    keyring: /usr/share/keyrings/debian-archive-keyring.gpg
  - name: debian-security
    url: %[1]s/debian-security
    suites: [%[2]s-security]
    components: [main]
    architectures: [amd64]
    keyring: /usr/share/keyrings/debian-archive-keyring.gpg
`
	ofLab = `  - name: lab
    url: %[1]s/lab
    suites: [%[2]s]
    components: [main]
    architectures: [amd64]
    keyring: lab.gpg
    refresh: 10s
`
)

func (g *ground) listRepositories() error {
	key, err := g.repo.Key()
	if err != nil {
		return err
	}
	text := "repositories:\n" + fmt.Sprintf(ofLab, g.lab.Upstream(), faults.Suite)
	if !g.labOnly {
		text += fmt.Sprintf(ofDebian, g.lab.Upstream(), nspawn.Suite)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(g.dir, "lab.gpg"), key, 0o600),
		os.WriteFile(filepath.Join(g.dir, "repositories.yaml"), []byte(text), 0o600),
	)
}

// serve starts the server in the lab's network and waits until it answers.
func (g *ground) serve(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(g.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	args := append([]string{g.program, "server", "--data-dir", g.dir, "--ui", "", "--repositories", filepath.Join(g.dir, "repositories.yaml")}, g.uplinkOf()...)
	c := g.lab.Command(context.WithoutCancel(ctx), args...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	g.server = c
	for end := time.Now().Add(3 * time.Minute); ; {
		people, err := trial.Introduce(ctx, g.dir)
		if err == nil {
			g.people = people
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the server does not answer: %w", err)
		}
		_ = pause.For(ctx, 200*time.Millisecond)
	}
}

// kill ends the server and all that it started, as a power cut does.
func (g *ground) kill() {
	_ = syscall.Kill(-g.server.Process.Pid, syscall.SIGKILL)
	_ = g.server.Wait()
	g.server = nil
}

// enrol lets machines into the fleet and points their lists at the server.
func (g *ground) enrol(ctx context.Context, hosts []*nspawn.Host) error {
	token, err := g.people.Admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "lab", Uses: len(hosts), Hours: 1, AutoAccept: true})
	if err != nil {
		return err
	}
	options := "--notice=" + g.notice.String()
	if g.probation > 0 {
		options += " --probation=" + g.probation.String()
	}
	err = each(hosts, func(h *nspawn.Host) error {
		if err := h.WriteFile("root/token", []byte(token.Token+"\n"), 0o600); err != nil {
			return err
		}
		if err := h.WriteFile("etc/apt/apt.conf.d/60lab", []byte("Acquire::https::CAInfo \"/etc/ssl/certs/ca-certificates.crt\";\n"), 0o644); err != nil {
			return err
		}
		return steps(ctx, h, [][]string{
			{"update-ca-certificates"},
			{"sh", "-c", "sed -i s,http://,https://, /etc/apt/sources.list.d/*.sources"},
			append([]string{"apt-get"}, update...),
			{"sh", "-c", "echo 'PATCHCYCLE_AGENT_OPTIONS=" + options + "' > /etc/default/patchcycle-agent"},
			{"patchcycle-agent", "enrol", "--server", "https://" + g.lab.Server(), "--token-file", "/root/token"},
			{"systemctl", "start", "patchcycle-agent"},
		})
	})
	if err != nil {
		return err
	}
	g.enrolled += len(hosts)
	return g.await(ctx, time.Minute, "inventories", func() (bool, error) {
		n, err := trial.Inventoried(ctx, g.people.Admin)
		return n == g.enrolled, err
	})
}

// each does something on machines, two at a time: they share two cores.
func each(hosts []*nspawn.Host, do func(*nspawn.Host) error) error {
	var all errgroup.Group
	all.SetLimit(2)
	for _, h := range hosts {
		all.Go(func() error { return do(h) })
	}
	return all.Wait()
}

func steps(ctx context.Context, h *nspawn.Host, lines [][]string) error {
	for _, l := range lines {
		if _, err := h.Output(ctx, l...); err != nil {
			return err
		}
	}
	return nil
}

// await asks until something is so. A server that is away is asked again.
func (g *ground) await(ctx context.Context, limit time.Duration, what string, is func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		so, err := is()
		switch {
		case err != nil && !errors.Is(err, client.ErrAway):
			return fmt.Errorf("%s: %w", what, err)
		case err == nil && so:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(end):
			return fmt.Errorf("%s: not within %s (%w)", what, limit, err)
		}
		_ = pause.For(ctx, 250*time.Millisecond)
	}
}

// soon is for what takes a moment.
const soon = time.Minute

func exists(ctx context.Context, h *nspawn.Host, file string) bool {
	o, err := h.Exec(ctx, "test", "-e", file, "-o", "-L", file)
	return err == nil && o.Code == 0
}

// bootIDs are those of all machines, by name.
func (g *ground) bootIDs(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	for _, h := range g.hosts {
		id, err := h.BootID(ctx)
		if err != nil {
			return nil, err
		}
		ids[h.Name] = id
	}
	return ids, nil
}
