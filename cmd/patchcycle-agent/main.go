// Command patchcycle-agent is the machine's end of patchcycle.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle-agent/cli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/machine"
	"github.com/patchcycle/patchcycle/edge/observer"
	"github.com/patchcycle/patchcycle/internal/build"
)

// version and commit are set by the linker.
var version, commit = "0.2.0-dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Options{
		Build: build.Of(version, commit), Machine: open, Hindrance: machine.Hindrance, Log: edgecli.Log, Env: os.Getenv, Now: time.Now,
	}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// open opens this machine: to act on it, or without a folder only to look.
func open(p cli.Place, log *zap.Logger) (agent.Machine, error) {
	if p.Dir == "" {
		return observer.New()
	}
	if p.Notice == 0 {
		p.Notice = -1 // to the machine 0 is the default
	}
	return machine.New(machine.Options{
		Dir: p.Dir, Lists: p.Lists, Releases: p.Home, Server: p.Server, Route: p.Route, CA: p.CA, Courier: p.Courier, Notice: p.Notice, Fresh: p.Fresh, NewConffiles: p.NewSettings,
		CarriesPatchcycle: p.CarriesPatchcycle, Log: log,
	})
}
