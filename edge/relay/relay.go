package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching"
)

// Options are a relay's parts and limits. Name, Up and Dir are required; zero
// fields of the rest take the default in brackets.
type Options struct {
	// Name is how the server knows this relay: lower-case letters, digits, dots
	// and dashes.
	Name string
	// Up is the way to the server, or to a relay before it.
	Up uplink.Link
	// Files is where packages come from; nil: none are served.
	Files Files
	// Dir keeps the spool and what was fetched. One process uses it.
	Dir string
	// Machines have no resident agent: they are visited over SSH with Key.
	Machines []visit.Machine
	Key      ssh.Signer
	Log      *zap.Logger
	// Now is the clock [time.Now].
	Now func() time.Time

	// Cache bounds the bytes of packages that are kept [20 GB].
	Cache int64
	// Spool bounds the bytes of receipts that wait for the line [256 MB];
	// negative: none are kept.
	Spool int64
	// Rate bounds the bytes a second of packages from the server; 0: no bound.
	// What machines report and are told is not bounded.
	Rate int64
	// Gather is for how long messages and polls gather before they go on
	// together [150 ms].
	Gather time.Duration
	// Grace is for how long the line has to fail before machines are told to
	// look for another way [10 s].
	Grace time.Duration
	// Stall is for how long the server may send nothing of a file [30 s].
	Stall time.Duration
	// MaxPolls and MaxRequests bound requests under way, MaxFiles those for
	// packages [20000, 2000, 256].
	MaxPolls, MaxRequests, MaxFiles int
}

func (o Options) withDefaults() (Options, error) {
	switch {
	case !patching.ValidName(o.Name):
		return o, fmt.Errorf("relay: %.80q is no name for a relay: lower-case letters, digits, dots and dashes", o.Name)
	case o.Up == nil || o.Dir == "":
		return o, errors.New("relay: Up or Dir is missing")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Cache = cmp.Or(o.Cache, 20<<30)
	o.Spool = cmp.Or(o.Spool, 256<<20)
	o.Gather = cmp.Or(o.Gather, 150*time.Millisecond)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	o.MaxPolls = cmp.Or(o.MaxPolls, 20000)
	o.MaxRequests = cmp.Or(o.MaxRequests, 2000)
	o.MaxFiles = cmp.Or(o.MaxFiles, 256)
	return o, nil
}

// Relay stands between machines and the server. Make it with [New], have
// [Relay.Run] run, and serve its Handler; it is an [uplink.Link] for machines in
// the same process.
type Relay struct {
	opts  Options
	log   *zap.Logger
	line  *line
	shelf *shelf
	spool *spool
	stage *stage
	lock  *os.File

	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	// mu may be taken by who has a lane's, and never the other way round.
	mu     sync.Mutex
	closed bool
	lanes  map[string]*lane
	// sending counts who is just sending a message.
	sending map[messageName]int
	// serverAt is the server's clock as it last told it, heardAt when that was.
	serverAt, heardAt time.Time
	// held is the server's last word of a hold on all machines; nil: there is none.
	held *uplink.Hold
	// visitor visits machines without a resident agent; nil: nobody does.
	visitor *visit.Visitor
	// own is who holds the site's machines, by a file in the relay's folder; nil: nobody.
	own *uplink.Hold
	// heldNew: not all who wait here were told of it.
	heldNew bool
}

var _ uplink.Link = (*Relay)(nil)

// New opens a relay's folder.
func New(o Options) (*Relay, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Relay{
		opts: o, log: o.Log.With(zap.String("relay", o.Name)), line: newLine(o.Grace, o.Now), lanes: map[string]*lane{},
		sending: map[messageName]int{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.stage = newStage(r)
	err = r.open()
	if err == nil && len(o.Machines) > 0 {
		r.visitor, err = visit.New(visit.Options{Machines: o.Machines, Key: o.Key, Handler: r.Handler(), Log: r.log})
	}
	if err != nil {
		return nil, fmt.Errorf("relay: %w", errors.Join(err, r.close()))
	}
	return r, nil
}

func (r *Relay) open() (err error) {
	if err := os.MkdirAll(r.opts.Dir, 0o700); err != nil {
		return err
	}
	if r.lock, err = durable.Lock(filepath.Join(r.opts.Dir, "lock"), "another relay"); err != nil {
		return fmt.Errorf("folder %s: %w", r.opts.Dir, err)
	}
	if r.spool, err = openSpool(filepath.Join(r.opts.Dir, "spool"), max(0, r.opts.Spool)); err != nil {
		return err
	}
	r.shelf, err = openShelf(r.life, r.opts, r.log)
	return err
}

// close gives the folder free.
func (r *Relay) close() error {
	r.end()
	r.tasks.Wait()
	var errs []error
	if r.shelf != nil {
		errs = append(errs, r.shelf.close())
	}
	if r.spool != nil {
		errs = append(errs, r.spool.close())
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	return errors.Join(errs...)
}

// Run does what goes on beside requests until ctx ends, and then closes the
// relay: requests are told to go elsewhere.
func (r *Relay) Run(ctx context.Context) error {
	r.tasks.Go(func() { r.tell(r.life) })
	r.tasks.Go(func() { r.watchHold(r.life) })
	if r.visitor != nil {
		r.tasks.Go(func() { r.visitor.Run(r.life) })
	}
	if r.opts.Spool > 0 {
		r.tasks.Go(func() { r.drain(r.life) })
	}
	if r.opts.Files != nil {
		r.tasks.Go(func() { r.stage.run(r.life) })
		r.tasks.Go(func() { r.askWhatIsKept(r.life) })
	}
	<-ctx.Done()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.close()
}

// askWhatIsKept asks the server again and again, until ctx ends.
func (r *Relay) askWhatIsKept(ctx context.Context) {
	for {
		wait := keptEvery
		err := r.shelf.refreshKept(ctx, r.opts.Now(), 0)
		r.hear(err)
		switch {
		case err == nil || ctx.Err() != nil:
		case uplink.Refusal(err) != nil: // it keeps no repositories
			r.log.Debug("the server keeps no snapshots", zap.Error(err))
		default:
			r.log.Warn("what the server keeps is not known anew", zap.Error(err))
			wait = r.retry()
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// Handler serves machines, and relays that stand behind this one.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", uplink.Serve(r, uplink.ServeOptions{MaxPolls: r.opts.MaxPolls, MaxRequests: r.opts.MaxRequests, Failed: func(path string, err error) {
		r.log.Error("request failed", zap.String("path", path), zap.Error(err))
	}}))
	r.shelf.handle(mux, r.opts.MaxFiles)
	return cleanPaths(mux)
}

// Enrol implements [uplink.Link].
func (r *Relay) Enrol(ctx context.Context, ask uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	out, err := r.opts.Up.Enrol(ctx, ask)
	r.hear(err)
	return out, upward(err)
}

// Content implements [uplink.Link]: a bundle travels once per site.
func (r *Relay) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	text, err := r.shelf.content(ctx, d, r.opts.Up)
	return text, upward(err)
}

// hear notes what an attempt says of the line. That somebody is busy, or a relay before
// this one without a line, says nothing.
func (r *Relay) hear(err error) {
	var refused *uplink.Error
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, &refused) && refused.Temporary():
	case err == nil || refused != nil:
		if r.line.works() {
			r.log.Info("the line to the server is back")
		}
	default:
		r.line.failed(err)
	}
}

// upward turns a failure of the line into an answer.
func upward(err error) error {
	var refused *uplink.Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return errOffline
}

var errOffline = &uplink.Error{Status: http.StatusServiceUnavailable, Words: "the relay has no line to the server; try again"}

// lane returns the way of machines that come through a relay of that name; empty:
// directly.
func (r *Relay) lane(name string, hops int) (*lane, error) {
	if hops >= uplink.MaxHops {
		return nil, &uplink.Error{Status: http.StatusLoopDetected, Words: fmt.Sprintf("it came through %d relays already: one relay may stand behind another, and no more", hops)}
	}
	if name == "" {
		name, hops = r.opts.Name, 0
	} else if !patching.ValidName(name) || name == r.opts.Name && hops > 0 {
		return nil, &uplink.Error{Status: http.StatusBadRequest, Words: fmt.Sprintf("a relay behind %s cannot be called %.80q", r.opts.Name, name)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errOffline
	}
	if l, ok := r.lanes[name]; ok {
		return l, nil
	}
	if len(r.lanes) >= maxLanes {
		return nil, &uplink.Error{Status: http.StatusServiceUnavailable, Words: fmt.Sprintf("%d relays stand behind this one already", maxLanes)}
	}
	l := newLane(r, name, hops+1)
	r.lanes[name] = l
	r.tasks.Go(func() { l.ask(r.life) })
	r.tasks.Go(func() { l.carry(r.life) })
	return l, nil
}

// maxLanes bounds the relays behind one: the names come from outside.
const maxLanes = 64
