package tier

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Model is a snapshot prepared for judging: labels have become identities,
// selectors have become bits, so that judging a connection is walking a short
// list of bit tests. It does not change once it is made, and is safe for use
// by several goroutines.
type Model struct {
	snap   *policy.Snapshot
	epoch  uint64
	ids    identities
	labels labels
	owners overlay[netip.Addr, *policy.Endpoint]
	shared bool // some address has more than one claimant (S35)

	entityNumbers overlay[string, int32]
	ownNumbers    bool // entityNumbers is ours to write
	entities      []entity
	columns       []column // by entity: which identities it matches
	reaches       []*reach // by entity: which addresses; nil for none

	policies []*compiled // as snap.Policies
	tiers    []*policy.Tier

	// enforced is the view that nearly every question asks for.
	enforced atomic.Pointer[view]
	mu       sync.Mutex
	views    map[Scope]*view
	// living are the identities that an endpoint has; see alive.
	living     []bool
	livingOnce sync.Once
	// The model that this one was made from, for views not yet asked for; its
	// own predecessor is cut off so that old models can be collected.
	prev            *Model
	addedPolicies   []*compiled
	removedPolicies []*compiled
	// What is as it was in prev; sameEntities: every entity matches the same of
	// what both models know.
	sameTiers, sameEntities bool
}

// New prepares a snapshot. prev, if not nil, is the model of an earlier
// snapshot of the same source: whatever did not change is taken over from it,
// so that a small change costs little.
func New(s *policy.Snapshot, prev *Model) *Model {
	if prev != nil && prev.littered(s) {
		return fresh(s, prev.epoch+1)
	}
	if prev == nil {
		return fresh(s, 0)
	}
	m := &Model{snap: s, epoch: prev.epoch, views: map[Scope]*view{}, prev: prev}
	m.labels = labelsOf(s, prev.snap, prev.labels)
	removed, added := changed(prev.snap.Endpoints, s.Endpoints)
	var newIDs []int32
	m.ids, newIDs = prev.ids.extend(added)
	m.setOwners(prev, removed, added)

	// Clipped, so that an append does not write into prev's arrays.
	m.entityNumbers, m.entities = prev.entityNumbers, slices.Clip(prev.entities)
	m.columns, m.reaches = slices.Clip(prev.columns), slices.Clip(prev.reaches)
	m.extendColumns(newIDs)
	m.updateEntities(prev)
	if m.setPolicies(prev) && slices.Equal(s.Tiers, prev.snap.Tiers) {
		m.tiers = prev.tiers
	} else {
		m.tiers = orderTiers(s)
	}
	m.sameTiers = slices.EqualFunc(m.tiers, prev.tiers, func(a, b *policy.Tier) bool {
		return a.Name == b.Name && a.Order == b.Order && a.DefaultAction == b.DefaultAction
	})
	prev.mu.Lock()
	prev.prev = nil
	prev.mu.Unlock()
	return m
}

// fresh builds a model from nothing.
func fresh(s *policy.Snapshot, epoch uint64) *Model {
	m := &Model{snap: s, epoch: epoch, views: map[Scope]*view{}, labels: labelsOf(s, nil, labels{}), tiers: orderTiers(s)}
	m.ids = identities{
		byEndpoint: overlay[*policy.Endpoint, int32]{base: make(map[*policy.Endpoint]int32, len(s.Endpoints))},
		byKey:      overlay[string, int32]{base: map[string]int32{}},
	}
	m.ids, _ = m.ids.extend(s.Endpoints)
	m.rebuildOwners()
	m.entityNumbers, m.ownNumbers = overlay[string, int32]{base: map[string]int32{}}, true
	m.policies = make([]*compiled, len(s.Policies))
	for i, p := range s.Policies {
		m.policies[i] = compile(p, m.intern)
	}
	return m
}

// littered says that more than half of what the model remembers is of
// endpoints and policies long gone, so that starting afresh is cheaper.
func (m *Model) littered(s *policy.Snapshot) bool {
	return len(m.ids.reps) > 2*len(s.Endpoints)+maxDelta ||
		m.ids.byEndpoint.len() > 2*len(s.Endpoints)+2*maxDelta ||
		m.owners.len() > 4*len(s.Endpoints)+2*maxDelta ||
		len(m.entities) > 8*len(s.Policies)+8*maxDelta
}

// Epoch changes when identities were numbered anew: a cache by Identity or
// Profile that was made under another epoch must be dropped.
func (m *Model) Epoch() uint64 { return m.epoch }

// Snapshot is what the model was made from.
func (m *Model) Snapshot() *policy.Snapshot { return m.snap }

// Identity numbers endpoints: those with one number are alike to every
// selector there is (same labels, same namespace), as subject and as peer.
// Numbers stay the same from one model to the next made from it, within an
// Epoch. -1: the endpoint is not of this model's snapshot.
func (m *Model) Identity(ep *policy.Endpoint) int { return int(m.ids.of(ep)) }

// setPolicies compiles what is new and takes over the rest. It says whether
// that is all.
func (m *Model) setPolicies(prev *Model) (same bool) {
	gone, come := changed(prev.snap.Policies, m.snap.Policies)
	if len(gone)+len(come) == 0 {
		m.policies = prev.policies
		return true
	}
	dead := make(map[*policy.Policy]bool, len(gone))
	for _, p := range gone {
		dead[p] = true
	}
	kept := make(map[*policy.Policy]*compiled, len(come))
	for _, p := range come {
		kept[p] = compile(p, m.intern)
		m.addedPolicies = append(m.addedPolicies, kept[p])
	}
	live := make([]*compiled, 0, len(prev.policies))
	for _, c := range prev.policies {
		if dead[c.Policy] {
			m.removedPolicies = append(m.removedPolicies, c)
		} else {
			live = append(live, c)
		}
	}
	m.policies = make([]*compiled, len(m.snap.Policies))
	for i, p := range m.snap.Policies {
		if c, ok := kept[p]; ok {
			m.policies[i] = c
			continue
		}
		if len(live) > 0 && live[0].Policy == p {
			m.policies[i], live = live[0], live[1:]
			continue
		}
		// The order of the kept ones differs: only if the snapshot is not
		// sorted as the last one was.
		m.policies[i] = compile(p, m.intern)
	}
	return false
}
