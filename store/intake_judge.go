package store

import (
	"maps"
	"math"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// intake is what is known of what reports speak of, and what they change. It
// judges without a database: see gatherIntake and saveIntake.
type intake struct {
	devices     map[patching.DeviceID]*deviceNow
	messages    map[messageKey]patching.Digest
	orders      map[patching.OrderID]*orderNow
	deployments map[deploymentKey]*deploymentNow
	facts       map[patching.AssetID][]any

	messageRows    [][]any
	receiptRows    [][]any
	correctionRows [][]any
}

type messageKey struct {
	device  patching.DeviceID
	counter int64
}

type deviceNow struct {
	id      patching.DeviceID
	asset   patching.AssetID
	state   patching.DeviceState
	boot    string
	relay   string
	counter int64
	seen    int64
	changed bool
}

type orderNow struct {
	id      patching.OrderID
	device  patching.DeviceID
	key     deploymentKey
	verb    string
	stage   patching.Stage
	final   bool
	changed bool
}

type deploymentKey struct {
	cycle patching.CycleID
	asset patching.AssetID
}

type deploymentNow struct {
	key       deploymentKey
	closed    bool // the cycle is
	state     patching.DeploymentState
	order     patching.OrderID
	outcome   patching.Outcome
	reason    patching.Reason
	detail    string
	signature string
	released  int64
	answered  int64
	ended     int64
	repairs   int64
	freed     int64
	verified  int64
	again     int64
	changed   bool
}

// Verbs whose receipts say more of a deployment than repairs and bytes freed.
const (
	verbApply  = "apply"
	verbRevert = "revert"
)

func (in *intake) judge(reports []patching.Report) []patching.Intake {
	became := make([]patching.Intake, len(reports))
	for i, r := range reports {
		became[i] = in.one(r)
	}
	return became
}

func (in *intake) one(r patching.Report) patching.Intake {
	d := in.devices[r.Device]
	if d == nil || d.state != patching.DeviceAccepted {
		return patching.Stranger
	}
	if r.Counter == 0 || r.Counter > math.MaxInt64 {
		return patching.Replayed
	}
	key := messageKey{r.Device, int64(r.Counter)}
	if key.counter <= d.counter {
		was, taken := in.messages[key]
		switch {
		case !taken:
			return patching.Replayed
		case was == r.Digest:
			return patching.Duplicate
		default:
			d.state, d.changed = patching.DeviceQuarantined, true
			return patching.Forked
		}
	}
	in.messages[key] = r.Digest
	in.messageRows = append(in.messageRows, []any{string(r.Device), key.counter, string(clean(r.Digest))})
	d.counter, d.boot, d.relay, d.changed = key.counter, clean(r.Boot), clean(r.Relay), true
	d.seen = max(d.seen, micros(r.At))
	if r.Facts != nil {
		in.facts[d.asset] = factsOf(d, r)
	}
	for _, c := range r.Receipts {
		in.receipt(d, r, c)
	}
	return patching.Taken
}

// factsOf has the columns that an inventory sets, and the device that speaks.
func factsOf(d *deviceNow, r patching.Report) []any {
	a := *r.Facts
	a.ID, a.Inventoried = d.asset, r.At
	for _, s := range []*string{
		&a.Hostname, &a.Serial, &a.Cloud, &a.Vendor, &a.Model, &a.OS.Family, &a.OS.Name, &a.OS.Release, &a.OS.Revision,
		&a.OS.Kernel, &a.OS.Arch, &a.Zone, &a.Manager, &a.Agent, (*string)(&a.Packages), (*string)(&a.Candidates),
	} {
		*s = clean(*s)
	}
	for _, l := range []*[]string{&a.Addresses, &a.MACs, &a.Allowed, &a.OtherManagers, &a.Broken} {
		*l = cleanAll(*l)
	}
	return append(factsRow(a), string(d.id))
}

// maxOrderID bounds what a machine may call an order, in bytes: it is part of
// an index.
const maxOrderID = 512

// storable reports whether a receipt can be kept at all.
func storable(c patching.Receipt) bool {
	return c.Order != "" && len(c.Order) <= maxOrderID && clean(c.Order) == c.Order && stageRank[c.Stage] > 0
}

func (in *intake) receipt(d *deviceNow, r patching.Report, c patching.Receipt) {
	if !storable(c) {
		return
	}
	c.Boot, c.Detail, c.Signature = clean(c.Boot), clean(c.Detail), clean(c.Signature)
	c.Outcome, c.Reason = clean(c.Outcome), clean(c.Reason)
	changes := make([]changeDocument, len(c.Changes))
	for i, k := range c.Changes {
		changes[i] = changeDocument(k)
	}
	at := micros(r.At)
	in.receiptRows = append(in.receiptRows, []any{
		string(d.id), int64(r.Counter), string(c.Order), string(c.Stage), c.Boot, micros(c.At), at,
		string(c.Outcome), string(c.Reason), c.Detail, c.Signature, int64(c.Repairs), c.Freed, jsonText(changes),
	})
	o := in.orders[c.Order]
	if o == nil || o.device != d.id || !o.advance(c.Stage) {
		return
	}
	if k := in.deployments[o.key]; k != nil {
		in.effect(k, o, c, at)
	}
}

// advance moves an order forward; false: it had come that far before.
func (o *orderNow) advance(s patching.Stage) bool {
	if o.final || stageRank[s] <= stageRank[o.stage] {
		return false
	}
	o.stage, o.final, o.changed = s, s.Terminal(), true
	return true
}

// effect is what an order's progress does to its deployment.
func (in *intake) effect(d *deploymentNow, o *orderNow, c patching.Receipt, at int64) {
	if c.Stage.Terminal() && (c.Repairs > 0 || c.Freed > 0) && !d.closed {
		d.repairs, d.freed, d.changed = d.repairs+int64(max(0, c.Repairs)), d.freed+max(0, c.Freed), true
	}
	switch {
	case o.verb == verbRevert && c.Stage.Terminal():
		if !d.closed {
			d.answered = at // only an inventory from then on says that it went back
		}
		in.end(d, o, reverted(c), at, d.closed)
	case o.verb != verbApply:
	case d.order != o.id && (d.order != "" || d.state != patching.DeploymentPlanned):
		// An order that another one has replaced says nothing of the deployment.
	case c.Stage.Terminal():
		d.order = o.id
		c = applied(c)
		if d.again > 0 && c.Outcome == patching.AlreadyUpToDate {
			c.Outcome, c.Reason = patching.Patched, patching.ReasonVerified // the first try, or its repair, did it
		}
		in.answer(d, o, c, at)
	case stageRank[c.Stage] >= stageRank[patching.StageStarted]:
		d.forward(patching.DeploymentStarted, o.id)
	default:
		d.forward(patching.DeploymentStaged, o.id)
	}
}

func (d *deploymentNow) forward(to patching.DeploymentState, order patching.OrderID) {
	if d.state.Rank() < to.Rank() {
		d.state, d.order, d.changed = to, order, true
	}
}

// applied is the outcome that the end of an apply order gives.
func applied(c patching.Receipt) patching.Receipt {
	switch {
	case c.Stage == patching.StageRefused:
		c.Outcome, c.Reason = patching.Failed, patching.ReasonRefused
	case !c.Outcome.Valid():
		c.Outcome, c.Reason = patching.Failed, patching.ReasonUnknown
	case c.Reason != "" && !c.Reason.Valid():
		c.Reason = patching.ReasonUnknown
	}
	return c
}

// reverted is the outcome that the end of a revert order gives.
func reverted(c patching.Receipt) patching.Receipt {
	switch {
	case c.Stage == patching.StageFinished &&
		(c.Outcome == patching.RolledBack || c.Outcome == patching.Patched || c.Outcome == patching.AlreadyUpToDate):
		c.Outcome, c.Reason = patching.RolledBack, patching.ReasonRolledBack
	default:
		c.Outcome, c.Reason = patching.NeedsHands, patching.ReasonRollBackFailed
	}
	return c
}

// answer ends a deployment by what its machine says, unless it has answered
// before or was never given a start permit by the time the server ended it.
func (in *intake) answer(d *deploymentNow, o *orderNow, c patching.Receipt, at int64) {
	if d.state.Terminal() && (d.answered != 0 || d.released == 0 && d.outcome != patching.Unreachable) {
		return
	}
	in.end(d, o, c, at, d.closed || d.state.Terminal())
}

// end sets the outcome, unless the cycle has closed: it is final then. A
// correction is kept on record either way.
func (in *intake) end(d *deploymentNow, o *orderNow, c patching.Receipt, at int64, correction bool) {
	if correction {
		in.correctionRows = append(in.correctionRows, []any{
			string(d.key.cycle), string(d.key.asset), string(o.id), at,
			string(d.outcome), string(d.reason), string(c.Outcome), string(c.Reason), !d.closed,
		})
	}
	if d.closed {
		return
	}
	d.state, d.ended, d.verified, d.changed = patching.DeploymentDone, at, 0, true
	d.outcome, d.reason, d.detail, d.signature = c.Outcome, c.Reason, c.Detail, c.Signature
	if d.answered == 0 {
		d.answered = at
	}
}

// The rows below come in the order of their keys, so that statements lock them
// in one order.

func (in *intake) deviceRows() [][]any {
	return changedRows(in.devices, func(d *deviceNow) bool { return d.changed }, func(d *deviceNow) []any {
		return []any{string(d.id), string(d.state), d.boot, d.relay, d.counter, d.seen}
	})
}

func (in *intake) orderRows() [][]any {
	return changedRows(in.orders, func(o *orderNow) bool { return o.changed }, func(o *orderNow) []any {
		return []any{string(o.id), string(o.stage), o.final}
	})
}

func (in *intake) deploymentRows() [][]any {
	return changedRows(in.deployments, func(d *deploymentNow) bool { return d.changed }, func(d *deploymentNow) []any {
		return []any{
			string(d.key.cycle), string(d.key.asset), string(d.state), string(d.order), string(d.outcome), string(d.reason),
			d.detail, d.signature, d.answered, d.ended, d.repairs, d.freed, d.verified,
		}
	})
}

func (in *intake) factRows() [][]any {
	rows := slices.Collect(maps.Values(in.facts))
	slices.SortFunc(rows, func(a, b []any) int { return cmpText(a[0], b[0]) })
	return rows
}

func changedRows[K comparable, V any](of map[K]V, changed func(V) bool, row func(V) []any) [][]any {
	var rows [][]any
	for _, v := range of {
		if changed(v) {
			rows = append(rows, row(v))
		}
	}
	slices.SortFunc(rows, func(a, b []any) int {
		if c := cmpText(a[0], b[0]); c != 0 {
			return c
		}
		return cmpText(a[1], b[1])
	})
	return rows
}
