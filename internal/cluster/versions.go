package cluster

import (
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Versions tell how far a State of an API server has come. They never change
// once they are made.
//
// A watch of one kind delivers the kind's changes in order, so having seen one
// version means having seen every one before it, of whichever resource.
type Versions struct {
	// Seen is the newest resourceVersion of each kind that is in the State. A
	// kind that the server does not have is missing.
	Seen map[policy.Kind]string
	// Gone are the latest deletions, oldest first. It is bounded.
	Gone []Deletion
}

// Deletion is one resource that was deleted, and the version at which.
type Deletion struct {
	Key     policy.Key
	Version string
}

// Has says whether the State includes a change: the one that gave key this
// version or, with deleted, the deletion of key as it was at this version
// (Result has both). What a directory sends includes all that was written
// before.
func (s State) Has(key policy.Key, version string, deleted bool) bool {
	switch {
	case s.Snapshot == nil:
		return false
	case s.Versions == nil:
		return true
	case !atLeast(s.Versions.Seen[key.Kind], version):
		return false
	case !deleted:
		return true
	}
	for _, d := range s.Versions.Gone {
		if d.Key == key && atLeast(d.Version, version) {
			return true
		}
	}
	// Too long ago for the list, or before the watch began.
	return !s.contains(key)
}

// contains says whether a resource of a kind that policies are made of is in
// the snapshot. Of other kinds only Gone tells.
func (s State) contains(key policy.Key) bool {
	switch key.Kind {
	case policy.KindTier:
		for _, t := range s.Snapshot.Tiers {
			if t.Name == key.Name {
				return true
			}
		}
		return false
	case policy.KindNetworkSet, policy.KindGlobalNetworkSet:
		for _, n := range s.Snapshot.NetworkSets {
			if n.Key == key {
				return true
			}
		}
		return false
	case policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy,
		policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy:
		return s.Snapshot.Policy(key) != nil
	}
	return true
}

// atLeast compares resourceVersions. Those of a server that does not number
// them in order are only ever equal.
func atLeast(seen, version string) bool {
	if seen == "" {
		return false
	}
	c, err := resourceversion.CompareResourceVersion(seen, version)
	if err != nil {
		return seen == version
	}
	return c >= 0
}
