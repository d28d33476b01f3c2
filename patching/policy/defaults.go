package policy

import (
	"fmt"
	"time"
)

// What a key is worth when it is absent. docs/policy.md and the JSON Schema
// repeat these values, and a test compares them.

func (d *document) defaults() {
	d.CloseAfter = "21d"
	d.OnHalt = RollBackAffected
	d.OnFailure = Mend
	d.Silence = "1h"
	d.Fresh = "36h"
}

func (c *calendarDoc) defaults() {
	c.Nth = 2
	c.Weekday = "tue"
	c.At = "09:00"
}

func (p *patchesDoc) defaults() {
	p.Take = "all"
	p.Reboot = "when-needed"
}

func (u *urgencyDoc) defaults() {
	u.Unknown = "worst"
}

func (r *ringDoc) defaults() {
	r.Batch = 200
	r.Parallel = 4
	r.Soak = "24h"
}

// A gate without a word lets nothing pass that fails in the same way three
// times, or on more than one machine in twenty.
func (g *gateDoc) defaults() {
	g.Answered = 95
	g.Same = 3
	g.BadPercent = 5
	g.MinAnswered = 20
	g.Unreachable = 10
}

func (a *approvalDoc) defaults() {
	a.Quorum = 1
	a.Expire = "5d"
}

func (b *backupDoc) defaults() {
	b.VerifiedWithin = "7d"
}

func (e *emergencyDoc) defaults() {
	e.Soak = "1h"
	e.CloseAfter = "3d"
	e.Expire = "4h"
}

// DefaultUrgency is how a policy judges that does not say so: by what binds nobody to a
// date.
func DefaultUrgency() Urgency { return Urgency{Regimes: []string{"ssvc-deployer"}, Unknown: "worst"} }

// derive sets the defaults that depend on other keys.
func (p *Policy) derive(written func(path string) bool) {
	if p.Title == "" {
		p.Title = string(p.Name)
	}
	if !written("approval.remind") {
		p.Approval.Remind = min(24*time.Hour, p.Approval.Expire/4)
	}
	if !written("approval.escalate") {
		p.Approval.Escalate = min(48*time.Hour, p.Approval.Expire/2)
	}
	if !written("urgency.regimes") {
		p.Urgency.Regimes = DefaultUrgency().Regimes
	}
	if !written("emergency.quorum") {
		p.Emergency.Quorum = p.Approval.Quorum
	}
	for i := range p.Rings {
		r := &p.Rings[i]
		if r.Count > 0 && !written(fmt.Sprintf("rings[%d].gate.min_answered", i)) {
			r.Gate.MinAnswered = min(r.Gate.MinAnswered, r.Count)
		}
		if r.Count > 0 && !written(fmt.Sprintf("rings[%d].gate.same", i)) {
			r.Gate.Same = min(r.Gate.Same, r.Count)
		}
		if i == 1 && !written("rings[1].approve") {
			r.Approve = true
		}
	}
}
