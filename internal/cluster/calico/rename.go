package calico

import (
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// namedKinds are those that names are made of.
func namedKinds() []policy.Kind {
	return []policy.Kind{policy.KindTier, policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy}
}

// names are what stores of one cluster know of its names.
type names struct {
	mu      sync.Mutex
	last    *policy.Snapshot // of the store below
	renamed *policy.Snapshot // last with the names of users
	table   *table           // the names of last
	keys    []policy.Key     // that the table was made with
	// copies are the policies of renamed, by those of last that they are of.
	copies map[*policy.Policy]*policy.Policy
}

// lookup is what names mean, as far as it was read: by the last Snapshot or by a
// watch, or else now, of the policies alone.
func (s *named) lookup(ctx context.Context) (*table, error) {
	s.mu.Lock()
	t := s.table
	s.mu.Unlock()
	if t != nil {
		return t, nil
	}
	store := cluster.Narrow(s.Store, namedKinds()...)
	snap, _, err := store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	t = newTable(membersOf(snap, unjudged(snap, keys)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = t
	return t, nil
}

// forget drops the names, since something is written.
func (s *named) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table, s.last = nil, nil
}

// rename gives the policies of a snapshot the names of users. keys are of more
// policies that there are, such as those with faults.
func (s *named) rename(snap *policy.Snapshot, keys []policy.Key) (*policy.Snapshot, *table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys = unjudged(snap, keys)
	if snap == s.last && slices.Equal(keys, s.keys) {
		return s.renamed, s.table
	}
	t := newTable(membersOf(snap, keys))
	copies := make(map[*policy.Policy]*policy.Policy, len(snap.Policies))
	policies := make([]*policy.Policy, 0, len(snap.Policies))
	for _, p := range snap.Policies {
		if isView(p.Key) {
			continue
		}
		to := p
		if key := t.Shown(p.Key); key != p.Key {
			if to = s.copies[p]; to == nil || to.Key != key {
				to = new(policy.Policy)
				*to = *p
				to.Key = key
			}
			copies[p] = to
		}
		policies = append(policies, to)
	}
	renamed := snap
	if len(copies) > 0 || len(policies) < len(snap.Policies) {
		renamed = snap.WithPolicies(policies)
	}
	s.last, s.keys, s.renamed, s.table, s.copies = snap, keys, renamed, t, copies
	return renamed, t
}

// unjudged are the keys of policies that a snapshot does not have.
func unjudged(snap *policy.Snapshot, keys []policy.Key) []policy.Key {
	var out []policy.Key
	for _, k := range keys {
		if hasTierName(k.Kind) && !isView(k) && snap.Policy(k) == nil && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b policy.Key) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// membersOf are the policies that have their tier in their names, or could have.
// The tier of one that can't be judged is told by its name.
func membersOf(snap *policy.Snapshot, others []policy.Key) []member {
	var out []member
	for _, p := range snap.Policies {
		if hasTierName(p.Kind) && !isView(p.Key) {
			out = append(out, member{p.Key, p.Tier})
		}
	}
	for _, k := range others {
		m := member{k, tier.DefaultTier}
		if prefix, _, ok := strings.Cut(k.Name, "."); ok && snap.Tier(prefix) != nil {
			m.tier = prefix
		}
		out = append(out, m)
	}
	return out
}

// renameObject is an object by another name; the store keeps its own.
func renameObject(u *unstructured.Unstructured, name string) *unstructured.Unstructured {
	if u.GetName() == name {
		return u
	}
	u = u.DeepCopy()
	u.SetName(name)
	return u
}

func (t *table) faults(in policy.Faults) policy.Faults {
	var out policy.Faults
	for _, f := range in {
		if !isView(f.Key) {
			f.Key = t.Shown(f.Key)
			out = append(out, f)
		}
	}
	return out
}

// versions tell of deletions by the names of users as well. What is deleted is
// not in the table any more, so each is told by both names that it may have had.
func (t *table) versions(in *cluster.Versions) *cluster.Versions {
	if in == nil || !slices.ContainsFunc(in.Gone, func(d cluster.Deletion) bool { return hasTierName(d.Key.Kind) }) {
		return in
	}
	out := &cluster.Versions{Seen: in.Seen}
	for _, d := range in.Gone {
		out.Gone = append(out.Gone, d)
		if before, after, ok := strings.Cut(d.Key.Name, "."); ok && hasTierName(d.Key.Kind) && before != "" {
			d.Key.Name = after
			out.Gone = append(out.Gone, d)
		}
	}
	return out
}
