// Command patchcycle-relay is a site's end of patchcycle.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle-relay/cli"
	"github.com/patchcycle/patchcycle/internal/build"
)

// version and commit are set by the linker.
var version, commit = "0.2.0-dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Options{Build: build.Of(version, commit), Log: edgecli.Log, Now: time.Now, Hostname: os.Hostname, Env: os.Getenv, In: os.Stdin},
		os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
