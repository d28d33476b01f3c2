// Command patchcycle-agent is the machine's end of patchcycle.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

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
		Build: build.Of(version, commit), Machine: open, Hindrance: machine.Hindrance, Log: log, Env: os.Getenv, Now: time.Now,
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
		Dir: p.Dir, Lists: p.Lists, Server: p.Server, CA: p.CA, Notice: p.Notice, Fresh: p.Fresh, NewConffiles: p.NewSettings, Log: log,
	})
}

// log writes JSON, so that what a machine or a server says cannot break a line.
func log(w io.Writer) *zap.Logger {
	words := zap.NewProductionEncoderConfig()
	words.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(words), zapcore.AddSync(w), zap.InfoLevel))
}
