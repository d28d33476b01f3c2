package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/tables"
	"github.com/patchcycle/patchcycle/console/api"
	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/report"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/postgres"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/worker"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/feeds"
	"github.com/patchcycle/patchcycle/worker/notices"
	"github.com/patchcycle/patchcycle/worker/rootstore"
	"github.com/patchcycle/patchcycle/worker/snapshots"
)

// Server is a running control plane.
type Server struct {
	Config  Config
	Store   *store.Store
	Engine  *engine.Engine
	Starter *starter.Starter

	authority *root.Folder
	root      *root.Server
	tables    []urgency.Table
	depot     *depot.Depot // nil: no repositories are configured
	snapshots *snapshots.Keeper
	notices   *notices.Keeper
	feeds     *feeds.Keeper
	granting  *activities.Granting
	backups   *backing
	remedying *activities.Remedying // nil where a cycle is closed on record, and nothing else runs
	worker    *worker.Worker
	doors     []*door
	cancel    context.CancelFunc
	tasks     sync.WaitGroup
	once      sync.Once
	failed    chan error
}

// Start starts a server and returns when it serves: the API answers, machines
// can enrol, cycles go on.
func Start(ctx context.Context, c Config) (*Server, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	// Absolute, because reports are recorded by where they are, and the next start
	// may come from another folder.
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	c.Dir = dir
	if len(c.Socket()) > socketAtMost {
		return nil, fmt.Errorf("--data-dir %s: the API's socket in it would have a path of %d letters, and systems take %d: choose a shorter one", dir, len(c.Socket()), socketAtMost)
	}
	if err := c.makeDirs(); err != nil {
		return nil, c.explain(err)
	}
	if err := c.roomy(); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{Config: c, cancel: cancel, failed: make(chan error, 4)}
	if err := s.start(ctx, life); err != nil {
		s.Stop()
		return nil, c.explain(err)
	}
	return s, nil
}

// socketAtMost is how long the path of a unix socket may be: 107 on Linux, 103 on
// macOS.
const socketAtMost = 103

func (s *Server) start(ctx, life context.Context) (err error) {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.whole(ctx); err != nil {
		return err
	}
	if s.Engine, err = startEngine(ctx, s.Config, s.Store); err != nil {
		return err
	}
	s.Starter = starter.New(s.Engine.Client(), s.Store, s.Config.Now)
	if err := s.agree(ctx); err != nil {
		return err
	}
	if err := s.openUplink(ctx, life); err != nil {
		return err
	}
	if err := s.openDepot(); err != nil {
		return err
	}
	if err := s.openTables(); err != nil {
		return err
	}
	if err := s.openFeeds(ctx); err != nil {
		return err
	}
	s.openRemedying()
	s.openBackups(life)
	if s.worker, err = worker.Start(s.Engine.Client(), s.activities()); err != nil {
		return err
	}
	if err := s.openNotices(ctx); err != nil {
		return err
	}
	if err := s.openDoors(); err != nil {
		return err
	}
	s.watch(life)
	return nil
}

// openTables reads the house's own decision tables, beside those that come along.
func (s *Server) openTables() error {
	files, err := filepath.Glob(filepath.Join(s.Config.Tables(), "*.csv"))
	if err != nil {
		return err
	}
	if s.tables, err = tables.With(files...); err != nil {
		return fmt.Errorf("%w; docs/urgency.md shows what a table looks like", err)
	}
	return nil
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if err := s.Config.recordThere(); err != nil {
		return err
	}
	if s.Config.DatabaseURL != "" {
		s.Store, err = postgres.Open(ctx, s.Config.DatabaseURL)
	} else {
		s.Store, err = sqlite.Open(ctx, s.Config.Record())
	}
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	lost, err := s.Store.AcquireServerLock(ctx, false)
	if err != nil {
		return fmt.Errorf("lock the store: %w", err)
	}
	go func() {
		if _, open := <-lost; !open {
			s.fail(errors.New("the store's server lock was lost: another server may have taken over"))
		}
	}()
	return ensureAdmin(ctx, s.Store, s.Config.AdminToken(), time.Now().UTC())
}

func (s *Server) openUplink(ctx, life context.Context) error {
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return err
	}
	fleet, err := s.fleet(ctx)
	if err != nil {
		return err
	}
	s.authority, err = root.OpenFolder(filepath.Join(s.Config.Dir, "keys"), fleet, epoch)
	if err != nil {
		return fmt.Errorf("trust root: %w", err)
	}
	s.granting = &activities.Granting{Store: s.Store, Root: func() trust.Root { return s.authority.Authority().Root }, Now: time.Now}
	s.root, err = root.New(root.Options{Store: rootstore.Store{Store: s.Store}, Authority: s.authority, Log: s.Config.Log.Named("uplink")})
	if err != nil {
		return err
	}
	s.tasks.Go(func() {
		if err := s.root.Run(life); err != nil {
			s.fail(fmt.Errorf("root relay: %w", err))
		}
	})
	return nil
}

// openDepot opens the repositories, where some are configured.
func (s *Server) openDepot() error {
	if s.Config.Repositories == "" {
		return nil
	}
	repositories, err := depot.ReadRepositories(s.Config.Repositories)
	if err != nil {
		return fmt.Errorf("--repositories: %w", err)
	}
	s.depot, err = depot.Open(depot.Options{
		Dir: filepath.Join(s.Config.Dir, "depot"), Repositories: repositories, Log: s.Config.Log.Named("depot"),
	})
	if err != nil {
		return err
	}
	s.snapshots = &snapshots.Keeper{Depot: s.depot, Record: s.Store, Now: time.Now, Cache: filepath.Join(s.Config.Dir, "changelogs")}
	return nil
}

// fleet is the installation's name: the one given at the first start, for
// machines are bound to it.
func (s *Server) fleet(ctx context.Context) (string, error) {
	const key = "fleet"
	name, known, err := s.Store.Setting(ctx, key)
	switch {
	case err != nil:
		return "", err
	case known && s.Config.Fleet != "" && s.Config.Fleet != name:
		return "", fmt.Errorf("--fleet %s: this installation is %q, and its machines are bound to that", s.Config.Fleet, name)
	case known:
		return name, nil
	case s.Config.Fleet == "":
		s.Config.Fleet = DefaultFleet
	}
	return s.Config.Fleet, s.Store.SetSetting(ctx, key, s.Config.Fleet)
}

// activities hands each activity its ports.
func (s *Server) activities() activities.All {
	st, now, look, orders := s.Store, time.Now, s.Config.Look, s.root.Dispatcher()
	planning := &activities.Planning{Store: st, Now: now, Remedying: s.remedying, WayBack: assess.ByPackages(kept)}
	if s.snapshots != nil {
		planning.Snapshots = s.snapshots
	}
	granting := s.granting
	planning.Granting = granting
	return activities.All{
		Cycles:    s.cycles(),
		Assessing: &activities.Assessing{Store: st, Now: now},
		Planning:  planning,
		Remedying: s.remedying,
		People:    &activities.People{Store: st, History: worker.History{Client: s.Engine.Client()}, Granting: granting, Now: now},
		Waves:     &activities.Waves{Store: st, Dispatcher: orders, Granting: granting, Now: now, Look: look},
		Campaigns: &activities.Campaigns{Store: st, Dispatcher: orders, Granting: granting, Now: now, Look: look},
		Reports:   s.reports(),
		Calendar:  &activities.Calendar{Store: st, Starter: s.Starter, Now: now},
	}
}

func (s *Server) cycles() *activities.Cycles {
	var mode func() trust.Mode
	if s.authority != nil { // else a cycle is closed on record, and nothing else runs
		mode = func() trust.Mode { return s.authority.Authority().Root.Mode }
	}
	return &activities.Cycles{Store: s.Store, Now: time.Now, Mode: mode, Log: slog.New(zapslog.NewHandler(s.Config.Log.Core()))}
}

func (s *Server) reports() *activities.Reports {
	return &activities.Reports{
		Store: s.Store, Remedying: s.remedying, Render: report.Files{Dir: s.Config.Reports(), Source: s.Store, Now: time.Now},
	}
}

// readChangelogs is how long a plan waits for the changelogs of its packages: a kernel's
// alone may take a minute, and an emergency cannot.
const readChangelogs = 30 * time.Second

// openRemedying makes the one that all ask: it remembers what it indexed.
func (s *Server) openRemedying() {
	s.remedying = &activities.Remedying{Store: s.Store, Now: time.Now, Feeds: s.feeds, Tables: s.tables, Patience: readChangelogs}
	if s.snapshots != nil {
		s.remedying.Changelogs = s.snapshots
	}
}

func (s *Server) urgent() *activities.Urgent {
	return &activities.Urgent{Store: s.Store, Remedying: s.remedying}
}

// kept says whether an old version can still be had, where the server keeps no
// snapshots: an upgraded package is taken to be in its archive, and a machine
// that cannot fetch it ends as "manual work needed".
func kept(string, string, string) bool { return true }

// API returns the handler of the API.
func (s *Server) api() http.Handler {
	return api.New(api.Options{
		Store: s.Store, Starter: s.Starter, Version: s.Config.Version, Logger: s.Config.Log.Named("api"),
		Rescan: rescan{s}, DeviceChanged: s.deviceChanged, Urgent: s.urgent(), Checks: s.checks(), Login: s.login(),
		ReadAdvisories: advisories.ReadHand,
		Notify:         telling{s},
		Feeds:          s.feeds,
		Trust:          trusting{s.authority},
		HoldChanged:    s.root.HoldChanged,
		Backups:        s.backups,
	})
}

// login returns how people get into Temporal's pages; nil: there are none.
func (s *Server) login() func(context.Context, string) (string, error) {
	if s.Config.UI == "" || s.Engine.UIHandler() == nil {
		return nil
	}
	return func(ctx context.Context, token string) (string, error) {
		path, err := s.Engine.LoginLink(ctx, token)
		return "http://" + s.Address("ui") + path, err
	}
}

// Failed delivers why the server broke after it had started.
func (s *Server) Failed() <-chan error { return s.failed }

func (s *Server) fail(err error) {
	err = s.Config.explain(err)
	s.Config.Log.Error("the server broke", zap.Error(err))
	select {
	case s.failed <- err:
	default:
	}
}

// Stop stops once and waits: doors first, so that nothing new comes in, then
// the worker, the root relay, the engine, the store.
func (s *Server) Stop() {
	s.once.Do(func() {
		for _, d := range s.doors {
			d.close()
		}
		if s.worker != nil {
			s.worker.Stop()
		}
		if s.depot != nil {
			s.depot.Close()
		}
		if s.feeds != nil {
			s.feeds.Close()
		}
		s.cancel()
		s.tasks.Wait()
		if s.backups != nil {
			s.backups.keeper.Close() // what it runs ends with the server's life
		}
		if s.Engine != nil {
			s.Engine.Stop()
		}
		if s.Store != nil {
			_ = s.Store.Close()
		}
	})
}
