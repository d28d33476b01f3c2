package observer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Rules are the machine's own while it is observed.
var Rules = agent.Rules{Allowed: agent.Looking()}

// Subject is a machine that says who it is without its package manager.
type Subject interface {
	agent.Machine
	Facts() (patching.Asset, error)
}

// Options say how to observe this machine. Link and Dir are required.
type Options struct {
	// Patched is this machine where it is to get its patches too, by no rules but the
	// orders that it takes. Nil: it is only looked at.
	Patched Subject
	// Link leads to the server.
	Link uplink.Link
	// Dir is the agent's folder: its key, who it is, its journal. Whoever
	// observes with the same folder again is the same device.
	Dir string
	// Token enrols the machine if it is not yet; it decides about the site.
	Token string
	// Fingerprint is what the server's trust root must have; empty believes
	// whoever answers, for a server on the same machine.
	Fingerprint patching.Digest
	// CarriesPatchcycle says that the server runs on this machine: it then goes
	// alone.
	CarriesPatchcycle bool
	Log               *zap.Logger
	Limits            agent.Limits
}

// Run enrols this machine if need be, and lets an agent answer for it until the
// context ends, one that only looks unless the options say otherwise. The error is
// then the context's.
func Run(ctx context.Context, o Options) (err error) {
	machine, rules := o.Patched, agent.Rules{}
	if machine == nil {
		rules = Rules
		if machine, err = open(o.CarriesPatchcycle); err != nil {
			return fmt.Errorf("observe this machine: %w", err)
		}
	}
	home := agent.Home(o.Dir)
	id, err := identity(ctx, o, home, machine, rules)
	if err != nil {
		return err
	}
	ledger, err := home.Ledger()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	a, err := agent.New(agent.Config{
		Identity: id, Machine: machine, Link: o.Link, Clock: clock{}, Journal: ledger.Journal(string(id.Device)),
		Shelf: home.Shelf(), Host: rules, Log: o.Log, Limits: o.Limits,
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// identity returns who the machine is, and enrols it if it is nobody yet.
func identity(ctx context.Context, o Options, home agent.Home, machine Subject, rules agent.Rules) (agent.Identity, error) {
	id, _, err := home.Identity()
	if !errors.Is(err, agent.ErrNotEnrolled) {
		return id, err
	}
	asset, err := machine.Facts() // the sets follow with the first inventory
	if err != nil {
		return id, fmt.Errorf("look at this machine: %w", err)
	}
	key, err := home.Key()
	if err != nil {
		return id, err
	}
	id, _, err = agent.Enrol(ctx, o.Link, o.Token, key, asset, rules, o.Fingerprint)
	if err != nil {
		return id, fmt.Errorf("enrol this machine: %w", err)
	}
	return id, home.Keep(id, "")
}

type clock struct{}

func (clock) Now() time.Time { return time.Now() }
