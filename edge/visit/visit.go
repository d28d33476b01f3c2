package visit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/internal/pause"
)

// Options say who is visited and what they are served. Zero fields take the default in
// brackets.
type Options struct {
	Machines []Machine
	// Key is what the relay is known by at the machines.
	Key ssh.Signer
	// Handler serves their agents: the site's relay.
	Handler http.Handler
	Log     *zap.Logger // nil: none
	// Connecting bounds the connections that are made at a time [16]. A visit itself
	// lasts as long as the machine works.
	Connecting int
	// Retry is the first pause after a visit that failed; it doubles up to the
	// machine's own time between visits [15 s].
	Retry time.Duration
	// Longest bounds a visit [1 h]: what has started on a machine goes on without it.
	Longest time.Duration
}

// Trouble is a machine whose last visit failed.
type Trouble struct {
	Machine string    `json:"machine"`
	Since   time.Time `json:"since"`
	Why     string    `json:"why"`
}

// Visitor visits machines, one visit a machine at a time.
type Visitor struct {
	o     Options
	slots chan struct{}

	mu       sync.Mutex
	troubles map[string]Trouble
}

// New returns a visitor; nothing is visited yet.
func New(o Options) (*Visitor, error) {
	if o.Key == nil || o.Handler == nil {
		return nil, errors.New("visit: Key or Handler is missing")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Connecting == 0 {
		o.Connecting = 16
	}
	if o.Retry == 0 {
		o.Retry = 15 * time.Second
	}
	if o.Longest == 0 {
		o.Longest = time.Hour
	}
	return &Visitor{o: o, slots: make(chan struct{}, o.Connecting), troubles: map[string]Trouble{}}, nil
}

// Run visits until ctx ends.
func (v *Visitor) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range v.o.Machines {
		all.Go(func() { v.again(ctx, m) })
	}
	all.Wait()
}

// Machines counts those that are visited.
func (v *Visitor) Machines() int { return len(v.o.Machines) }

// Troubles returns the machines whose last visit failed, in the order of the list.
func (v *Visitor) Troubles() (out []Trouble) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.o.Machines {
		if t, ok := v.troubles[m.Name]; ok {
			out = append(out, t)
		}
	}
	return out
}

// again visits one machine again and again. The first visits are spread: all of a site
// would come at once after the relay's restart.
func (v *Visitor) again(ctx context.Context, m Machine) {
	wait := rand.N(min(m.Every, time.Second*time.Duration(1+len(v.o.Machines)/v.o.Connecting)))
	for failures := 0; pause.For(ctx, wait) == nil; {
		err := v.Visit(ctx, m)
		if ctx.Err() != nil {
			return
		}
		v.note(m, err, time.Now())
		if err == nil {
			failures = 0
		} else {
			failures++
		}
		wait = rest(failures, v.o.Retry, m.Every)
		wait -= rand.N(wait/4 + 1)
	}
}

// rest is the pause after so many failures in a row, without its jitter. A machine that
// fails is never visited more rarely than one that does not: it may be restarting.
func rest(failures int, retry, every time.Duration) time.Duration {
	if failures == 0 {
		return every
	}
	shift := min(failures-1, 20)
	return min(every, retry<<shift)
}

// note keeps how a visit went, and tells when that is news.
func (v *Visitor) note(m Machine, err error, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	was, failed := v.troubles[m.Name]
	if err == nil {
		delete(v.troubles, m.Name)
		if failed {
			v.o.Log.Info("a machine is visited again", zap.String("machine", m.Name))
		}
		return
	}
	is := Trouble{Machine: m.Name, Since: now.UTC().Truncate(time.Second), Why: err.Error()}
	if failed {
		is.Since = was.Since
	}
	v.troubles[m.Name] = is
	if was.Why != is.Why {
		v.o.Log.Warn("a visit failed", zap.String("machine", m.Name), zap.Error(err))
	}
}

// Visit visits a machine once, until its agent has nothing more to do.
func (v *Visitor) Visit(ctx context.Context, m Machine) error {
	ctx, cancel := context.WithTimeout(ctx, v.o.Longest)
	defer cancel()
	client, err := v.slot(ctx, m)
	if err == nil {
		err = v.serve(ctx, m, client)
	}
	if err != nil {
		return fmt.Errorf("visit %s at %s: %w", m.Name, m.Address, err)
	}
	return nil
}

func (v *Visitor) slot(ctx context.Context, m Machine) (*ssh.Client, error) {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return connect(ctx, m, v.o.Key)
}
