// Package app is the patchcycle program: the command line with the parts that
// link the engine wired in.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/demo"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/offline"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/edge/machine"
	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/patching"
)

// Main runs the program with its arguments and returns the exit code.
func Main(b build.Info, args []string) int {
	ctx, stop := cli.UntilSignal(context.Background())
	defer stop()
	var fleetArgs []string
	var measures string
	p := program{b.Version}
	return cli.Run(ctx, cli.Options{
		Build: b,
		Serve: func(ctx context.Context, o cli.ServeOptions) error { return p.serve(ctx, o, measures) },
		ServeFlags: func(c *cobra.Command) {
			c.Flags().StringVar(&measures, "measures", "", "unix socket for profiles and counts, for measurements")
			_ = c.Flags().MarkHidden("measures")
		},
		Demo: func(ctx context.Context, o cli.DemoOptions) error { return p.demo(ctx, o, fleetArgs) },
		DemoFlags: func(c *cobra.Command) {
			c.Flags().StringArrayVar(&fleetArgs, "fleet-arg", nil, "argument for the fleet's process, for crash tests")
			_ = c.Flags().MarkHidden("fleet-arg")
		},
		EngineStatus: engineStatus, EngineRebuild: p.rebuild, EngineAbandon: p.abandon, Assess: offline.Assess, Reconcile: offline.Reconcile,
		ReadAssets: offline.ReadAssets, Sweep: offline.Sweep, Networks: offline.Networks, Sim: runSim, Hindrance: machine.Hindrance,
	}, args, os.Stdin, os.Stdout, os.Stderr)
}

// program is what its commands share.
type program struct{ version string }

func (p program) serve(ctx context.Context, o cli.ServeOptions, measures string) error {
	log, err := logger(o.LogLevel, o.Err)
	if err != nil {
		return err
	}
	s, err := serve.Start(ctx, serve.Config{
		Dir: o.DataDir, DatabaseURL: o.DatabaseURL, TemporalAddress: o.TemporalAddress, TemporalToken: o.TemporalToken,
		Fleet: o.Fleet, Uplink: o.Uplink, UplinkCert: o.UplinkCert, UplinkKey: o.UplinkKey, API: o.API, UI: o.UI,
		Frontend: o.TemporalPort, Repositories: o.Repositories, Feeds: o.Feeds, Version: p.version, Log: log,
	})
	if err != nil {
		return err
	}
	defer s.Stop()
	stop, err := openMeasures(measures, s)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(o.Err, "patchcycle %s serves from %s\n", p.version, cli.OneLine(o.DataDir))
	listens := func(door, at string) {
		if at != "" {
			fmt.Fprintf(o.Err, "  %-8s  %s\n", door, at)
		}
	}
	listens("API", "unix://"+cli.OneLine(s.Config.Socket()))
	for _, door := range []string{"api", "uplink", "ui"} {
		listens(door, s.Address(door))
	}
	listens("Temporal", s.Engine.Addr())
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

func (p program) demo(ctx context.Context, o cli.DemoOptions, fleetArgs []string) error {
	return demo.Run(ctx, demo.Options{
		AutoApprove: o.AutoApprove, JSON: o.JSON, Dir: o.DataDir, New: o.New, Machines: o.Machines, Seed: o.Seed,
		IncludeThisMachine: o.IncludeThisMachine,
		DatabaseURL:        o.DatabaseURL, UI: o.UI, FleetArgs: fleetArgs, Version: p.version, Out: o.Out, Err: o.Err,
	})
}

func runSim(_ context.Context, args []string, _, _ io.Writer) error {
	if code := sim.Main(args); code != 0 {
		return errors.New("the fleet ended with an error; its messages stand above")
	}
	return nil
}

func (p program) rebuild(ctx context.Context, o cli.EngineOptions) (string, error) {
	c, err := p.offline(o)
	if err != nil {
		return "", err
	}
	return serve.Rebuild(ctx, c, o.Reason)
}

func (p program) abandon(ctx context.Context, o cli.EngineOptions, cycle string) (string, error) {
	c, err := p.offline(o)
	if err != nil {
		return "", err
	}
	words, err := serve.Abandon(ctx, c, patching.CycleID(cycle), o.Reason)
	if errors.Is(err, serve.ErrNoCycle) {
		err = cli.ErrNoCycle
	}
	return words, err
}

// offline is the configuration for what is done while the server is stopped.
func (p program) offline(o cli.EngineOptions) (serve.Config, error) {
	log, err := logger("error", o.Err)
	return serve.Config{
		Dir: o.DataDir, DatabaseURL: o.DatabaseURL, TemporalAddress: o.TemporalAddress, TemporalToken: o.TemporalToken, Version: p.version, Log: log,
	}, err
}

func logger(level string, w io.Writer) (*zap.Logger, error) {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(c), zapcore.Lock(zapcore.AddSync(w)), at)), nil
}
