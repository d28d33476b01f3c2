package root

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/patching"
)

// ErrNotFound is what a [Store] wraps when a single thing is not there.
var ErrNotFound = errors.New("not found")

// Store is what the root relay keeps and asks. All methods are safe for
// concurrent use; nothing is acknowledged to a machine before they returned.
type Store interface {
	// Enrol takes one use of a token and makes device and asset; the same key
	// again gets its device back. A token that lets nobody in is an
	// [*uplink.Error] of status 403.
	Enrol(ctx context.Context, token patching.Digest, now time.Time, d patching.Device, a patching.Asset) (patching.Device, error)
	Devices(ctx context.Context, states ...patching.DeviceState) ([]patching.Device, error)
	// SetDeviceState moves a device forward, to quarantine where its key is on two
	// machines.
	SetDeviceState(ctx context.Context, id patching.DeviceID, to patching.DeviceState) error
	// NoteClocks keeps how far the clocks of devices are ahead of the server's.
	NoteClocks(ctx context.Context, off map[patching.DeviceID]time.Duration) error

	// TakeReports takes all reports in one transaction and says what became of
	// each, in the same order. A device whose counter forked it quarantines.
	TakeReports(ctx context.Context, reports []patching.Report) ([]patching.Intake, error)
	PutContents(ctx context.Context, kind string, texts [][]byte) ([]patching.Digest, error)
	Content(ctx context.Context, d patching.Digest) ([]byte, error)
	MissingContent(ctx context.Context, ds []patching.Digest) ([]patching.Digest, error)

	// ReserveSeq reserves n sequence numbers and returns the first.
	ReserveSeq(ctx context.Context, n int) (uint64, error)
	// PutOrders keeps orders; one of an id that is there stays as it is.
	PutOrders(ctx context.Context, orders []Order) error
	PutLeases(ctx context.Context, leases []Lease) error
	// PendingOrders returns what devices still have to do, by sequence.
	PendingOrders(ctx context.Context, devices []patching.DeviceID, now time.Time) ([]Order, error)
	Orders(ctx context.Context, ids []patching.OrderID) ([]Order, error)
	// Deployment returns an asset's deployment in a cycle, or [ErrNotFound].
	Deployment(ctx context.Context, c patching.CycleID, a patching.AssetID) (patching.Deployment, error)

	// Hold is the latest word about whether anything may start.
	Hold(ctx context.Context) (patching.Hold, error)

	// Listened notes that a part of the path listened at now, without a break
	// if it was last noted no longer than gap ago.
	Listened(ctx context.Context, part string, now time.Time, gap time.Duration) error
}

// Order is an order as the store keeps it.
type Order struct {
	ID         patching.OrderID
	Device     patching.DeviceID
	Asset      patching.AssetID
	Cycle      patching.CycleID
	Ring       patching.RingName
	Wave       patching.WaveID
	Verb       string
	Seq        uint64
	Envelope   []byte
	Issued     time.Time
	Expires    time.Time
	Stage      patching.Stage
	Final      bool
	Lease      []byte
	LeaseUntil time.Time
	Withdrawn  bool
}

// Lease is a start permit as the store keeps it.
type Lease struct {
	Order patching.OrderID
	Lease []byte
	Until time.Time
}

// Options are a server's parts and limits. Store and Authority are required;
// zero fields of the rest take the default in brackets.
type Options struct {
	Store     Store
	Authority *Folder
	Log       *zap.Logger
	// Now is the server's clock [time.Now].
	Now func() time.Time

	// Linger is for how long reports gather before they are committed
	// together [200 ms], MaxCommit how many are committed at once [500].
	Linger    time.Duration
	MaxCommit int
	// Recheck is after how long a device's pending orders are read from the
	// store again although nothing was heard of new ones [5 min].
	Recheck time.Duration
	// Presence is how often the server notes that it listens [10 s].
	Presence time.Duration
	// MaxPolls and MaxRequests bound requests under way [20000, 2000].
	MaxPolls    int
	MaxRequests int
	// Rate and Burst bound the messages of one device, per second and at
	// once [10, 300].
	Rate  float64
	Burst int
}

func (o Options) withDefaults() (Options, error) {
	if o.Store == nil {
		return o, errors.New("root relay: Store is missing")
	}
	if o.Authority == nil {
		return o, errors.New("root relay: Authority is missing")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Linger = cmp.Or(o.Linger, 200*time.Millisecond)
	o.MaxCommit = cmp.Or(o.MaxCommit, 500)
	o.Recheck = cmp.Or(o.Recheck, 5*time.Minute)
	o.Presence = cmp.Or(o.Presence, 10*time.Second)
	o.MaxPolls = cmp.Or(o.MaxPolls, 20000)
	o.MaxRequests = cmp.Or(o.MaxRequests, 2000)
	o.Rate = cmp.Or(o.Rate, 10)
	o.Burst = cmp.Or(o.Burst, 300)
	return o, nil
}
