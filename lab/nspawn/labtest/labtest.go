//go:build linux

// Package labtest gives a test its own lab.
package labtest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// Need skips the test where no lab can run, with the cure in one line; under
// CI=true that is a failure, because a commit is proven there.
func Need(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := nspawn.Check(ctx)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// Up makes a lab that is taken down with the test, also at a ^C. Its name is
// made of the one given and the process, so that tests can run side by side.
func Up(t testing.TB, o nspawn.Options) *nspawn.Lab {
	t.Helper()
	Need(t)
	o.Name = fmt.Sprintf("%s-%d", o.Name, os.Getpid())
	if o.Log == nil {
		o.Log = t.Output()
	}
	// The go command passes a ^C on; a second one ends it the hard way, and
	// the next lab sweeps up.
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	lab, err := nspawn.Up(ctx, o)
	interrupted := ctx.Err() != nil && t.Context().Err() == nil
	stop()
	if interrupted {
		t.Fatal("interrupted")
	}
	require.NoError(t, err)
	down := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		return lab.Down(ctx)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if s, ok := <-signals; ok {
			_ = down()
			signal.Reset(s)
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal)) //nolint:forcetypeassert // there is no other on Linux
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range lab.Hosts() {
				if text, err := os.ReadFile(h.Console()); err == nil {
					t.Logf("the console of %s ends with:\n%s", filepath.Base(h.Name), text[max(0, len(text)-2000):])
				}
			}
		}
		require.NoError(t, down())
		signal.Stop(signals)
		close(signals)
	})
	return lab
}
