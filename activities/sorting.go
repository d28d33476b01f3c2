package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

// kind is what machines have in common that advisories are matched with.
type kind struct {
	plan.BundleKey
	patching.Platform
	kernel string
}

func kindOf(a *patching.Asset) kind {
	return kind{BundleKey: plan.KeyOf(a), Platform: assess.PlatformOf(a.OS), kernel: a.OS.Kernel}
}

type kindAfter struct {
	kind
	bundle patching.Digest
}

// like is what machines have in common that a plan's remediation tells apart.
type like struct {
	kindAfter
	assess.Class
	out    patching.Reason
	begins time.Time
	taken  urgency.Taken
}

// sorter puts machines together that are alike, and matches each kind once.
type sorter struct {
	grounds plan.Grounds
	book    *urgency.Book // nil: nobody decided anything
	read    *reader
	looks   map[kind]*assess.Kind
	after   map[kindAfter]*assess.Kind
	likes   map[like]*plan.Likes
	reaches map[patching.RingName]time.Time // the earliest, by ring
}

func newSorter(g plan.Grounds, read *reader) *sorter {
	return &sorter{
		grounds: g, read: read, looks: map[kind]*assess.Kind{}, after: map[kindAfter]*assess.Kind{}, likes: map[like]*plan.Likes{},
		reaches: map[patching.RingName]time.Time{},
	}
}

func (s *sorter) add(ctx context.Context, a *patching.Asset, i *patching.PlanItem) error {
	at := like{kindAfter: kindAfter{kind: kindOf(a)}, Class: assess.ClassOf(a), out: i.Exclude}
	// What is up to date is no machine that is left out.
	if i.Exclude == patching.ReasonNothingMissing {
		at.out = ""
	}
	if i.Ring != "" {
		at.bundle, at.begins = i.Bundle, i.Start
		if ring := s.reaches[i.Ring]; ring.After(at.begins) {
			at.begins = ring
		}
	}
	var err error
	if at.taken, err = s.book.Takes(a); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	l := s.likes[at]
	if l == nil {
		if l, err = s.make(ctx, at, a.ID); err != nil {
			return fmt.Errorf("machine %s: %w", a.ID, err)
		}
		s.likes[at] = l
	}
	l.Machines++
	if a.Owner != "" && !slices.Contains(l.Owners, a.Owner) {
		l.Owners = append(l.Owners, a.Owner)
	}
	return nil
}

func (s *sorter) make(ctx context.Context, at like, sample patching.AssetID) (*plan.Likes, error) {
	l := &plan.Likes{Class: at.Class, Out: at.out, Begins: at.begins, Sample: sample, On: s.book.Of(at.taken)}
	m, now, err := s.look(ctx, at.kind)
	if err != nil {
		return nil, err
	}
	unsent := len(m.Packages.Packages) == 0
	l.Has, l.Blind, l.Ends = now.Matches(), now.Spots(), now.Ends()
	l.Left, l.Held = l.Has, assess.HeldOn(sample, m.Packages, l.Has, l.On, s.grounds.AsOf)
	if unsent {
		l.Blind = []assess.BlindSpot{{What: "what is installed", Why: "The machine never said it."}}
	}
	if unsent || at.bundle == "" {
		return l, nil
	}
	b, err := s.read.bundle(ctx, at.bundle)
	if err != nil {
		return nil, err
	}
	then, known := s.after[at.kindAfter]
	if !known {
		then = s.grounds.Assessor.Kind(assess.After(m, b))
		s.after[at.kindAfter] = then
	}
	l.Left, l.By = then.Matches(), b.Patches()
	return l, nil
}

// look matches a kind of machine once.
func (s *sorter) look(ctx context.Context, at kind) (assess.Machine, *assess.Kind, error) {
	m, err := s.machine(ctx, at)
	if err != nil {
		return m, nil, err
	}
	k, known := s.looks[at]
	if !known {
		k = s.grounds.Assessor.Kind(m)
		s.looks[at] = k
	}
	return m, k, nil
}

// machine is what advisories are matched with. A machine that never said what is
// installed on it has nothing, and is a blind spot as a whole; so is one that was cut off
// after it had named what it has, and before it sent the list.
func (s *sorter) machine(ctx context.Context, k kind) (assess.Machine, error) {
	m := assess.Machine{Platform: k.Platform, Kernel: k.kernel}
	if k.Packages == "" || k.Candidates == "" {
		return m, nil
	}
	set, err := s.read.packages(ctx, k.Packages)
	var offered patching.CandidateSet
	if err == nil {
		offered, err = s.read.candidates(ctx, k.Candidates)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return m, nil
	case err != nil:
		return m, err
	}
	m.Foreign = offered.Foreign
	m.Packages, m.Offers = set, make(map[assess.Installed]string, len(offered.Candidates))
	for _, c := range offered.Candidates {
		m.Offers[assess.Installed{Name: c.Name, Arch: c.Arch}] = c.To
	}
	return m, nil
}
