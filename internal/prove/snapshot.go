package prove

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Snapshot reads the world's manifests the way the product does. The world is
// valid but for policies in a tier that does not exist (S13), so any other
// fault but a warning is an error. prev is the snapshot before an edit, or nil.
func (w *World) Snapshot(prev *policy.Snapshot) (*policy.Snapshot, error) {
	resources, faults := policy.Decode("world.yaml", w.Manifests())
	if err := faults.Err(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	rev := uint64(1)
	if prev != nil {
		rev = prev.Revision + 1
	}
	snap, faults := policy.NewSnapshot(rev, resources, prev)
	for _, f := range faults.Errors() {
		if !w.inMissingTier(f.Key) {
			return nil, fmt.Errorf("snapshot: %w", f)
		}
	}
	if got, want := len(snap.Policies), len(w.Policies); got != want {
		return nil, fmt.Errorf("snapshot: %d policies of %d", got, want)
	}
	return snap, nil
}

func (w *World) inMissingTier(key policy.Key) bool {
	for _, p := range w.Policies {
		if p.Key() != key {
			continue
		}
		for _, t := range w.tiers(w.Policies) {
			if t.name == p.tier() {
				return t.missing
			}
		}
	}
	return false
}
