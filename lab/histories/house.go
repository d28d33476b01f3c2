package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// patience bounds what takes seconds when all is well.
const patience = time.Minute

// house is a running server with its people and the machines of each site.
type house struct {
	*trial.People
	dir              string
	uplink, temporal string // addresses

	server *exec.Cmd
	done   chan struct{}
	sites  []*site
}

// open starts the program as a user would.
func open(ctx context.Context, program, dir string) (*house, error) {
	h := &house{dir: filepath.Join(dir, "server"), done: make(chan struct{})}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	h.server = exec.Command(program, "server", "--data-dir", h.dir, "--uplink", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--log-level", "warn")
	out, err := h.server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := h.server.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	serving := make(chan struct{})
	go h.attend(out, log, serving)
	select {
	case <-serving:
	case <-h.done:
		return nil, errors.New("the server ended before it served")
	case <-ctx.Done():
		h.close()
		return nil, context.Cause(ctx)
	}
	if h.People, err = trial.Meet(ctx, h.dir, 0); err != nil {
		h.close()
	}
	return h, err
}

// attend reads where the server is from the lines that it greets people with.
func (h *house) attend(out io.Reader, log *os.File, serving chan<- struct{}) {
	defer close(h.done)
	defer log.Close()
	lines := bufio.NewScanner(io.TeeReader(out, log))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 2 || h.temporal != "" {
			continue
		}
		switch f[0] {
		case "uplink":
			h.uplink = f[1]
		case "Temporal": // the last of them
			h.temporal = f[1]
			close(serving)
		}
	}
	_ = h.server.Wait() // a killed one has nothing to say
}

func (h *house) close() {
	for _, s := range h.sites {
		s.close()
	}
	_ = h.server.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.done:
	case <-time.After(patience):
		_ = h.server.Process.Kill()
		<-h.done
	}
}

// site has machines of its own and a policy of its own.
type site struct {
	*house
	rules rules
	fleet *sim.Fleet
	link  *uplink.Client
	stop  context.CancelFunc
	ended chan error
}

// rules are what a site has of its own in policy.yaml.
type rules struct {
	Name        string
	Calendar    string
	Test, Early string // selectors
	TestCount   int
	EarlyCount  int
}

// settle makes a site's machines and waits until they have said what is
// installed on them. choose makes the policy fit what was drawn.
func (h *house) settle(ctx context.Context, r rules, p truth.Profile, choose func([]truth.Machine, *rules)) (*site, error) {
	name := patching.SiteName(r.Name)
	p.Seed, p.Sites = 1, []truth.Site{{Name: name, Zone: "Europe/Amsterdam"}}
	made, err := h.Admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: name, Uses: p.Machines, Hours: 1, AutoAccept: true})
	if err != nil {
		return nil, fmt.Errorf("enrolment token: %w", err)
	}
	s := &site{house: h, rules: r, ended: make(chan error, 1)}
	if s.link, err = uplink.NewClient(uplink.ClientOptions{URL: "http://" + h.uplink, FirstWait: 200 * time.Millisecond}); err != nil {
		return nil, err
	}
	s.fleet, err = sim.Open(sim.Options{
		Dir: filepath.Join(filepath.Dir(h.dir), "fleet-"+r.Name), Profile: p, Link: s.link,
		Tokens: map[patching.SiteName]string{name: made.Token}, Speed: 100, SyncAtOnce: -1, Log: zap.NewNop(),
	})
	if err != nil {
		s.link.Close()
		return nil, fmt.Errorf("machines: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() { s.ended <- s.fleet.Run(running) }()
	h.sites = append(h.sites, s)
	if choose != nil {
		choose(s.fleet.Truth(), &s.rules)
	}
	if err := s.apply(ctx); err != nil {
		return nil, err
	}
	return s, s.awaitInventories(ctx, p.Machines)
}

func (s *site) close() {
	s.stop()
	_ = errors.Join(<-s.ended, s.fleet.Close()) // what its machines did is in the histories, or not
	s.link.Close()
}

//go:embed policy.yaml
var policyText string

var policyPage = template.Must(template.New("policy.yaml").Parse(policyText))

// apply puts the site's policy in force, as its rules are now.
func (s *site) apply(ctx context.Context) error {
	var b bytes.Buffer
	if err := policyPage.Execute(&b, s.rules); err != nil {
		return err
	}
	_, err := s.Author.ApplyPolicy(ctx, s.policy(), s.rules.Name+".yaml", b.Bytes(), true)
	var wrong *wire.Problem
	if errors.As(err, &wrong) {
		return fmt.Errorf("policy: %w: %+v", err, wrong.Policy)
	}
	return err
}

func (s *site) policy() patching.PolicyName { return patching.PolicyName(s.rules.Name) }

func (s *site) awaitInventories(ctx context.Context, want int) error {
	return until(ctx, "inventories", func() (bool, error) {
		page, err := s.Admin.Assets(ctx, client.AssetQuery{Site: patching.SiteName(s.rules.Name), Limit: 1000})
		n := 0
		for _, a := range page.Items {
			if !a.Inventoried.IsZero() {
				n++
			}
		}
		return n == want, err
	})
}

// await waits until a cycle is in the phase and returns how it stands.
func (h *house) await(ctx context.Context, id patching.CycleID, phase patching.Phase) (wire.CycleDetail, error) {
	var c wire.CycleDetail
	err := until(ctx, fmt.Sprintf("phase %s of %s", phase, id), func() (is bool, err error) {
		if c, err = h.Admin.WatchCycle(ctx, id, c.Mark, 5*time.Second); err != nil {
			return false, err
		}
		if c.Phase.Terminal() && c.Phase != phase {
			return false, fmt.Errorf("it closed: %s", c.Words)
		}
		return c.Phase == phase, nil
	})
	return c, err
}

// act does something to a cycle in the approver's name.
func (h *house) act(ctx context.Context, id patching.CycleID, verb string, a wire.Act) error {
	_, err := h.Approver.Do(ctx, id, verb, a, client.NewKey())
	return err
}

// finish approves a cycle and waits for its end.
func (h *house) finish(ctx context.Context, id patching.CycleID) (wire.CycleDetail, error) {
	c, err := h.await(ctx, id, patching.PhaseApproval)
	if err != nil {
		return c, err
	}
	if err := h.act(ctx, id, "approve", wire.Act{Plan: c.Plan, Reason: "looks good"}); err != nil {
		return c, err
	}
	return h.await(ctx, id, patching.PhaseClosed)
}

// until waits for something that takes a while.
func until(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*patience, fmt.Errorf("%s took longer than %s", what, 3*patience))
	defer cancel()
	for {
		ok, err := is()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
