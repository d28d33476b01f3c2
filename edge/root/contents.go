package root

import (
	"context"
	"fmt"
	"sync"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// knownContents remembers which package and candidate sets are kept, so that an
// inventory that changed nothing costs no question to the store.
type knownContents struct {
	mu    sync.Mutex
	known map[patching.Digest]bool
}

// maxKnown bounds the memory. A fleet of 100,000 has a few thousand sets.
const maxKnown = 100_000

func (k *knownContents) has(d patching.Digest) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[d]
}

func (k *knownContents) add(ds ...patching.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) > maxKnown {
		k.known = map[patching.Digest]bool{}
	}
	for _, d := range ds {
		k.known[d] = true
	}
}

// readable refuses a set that would not be written again byte for byte: what is
// kept under an address must mean one thing to everybody.
func readable(kind uplink.ContentKind, text []byte) error {
	var err error
	switch kind {
	case uplink.ContentPackages:
		_, err = patching.ParsePackageSet(text)
	case uplink.ContentCandidates:
		_, err = patching.ParseCandidateSet(text)
	default:
		err = fmt.Errorf("kind %.32q", kind)
	}
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	return nil
}

// keepContents stores the sets of a batch, by kind.
func (s *Server) keepContents(ctx context.Context, read []*incoming) error {
	texts := map[uplink.ContentKind][][]byte{}
	for _, in := range read {
		if !in.refused && in.text != nil && !s.contents.has(patching.DigestOf(in.text)) {
			texts[in.kind] = append(texts[in.kind], in.text)
		}
	}
	for kind, of := range texts {
		kept, err := s.opts.Store.PutContents(ctx, string(kind), of)
		if err != nil {
			return fmt.Errorf("keep %s: %w", kind, err)
		}
		s.contents.add(kept...)
	}
	return nil
}

// needs returns which contents named by inventories of a batch are not there.
func (s *Server) needs(ctx context.Context, read []*incoming) (map[patching.Digest]bool, error) {
	unsure := map[patching.Digest]bool{}
	for _, in := range read {
		if !in.taken() {
			continue
		}
		for _, d := range in.referred() {
			if !s.contents.has(d) {
				unsure[d] = true
			}
		}
	}
	if len(unsure) == 0 {
		return nil, nil
	}
	asked := make([]patching.Digest, 0, len(unsure))
	for d := range unsure {
		asked = append(asked, d)
	}
	missing, err := s.opts.Store.MissingContent(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("look up what inventories name: %w", err)
	}
	need := map[patching.Digest]bool{}
	for _, d := range missing {
		need[d] = true
	}
	for d := range unsure {
		if !need[d] {
			s.contents.add(d)
		}
	}
	return need, nil
}
