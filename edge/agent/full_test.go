package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// crammed is a shelf on a disk that is full until somebody makes room.
type crammed struct {
	Shared
	until time.Time
	clock *clock
	tries int
}

func (c *crammed) Put(d patching.Digest, text []byte) error {
	if c.tries++; c.clock.now.Before(c.until) {
		return &fs.PathError{Op: "mkdir", Path: "/var/lib/patchcycle-agent/bundles", Err: syscall.ENOSPC}
	}
	return c.Shared.Put(d, text)
}

func (b *bench) cram(until time.Time) *crammed {
	c := &crammed{until: until, clock: b.clock}
	b.agent.cfg.Shelf = c
	return c
}

var never = tonight.AddDate(1, 0, 0)

// Serves Q8: a machine that tells nobody would be called unreachable.
func TestAMachineThatCannotKeepItsBundleSaysThatItsDiskIsFull(t *testing.T) {
	b := newBench(t)
	shelf := b.cram(never)
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.Equal(t, "disk full", last.Signature)
	assert.Contains(t, last.Detail, "mkdir /var/lib/patchcycle-agent/bundles: no space left on device. Make room there")
	assert.Equal(t, lookTries, shelf.tries)
	assert.WithinDuration(t, tonight, last.At, 5*time.Minute, "long before anybody gives it up")
	assert.Empty(t, b.box.wrote)
}

// Serves Q8: the package manager's disk may be another one.
func TestADownloadThatFindsTheDiskFullSaysSo(t *testing.T) {
	b := newBench(t)
	b.box.onFetch = func() error { return fmt.Errorf("fetch: %w", DiskFull("E: You don't have enough free space.")) }
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.Equal(t, "fetch: E: You don't have enough free space.", last.Detail)
	assert.Equal(t, lookTries, b.box.fetched)
}

func TestAFullDiskIsNoMatterIfSomebodyMakesRoom(t *testing.T) {
	b := newBench(t)
	b.cram(tonight.Add(time.Minute))
	b.apply(small())
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestAFullDiskIsToldWhenTheMachineIsWaitedForAndNotBefore(t *testing.T) {
	b := newBench(t)
	b.clock.now = tonight.Add(-3 * time.Hour)
	shelf := b.cram(never)
	b.apply(small())
	b.until(tonight.Add(time.Hour))
	assert.Greater(t, shelf.tries, lookTries)
	assert.Empty(t, b.office.final("o-1"), "there is time to make room")
	permitted := b.clock.now
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.WithinDuration(t, permitted, last.At, b.agent.cfg.Limits.RetryMax)
}

func TestAFullDiskIsToldWhenTheWindowIsOver(t *testing.T) {
	b := newBench(t)
	b.cram(never)
	b.apply(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.Equal(t, tonight.Add(4*time.Hour), last.At)
}

func TestAnErrandThatFindsTheDiskFullSaysSo(t *testing.T) {
	for _, verb := range []trust.Verb{trust.Prefetch, trust.Simulate} {
		t.Run(string(verb), func(t *testing.T) {
			b := newBench(t)
			b.cram(never)
			d := b.draft(verb, small())
			d.WindowRule, d.Fence = "", 0
			b.office.issue(d)
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.Failed, last.Outcome)
			assert.Equal(t, patching.ReasonDisk, last.Reason)
			assert.Equal(t, "disk full", last.Signature)
		})
	}
}

func TestWhatIsNoFullDiskIsNotCalledOne(t *testing.T) {
	require.NoError(t, OrDiskFull(nil))
	err := errors.New("the server's disk: no space left on device")
	assert.Equal(t, err, OrDiskFull(err), "words of others")
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		assert.Equal(t, patching.ReasonDisk, endingOf(OrDiskFull(full), patching.ReasonUnknown).Reason)
	}
}
