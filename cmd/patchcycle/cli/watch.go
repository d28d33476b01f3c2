package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

type cycleWatchOptions struct{ json bool }

func newCycleWatch(e *env) *cobra.Command {
	var o cycleWatchOptions
	c := &cobra.Command{
		Use: "watch [CYCLE]", Short: "Follow a cycle until it closes", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Long: `Follow a cycle until it closes. With --json, each change is a line of JSON. A
server that restarts meanwhile is waited for.`,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	c.Flags().BoolVar(&o.json, "json", false, "print a line of JSON at each change, for programs")
	return c
}

const (
	// watchWait is how long one question to the server waits for a change.
	watchWait = 25 * time.Second
	// watchPause is between two questions.
	watchPause = time.Second
	// watchAway is for how long a server that went away is waited for.
	watchAway = 2 * time.Minute
)

func (o cycleWatchOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	show := s.watchLines
	switch {
	case o.json:
		enc := json.NewEncoder(s.out)
		show = func(d wire.CycleDetail) error { return enc.Encode(d) }
	case s.width > 0:
		bar, end := s.watchBar(ctx)
		defer end()
		show = bar
	}
	return watch(ctx, c, id, show)
}

// watch calls show at each change until the cycle closes.
func watch(ctx context.Context, c *client.Client, id patching.CycleID, show func(wire.CycleDetail) error) error {
	mark, seen := "", time.Time{}
	for {
		d, err := c.WatchCycle(ctx, id, mark, watchWait)
		switch {
		case err == nil:
			if d.Mark != mark {
				if err := show(d); err != nil {
					return err
				}
			}
			mark, seen = d.Mark, time.Now()
			if d.Phase.Terminal() {
				return nil
			}
		case !errors.Is(err, client.ErrAway) || seen.IsZero() || time.Since(seen) > watchAway:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause):
		}
	}
}

// watchLines prints a line a change, where there is no terminal.
func (s *session) watchLines(d wire.CycleDetail) error {
	_, err := fmt.Fprintln(s.out, OneLine(fmt.Sprintf("%s  %-9s  %d of %d ended  %s",
		s.Now().In(s.zone).Format("15:04:05 MST"), d.Phase, d.Machines-d.InProgress, d.Machines, d.Words)))
	return err // lest somebody waits for months for what nobody reads
}

// watchBar draws how far the cycle is under the words that say where it stands.
func (s *session) watchBar(ctx context.Context) (show func(wire.CycleDetail) error, end func()) {
	p := mpb.NewWithContext(ctx, mpb.WithOutput(s.out), mpb.WithWidth(min(60, s.width/2)), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond))
	var phase atomic.Value // the bar is drawn by a goroutine of its own
	phase.Store("")
	bar := p.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return phase.Load().(string) }, decor.WC{W: 10, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d ended", decor.WCSyncSpace)))
	said := ""
	show = func(d wire.CycleDetail) error {
		if d.Words != said {
			said = d.Words
			fmt.Fprintf(p, "%s  %s\n", s.Now().In(s.zone).Format("15:04:05 MST"), OneLine(d.Words))
		}
		phase.Store(string(d.Phase))
		bar.SetTotal(int64(d.Machines), false)
		bar.SetCurrent(int64(d.Machines - d.InProgress))
		return nil
	}
	return show, func() {
		bar.Abort(false) // leaves the bar as it stands
		p.Wait()
	}
}
